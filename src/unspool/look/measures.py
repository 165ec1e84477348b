"""What can be read off a record: plain functions from values to numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from unspool.schema import Count

OPEN, SHUT = 0.9, 0.1
MOSTLY = 0.95  # of the time
REPEATS = 4  # tokens that must have come before, to tell what a head does at them


@dataclass(frozen=True)
class Openness:
    """How far a gate's units are open: the mean, and the shares of the time over `OPEN` and under `SHUT`, each (U)."""

    mean: Float[Tensor, " U"]
    open: Float[Tensor, " U"]
    shut: Float[Tensor, " U"]

    @property
    def counts(self) -> tuple[int, int]:
        """How many units are open `MOSTLY`, and how many are shut."""
        return int((self.open >= MOSTLY).sum()), int((self.shut >= MOSTLY).sum())


def openness(gate: Float[Tensor, "N U"]) -> Openness:
    """An open mouth or a closed one: what a gate's units did over N times.

    >>> openness(torch.tensor([[1.0, 0.0], [1.0, 0.5]])).counts
    (1, 0)
    """
    gate = gate.float()
    return Openness(gate.mean(dim=0), (gate > OPEN).float().mean(dim=0), (gate < SHUT).float().mean(dim=0))


def saturation(values: Float[Tensor, "N U"], bound: float = 0.95) -> Float[Tensor, " U"]:
    """The share of the time that each unit is nearly as far from zero as its squashing lets it.

    >>> saturation(torch.tensor([[1.0, 0.2], [-0.99, 0.99]])).tolist()
    [1.0, 0.5]
    """
    return (values.float().abs() > bound).float().mean(dim=0)


def half_life(keep: Float[Tensor, "N U"]) -> Float[Tensor, " U"]:
    """After how many ticks half of what a unit holds is left, where each tick it keeps so much of it; may be infinite.

    ln(1/2) / mean ln keep

    >>> half_life(torch.tensor([[0.5, 1.0], [0.5, 1.0]])).tolist()
    [1.0, inf]
    """
    kept = keep.double().clamp(1e-12, 1.0).log().mean(dim=0)
    return torch.where(kept < 0, log(0.5) / kept.clamp(max=-1e-300), torch.inf).float()


@dataclass(frozen=True)
class Decay:
    """A straight line through ln(norm) by lag: how fast a gradient fades or grows."""

    rate: float  # what a tick more multiplies it by
    fit: float  # R^2: 1 when it truly is exponential

    @property
    def half_life(self) -> float:
        """After how many ticks half of it is left; infinite where it does not fade."""
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
    """How widely a look is spread, in nats: 0 for a single place, ln S for all alike.

    >>> entropy(torch.tensor([[1.0, 0.0], [0.5, 0.5]])).tolist()
    [0.0, 0.6931471824645996]
    """
    return torch.special.entr(weights.float()).sum(dim=-1)


@dataclass(frozen=True)
class Habit:
    """What a head looks at: shares of its weight, the mean over all tokens but the first."""

    before: float  # at the token before
    itself: float
    first: float  # at the first token of all
    again: float  # of tokens that came before: at what came after them then (an induction head); 0 where few did
    entropy: float  # nats

    def summary(self) -> str:
        """What it mostly does, in words; "" when that has no name.

        >>> Habit(0.9, 0.05, 0.05, 0.0, 0.3).summary()
        'looks at the token before (90 %)'
        """
        names = {
            "the token before": self.before,
            "the token itself": self.itself,
            "the first token": self.first,
            "what came after this token the last time": self.again,
        }
        name, share = max(names.items(), key=lambda item: item[1])
        return f"looks at {name} ({100 * share:.0f} %)" if share >= 0.5 else ""


