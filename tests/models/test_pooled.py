"""Pooling: the first position, and BERT's pooler behind it."""

import torch

from unspool.nn.core import cores

B, T, D = 3, 6, 4


def made(**options):
    return cores.build("core", {"kind": "pooled", "by": "first", **options}, width=D)


def test_the_first_present_position_is_the_answer_at_all_later_ones():
    core, x = made(), torch.randn(B, T, D)
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2, [False, False, True, True, False, True]])
    inner, _ = core.core(x, core.core.start(x), mask)
    y, _ = core(x, core.start(x), mask)
    for row, first in ((0, 0), (1, 0), (2, 2)):
        assert torch.equal(y[row], inner[row, first] * mask[row].unsqueeze(-1))


def test_it_is_remembered_from_one_reading_to_the_next():
    core, x = made(), torch.randn(B, T, D)
    mask = torch.ones(B, T, dtype=torch.bool)
    mask[1, :3] = False  # nothing of this row is in the first reading
    whole, _ = core(x, core.start(x), mask)
    one, state = core(x[:, :2], core.start(x), mask[:, :2])
    other, _ = core(x[:, 2:], state, mask[:, 2:])
    torch.testing.assert_close(torch.cat([one, other], dim=1), whole)


def test_the_pooler_is_a_linear_layer_and_tanh():
    core, x = made(project=True), torch.randn(B, T, D)
    inner, _ = core.core(x, core.core.start(x))
    y, _ = core(x, core.start(x))
    wanted = (inner[:, :1] @ core.project.weight.T + core.project.bias).tanh()
    torch.testing.assert_close(y, wanted.expand_as(y))
