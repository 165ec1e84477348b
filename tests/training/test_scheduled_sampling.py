"""Scheduled sampling: which inputs are replaced by generated tokens, and which are left alone."""

import pytest
import torch

from helpers.models import small
from unspool.batch import Batch, Tokens
from unspool.errors import ConfigError
from unspool.experiment.experiment import Experiment
from unspool.nn.part import tensors
from unspool.recipe import load_recipe
from unspool.training.scheduled_sampling import refuse_unanswered, scheduled_sampling


def model():
    return small("recurrent", Tokens(9), width=6, cell="gru").train()


def batch(rows=4, time=12):
    """A question of four tokens, an answer, and padding behind the second row's."""
    ids = torch.randint(9, (rows, time + 1), generator=torch.Generator().manual_seed(0))
    loss_mask, mask = torch.ones(rows, time, dtype=torch.bool), torch.ones(rows, time, dtype=torch.bool)
    loss_mask[:, :4] = False
    loss_mask[1, 9:] = mask[1, 9:] = False
    return Batch(ids[:, :-1], ids[:, 1:], loss_mask, mask)


def test_without_a_teacher_every_word_of_the_answer_is_the_models_own():
    ours, given = model(), batch()
    said = ours(given.inputs, ours.start(given.inputs), given.mask)[0].argmax(dim=-1)
    made = scheduled_sampling(ours, given, None, 0.0)
    assert torch.equal(made.inputs[:, :5], given.inputs[:, :5])  # the question, and the word that asks
    assert torch.equal(made.inputs[0, 5:], said[0, 4:-1])
    assert torch.equal(made.inputs[1, 9:], given.inputs[1, 9:])  # padding
    assert not torch.equal(made.inputs, given.inputs)
    assert torch.equal(made.targets, given.targets)


def test_with_a_teacher_nothing_changes():
    assert torch.equal(
        scheduled_sampling(model(), batch(), None, 1.0).inputs,
        batch().inputs,
    )


def test_the_share_is_that_of_the_right_words():
    ours, given = model(), batch(400)
    replaced = (scheduled_sampling(ours, given, None, 0.7).inputs != given.inputs).sum()
    everywhere = (scheduled_sampling(ours, given, None, 0.0).inputs != given.inputs).sum()
    assert 0.25 < float(replaced / everywhere) < 0.35


def test_the_given_state_is_left_as_it_was():
    ours, given = model(), batch()
    state = ours.start(given.inputs)
    before = {name: value.clone() for name, value in tensors(state)}
    scheduled_sampling(ours, given, state, 0.0)
    assert before and all(torch.equal(value, before[name]) for name, value in tensors(state))


def test_a_label_is_nothing_to_go_on_from(tmp_path):
    given = batch()
    with pytest.raises(ConfigError, match="teacher_forcing"):
        refuse_unanswered(Batch(given.inputs, given.targets.flip(0), given.loss_mask, given.mask))
    with pytest.raises(ConfigError, match="teacher_forcing"):
        Experiment.new(load_recipe("parity", ["train.teacher_forcing=0.5", "train.steps=2"]), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_task_with_an_answer_learns_without_a_teacher(tmp_path):
    settings = ["train.teacher_forcing=0.5", "train.steps=3", "evaluate.times=1"]
    *_, finished = Experiment.new(load_recipe("reverse", settings), tmp_path / "run")
    assert finished.results["train/loss"] > 0