def habit(weights: Float[Tensor, "T T"], ids: Int[Tensor, " T"]) -> Habit:
    """What a causal head looks at while it reads these ids; induction as Olsson et al. 2022 (arXiv:2209.11895) say.

    >>> habit(torch.tensor([[1.0, 0.0, 0.0], [0.9, 0.1, 0.0], [0.0, 1.0, 0.0]]), torch.tensor([1, 2, 3])).summary()
    'looks at the token before (95 %)'
    """
    length = len(ids)
    weights = weights.float()
    same = (ids[:, None] == ids[None, :]).tril(-2)  # (T, T): an earlier place of the same token, but the one before
    last = torch.where(same, torch.arange(length), -1).amax(dim=1)  # (T)
    repeated = (last >= 0).nonzero().flatten()
    again = weights[repeated, last[repeated] + 1].mean() if len(repeated) >= REPEATS else torch.zeros(())
    rows = weights[1:] if length > 1 else weights
    return Habit(
        float(weights.diagonal(-1).mean()) if length > 1 else 0.0,
        float(rows.diagonal(1).mean()) if length > 1 else float(rows.mean()),
        float(rows[:, 0].mean()),
        float(again),
        float(entropy(rows).mean()),
    )


def auc(ranks: Float[Tensor, "N U"], on: Bool[Tensor, "N F"]) -> Float[Tensor, "F U"]:
    """How well each unit, `ranked`, tells where each feature is on: the chance that it is higher there than elsewhere.

    1 and 0 tell it perfectly, 1/2 not at all; the area under the ROC curve, worked out from ranks (Mann & Whitney
    1947). Ties count half.

    >>> auc(ranked(torch.tensor([[0.1], [0.9], [0.8]])), torch.tensor([[False], [True], [True]])).item()
    1.0
    """
    yes = on.to(ranks.dtype)  # (N, F)
    many = yes.sum(dim=0).unsqueeze(1)  # (F, 1)
    return ((yes.T @ ranks) / many - (many + 1) / 2) / (len(on) - many)


def ranked(values: Float[Tensor, "N U"]) -> Float[Tensor, "N U"]:
    """The place of every value among those of its unit, from 1; equal ones share the mean of theirs.

    >>> ranked(torch.tensor([[3.0], [1.0], [3.0]])).flatten().tolist()
    [2.5, 1.0, 2.5]
    """
    columns = values.float().T.contiguous()  # (U, N)
    ordered, _ = columns.sort(dim=1)
    low = torch.searchsorted(ordered, columns)
    high = torch.searchsorted(ordered, columns, right=True)
    return (0.5 * (low + high + 1)).T.double()


def correlation(values: Float[Tensor, "N U"], wanted: Float[Tensor, "N F"]) -> Float[Tensor, "F U"]:
    """Pearson's r of each unit with each number; 0 where one of them never changes.

    >>> correlation(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[2.0], [4.0], [6.0]])).round(decimals=6).item()
    1.0
    """
    x, y = (one.double() - one.double().mean(dim=0) for one in (values, wanted))
    size = y.norm(dim=0).unsqueeze(1) * x.norm(dim=0)
    return torch.where(size > 1e-12, (y.T @ x) / size.clamp(min=1e-300), 0.0)


@dataclass(frozen=True)
class Scores:
    """How well the best unit tells a feature, and the best of all units the same feature shifted around in time."""

    unit: int
    score: float  # AUC, or |r|
    shifted: Float[Tensor, " R"]


