"""Which unit stands for a feature: every unit against every feature, with a permutation test for chance."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unspool.schema import Count


def auc(ranked: Float[Tensor, "N U"], on: Bool[Tensor, "N F"]) -> Float[Tensor, "F U"]:
    """The area under the ROC curve of each unit, given as `ranks`, for each binary feature.

    The probability that the unit is higher where the feature is on: 1 and 0 are perfect, 1/2 is chance; computed from
    ranks (Mann & Whitney 1947), ties count half.

    >>> auc(ranks(torch.tensor([[0.1], [0.9], [0.8]])), torch.tensor([[False], [True], [True]])).item()
    1.0
    """
    yes = on.to(ranked.dtype)  # (N, F)
    many = yes.sum(dim=0).unsqueeze(1)  # (F, 1)
    return ((yes.T @ ranked) / many - (many + 1) / 2) / (len(on) - many)


def ranks(values: Float[Tensor, "N U"]) -> Float[Tensor, "N U"]:
    """The rank of every value among those of its unit, from 1; ties share their mean rank.

    >>> ranks(torch.tensor([[3.0], [1.0], [3.0]])).flatten().tolist()
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
class UnitScores:
    """The score of the best unit on a feature, and the best scores of all units on the feature shifted in time."""

    unit: int
    score: float  # AUC, or |r|
    shifted: Float[Tensor, " R"]


def search_units(
    values: Float[Tensor, "N U"], features: Mapping[str, Tensor], rounds: Count = 40, seed: int = 0
) -> dict[str, UnitScores]:
    """The unit that predicts each feature (N) best: binary features by AUC, numeric ones by |r|, of either sign.

    A score is the larger of AUC and 1 - AUC. The feature shifted circularly in time keeps its autocorrelation: the best
    score on it is chance (a permutation test for series). The same seed shifts alike, so the `shifted` scores of
    several groups of units can be compared, shift by shift. Positions where a feature is NaN are left out.

    >>> feature = (torch.rand(1000, generator=torch.Generator().manual_seed(1)) < 0.1).cumsum(dim=0) % 2 == 1
    >>> values = torch.randn(1000, 5, generator=torch.Generator().manual_seed(0))
    >>> values[:, 3] -= 9 * feature
    >>> best = search_units(values, {"odd": feature})["odd"]
    >>> best.unit, best.score, bool(best.shifted.max() < 0.9)
    (3, 1.0, True)
    """
    ranked, found = ranks(values), {}
    for name, feature in features.items():
        asked = ~feature.isnan()
        feature = feature[asked]
        random, length = torch.Generator().manual_seed(seed), len(feature)
        shifts = torch.randint(length // 10, max(length // 10 + 1, length - length // 10), (rounds,), generator=random)
        every = torch.stack([feature, *(feature.roll(int(shift)) for shift in shifts)], dim=1)  # (*, 1 + rounds)
        if is_binary(feature):
            scores = auc(ranked if bool(asked.all()) else ranks(values[asked]), every.bool())
            scores = torch.maximum(scores, 1 - scores)
        else:
            scores = correlation(values[asked], every).abs()
        score, unit = scores[0].max(dim=0)
        found[name] = UnitScores(int(unit), float(score), scores[1:].amax(dim=1))
    return found


@dataclass(frozen=True)
class BestUnit:
    """The unit that predicts a feature best."""

    unit: int
    score: float  # AUC, or |r|
    chance: float  # what the best of all units stays below in 19 of 20 shifts of the feature

    @property
    def margin(self) -> float:
        """Where the score lies between chance (0) and a perfect one (1); below 0 it is worse than chance."""
        return (self.score - self.chance) / max(1e-9, 1 - self.chance)

    @property
    def beyond_chance(self) -> bool:
        """Whether the score is better than chance."""
        return self.margin > 0


def best_unit(groups: Mapping[str, UnitScores]) -> tuple[str, BestUnit]:
    """The group with the best unit, and that unit; chance is the 95 % quantile of the best score over all groups.

    >>> two = {"a": UnitScores(3, 0.9, torch.tensor([0.6, 0.5])), "b": UnitScores(1, 0.8, torch.tensor([0.5, 0.7]))}
    >>> name, found = best_unit(two)
    >>> name, found.unit, round(found.chance, 3)
    ('a', 3, 0.695)
    """
    name = max(groups, key=lambda name: groups[name].score)
    chance = torch.stack([one.shifted for one in groups.values()]).amax(dim=0).double().quantile(0.95)
    return name, BestUnit(groups[name].unit, groups[name].score, float(chance))


def is_binary(feature: Tensor) -> bool:
    """Whether all values that are not NaN are 0 or 1.

    >>> is_binary(torch.tensor([0.0, 1.0, torch.nan])), is_binary(torch.tensor([0.0, 2.0]))
    (True, False)
    """
    return bool(((feature == 0) | (feature == 1) | feature.isnan()).all())
