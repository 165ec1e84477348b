"""Parts of a model: values can be watched and changed, states forked."""

import torch

from unspool.nn.part import Part, fork, tensors


def test_a_watcher_may_answer_with_another_value():
    part = Part()
    part.watcher = lambda name, value: value + 1
    assert part.tap("hidden", torch.ones(1)).item() == 2


def test_a_fork_can_be_come_back_to():
    state = ((torch.zeros(2, 3), torch.zeros(2, 3)),)
    for _, value in tensors(fork(state)):
        value.add_(1)
    assert all((value == 0).all() for _, value in tensors(state))
