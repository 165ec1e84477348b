"""The loss of targets that are not aligned with the inputs, against a sum over all alignments."""

from itertools import groupby, product
from math import inf, log

import pytest
import torch

from unspool.batch import UnalignedTokens, domain_from_json, domain_to_json
from unspool.nn.heads import Ctc, head
from unspool.training.precision import autocast

TOKENS, STEPS = 3, 5  # with the blank, which is 2


def collapsed(path, blank):
    """What an alignment says: repetitions once, no blanks."""
    return [id for id, _ in groupby(path) if id != blank]


def summed(log_probabilities, target):
    """The log-probability of a target, over every alignment there is."""
    length, size = log_probabilities.shape
    total = 0.0
    for path in product(range(size), repeat=length):
        if collapsed(path, size - 1) == target:
            total += float(log_probabilities[range(length), path].sum().exp())
    return log(total) if total else -inf


def rows(*targets):
    """Targets at the first positions of their rows, and where there are some."""
    ids, there = torch.zeros(len(targets), STEPS, dtype=torch.long), torch.zeros(len(targets), STEPS, dtype=torch.bool)
    for number, target in enumerate(targets):
        ids[number, : len(target)], there[number, : len(target)] = torch.tensor(target), True
    return ids, there


def test_the_loss_is_the_sum_over_all_alignments():
    layer = head(UnalignedTokens(TOKENS), width=4)
    assert type(layer) is Ctc
    y, targets = torch.randn(3, STEPS, 4), ([0, 1], [1, 1], [0])
    ids, there = rows(*targets)
    mask = torch.arange(STEPS) < torch.tensor([[5], [4], [2]])
    scores = layer(y).detach().double().log_softmax(dim=-1)
    wanted = [summed(row[:size], target) for row, size, target in zip(scores, (5, 4, 2), targets, strict=True)]
    assert layer.loss(y, ids, there, mask).item() == pytest.approx(-sum(wanted) / 5, rel=1e-5)


def test_padding_and_missing_targets_do_not_matter():
    layer, y = Ctc(4, TOKENS), torch.randn(2, STEPS, 4, requires_grad=True)
    ids, there = rows([0, 1], [1])
    mask = torch.arange(STEPS) < torch.tensor([[5], [3]])
    whole = layer.loss(y, ids, there, mask)
    whole.backward()
    assert bool((y.grad[1, 3:] == 0).all()) and bool((y.grad[1, :3] != 0).any())
    alone = layer.loss(y[1:, :3], ids[1:, :3], there[1:, :3]) + 2 * layer.loss(y[:1], ids[:1], there[:1])
    assert whole.item() == pytest.approx(alone.item() / 3, rel=1e-5)
    with torch.no_grad():
        assert layer.loss(y, ids.where(there, torch.tensor(TOKENS)), there, mask) == whole


def test_too_many_targets_cannot_be_said():
    layer, y = Ctc(4, TOKENS), torch.randn(1, 3, 4)
    ids, there = torch.tensor([[0, 0, 0]]), torch.tensor([[True, True, False]])
    assert layer.loss(y, ids, there).isfinite()  # 0, blank, 0
    assert layer.loss(y, ids, torch.ones_like(there)).item() == inf


def test_the_loss_is_counted_in_float32():
    layer, y = Ctc(4, TOKENS), torch.randn(2, STEPS, 4)
    ids, there = rows([0, 1], [1])
    with autocast("cpu", "bfloat16"):
        assert layer.loss(y, ids, there).dtype == torch.float32


def test_the_domain_is_written_down():
    domain = UnalignedTokens(28)
    assert domain_from_json(domain_to_json(domain)) == domain and domain.blank == 27
