"""How the learning rate falls."""

import pytest

from unspool.training.schedules import Schedule


def test_the_schedule_falls_over_its_decay_and_the_plateau_knows_its_best():
    schedule = Schedule("warmup-stable-decay", warmup=0.1, decay=0.4)
    assert [schedule.factor(p) for p in (0.5, 0.6, 0.8)] == pytest.approx([1.0, 1.0, 0.5])
    plateau = Schedule("plateau")
    for loss in (3.0, 2.0, 2.5, 2.2):
        plateau.report(loss)
    assert plateau.factor(0.5) == 0.25**2