def search(
    values: Float[Tensor, "N U"], features: Mapping[str, Tensor], rounds: Count = 40, seed: int = 0
) -> dict[str, Scores]:
    """The unit that tells each feature (N) best, yes or no by AUC, numbers by |r|; it may also tell it by going down.

    A score is the larger of AUC and 1 - AUC. The feature shifted around in time keeps its rhythm: what the best unit
    tells of it then is chance (a permutation test for series). The same seed shifts alike, so the `shifted` scores of
    several groups of units can be compared, shift by shift. Where a feature is NaN it is not asked.

    >>> feature = (torch.rand(1000, generator=torch.Generator().manual_seed(1)) < 0.1).cumsum(dim=0) % 2 == 1
    >>> values = torch.randn(1000, 5, generator=torch.Generator().manual_seed(0))
    >>> values[:, 3] -= 9 * feature
    >>> best = search(values, {"odd": feature})["odd"]
    >>> best.unit, best.score, bool(best.shifted.max() < 0.9)
    (3, 1.0, True)
    """
    ranks, found = ranked(values), {}
    for name, feature in features.items():
        asked = ~feature.isnan()
        feature = feature[asked]
        random, length = torch.Generator().manual_seed(seed), len(feature)
        shifts = torch.randint(length // 10, max(length // 10 + 1, length - length // 10), (rounds,), generator=random)
        every = torch.stack([feature, *(feature.roll(int(shift)) for shift in shifts)], dim=1)  # (*, 1 + rounds)
        if yes_or_no(feature):
            scores = auc(ranks if bool(asked.all()) else ranked(values[asked]), every.bool())
            scores = torch.maximum(scores, 1 - scores)
        else:
            scores = correlation(values[asked], every).abs()
        score, unit = scores[0].max(dim=0)
        found[name] = Scores(int(unit), float(score), scores[1:].amax(dim=1))
    return found


@dataclass(frozen=True)
class Found:
    """The unit that tells a feature best."""

    unit: int
    score: float  # AUC, or |r|
    chance: float  # what the best of all units reaches in 19 of 20 shifts of the feature

    @property
    def margin(self) -> float:
        """By how much it is better than chance."""
        return self.score - self.chance

    @property
    def beyond_chance(self) -> bool:
        """Whether it is better than chance at all."""
        return self.margin > 0


def clearest(groups: Mapping[str, Scores]) -> tuple[str, Found]:
    """The group that has the best unit, and that unit; chance is the best of all groups' units, shift by shift.

    >>> two = {"a": Scores(3, 0.9, torch.tensor([0.6, 0.5])), "b": Scores(1, 0.8, torch.tensor([0.5, 0.7]))}
    >>> name, found = clearest(two)
    >>> name, found.unit, round(found.chance, 3)
    ('a', 3, 0.695)
    """
    name = max(groups, key=lambda name: groups[name].score)
    chance = torch.stack([one.shifted for one in groups.values()]).amax(dim=0).double().quantile(0.95)
    return name, Found(groups[name].unit, groups[name].score, float(chance))


def yes_or_no(feature: Tensor) -> bool:
    """Whether all that it says is 0 or 1; where it is NaN nothing is asked.

    >>> yes_or_no(torch.tensor([0.0, 1.0, torch.nan])), yes_or_no(torch.tensor([0.0, 2.0]))
    (True, False)
    """
    return bool(((feature == 0) | (feature == 1) | feature.isnan()).all())


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
class Plane:
    """Points in the directions in which they differ most: coordinates (N, K), and the share of the variance of each."""

    places: Float[Tensor, "N K"]
    explained: Float[Tensor, " K"]


def principal(points: Float[Tensor, "N D"], directions: Count = 2) -> Plane:
    """Principal components (Pearson 1901); the sign is such that the largest coordinate is positive.

    >>> principal(torch.tensor([[0.0, 0.0], [2.0, 0.0], [4.0, 0.0]])).explained.tolist()
    [1.0, 0.0]
    """
    centred = points.detach().double() - points.detach().double().mean(dim=0)
    u, s, _ = torch.linalg.svd(centred, full_matrices=False)
    s = torch.nn.functional.pad(s, (0, max(0, directions - len(s))))[: max(directions, len(s))]
    places = torch.nn.functional.pad(u * s[: u.shape[1]], (0, max(0, directions - u.shape[1])))[:, :directions]
    sign = places.gather(0, places.abs().argmax(dim=0, keepdim=True)).sign()
    share = s.square() / s.square().sum().clamp(min=1e-300)
    return Plane((places * torch.where(sign == 0, 1.0, sign)).float(), share[:directions].float())
