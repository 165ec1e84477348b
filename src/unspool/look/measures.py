"""Statistics of recorded values: plain functions from tensors to numbers."""

from dataclasses import dataclass
from math import log

import torch
from jaxtyping import Float, Int
from torch import Tensor

from unspool.schema import Count

OPEN, SHUT = 0.9, 0.1
MOSTLY = 0.95  # of the time
REPEATS = 4  # repeated tokens that are needed to measure induction


@dataclass(frozen=True)
class Openness:
    """The mean of each unit of a gate, and its shares of the time over `OPEN` and under `SHUT`, each (U)."""

    mean: Float[Tensor, " U"]
    open: Float[Tensor, " U"]
    shut: Float[Tensor, " U"]

    @property
    def counts(self) -> tuple[int, int]:
        """How many units are open, and how many are shut, at least `MOSTLY` of the time."""
        return int((self.open >= MOSTLY).sum()), int((self.shut >= MOSTLY).sum())


def openness(gate: Float[Tensor, "N U"]) -> Openness:
    """How far a gate's units were open over N times.

    >>> openness(torch.tensor([[1.0, 0.0], [1.0, 0.5]])).counts
    (1, 0)
    """
    gate = gate.float()
    return Openness(gate.mean(dim=0), (gate > OPEN).float().mean(dim=0), (gate < SHUT).float().mean(dim=0))


def saturation(values: Float[Tensor, "N U"], bound: float = 0.95) -> Float[Tensor, " U"]:
    """The share of the time that each unit of a bounded activation is saturated.

    >>> saturation(torch.tensor([[1.0, 0.2], [-0.99, 0.99]])).tolist()
    [1.0, 0.5]
    """
    return (values.float().abs() > bound).float().mean(dim=0)


def half_life(keep: Float[Tensor, "N U"]) -> Float[Tensor, " U"]:
    """The half-life of each unit's memory in time steps, given how much of it each step keeps; may be infinite.

    ln(1/2) / mean ln keep

    >>> half_life(torch.tensor([[0.5, 1.0], [0.5, 1.0]])).tolist()
    [1.0, inf]
    """
    kept = keep.double().clamp(1e-12, 1.0).log().mean(dim=0)
    return torch.where(kept < 0, log(0.5) / kept.clamp(max=-1e-300), torch.inf).float()


@dataclass(frozen=True)
class Decay:
    """A straight line through ln(norm) by lag: the exponential decay or growth of a gradient."""

    rate: float  # the factor by which a lag more changes it
    fit: float  # R^2: 1 where the decay is exponential

    @property
    def half_life(self) -> float:
        """After how many time steps half of it is left; infinite where it does not decay."""
        return log(0.5) / log(self.rate) if 0 < self.rate < 1 - 1e-9 else float("inf")


def decay(norms: Float[Tensor, " K"], first: int = 0) -> Decay:
    """Fit an exponential to gradient norms by lag, from a lag on.

    >>> found = decay(torch.tensor([1.0, 0.5, 0.25, 0.125]))
    >>> round(found.rate, 6), round(found.fit, 6), round(found.half_life, 6)
    (0.5, 1.0, 1.0)
    """
    norms = norms.double()
    lags = torch.arange(len(norms), dtype=torch.double)
    seen = norms.isfinite() & (norms > 1e-30) & (lags >= first)
    x, y = lags[seen], norms[seen].log()
    if len(x) < 2:
        return Decay(0.0, 0.0)
    x, y = x - x.mean(), y - y.mean()
    slope = (x @ y) / (x @ x)
    spread = y @ y
    fit = 1.0 if spread < 1e-12 else 1 - float((y - slope * x).square().sum() / spread)
    return Decay(float(slope.exp()), fit)


def eigenvalues(recurrent: Float[Tensor, "H H"]) -> Tensor:
    """The eigenvalues of a recurrent matrix (complex), the largest first.

    Over 1 in size what a simple recurrent net remembers grows, below it fades (Bengio et al. 1994).

    >>> eigenvalues(torch.diag(torch.tensor([0.5, -2.0]))).tolist()
    [(-2+0j), (0.5+0j)]
    """
    found = torch.linalg.eigvals(recurrent.detach().cpu().double())
    return found[found.abs().argsort(descending=True)]


def entropy(weights: Float[Tensor, "*B S"]) -> Float[Tensor, "*B"]:
    """The entropy of attention weights in nats: 0 for a single position, ln S for uniform ones.

    >>> entropy(torch.tensor([[1.0, 0.0], [0.5, 0.5]])).tolist()
    [0.0, 0.6931471824645996]
    """
    return torch.special.entr(weights.float()).sum(dim=-1)


