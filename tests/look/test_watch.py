"""Watching what goes on in a model."""

import pytest
import torch

from helpers.models import gru
from unspool.batch import Batch
from unspool.look.watch import watch
from unspool.nn.part import Part

V = 7


def test_nobody_watches_after_the_block_even_when_it_fails():
    made, ids = gru(), torch.randint(V, (1, 4))
    with watch(made) as trace:
        made.loss(Batch(ids, ids, torch.ones_like(ids).bool()))[0].backward()
    assert all(value.grad is not None for name, values in trace.items() if "hidden" in name for value in values)
    with pytest.raises(ZeroDivisionError), watch(made):
        raise ZeroDivisionError
    size = sum(map(len, trace.values()))
    made(ids, made.start(ids))
    assert sum(map(len, trace.values())) == size
    assert all(part.watcher is None for part in made.modules() if isinstance(part, Part))
