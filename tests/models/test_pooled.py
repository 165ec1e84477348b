"""Pooling: the first position, and BERT's pooler behind it."""

import pytest
import torch

from unspool.errors import ConfigError
from unspool.nn.core import cores

B, T, D = 3, 6, 4


def made(**options):
    both_ways = {"kind": "recurrent", "cell": "gru", "bidirectional": True}
    return cores.build("core", {"kind": "pooled", "by": "first", "core": both_ways, **options}, width=D)


def test_the_first_present_position_is_the_answer_at_all_later_ones():
    core, x = made(), torch.randn(B, T, D)
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2, [False, False, True, True, False, True]])
    inner, _ = core.core(x, core.core.start(x), mask)
    y, _ = core(x, core.start(x), mask)
    for row, first in ((0, 0), (1, 0), (2, 2)):
        assert torch.equal(y[row], inner[row, first] * mask[row].unsqueeze(-1))


@pytest.mark.parametrize("inner", ["recurrent", {"kind": "transformer", "heads": 1}, {"kind": "pooled"}])
def test_the_first_position_of_a_causal_core_is_refused(inner):
    with pytest.raises(ConfigError, match="has read one token there") as error:
        made(core=inner)
    assert "core.by=last" in error.value.hint and "fine-tune-classify" in error.value.hint


def test_the_pooler_is_a_linear_layer_and_tanh():
    core, x = made(project=True), torch.randn(B, T, D)
    inner, _ = core.core(x, core.core.start(x))
    y, _ = core(x, core.start(x))
    wanted = (inner[:, :1] @ core.project.weight.T + core.project.bias).tanh()
    torch.testing.assert_close(y, wanted.expand_as(y))
