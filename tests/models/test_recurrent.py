"""Recurrent layers upon each other, and the dropout between them."""

import pytest
import torch

from helpers.models import gru
from unspool.nn.core import cores
from unspool.nn.unroll import unroll_loop

B, T, W = 4, 6, 6


@pytest.mark.parametrize("residual", [False, True])
def test_a_stack_is_layer_upon_layer(residual):
    core = cores.build("core", {"kind": "recurrent", "layers": 3, "residual": residual}, width=W)
    x = torch.randn(B, T, W)
    y, _ = core(x, core.start(x))
    for (cell,) in core.layers:
        inner, _ = unroll_loop(cell, x, cell.start(x))
        x = x + inner if residual else inner
    torch.testing.assert_close(y, x)


def test_dropout_is_between_the_layers_alone_and_off_when_judged():
    x = torch.randn(B, T, W)
    plain = gru(layers=2).core
    dropped = cores.build("core", {"kind": "recurrent", "cell": "gru", "layers": 2, "dropout": 0.5}, width=W)
    dropped.load_state_dict(plain.state_dict())
    wanted, _ = plain(x, plain.start(x))
    torch.testing.assert_close(dropped.eval()(x, plain.start(x))[0], wanted)
    assert not torch.allclose(dropped.train()(x, plain.start(x))[0], wanted)
    single = cores.build("core", {"kind": "recurrent", "cell": "gru", "dropout": 0.5}, width=W).train()
    y, _ = single(x, single.start(x))
    torch.testing.assert_close(y, single.eval()(x, single.start(x))[0])
