"""The whole story, top to bottom: what a recipe becomes."""

import json
import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from unspool import build, files, seeds
from unspool.data.source import Parts, located
from unspool.data.tokenizer import save_text
from unspool.errors import CheckpointError, ConfigError, TrainingError
from unspool.experiment.warm_start import Start, start_of
from unspool.generate.sampling import Sampling
from unspool.look.plots import draw, draw_loss
from unspool.recipe import TOKENIZERS, Recipe, check_sections, dump_recipe, override, parse_recipe
from unspool.runs import checkpoint
from unspool.runs.evaluation import by_name, judged
from unspool.runs.run import Run, data, load_tokenizers, plugin_wanted
from unspool.schema import defaults, validated
from unspool.settings import Evaluating, Measured, Saving, Showing, complete
from unspool.tasks.drawings import Drawing
from unspool.tasks.task import domain_to_json
from unspool.train.evaluate import evaluate
from unspool.train.log import Log, records
from unspool.train.precision import choose, usable
from unspool.train.trainer import Step, Trainer


@dataclass(frozen=True)
class Evaluated:
    """The figures of one way to evaluate, after that many steps."""

    number: int
    way: str  # "carried" or "windowed", say
    figures: dict[str, float]
    best: bool  # better than ever before in this run


@dataclass(frozen=True)
class Sampled:
    """What the model wrote after that many steps."""

    number: int
    prompt: str
    text: str


@dataclass(frozen=True)
class Saved:
    """The state after that many steps is safe on the disk."""

    number: int
    folder: Path


@dataclass(frozen=True)
class Finished:
    """The end of a run, and what came of it."""

    number: int
    folder: Path
    results: dict[str, float]
    why: Literal["budget", "patience", "asked"]


Event = Step | Evaluated | Sampled | Saved | Finished
"""What an experiment has to say while it goes on."""


