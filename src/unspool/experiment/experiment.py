"""Training from a recipe to a run folder, as an iterator of events."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import Any, Literal

from unspool import build, files, seeds
from unspool.batch import Batches
from unspool.data.preprocessors.labels import unseen_labels
from unspool.data.source import PATHS, located, portable
from unspool.data.splits import Splits
from unspool.errors import ConfigError, TrainingError
from unspool.experiment.events import Evaluated, Event, Finished, Sampled, Saved
from unspool.experiment.warm_start import Start, start_of
from unspool.generate.sampling import Sampling
from unspool.look.plots import draw_loss, save_drawings
from unspool.metrics.drawings import Drawing
from unspool.recipe import TOKENIZERS, Recipe, check_sections, override, parse_recipe, value_of
from unspool.runs import checkpoint
from unspool.runs.evaluation import Results, evaluate_run
from unspool.runs.loading import load_data, load_saved_preprocessor
from unspool.runs.lock import Lock
from unspool.runs.run import Run, plugin_wanted
from unspool.runs.saving import describe_run
from unspool.schema import validated
from unspool.sections import Sections
from unspool.training.evaluate import evaluate_set
from unspool.training.log import Log, records
from unspool.training.memory import peak_memory, restart_peak
from unspool.training.precision import choose, usable
from unspool.training.threads import ThreadControl, torch_threads
from unspool.training.trainer import Trainer

FIXED = ("seed", *TOKENIZERS, "preprocessor", "task", "model", "core", "encoder")
"""Sections that a resumed run cannot change."""


class Experiment:
    """The training of a recipe, an iterator of events that writes a run folder.

        for event in Experiment.new(recipe, Path("runs/mine")):
            print(event)

    `stop()` ends it after the present step. It may be killed at any time: `Experiment.resume` continues bit for bit.
    `Experiment.new` and `Experiment.resume` are the usual constructors.

    Args:
        sections: the recipe as typed objects.
        folder: the run folder.
        splits: the data.
        saved: the checkpoint to continue from; None: begin.
        start: a trained model whose weights are the initial ones; None: initialize at random.

    >>> import tempfile
    >>> from unspool import load_recipe
    >>> small = {"data.limit": 3000, "core.width": 8, "sample.times": 0, "evaluate.times": 1, "train.steps": 1}
    >>> recipe = load_recipe("char-lm", small | {"train.minutes": 0, "train.threads": 1, "train.precision": "float32"})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [type(event).__name__ for event in Experiment.new(recipe, Path(folder, "run"))]
    ['TrainingStep', 'Evaluated', 'Saved', 'Finished']
    """

    def __init__(
        self,
        sections: Sections,
        folder: Path,
        splits: Splits[Any],
        saved: checkpoint.Checkpoint | None = None,
        start: Start | None = None,
    ) -> None:
        self.sections, self.recipe, self.folder = sections, sections.recipe, folder
        self.lock = Lock(folder)
        seeds.start(sections.seed)
        if saved:
            preprocessor = load_saved_preprocessor(folder)
        else:
            preprocessor = build.fitted_preprocessor(self.recipe, splits, start.shared(self.recipe) if start else None)
        unseen = unseen_labels(preprocessor, splits) if preprocessor else []
        self.notes = (*splits.notes, *unseen)  # what the user should know of the data
        self.task = build.task(self.recipe, splits, preprocessor)
        copies = 5 if self.recipe["train"].get("ema") else 4  # the weight, its gradient, two moments, an average
        if not self.task.eval_sets("valid"):
            self.notes += ("there is no validation part, so the last model is kept: data.valid=0.1 holds out a tenth",)
        self.model = build.model(self.recipe, self.task.inputs, self.task.targets, self.task.source, copies)
        self.started = start.hand_over(self.model, self.task) if start else {}
        if self.task.causal and not self.model.core.causal:
            raise ConfigError(
                "this core reads both ways, and the task is to predict what comes next",
                hint="set core.bidirectional=false",
            )
        self.device = usable(sections.hardware.device)
        batches = self.task.train_batches()
        batches[0]  # a text that is too short for its batches is refused before anything is written
        self.choice = choose(self.model, batches, self.device, sections.hardware.precision, sections.hardware.threads)
        self.recipe["train"] |= {"precision": self.choice.precision, "threads": self.choice.threads}
        self.trainer = self._trainer(batches)
        torch_threads.use(self.choice.threads)
        self.best, self.best_number, self.stale = float("inf"), 0, 0
        self.saved_number = -1
        self.stopping = False
        self.overrides: list[str] = []  # settings that `resume` changed
        self.untold = False  # whether the last checkpoint does not know of some
        self.memory: dict[str, int] = {}  # the peak before a resumption
        restart_peak(self.device)
        if saved:
            self._go_on(saved)

    def __repr__(self) -> str:
        return f"Experiment({str(self.folder)!r}, {self.trainer!r})"

    def _trainer(self, batches: Batches) -> Trainer:
        """The trainer that the [train] section describes."""
        options = {key: value for key, value in self.recipe["train"].items() if key not in ("threads", "device")}
        given: dict[str, Any] = {"model": self.model, "batches": batches, "device": self.device}
        given |= {"seed": self.sections.seed, "loss": self.task.training_loss}
        return Trainer(**given, **validated(Trainer, options, "train", "training", given))

    @classmethod
    def new(cls, recipe: Recipe, folder: Path) -> "Experiment":
        """An experiment that begins, in a folder that holds no run yet."""
        checkpoint.refuse_taken(folder)
        start = start_of(recipe)
        sections = Sections.of(start.extend(recipe) if start else recipe)
        splits = sections.dataset.read()
        sections.recipe["data"] = portable(sections.recipe["data"], folder / "data.txt")
        experiment = cls(sections, folder, splits, start=start)
        with checkpoint.begun(folder) as experiment.lock:
            if from_stdin := sections.dataset.from_stdin(splits):
                files.write_text(folder / "data.txt", from_stdin)
            experiment._describe(splits)
        return experiment

    @classmethod
    def begin(cls, recipe: Recipe, folder: Path) -> "Experiment":
        """The experiment of a folder: continued where it was interrupted, or a new one where there is none yet."""
        return cls.resume(folder) if checkpoint.checkpoints(folder) else cls.new(recipe, folder)

    @classmethod
    def resume(cls, path: Path, overrides: Sequence[str] = ()) -> "Experiment":
        """An experiment that goes on from its last checkpoint, or from the one whose folder is given."""
        lock = Lock(checkpoint.folder_of(path))
        lock.acquire()  # before the state is read, which another process might be about to replace
        try:
            experiment = cls._resumed(checkpoint.find_checkpoint(path, "last"), overrides)
        except BaseException:
            lock.release()
            raise
        experiment.lock = lock
        return experiment

    @classmethod
    def _resumed(cls, saved: checkpoint.Checkpoint, overrides: Sequence[str]) -> "Experiment":
        folder = saved.run
        recipe = parse_recipe(files.read_text(folder / "recipe.toml"), str(folder / "recipe.toml"))
        check_sections(recipe)
        before = saved.plain().overrides
        overrides = [*before, *map(absolute_path, overrides)]
        for text in overrides:
            key = text.partition("=")[0]
            if key.partition(".")[0] in FIXED:
                raise ConfigError(
                    f"a resumed run cannot change {key}: its state belongs to it", hint="train anew with it"
                )
            override(recipe, text)
        check_sections(recipe)
        try:
            experiment = cls(Sections.of(recipe), folder, load_data(recipe, folder), saved)
        except ConfigError as error:
            raise ConfigError(str(error), hint=plugin_wanted(recipe) or error.hint) from error
        experiment.overrides, experiment.untold = overrides, overrides != before
        return experiment

    def _describe(self, splits: Splits[Any]) -> None:
        """Write what the run is, before it begins."""
        domains = {"inputs": self.task.inputs, "targets": self.task.targets, "source": self.task.source}
        describe_run(
            self.folder,
            self.recipe,
            self.model,
            domains,
            self.task.preprocessor,
            unit={"name": self.task.unit.name, "measure": self.model.head.measure},
            precision=asdict(self.choice),
            data=list(splits.files),
            fingerprint=splits.fingerprint,
            start=self.started or None,
        )

    def _go_on(self, saved: checkpoint.Checkpoint) -> None:
        plain = saved.plain()
        self.best, self.best_number, self.stale = plain.best, plain.best_number, plain.stale
        self.memory = plain.memory
        self.trainer.load(saved.tensors(), plain.trainer)
        self.saved_number = saved.number

    def stop(self) -> None:
        """End after the present step, saving the state."""
        self.stopping = True

    def __iter__(self) -> Iterator[Event]:
        with self.lock:
            yield from self._events()

    def _events(self) -> Iterator[Event]:
        log = Log(self.folder, after=self.trainer.number, tensorboard=self.sections.save.tensorboard)
        why: Literal["budget", "patience", "asked"] = "budget"
        expected = self.choice.seconds_per_position  # None where the recipe fixes the number of threads
        control = ThreadControl(self.choice.threads, expected) if expected else None
        try:
            while not self.trainer.finished:
                if self.stopping or self._out_of_patience():
                    why = "asked" if self.stopping else "patience"
                    break
                before = self.trainer.progress()
                step = self.trainer.step()
                if control:
                    torch_threads.use(control.after(step.seconds / max(1, step.positions)))
                log.write("step", step.number, {k: v for k, v in asdict(step).items() if k != "number"})
                yield step
                yield from self._after(log, step.number, before, self.trainer.progress())
            if self.saved_number != self.trainer.number or self.untold:
                self.trainer.refuse_diverged()
                log.flush()
                yield self._save()
        except TrainingError as error:
            if self.saved_number < 0:
                raise
            raise TrainingError(
                f"{error}; the state of step {self.saved_number} is saved",
                hint=f"`unspool resume {quote(str(self.folder))}` with a lower train.learning_rate or train.clip",
            ) from error
        finally:
            log.close()
            if self.saved_number >= 0:
                self._draw()
        yield Finished(self.trainer.number, self.folder, {} if why == "asked" else self._results(), why)

    def _after(self, log: Log, number: int, before: float, now: float) -> Iterator[Event]:
        """What is due when the progress has gone from `before` to `now`."""
        evaluates = _passed(self.sections.evaluate.times, before, now) or self.trainer.finished
        samples = _passed(self.sections.sample.times, before, now) and self._writes
        saves = evaluates or (self.sections.save.every and number % self.sections.save.every == 0)
        if samples or saves:  # nothing that has diverged is evaluated, writes, or takes the place of what is whole
            self.trainer.refuse_diverged()
        if evaluates:
            for evaluated in self._evaluate(number):
                log.write("valid", number, {"set": evaluated.name, **evaluated.values})
                yield evaluated
        if samples:
            sampled = self._sample(number)
            log.write("sample", number, {"prompt": sampled.prompt, "text": sampled.text})
            yield sampled
        if saves:
            log.flush()  # a checkpoint never knows of a step that the metrics do not tell
            yield self._save()

    def _evaluate(self, number: int) -> Iterator[Evaluated]:
        """Evaluate the model on the task's first set, as fast as it trains; a new best resets the patience."""
        for name, evaluated in list(self.task.eval_sets("valid").items())[:1]:
            with self.trainer.averaged():
                values, _ = evaluate_set(self.model, evaluated, self.device, self.choice.precision)
            self.trainer.schedule.report(values["loss"])
            better = values["loss"] < self.best
            self.best, self.best_number = (values["loss"], number) if better else (self.best, self.best_number)
            self.stale = 0 if better else self.stale + 1
            yield Evaluated(number, name, values, better)

    @property
    def _writes(self) -> bool:
        """Whether the model goes on with a text, so that a sample shows something."""
        return getattr(self.task.pipeline, "streams", False)

    def _out_of_patience(self) -> bool:
        return bool(self.sections.evaluate.patience) and self.stale >= self.sections.evaluate.patience

    def _sample(self, number: int) -> Sampled:
        run = Run(self.model, self.task.preprocessor, self.recipe, name=str(self.folder))
        sampling = Sampling(temperature=self.sections.sample.temperature)
        options = self.sections.sample
        prompt = "" if run.tokenizer.unknown(options.prompt) else options.prompt  # no reason to end a run
        with self.trainer.averaged():
            text = "".join(run.stream(prompt, length=options.length, sampling=sampling, seed=number))
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
            "memory": self._peak_memory(),
        }
        checkpoint.save_checkpoint(self.folder, number, weights, tensors, state)
        last = {c.number for c in checkpoint.checkpoints(self.folder)[-2:]}
        checkpoint.prune(self.folder, {*last, best})
        self.saved_number, self.untold = number, False
        return Saved(number, self.folder)

    def _results(self) -> Results:
        """The values of the best model on the validation split, and the mean training loss of the last fifth."""
        results, drawings = self.evaluate("valid")
        save_drawings(drawings, self.folder, self.folder.name)
        losses = [record["loss"] for record in records(self.folder, "step")]
        tail = losses[-max(1, len(losses) // 5) :]
        if tail:  # somebody may have removed the metrics of a finished run
            results["train/loss"] = sum(tail) / len(tail)
        results["train/seconds"] = self.trainer.seconds
        results |= {f"train/{name}": size for name, size in self._peak_memory().items()}
        files.write_text(self.folder / "results.json", json.dumps(results, indent=1))
        return results

    def _peak_memory(self) -> dict[str, int]:
        """The peak of the memory in bytes, of this process and of those that trained the run before."""
        now = peak_memory(self.device)
        return {name: max(now.get(name, 0), self.memory.get(name, 0)) for name in {**self.memory, **now}}

    def evaluate(self, split: str) -> tuple[Results, dict[str, Drawing]]:
        """Every value of the best model on a split, and what is to be drawn."""
        run = Run.load(self.folder, self.device)
        return evaluate_run(run.model, self.task, split, self.device, run.pipeline)

    def _draw(self) -> None:
        title = f"{self.folder.name}: {self.trainer.number:,} steps"
        unit = f"{self.model.head.measure} per {self.task.unit.name}"
        draw_loss(records(self.folder), self.folder / "loss.png", title, unit)


def absolute_path(text: str) -> str:
    """A setting of where the data is, from whatever directory it is read; others as they are.

    >>> absolute_path("data.path=/data/a.txt"), absolute_path("train.steps=9")
    ('data.path="/data/a.txt"', 'train.steps=9')
    """
    key, _, given = text.partition("=")
    section, _, name = key.partition(".")
    value = value_of(given) if section == "data" and name in PATHS else None
    if not isinstance(value, str) or value in ("", "-"):
        return text
    return f"{key}={json.dumps(located({name: value}, os.getcwd())[name])}"


def _passed(times: int, before: float, now: float) -> bool:
    """Whether one of so many equal marks of the budget lies between."""
    return int(before * times + 1e-9) < int(now * times + 1e-9)
