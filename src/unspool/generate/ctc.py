"""Decoding of connectionist temporal classification: scores at every position to one sequence of tokens."""

from collections import defaultdict
from dataclasses import dataclass, field
from math import exp, inf, log1p

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from unspool.nn.heads import at_least_float32
from unspool.schema import Count


@dataclass(frozen=True)
class Labelling:
    """A sequence of tokens that was found, and the position at which each was.

    Args:
        ids: the tokens, without blanks.
        positions: of each token the first position at which it is predicted.
        log_probability: in nats, of these tokens, whatever their alignment.
    """

    ids: list[int]
    positions: list[int]
    log_probability: float = 0.0


@dataclass
class GreedyDecoder:
    """The likeliest token of each position as it comes: repetitions count once, blanks not at all.

    It never takes back what it said, so it can be shown while the sound goes on.

    Args:
        blank: the id of the blank.
        before: the likeliest id of the position before.

    >>> decoder = GreedyDecoder(blank=2)
    >>> decoder.feed([0, 0, 2, 0, 1]), decoder.position
    ([(0, 0), (0, 3), (1, 4)], 5)
    """

    blank: int
    before: int = -1
    position: int = field(default=0, init=False)

    def feed(self, best: list[int]) -> list[tuple[int, int]]:
        """The new tokens, each with its position, of the likeliest ids of some more positions."""
        found = []
        for id in best:
            if id not in (self.before, self.blank):
                found.append((id, self.position))
            self.before = id
            self.position += 1
        return found


def greedy(scores: Float[Tensor, "T V"]) -> Labelling:
    """The labelling of the likeliest alignment; the blank is the last id.

    >>> greedy(torch.tensor([[5.0, 0.0, 0.0], [0.0, 0.0, 5.0], [5.0, 0.0, 0.0]])).ids
    [0, 0]
    """
    found = GreedyDecoder(scores.shape[1] - 1).feed(scores.argmax(dim=-1).tolist())
    ids, positions = [id for id, _ in found], [position for _, position in found]
    return Labelling(ids, positions, log_probability(scores, ids))


def log_probability(scores: Float[Tensor, "T V"], ids: list[int]) -> float:
    """The log-probability of a sequence of tokens, summed over its alignments, in nats.

    >>> round(log_probability(torch.zeros(2, 2), [0]), 4)  # three of four paths
    -0.2877
    """
    scores = at_least_float32(scores.cpu()).log_softmax(dim=-1)
    sizes = torch.tensor(len(scores)), torch.tensor(len(ids))
    return -float(F.ctc_loss(scores, torch.tensor(ids), *sizes, blank=scores.shape[1] - 1, reduction="sum"))


def prefix_beam_search(scores: Float[Tensor, "T V"], beam: Count, unlikely: float = -14.0) -> list[Labelling]:
    """The likeliest labellings, the best first: prefix beam search (Graves & Jaitly 2014; Hannun et al. 2014).

    All alignments of a prefix count together, so that a text which many alignments give may beat that of the single
    likeliest alignment.

    Args:
        scores: of every token and the blank, the last, at every position.
        beam: so many prefixes are kept at each position.
        unlikely: tokens of a smaller log-probability do not begin a prefix.

    Returns:
        At most `beam` labellings.

    >>> scores = torch.tensor([[0.4, 0.6], [0.4, 0.6]]).log()  # blank, blank is likelier than any path of token 0
    >>> greedy(scores).ids, [found.ids for found in prefix_beam_search(scores, beam=2)]
    ([], [[0], []])
    """
    steps = at_least_float32(scores).log_softmax(dim=-1).tolist()
    blank = len(steps[0]) - 1
    beams: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -inf)}  # ending in a blank, ending in its token
    for row in steps:
        likely = [(id, score) for id, score in enumerate(row[:blank]) if score > unlikely]
        found: dict[tuple[int, ...], list[float]] = defaultdict(lambda: [-inf, -inf])
        for prefix, (after_blank, after_token) in beams.items():
            both, last = add(after_blank, after_token), prefix[-1] if prefix else -1
            mine = found[prefix]
            mine[0] = add(mine[0], both + row[blank])
            if prefix:
                mine[1] = add(mine[1], after_token + row[last])
            for id, score in likely:
                longer = found[*prefix, id]
                longer[1] = add(longer[1], (after_blank if id == last else both) + score)
        possible = [prefix for prefix, both in found.items() if max(both) > -inf]
        best = sorted(possible, key=lambda prefix: -add(*found[prefix]))[:beam]
        beams = {prefix: (found[prefix][0], found[prefix][1]) for prefix in best}
    made = [
        Labelling(list(prefix), alignment(scores, list(prefix)), log_probability(scores, list(prefix)))
        for prefix in beams
    ]
    return sorted(made, key=lambda one: -one.log_probability)


def alignment(scores: Float[Tensor, "T V"], ids: list[int]) -> list[int]:
    """The first position of each token in the likeliest alignment of a sequence of tokens (Viterbi 1967).

    Args:
        scores: of every token and the blank, the last, at every position.
        ids: tokens that these positions can say.

    >>> alignment(torch.tensor([[0.0, 9.0], [9.0, 0.0], [9.0, 0.0]]), [0])
    [1]
    """
    states = [scores.shape[1] - 1]
    for id in ids:
        states += [id, states[0]]  # a blank, then each token and a blank behind it
    each = at_least_float32(scores).log_softmax(dim=-1)[:, states]  # (T, 2 U + 1)
    skips = torch.tensor([n % 2 == 1 and n > 1 and states[n] != states[n - 2] for n in range(len(states))])
    best = torch.where(torch.arange(len(states)) < 2, each[0], -inf)
    came: list[Tensor] = []
    for row in each[1:]:
        shifted = [best, *(torch.cat([best.new_full((by,), -inf), best[:-by]])[: len(best)] for by in (1, 2))]
        shifted[2] = shifted[2].where(skips, -inf)
        found = torch.stack(shifted).max(dim=0)
        came.append(found.indices)
        best = found.values + row
    state = len(states) - 1
    if ids and best[state - 1] > best[state]:
        state -= 1
    path = [state]
    for back in reversed(came):
        path.append(path[-1] - int(back[path[-1]]))
    path.reverse()
    return [path.index(2 * number + 1) for number in range(len(ids))]


def add(one: float, other: float) -> float:
    """The logarithm of the sum of two numbers that are given by their logarithms.

    >>> add(0.0, 0.0), add(-inf, -1.0)
    (0.6931471805599453, -1.0)
    """
    small, large = sorted((one, other))
    return large if small == -inf else large + log1p(exp(small - large))