class Experiment:
    """Iterate over it: a recipe becomes a run folder, event by event, and you show what you like.

        for event in Experiment.new(recipe, Path("runs/mine")):
            print(event)

    It can be stopped between two steps with `stop()`, and killed at any time: `Experiment.resume` goes on bit for bit.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        splits: Parts,
        saved: checkpoint.Checkpoint | None = None,
        start: Start | None = None,
    ) -> None:
        self.recipe, self.folder = recipe, folder
        self.evaluating = Evaluating(**validated(Evaluating, recipe.get("evaluate", {}), "evaluate", "evaluation"))
        self.showing = Showing(**validated(Showing, recipe.get("sample", {}), "sample", "sampling"))
        self.saving = Saving(**validated(Saving, recipe.get("save", {}), "save", "saving"))
        seeds.start(recipe.get("seed", 0))
        tokenizers = load_tokenizers(folder) if saved else start.shared(recipe) if start else None
        self.task = build.task(recipe, splits, tokenizers)
        self.model = build.model(recipe, self.task.inputs, self.task.targets, self.task.source)
        self.started = start.hand_over(self.model, self.task) if start else {}
        if self.task.causal and not self.model.core.causal:
            raise ConfigError(
                "this core sees the future, and the task is to predict it", hint="set core.bidirectional=false"
            )
        train = dict(recipe.get("train", {}))
        measured = {key: train[key] for key in defaults(Measured) if key in train}
        machine = Measured(**validated(Measured, measured, "train", "training"))
        self.device = usable(machine.device)
        batches = self.task.batches()
        batches[0]  # a text that is too short for its batches is refused before anything is written
        self.choice = choose(self.model, batches[0], self.device, machine.precision, machine.threads)
        recipe["train"] = train | {"precision": self.choice.precision, "threads": self.choice.threads}
        options = {key: value for key, value in recipe["train"].items() if key not in ("threads", "device")}
        given: dict[str, Any] = {"model": self.model, "batches": batches, "device": self.device}
        given["seed"] = recipe.get("seed", 0)
        self.trainer = Trainer(**given, **validated(Trainer, options, "train", "training", given))
        torch.set_num_threads(self.choice.threads)
        self.best, self.best_number, self.stale = float("inf"), 0, 0
        self.saved_number = -1
        self.stopping = False
        self.overrides: list[str] = []  # what `resume` was told beyond the recipe
        if saved:
            self._go_on(saved)

    @classmethod
    def new(cls, recipe: Recipe, folder: Path) -> "Experiment":
        """An experiment that begins, in a folder that holds no run yet."""
        checkpoint.refuse_taken(folder)
        start = start_of(recipe)
        recipe = complete(start.extend(recipe) if start else recipe)
        source = build.dataset(recipe)
        splits = source.read()
        recipe["data"] = located(recipe["data"], folder / "data.txt")
        experiment = cls(recipe, folder, splits, start=start)
        with checkpoint.begun(folder):
            if piped := source.piped(splits):
                files.write_text(folder / "data.txt", piped)
            experiment._describe(splits)
        return experiment

    @classmethod
    def resume(cls, path: Path, overrides: Sequence[str] = ()) -> "Experiment":
        """An experiment that goes on from its last checkpoint, or from the one whose folder is given."""
        saved = checkpoint.find(path, "last")
        folder = saved.run
        recipe = parse_recipe(files.read_text(folder / "recipe.toml"), str(folder / "recipe.toml"))
        overrides = [*saved.plain().get("overrides", ()), *overrides]
        for text in overrides:
            key = text.partition("=")[0]
            if key.partition(".")[0] in ("seed", *TOKENIZERS, "task", "model", "core", "encoder"):
                raise ConfigError(
                    f"a resumed run cannot change {key}: its state belongs to it", hint="train anew with it"
                )
            override(recipe, text)
        check_sections(recipe)
        try:
            experiment = cls(recipe, folder, data(recipe, folder), saved)
        except ConfigError as error:
            raise ConfigError(str(error), hint=plugin_wanted(recipe) or error.hint) from error
        experiment.overrides = overrides
        return experiment

    def _describe(self, splits: Parts) -> None:
        """Write what the run is, before it begins."""
        source = self.task.source
        about = {
            "unspool": _version(),
            "torch": torch.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "machine": f"{platform.system()} {platform.machine()}",
            "command": sys.argv[1:],
            "inputs": domain_to_json(self.task.inputs),
            "targets": domain_to_json(self.task.targets),
            "source": domain_to_json(source) if source else None,
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "precision": asdict(self.choice),
            "data": list(splits.files),
            "fingerprint": splits.fingerprint,
            "start": self.started or None,
        }
        files.write_text(self.folder / "recipe.toml", dump_recipe(self.recipe))
        files.write_text(self.folder / "about.json", json.dumps(about, indent=1))
        for name in self.task.tokenizers:
            files.write_text(self.folder / f"{name}.json", save_text(getattr(self.task, name)))

    def _go_on(self, saved: checkpoint.Checkpoint) -> None:
        plain = saved.plain()
        try:
            self.best, self.best_number, self.stale = plain["best"], plain["best_number"], plain["stale"]
            self.trainer.load(saved.tensors(), plain["trainer"])
        except KeyError as error:
            raise CheckpointError(f"{saved.path}/trainer.json has no {error}", hint="restore it from a copy") from error
        self.saved_number = saved.number

    def stop(self) -> None:
        """End after the present step, saving the state."""
        self.stopping = True

    def __iter__(self) -> Iterator[Event]:
        log = Log(self.folder, after=self.trainer.number, tensorboard=self.saving.tensorboard)
        why: Literal["budget", "patience", "asked"] = "budget"
        try:
            while not self.trainer.finished:
                if self.stopping or self._out_of_patience():
                    why = "asked" if self.stopping else "patience"
                    break
                before = self.trainer.progress()
                step = self.trainer.step()
                log.write("step", step.number, {k: v for k, v in asdict(step).items() if k != "number"})
                yield step
                yield from self._after(log, step.number, before, self.trainer.progress())
            if self.saved_number != self.trainer.number:
                log.flush()
                yield self._save()
        except TrainingError as error:
            if self.saved_number < 0:
                raise
            raise TrainingError(
                f"{error}; the state of step {self.saved_number} is saved",
                hint=f"`unspool resume {self.folder}` with a lower train.learning_rate or train.clip",
            ) from error
        finally:
            log.close()
            if self.saved_number >= 0:
                self._draw()
        yield Finished(self.trainer.number, self.folder, {} if why == "asked" else self._results(), why)

    def _after(self, log: Log, number: int, before: float, now: float) -> Iterator[Event]:
        """What is due when the progress has gone from `before` to `now`."""
        evaluates = _passed(self.evaluating.times, before, now) or self.trainer.finished
        if evaluates:
            for judged in self._evaluate(number):
                log.write("valid", number, {"way": judged.way, **judged.figures})
                yield judged
        if _passed(self.showing.times, before, now) and self.task.speaks:
            sampled = self._sample(number)
            log.write("sample", number, {"prompt": sampled.prompt, "text": sampled.text})
            yield sampled
        if evaluates or (self.saving.every and number % self.saving.every == 0):
            log.flush()  # a checkpoint never knows of a step that the metrics do not tell
            yield self._save()

    def _evaluate(self, number: int) -> Iterator[Evaluated]:
        """Judge the model by the first way of its task, as fast as it trains; a new best resets the patience."""
        for way, batches in list(self.task.exams("valid").items())[:1]:
            with self.trainer.averaged():
                score = evaluate(self.model, batches, self.device, self.choice.precision, self.task.mark)
                figures = self.task.figures("valid", score.loss, score.marks)
            self.trainer.schedule.report(figures["loss"])
            better = figures["loss"] < self.best
            self.best, self.best_number = (figures["loss"], number) if better else (self.best, self.best_number)
            self.stale = 0 if better else self.stale + 1
            yield Evaluated(number, way, figures, better)

    def _out_of_patience(self) -> bool:
        return bool(self.evaluating.patience) and self.stale >= self.evaluating.patience

    def _sample(self, number: int) -> Sampled:
        tokenizers = {name: getattr(self.task, name) for name in self.task.tokenizers}
        run = Run(checkpoint.Checkpoint(self.folder), self.recipe, self.model, tokenizers)
        sampling = Sampling(temperature=self.showing.temperature)
        prompt = "" if run.tokenizer.unknown(self.showing.prompt) else self.showing.prompt  # no reason to end a run
        with self.trainer.averaged():
            text = "".join(run.stream(prompt, self.showing.length, sampling, seed=number))
        return Sampled(number, prompt, text)

    def _save(self) -> Saved:
        tensors, plain = self.trainer.save()
        with self.trainer.averaged():
            weights = {name: value.clone() for name, value in self.model.state_dict().items()}
        number = self.trainer.number
        best = self.best_number or number  # without a validation split the last is the best
        state = {
            "trainer": plain,
            "best": self.best,
            "best_number": best if self.best_number else 0,
            "stale": self.stale,
            "overrides": self.overrides,
        }
        checkpoint.save(self.folder, number, weights, tensors, state)
        last = {c.number for c in checkpoint.checkpoints(self.folder)[-2:]}
        checkpoint.prune(self.folder, {*last, best})
        self.saved_number = number
        return Saved(number, self.folder)

    def _results(self) -> dict[str, float]:
        """The figures of the best model on the validation split, and the mean loss of the last fifth."""
        results, drawn = self.judge("valid")
        for name, drawing in drawn.items():
            files.write_text(self.folder / f"{name}.json", json.dumps(asdict(drawing)))
            draw(drawing, self.folder / f"{name}.png", self.folder.name)
        losses = [record["loss"] for record in records(self.folder, "step")]
        tail = losses[-max(1, len(losses) // 5) :]
        results |= {"train_loss": sum(tail) / len(tail), "train_seconds": self.trainer.seconds}
        files.write_text(self.folder / "results.json", json.dumps(results, indent=1))
        return results

    def judge(self, split: str) -> tuple[dict[str, float], dict[str, Drawing]]:
        """The figures of the best model on a split as `split_way_figure`, and what is to be drawn."""
        found, drawn = judged(Run.load(self.folder, self.device).model, self.task, split, self.device)
        return by_name(split, found), drawn

    def _draw(self) -> None:
        title = f"{self.folder.name}: {self.trainer.number:,} steps"
        draw_loss(records(self.folder), self.folder / "loss.png", title)


def _passed(times: int, before: float, now: float) -> bool:
    """Whether one of so many equal marks of the budget lies between."""
    return int(before * times + 1e-9) < int(now * times + 1e-9)


def _version() -> str:
    from importlib.metadata import version

    return version("unspool")
