"""Shows an experiment while it goes on: a line that moves on a terminal, plain lines elsewhere, JSON for programs."""

import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from types import FrameType
from typing import TYPE_CHECKING

from rich.markup import escape

from unspool.runs.evaluation import by_set
from unspool.runs.run import format_values
from unspool.training.trainer import TrainingStep

if TYPE_CHECKING:
    from rich.console import Console

    from unspool.experiment.events import Event, Finished
    from unspool.experiment.experiment import Experiment
    from unspool.runs.evaluation import Results


def show(experiment: "Experiment", as_json: bool = False, quiet: bool = False) -> "Results":
    """Run the experiment to its end and show it on stderr (events as JSON lines on stdout if asked); its results."""
    from rich.console import Console

    from unspool.experiment.events import Finished

    console = Console(stderr=True, highlight=False, quiet=quiet, soft_wrap=True)
    introduce(experiment, console)
    with ProgressBar(experiment, console) as bar:
        for event in experiment:
            if as_json:
                data = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(event).items()}
                print(json.dumps({"event": type(event).__name__, **data}), flush=True)
            bar.tell(event)
            if isinstance(event, Finished):
                finished = event  # always the last
    conclude(finished, console, experiment)
    return finished.results


def introduce(experiment: "Experiment", console: "Console") -> None:
    """What will be trained, on what, and with what precision and why."""
    parameters = sum(p.numel() for p in experiment.model.parameters())
    choice, task = experiment.choice, experiment.task
    threads = f"{choice.threads} thread{'s' * (choice.threads > 1)}"
    about = ", ".join(filter(None, [f"{parameters:,} parameters", task.summary()]))
    if experiment.lock.note:
        console.print(escape(f"note: {experiment.lock.note}"))
    console.print(f"[bold]{escape(str(experiment.folder))}[/]: {about}")
    if experiment.notes:
        console.print(escape(f"data: {'; '.join(experiment.notes)}"))
    if summary := experiment.started.get("summary"):
        console.print(escape(summary))
    console.print(f"on {experiment.device} in {choice.precision}, {threads} ({choice.why})")


class ProgressBar:
    """A moving line on a terminal; every so often a plain line elsewhere."""

    def __init__(self, experiment: "Experiment", console: "Console") -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self.experiment, self.console = experiment, console
        columns = (
            TextColumn("{task.percentage:3.0f} %"),
            BarColumn(24),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
        )
        self.progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self.line = self.progress.add_task("", total=1.0)
        self.loss = 0.0
        self.shown = -1.0

    def __enter__(self) -> "ProgressBar":
        self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.stop()

    def tell(self, event: "Event") -> None:
        """Show one event."""
        from unspool.experiment.events import Evaluated, Sampled

        if isinstance(event, TrainingStep):
            self._step(event)
        elif isinstance(event, Evaluated):
            values = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in event.values.items())
            mark = " [green](best)[/]" if event.best else ""
            self.console.print(f"step {event.number:,}: validation, {event.name}: {values}{mark}")
        elif isinstance(event, Sampled):
            text = (event.prompt + event.text).strip("\n")
            self.console.print(f"[dim]step {event.number:,} writes:[/]")
            self.console.print(text, markup=False, style="cyan")

    def _step(self, step: TrainingStep) -> None:
        self.loss = step.loss if step.number == 1 or not self.loss else 0.9 * self.loss + 0.1 * step.loss
        progress = self.experiment.trainer.progress()
        speed = step.positions / max(step.seconds, 1e-9)
        spent = self.experiment.trainer.seconds
        left = spent / progress - spent if progress else 0.0
        loss = loss_in_words(self.experiment, self.loss)
        summary = f"step {step.number:,}  {loss}  {self.experiment.task.unit.speed(speed)}  {left:.0f} s left"
        if self.console.is_terminal:
            self.progress.update(self.line, completed=progress, description=summary)
        elif progress - self.shown >= 0.1 or self.shown < 0:
            self.shown = progress
            self.console.print(f"{100 * progress:3.0f} %  {summary}")


def loss_in_words(experiment: "Experiment", loss: float) -> str:
    """A loss with its unit."""
    return experiment.task.unit.loss(loss, experiment.model.head.measure)


def conclude(event: "Finished", console: "Console", experiment: "Experiment") -> None:
    """Where everything is, what came of it, and what to try next."""
    folder, quoted = escape(str(event.folder)), escape(quote(str(event.folder)))
    if event.why == "asked":
        console.print(
            f"stopped at step {event.number:,}; everything is saved. Go on with:\n  unspool resume {quoted}",
            highlight=False,
        )
        return
    if event.why == "patience":
        console.print(f"stopped at step {event.number:,}: the validation loss no longer improves")
    seconds = event.results["train/seconds"] or 0.0
    console.print(f"\n[bold]done[/]: {event.number:,} steps in {seconds:.0f} s of training")
    for name, values in by_set(event.results, "valid").items():
        console.print(f"  validation, {name}: {format_values(values)}")
    if (loss := event.results.get("train/loss")) is not None:
        console.print(f"  training {loss_in_words(experiment, loss)} over the last fifth")
    console.print(f"  the model and its metrics: {folder}/   the curve: {folder}/loss.png")
    verb = getattr(experiment.task.pipeline, "verb", "")
    use = f"\n  unspool {verb} {quoted}{example_input(experiment, verb)}" if verb else ""
    console.print(f"next:{use}\n  unspool eval {quoted}", markup=False, highlight=False)


def example_input(experiment: "Experiment", verb: str) -> str:
    """What stands behind `unspool predict RUN`: the name of a file of the right kind, a text, or nothing."""
    from unspool.pipelines.pipeline import ContinuesData

    preprocessor = experiment.task.preprocessor
    if verb != "predict" or preprocessor is None or issubclass(experiment.task.pipeline or object, ContinuesData):
        return ""
    if preprocessor.endings:
        return f" FILE{preprocessor.endings[0]}"
    return f" {quote(preprocessor.example)}" if preprocessor.example else " --file TABLE.csv"


@contextmanager
def asked_to_stop(stop: Callable[[], None]) -> Iterator[list[int]]:
    """The first Ctrl-C (or SIGTERM) asks to stop after the present step, the second one stops at once.

    Gives a list, which holds the number of the signal once one has come.
    """
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        signal.signal(number, before[signal.Signals(number)])
        print("stopping after this step; once more to stop at once", file=sys.stderr)
        asked.append(number)
        stop()

    if threading.current_thread() is not threading.main_thread():  # signals reach the main thread alone
        yield asked
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
