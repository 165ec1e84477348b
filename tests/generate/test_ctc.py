"""Decoding, against every labelling that there is."""

from itertools import groupby, product

import pytest
import torch

from unspool.generate.ctc import GreedyDecoder, alignment, greedy, log_probability, prefix_beam_search

STEPS, TOKENS = 5, 3


def every_labelling(scores):
    """The probability of every labelling, summed over its alignments."""
    found = {}
    chances = scores.double().softmax(dim=-1)
    blank = scores.shape[1] - 1
    for path in product(range(blank + 1), repeat=len(scores)):
        said = tuple(id for id, _ in groupby(path) if id != blank)
        found[said] = found.get(said, 0.0) + float(chances[range(len(scores)), path].prod())
    return found


@pytest.mark.parametrize("seed", range(5))
def test_a_wide_beam_finds_the_likeliest_labellings(seed):
    scores = 2 * torch.randn(STEPS, TOKENS, generator=torch.Generator().manual_seed(seed))
    every = every_labelling(scores)
    best = sorted(every, key=lambda said: -every[said])[:5]
    found = prefix_beam_search(scores, beam=200, unlikely=-100.0)
    assert [tuple(one.ids) for one in found[:5]] == best
    for one in found:
        assert one.log_probability == pytest.approx(torch.tensor(every[tuple(one.ids)]).log().item(), abs=1e-4)
    assert log_probability(scores, list(best[0])) == pytest.approx(found[0].log_probability)


def test_greedy_is_the_likeliest_alignment_and_says_where():
    best = [2, 0, 0, 2, 0, 1, 1]
    scores = torch.nn.functional.one_hot(torch.tensor(best), TOKENS).float() * 9
    found = greedy(scores)
    assert found.ids == [0, 0, 1] and found.positions == [1, 4, 5]
    assert found.log_probability == pytest.approx(log_probability(scores, [0, 0, 1]))
    assert prefix_beam_search(scores, beam=4)[0].positions == [1, 4, 5]


@pytest.mark.parametrize("cuts", [(7,), (1, 6), (3, 1, 3), (1,) * 7])
def test_a_decoder_does_not_mind_the_pieces(cuts):
    best, decoder = [2, 0, 0, 2, 0, 1, 1], GreedyDecoder(blank=2)
    found, begin = [], 0
    for size in cuts:
        found += decoder.feed(best[begin : begin + size])
        begin += size
    assert found == [(0, 1), (0, 4), (1, 5)]


@pytest.mark.parametrize("ids", [[0], [1, 1], [0, 1, 0], []])
def test_an_alignment_is_the_likeliest_of_all(ids):
    for seed in range(5):
        scores = torch.randn(STEPS, TOKENS, generator=torch.Generator().manual_seed(seed))
        chances = scores.log_softmax(dim=-1)
        paths = [p for p in product(range(TOKENS), repeat=STEPS) if [i for i, _ in groupby(p) if i != 2] == ids]
        best = max(paths, key=lambda path: float(chances[range(STEPS), path].sum()))
        assert alignment(scores, ids) == [at for _, at in GreedyDecoder(blank=2).feed(list(best))]
