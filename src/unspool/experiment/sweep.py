"""A small sweep: a recipe trained with every combination of some values, for several seeds, each in its own folder."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from itertools import count, product
from math import prod
from pathlib import Path
from typing import Any

from unspool import files
from unspool.errors import CheckpointError, ConfigError, UnspoolError
from unspool.experiment.experiment import Experiment
from unspool.experiment.progress import asked_to_stop, show
from unspool.experiment.sweep_table import Member, SweepRow, save_table, table_of
from unspool.experiment.training import flattened
from unspool.nn.core import cores
from unspool.recipe import Recipe, TooMuch, load_recipe, set_key, toml_value, value_of
from unspool.runs.evaluation import Results
from unspool.schema import defaults, validated
from unspool.sections import HardwareOptions, Sections
from unspool.training.trainer import Trainer

MOST = 1000
"""So many members a sweep has at most."""
FEWER = "give each setting that varies some values, and fewer in all"
TEXTS = ("data", "about", "expect", "plugin")
"""Sections in which a comma belongs to a text, where the parts are no numbers; so it does in sample.prompt."""


class Sweep:
    """Trains every member that is not finished; what was interrupted continues, and a failure ends one member alone.

    Args:
        recipe: what all members have in common.
        vary: the values of each setting that varies, by `section.key`.
        seeds: how many seeds each combination is trained with, from the recipe's on.
        folder: the parent of all run folders.

    Raises:
        ConfigError: for a setting that no member could have.
        CheckpointError: where the folder holds something else.

    >>> import tempfile
    >>> sweep = Sweep(load_recipe("copy"), {"core.width": [8, 16]}, 2, Path(tempfile.mkdtemp()))
    >>> [member.run.name for member in sweep.members]
    ['width=8,seed=0', 'width=8,seed=1', 'width=16,seed=0', 'width=16,seed=1']
    """

    def __init__(self, recipe: Recipe, vary: Mapping[str, Sequence[Any]], seeds: int, folder: Path) -> None:
        self.recipe, self.vary, self.folder = recipe, {key: list(values) for key, values in vary.items()}, folder
        self.seeds = seeds
        self.members = self._planned()
        for member in self.members:
            refuse_impossible(self.recipe_of(member))
        if folder.exists() and any(folder.iterdir()) and plan_in(folder) != self.plan():
            raise CheckpointError(f"{folder} holds something else than this sweep", hint="choose another --run DIR")

    def plan(self) -> dict[str, Any]:
        """What the sweep is, as plain data."""
        return plan_of(self.recipe, self.vary, self.seeds)

    def _planned(self) -> list[Member]:
        size = self.seeds * prod(map(len, self.vary.values()))
        if not 0 < size <= MOST:
            raise ConfigError(f"a sweep has 1 to {MOST:,} runs, and this one would have {size:,}", hint=FEWER)
        combinations = [dict(zip(self.vary, each, strict=True)) for each in product(*self.vary.values())]
        found, names = [], set[str]()
        for settings in combinations:
            first = int(settings["seed"] if "seed" in settings else self.recipe.get("seed") or 0)
            for seed in range(first, first + self.seeds):
                given = {key: value for key, value in settings.items() if key != "seed"}
                name = unused(name_of(given, seed), names)
                found.append(Member(given, seed, self.folder / name, results_in(self.folder / name)))
        return found

    def recipe_of(self, member: Member) -> Recipe:
        """The recipe of one member."""
        recipe = deepcopy(self.recipe)
        for key, value in member.settings.items():
            set_key(recipe, key, value)
        return recipe | {"seed": member.seed}

    def run(self, follow: Callable[[Experiment], Results]) -> Iterator[Member]:
        """Train what is not finished, one member after the other; each as it is at its end.

        Args:
            follow: runs an experiment to its end; its results, {} where it was asked to stop, which ends the sweep.
        """
        with files.writing(self.folder, files.ANOTHER_RUN):
            self.folder.mkdir(parents=True, exist_ok=True)
        self.save()
        for number, member in enumerate(self.members):
            if not member.results:
                member = self.members[number] = self._trained(member, follow)
                self.save()
            yield member
            if not member.results and not member.error:
                return

    def _trained(self, member: Member, follow: Callable[[Experiment], Results]) -> Member:
        try:
            results, error = follow(Experiment.begin(self.recipe_of(member), member.run)), ""
        except UnspoolError as failure:
            results, error = {}, str(failure)
        except MemoryError:
            results, error = {}, "not enough memory"
        return Member(member.settings, member.seed, member.run, results, error)

    def table(self) -> list[SweepRow]:
        """A row for each combination of settings: the mean and the spread over its seeds."""
        return table_of(self.members)

    def save(self) -> None:
        """Write sweep.json and sweep.csv beside the run folders."""
        save_table(self.folder, self.plan(), self.members)


def refuse_impossible(recipe: Recipe) -> None:
    """Raise a ConfigError for a name or a value that is wrong, before anything is trained."""
    full = Sections.of(recipe).recipe
    core = {key: value for key, value in full["core"].items() if key != "kind"}
    validated(cores.find(full["core"]["kind"]), core, "core", f"core {full['core']['kind']!r}")
    options = {key: value for key, value in full["train"].items() if key not in defaults(HardwareOptions)}
    validated(Trainer, options, "train", "training", dict.fromkeys(("model", "batches", "device", "seed", "loss")))


def sweep(
    recipe: str | Path,
    vary: Mapping[str, Sequence[Any]],
    seeds: int = 1,
    run: str | Path | None = None,
    quiet: bool = False,
    **settings: Any,
) -> Sweep:
    """Train a recipe with every combination of some values, each in a run folder of its own under one parent.

    The same call continues a sweep that was interrupted: finished members are skipped.

    Args:
        recipe: a named recipe or a .toml file.
        vary: the values of each setting, `{"train.learning_rate": [0.1, 0.01]}`; {}: only seeds vary.
        seeds: how many seeds each combination is trained with.
        run: the parent folder; runs/RECIPE-sweep, or its first free numbered neighbour, by default.
        quiet: whether nothing is shown.
        **settings: of all members, as in `train`.

    Returns:
        The sweep: `members` with their results, `table()` with a row for each combination.

    Raises:
        ConfigError: for a setting that is unknown or impossible.

    >>> import tempfile
    >>> small = {"core.width": 8, "train.steps": 1, "train.threads": 1, "train.precision": "float32"}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     done = sweep("copy", {"train.learning_rate": [0.1, 0.01]}, run=f"{folder}/sweep", quiet=True, **small)
    >>> [row.settings["train.learning_rate"] for row in done.table()]
    [0.1, 0.01]
    """
    made = load_recipe(recipe, flattened(settings))
    plan = planned(made, vary, seeds, Path(run) if run else None, Path(recipe).stem)

    def follow(experiment: Experiment) -> Results:
        with asked_to_stop(experiment.stop):
            return show(experiment, quiet=quiet)

    for _ in plan.run(follow):
        pass
    return plan


def planned(recipe: Recipe, vary: Mapping[str, Sequence[Any]], seeds: int, folder: Path | None, name: str) -> Sweep:
    """The sweep in its folder: the one that is given, or the first of its name that is free or holds the same sweep."""
    if folder is None:
        tries = (Path("runs") / f"{name}-sweep{f'-{n}' if n > 1 else ''}" for n in count(1))
        plan = plan_of(recipe, vary, seeds)
        folder = next(place for place in tries if not place.exists() or plan_in(place) == plan)
    return Sweep(recipe, vary, seeds, folder)


def plan_of(recipe: Recipe, vary: Mapping[str, Sequence[Any]], seeds: int) -> dict[str, Any]:
    """What a sweep is, as plain data: the same command gives the same plan."""
    whole = {"recipe": toml_value(recipe), "vary": {key: list(values) for key, values in vary.items()}, "seeds": seeds}
    return dict(json.loads(json.dumps(whole)))


def plan_in(folder: Path) -> dict[str, Any]:
    """What the sweep of a folder is; {} where there is none."""
    try:
        found: dict[str, Any] = files.read_json(folder / "sweep.json")
    except CheckpointError:
        return {}
    return {name: found.get(name) for name in ("recipe", "vary", "seeds")}


def varied(overrides: Sequence[str]) -> tuple[list[str], dict[str, list[Any]]]:
    """The settings with one value as they are, and those with several, `key=a,b`, with their values.

    >>> varied(["core.width=64", "train.learning_rate=0.1,0.01", "train.betas=[0.9,0.99]", "sample.prompt=Oh, no"])
    (['core.width=64', 'train.betas=[0.9,0.99]', 'sample.prompt=Oh, no'], {'train.learning_rate': [0.1, 0.01]})
    """
    single, several = [], dict[str, list[Any]]()
    for text in overrides:
        key, _, value = text.partition("=")
        try:
            parts = [value_of(part) for part in apart(value)]
        except TooMuch:  # refused with its key where the settings are applied
            parts = []
        numbers = all(isinstance(part, int | float) for part in parts)
        if len(parts) < 2 or not (numbers or (key.partition(".")[0] not in TEXTS and key != "sample.prompt")):
            single.append(text)
        else:
            several[key] = parts
    return single, several


def apart(value: str) -> list[str]:
    """The parts of a value between the commas that stand in no brackets and no quotes; itself where one is empty.

    >>> apart("0.1,0.01"), apart("[0.9,0.99]"), apart("[0.9,0.99],[0.9,0.95]"), apart("a,")
    (['0.1', '0.01'], ['[0.9,0.99]'], ['[0.9,0.99]', '[0.9,0.95]'], ['a,'])
    """
    parts, depth, quoted = [""], 0, ""
    for letter in value:
        if quoted or letter in "\"'":
            quoted = ("" if letter == quoted else quoted) if quoted else letter
        else:
            depth += (letter in "[{") - (letter in "]}")
        if letter == "," and not depth and not quoted:
            parts.append("")
        else:
            parts[-1] += letter
    return parts if all(part.strip() for part in parts) else [value]


def name_of(settings: Mapping[str, Any], seed: int) -> str:
    """The folder of a member: the settings that vary by the last part of their key, and the seed.

    >>> name_of({"train.learning_rate": 0.1, "core.cell": "lstm"}, 1)
    'learning_rate=0.1,cell=lstm,seed=1'
    """
    said = [f"{key.rpartition('.')[2]}={value}" for key, value in settings.items()]
    return re.sub(r"[^\w.,=+-]+", "-", ",".join([*said, f"seed={seed}"]))[:100]


def unused(name: str, names: set[str]) -> str:
    """The name, or its first numbered neighbour that is not among the names; it is added to them."""
    tries = (name if number == 1 else f"{name}-{number}" for number in count(1))
    names.add(found := next(one for one in tries if one not in names))
    return found


def results_in(run: Path) -> Results:
    """The figures of a run that is finished; {} of one that is not."""
    place = run / "results.json"
    return files.read_json(place, Results) if place.exists() else {}
