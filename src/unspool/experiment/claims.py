"""What a recipe claims in its [expect] section, checked by training it."""

import json
import operator
import re
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from math import nan
from pathlib import Path
from statistics import mean
from typing import Any

from unspool.errors import ConfigError, unknown
from unspool.experiment.experiment import Experiment
from unspool.experiment.progress import show
from unspool.recipe import Recipe
from unspool.runs.evaluation import Results
from unspool.runs.run import Run

COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}


@dataclass(frozen=True)
class Verdict:
    """One claim, and what came out for each seed."""

    name: str
    claim: str
    values: list[float]  # NaN where one is undefined, which holds no claim
    holds: bool

    def summary(self) -> str:
        """One line: the claim, the mean, the spread."""
        spread = f" ({min(self.values):.4f} to {max(self.values):.4f})" if len(self.values) > 1 else ""
        mark = "holds" if self.holds else "FAILS"
        return (
            f"{mark}  {self.name} {self.claim}   measured {mean(self.values):.4f}{spread}, {len(self.values)} seed(s)"
        )


def verify(
    recipe: Recipe,
    seeds: int = 0,
    follow: Callable[[Experiment], Results] | None = None,
    folder: Path | None = None,
) -> list[Verdict]:
    """Train the recipe for each seed, and check every claim.

    A claim is of a value in results.json, or of one on the test split ("test/all/accuracy"), which is evaluated only
    where a claim asks for it. It must hold for every seed.

    Args:
        recipe: with an [expect] section.
        seeds: how many seeds; 0: as many as the recipe says.
        follow: runs an experiment and gives its results; with a progress bar by default.
        folder: keeps the run of each seed in `folder/seed-N`: what is finished there is not trained again, what was
            interrupted is continued. None: a temporary folder for each.

    Returns:
        A verdict for each claim.

    Raises:
        ConfigError: for a recipe without claims.

    >>> from unspool import load_recipe
    >>> small = {"data.limit": 3000, "core.width": 8, "sample.times": 0, "evaluate.times": 1, "train.steps": 1}
    >>> recipe = load_recipe("char-lm", small | {"train.minutes": 0, "train.threads": 1, "train.precision": "float32"})
    >>> recipe["expect"] = {"valid/contiguous/loss": "<= 9"}
    >>> [verdict.holds for verdict in verify(recipe, seeds=1, follow=lambda experiment: show(experiment, quiet=True))]
    [True]
    """
    claims, seeds = claimed(recipe), seeds or seeds_of(recipe)
    results: list[Results] = []
    for number in range(seeds):
        one = deepcopy(recipe) | {"seed": recipe.get("seed", 0) + number}
        with tempfile.TemporaryDirectory() if folder is None else nullcontext(folder) as parent:
            run = Path(parent) / f"seed-{one['seed']}"
            results.append(trained_once(one, run, follow or show))
            if any(name.startswith("test/") for name in claims):
                results[-1] |= Run.load(run).evaluate("test")
    return verdicts(claims, results)


def trained_once(recipe: Recipe, folder: Path, follow: Callable[[Experiment], Results]) -> Results:
    """The results of a run: those of a finished one, else trained to its end from where it is.

    Args:
        recipe: what to train where there is no run yet.
        folder: the run folder.
        follow: runs an experiment and gives its results.

    Returns:
        What stands in its results.json.
    """
    if (folder / "results.json").exists():
        results: Results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        return results
    return follow(Experiment.begin(recipe, folder))


def claimed(recipe: Recipe) -> dict[str, str]:
    """What a recipe claims: a bound for each `split/set[:group]/metric`."""
    claims = {name: claim for name, claim in recipe.get("expect", {}).items() if "/" in name}
    if not claims:
        raise ConfigError(
            "the recipe claims nothing", hint='write [expect] with, for example, "valid/contiguous/loss" = "<= 1.5"'
        )
    for name, claim in claims.items():
        _bound(name, claim)
    return claims


def seeds_of(recipe: Recipe) -> int:
    """For how many seeds a recipe claims it."""
    seeds = recipe.get("expect", {}).get("seeds", 1)
    if not isinstance(seeds, int) or seeds < 1:
        raise ConfigError(f"expect.seeds should be a whole number above zero, received {seeds!r}", hint="seeds = 3")
    return seeds


def verdicts(claims: dict[str, str], results: list[Results]) -> list[Verdict]:
    """Every claim beside what came out for each seed."""
    found = []
    for name, claim in claims.items():
        compare, bound = _bound(name, claim)
        if name not in results[0]:
            raise unknown("claim", name, results[0], prefix="expect.")
        values = [nan if (value := result[name]) is None else value for result in results]
        found.append(Verdict(name, claim, values, all(compare(value, bound) for value in values)))
    return found


def _bound(name: str, claim: Any) -> tuple[Callable[[float, float], bool], float]:
    found = re.fullmatch(r"\s*(<=|>=|<|>)\s*([-+0-9.e]+)\s*", str(claim))
    try:
        return COMPARE[found[1]], float(found[2])  # type: ignore[index]
    except (TypeError, ValueError):
        raise ConfigError(f"cannot read expect.{name} = {claim!r}", hint='write it as "<= 1.5"') from None