@dataclass(frozen=True)
class HeadPattern:
    """The shares of a head's weight on positions of a kind: the mean over all tokens but the first."""

    previous: float  # on the token before
    itself: float
    first: float  # on the first token
    induction: float  # of repeated tokens: on the token after their last occurrence; 0 where few are repeated
    entropy: float  # nats

    def summary(self) -> str:
        """The kind of position that has at least half of the weight; "" where none has.

        >>> HeadPattern(0.9, 0.05, 0.05, 0.0, 0.3).summary()
        'attends to the token before (90 %)'
        """
        names = {
            "the token before": self.previous,
            "the token itself": self.itself,
            "the first token": self.first,
            "what followed this token the last time (induction)": self.induction,
        }
        name, share = max(names.items(), key=lambda item: item[1])
        return f"attends to {name} ({100 * share:.0f} %)" if share >= 0.5 else ""


def head_pattern(weights: Float[Tensor, "T T"], ids: Int[Tensor, " T"]) -> HeadPattern:
    """What a causal head attends to while it reads these ids; induction as in Olsson et al. 2022 (arXiv:2209.11895).

    >>> weights = torch.tensor([[1.0, 0.0, 0.0], [0.9, 0.1, 0.0], [0.0, 1.0, 0.0]])
    >>> head_pattern(weights, torch.tensor([1, 2, 3])).summary()
    'attends to the token before (95 %)'
    """
    length = len(ids)
    weights = weights.float()
    same = (ids[:, None] == ids[None, :]).tril(-2)  # (T, T): an earlier place of the same token, but the one before
    last = torch.where(same, torch.arange(length), -1).amax(dim=1)  # (T)
    repeated = (last >= 0).nonzero().flatten()
    induction = weights[repeated, last[repeated] + 1].mean() if len(repeated) >= REPEATS else torch.zeros(())
    rows = weights[1:] if length > 1 else weights
    return HeadPattern(
        float(weights.diagonal(-1).mean()) if length > 1 else 0.0,
        float(rows.diagonal(1).mean()) if length > 1 else float(rows.mean()),
        float(rows[:, 0].mean()),
        float(induction),
        float(entropy(rows).mean()),
    )


def neighbours(table: Float[Tensor, "V D"], ids: Int[Tensor, " N"], count: Count = 8) -> list[list[tuple[int, float]]]:
    """For each id the tokens whose embeddings point most nearly the same way, with their cosines, the nearest first.

    >>> near = neighbours(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.9, 0.1]]), torch.tensor([0]), 2)
    >>> [id for id, _ in near[0]]
    [2, 1]
    """
    unit = torch.nn.functional.normalize(table.detach().float(), dim=1)
    cosines = (unit[ids] @ unit.T).scatter_(1, ids.unsqueeze(1), -torch.inf)
    best = cosines.topk(min(count, len(table) - 1))
    return [list(zip(*pair, strict=True)) for pair in zip(best.indices.tolist(), best.values.tolist(), strict=True)]


@dataclass(frozen=True)
class Projection:
    """Points in their first K principal components, and the share of the variance of each component."""

    coordinates: Float[Tensor, "N K"]
    explained: Float[Tensor, " K"]


def principal_components(points: Float[Tensor, "N D"], directions: Count = 2) -> Projection:
    """Principal components (Pearson 1901); the sign is such that the largest coordinate is positive.

    >>> principal_components(torch.tensor([[0.0, 0.0], [2.0, 0.0], [4.0, 0.0]])).explained.tolist()
    [1.0, 0.0]
    """
    centred = points.detach().double() - points.detach().double().mean(dim=0)
    u, s, _ = torch.linalg.svd(centred, full_matrices=False)
    s = torch.nn.functional.pad(s, (0, max(0, directions - len(s))))[: max(directions, len(s))]
    places = torch.nn.functional.pad(u * s[: u.shape[1]], (0, max(0, directions - u.shape[1])))[:, :directions]
    sign = places.gather(0, places.abs().argmax(dim=0, keepdim=True)).sign()
    share = s.square() / s.square().sum().clamp(min=1e-300)
    return Projection((places * torch.where(sign == 0, 1.0, sign)).float(), share[:directions].float())


def likeness_order(values: Float[Tensor, "N U"]) -> list[int]:
    """An order of the units in which similar ones are neighbours, for a heat map.

    A chain: it begins with the unit that varies most, and each unit is followed by the one that correlates best with
    it among those that are left. Units that never change come last.

    >>> likeness_order(torch.tensor([[0.0, 5.0, 9.0, 1.0], [1.0, 5.0, 0.0, 0.0], [0.0, 5.0, 8.0, 1.0]]))
    [2, 3, 0, 1]
    """
    centred = values.double() - values.double().mean(dim=0)
    sizes = centred.norm(dim=0)
    unit = centred / sizes.clamp(min=1e-12)
    likeness = unit.T @ unit
    order = [int(sizes.argmax())] if values.shape[1] else []
    likeness[:, order] = -torch.inf
    while len(order) < values.shape[1]:
        order.append(int(likeness[order[-1]].argmax()))
        likeness[:, order[-1]] = -torch.inf
    still = sizes < 1e-9
    return sorted(order, key=lambda unit: bool(still[unit]))
