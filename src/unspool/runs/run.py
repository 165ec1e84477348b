"""A trained model in its folder."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import SystemRandom
from typing import Any

import torch

from unspool import build
from unspool.batch import Batch
from unspool.runs.checkpoint import Checkpoint, find
from unspool.data.readers.tables import written_csv
from unspool.data.source import Parts
from unspool.data.tokenizer import Tokenizer, load_text, save_text
from unspool.errors import CheckpointError, ConfigError, UnspoolError
from unspool.files import read_json, read_text
from unspool.generate.beam import ask
from unspool.generate.fill import BLANK, Filling, fill
from unspool.generate.rollout import Roller
from unspool.generate.sampling import Sampling
from unspool.generate.suggest import Savings, Suggestion, keystrokes_saved, suggest
from unspool.generate.text import Candidate, candidates, likeliest, write
from unspool.generate.whole import Written, whole
from unspool.runs.evaluation import LONGEST, judged
from unspool.look.history import Losses, Unrolled
from unspool.look.inside import Look, Vocabulary
from unspool.look.reading import Typed, answered, of_text
from unspool.look.record import Progress
from unspool.models.sequence import SequenceModel
from unspool.plugins import module_of
from unspool.recipe import TOKENIZERS, Recipe, parse_recipe
from unspool.schema import Count
from unspool.tasks.drawings import Confusion
from unspool.tasks.passage import Passage
from unspool.tasks.task import Figures, Form, Task
from unspool.train.evaluate import Score
from unspool.train.log import records
from unspool.train.precision import usable

ROWS = 32
"""How many rows of its data a run is watched at; a text is one long row."""


class Run:
    """A trained model in its folder: `Run.load("runs/char-lm")`, then `.stream(prompt)`, `.score(batch)`.

    Nothing in the folder is executed, and it loads on any device.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        recipe: Recipe,
        model: SequenceModel,
        tokenizers: Mapping[str, Tokenizer],
        name: str = "",
    ) -> None:
        self.checkpoint, self.recipe, self.model, self.tokenizers = checkpoint, recipe, model, tokenizers
        self.name = name or str(checkpoint.run)  # what it is called where there are several

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu", which: str = "best") -> "Run":
        """The best (or the last) model of a run folder, or that of one checkpoint's folder.

        Errors: CheckpointError when the folder is missing, damaged or needs a plug-in that was not given.
        """
        device = usable(device)
        checkpoint = find(path, which)
        recipe = parse_recipe(read_text(checkpoint.run / "recipe.toml"), str(checkpoint.run))
        about = read_json(checkpoint.run / "about.json")
        tokenizers = load_tokenizers(checkpoint.run)
        try:
            with torch.random.fork_rng(devices=[]):
                kinds = (build.kind(about[name]) for name in ("inputs", "targets", "source") if about.get(name))
                model = build.model(recipe, *kinds)
            model.load_state_dict(checkpoint.weights())
        except UnspoolError as error:
            hint = plugin_wanted(recipe) or error.hint
            raise CheckpointError(f"{checkpoint.run} cannot be loaded: {error}", hint=hint) from error
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise CheckpointError(f"{checkpoint.run} is of another model: {reason}", hint="train anew") from error
        return cls(checkpoint, recipe, model.to(device).eval(), tokenizers, str(path))

    @property
    def tokenizer(self) -> Tokenizer:
        """What turns text into ids and back."""
        if self.fills:
            raise CheckpointError(
                f"{self.checkpoint.run} fills blanks, it does not go on with a text", hint=f'--prompt "The {BLANK} of"'
            )
        if not build.task_class(self.recipe).speaks:
            raise CheckpointError(f"{self.checkpoint.run} is not a model of text", hint="sample from a language model")
        return self.tokenizers["tokenizer"]

    @property
    def device(self) -> str:
        """Where the model is."""
        return str(self.model.device)

    def stream(
        self, prompt: str = "", length: int = 200, sampling: Sampling | None = None, seed: int | None = None
    ) -> Iterator[str]:
        """Yield what the model writes after the prompt, piece by piece; the same seed writes the same."""
        return write(self.model, self.tokenizer, prompt, length, sampling or Sampling(), seed)

    def candidates(
        self,
        prompt: str = "",
        length: int = 200,
        sampling: Sampling | None = None,
        count: int = 5,
        seed: int | None = None,
    ) -> list[Candidate]:
        """That many continuations of the prompt, the likeliest first."""
        return candidates(self.model, self.tokenizer, prompt, length, sampling or Sampling(), count, seed)

    def likeliest(self, prompt: str = "", length: int = 200, width: int = 4) -> list[Candidate]:
        """The likeliest continuations that a search with that many beams finds, the likeliest first."""
        return likeliest(self.model, self.tokenizer, prompt, length, width)

    def suggest(self, text: str, k: int = 3) -> list[Suggestion]:
        """The k likeliest ends of the word that the text ends with, or next words; the likeliest first."""
        return suggest(self.model, self.tokenizer, [text], k)[0]

    def keystrokes_saved(self, split: str = "valid", k: int = 3, words: int = 2000) -> Iterator[Savings]:
        """What suggestions save who types the first words of a split, told again after each few of them."""
        tokenizer = self.tokenizer
        return keystrokes_saved(self.model, tokenizer, getattr(data(self.recipe, self.checkpoint.run), split), k, words)

    @property
    def answers(self) -> bool:
        """Whether it answers a text with another, a translation say."""
        return build.task_class(self.recipe).answers

    def answer(self, source: str, width: int = 1) -> list[Candidate]:
        """The best answers to a source that a search with that many beams finds, the best first: no data is read.

        Errors: CheckpointError for a run that answers nothing, DataError for a source that cannot be read.
        """
        if not self.answers:
            raise CheckpointError(f"{self.checkpoint.run} looks at no source", hint="leave --source out")
        task, material = self._asked()
        return [
            Candidate(task.answer(beam.ids, material), beam.log_probability)
            for beam in ask(self.model, task.ask(source, material), width)
        ]

    def _asked(self) -> tuple[Task, Any]:
        """The task without its data, and what reads what somebody types."""
        nothing = build.task_class(self.recipe).nothing
        return build.task(self.recipe, nothing, self.tokenizers), build.dataset(self.recipe)

    @property
    def fills(self) -> bool:
        """Whether it fills the blanks of a text, and does not go on with one."""
        return build.task_class(self.recipe).fills

    def fill(self, text: str, count: int = 5) -> list[list[Filling]]:
        """For each ___ in the text that many tokens, the likeliest first: for a run of the task "masked"."""
        if not self.fills:
            raise CheckpointError(f"{self.checkpoint.run} fills no blanks", hint="train masked-lm, which does")
        return fill(self.model, self.tokenizers["tokenizer"], text, count)

    @property
    def foretells(self) -> bool:
        """Whether it is a model of series of numbers, which `foretold` goes on with."""
        return build.task_class(self.recipe).foretells

    def foretold(
        self, length: int = 24, count: int = 1, seed: int | None = None, as_json: bool = False
    ) -> Iterator[str]:
        """What comes after the end of every series of its data, `count` times: drawn where it says how sure it is.

        Lines of csv, or objects of JSON: series, path, step, value. The same seed draws the same.
        """
        drawn = SystemRandom().getrandbits(62) if seed is None else seed
        rows = self.task().foretold(Roller(self.model), length, count, drawn)
        return map(json.dumps, rows) if as_json else written_csv(rows)

    @property
    def form(self) -> Form:
        """What the model writes whole, a tune say. Errors: CheckpointError where there is no such thing."""
        form = build.task_class(self.recipe).form(self.tokenizers)
        if form is None:
            raise CheckpointError(f"{self.checkpoint.run} writes no whole pieces", hint="leave out --to")
        return form

    def pieces(
        self,
        count: int = 10,
        length: int = LONGEST,
        sampling: Sampling | None = None,
        seed: int | None = None,
        prompt: str = "",
    ) -> Iterator[Written]:
        """Yield so many whole pieces, at most so many tokens long, in the order in which they end."""
        return whole(self.model, self.form, count, length, sampling or Sampling(), seed, prompt)

    def look(
        self,
        text: str | None = None,
        split: str = "valid",
        length: Count = 2000,
        progress: Progress | None = None,
        said: str = "",
    ) -> Look:
        """What the model does inside while it reads: a text of yours, a sentence that it answers, or its own data.

        `run.look("To be").gates()[0].plot()` is a picture in a notebook. A sentence is answered by the model itself, or
        with what is `said`. Without a text the first rows of a split are read, at most `length` positions of each.
        Errors: CheckpointError for a run that reads no text or has diverged, and where there is no such split;
        DataError for a text that cannot be read.
        """
        if not all(bool(weight.isfinite().all()) for weight in self.model.parameters()):
            raise CheckpointError(
                f"{self.name} has diverged: some of its weights are no numbers",
                hint="look at an earlier one of its checkpoints/step-N, or train anew with a smaller rate",
            )
        if said and (text is None or not self.answers):
            raise CheckpointError(f"{self.name} is asked nothing that could be answered", hint="leave --said out")
        if text is not None and self.answers:
            passage, names = self._answering(text, said)
        else:
            passage, names = self._reading(text, split, length)
        return Look(self.model, passage, names, length, progress, self.name)

    def beside(self, other: "Run", seen: Look, progress: Progress | None = None) -> Look:
        """This run while it reads what another one was `seen` to read: the same text, in its own tokens.

        Errors: ConfigError for two runs that read different things.
        """
        first, length = seen.passage, seen.shown
        abouts = [read_json(run.checkpoint.run / "about.json") for run in (self, other)]
        kinds = [[about.get(end) for end in ("inputs", "targets", "source")] for about in abouts]
        words = [{name: save_text(one) for name, one in run.tokenizers.items()} for run in (self, other)]
        if kinds[0] == kinds[1] and words[0] == words[1]:
            return Look(self.model, first, seen.vocabulary, length, progress, self.name)
        speak = all(build.task_class(run.recipe).speaks for run in (self, other))
        if speak and len(first.batch.inputs) == 1:
            ids = [*first.batch.inputs[0].tolist(), *first.batch.targets[0, -1:].tolist()]
            return self.look(other.tokenizers["tokenizer"].decode(ids), "", length, progress)
        raise ConfigError(
            f"{self.name} and {other.name} read different things", hint="look at two runs of the same task and data"
        )

    def history(self, *others: "Run") -> Losses:
        """The losses of this run and of others over their steps."""
        found = {run.name: records(run.checkpoint.run) for run in (self, *others)}
        for name, some in found.items():
            if not some:
                raise CheckpointError(
                    f"{name} has no metrics.jsonl, or an empty one", hint="leave losses out of --what"
                )
        return Losses(found)

    def unrolled(self) -> Unrolled:
        """How its batches follow each other in time, and where their gradients are cut."""
        return Unrolled.of(self.task().batches())

    @property
    def described(self) -> str:
        """Its core and its size, in words."""
        core = self.recipe["core"]
        cell = core.get("cell", "")
        kinds = (core["kind"], cell["kind"] if isinstance(cell, Mapping) else cell)
        weights = sum(p.numel() for p in self.model.parameters())
        return f"{' '.join(filter(None, kinds))}, {weights:,} weights"

    def _answering(self, source: str, said: str) -> tuple[Passage, Vocabulary]:
        """A source, and the model's own answer to it or the one that is given."""
        task, material = self._asked()
        question = task.ask(source, material)
        answer = self.tokenizers["tokenizer"].encode(said).tolist() if said else ask(self.model, question)[0].ids
        return task.named(answered(question, answer)), task.read_as

    def _reading(self, text: str | None, split: str, length: int) -> tuple[Passage, Vocabulary]:
        """A text, or what a split begins with."""
        if text is None:
            task = self.task()
            passage = task.passage(split, ROWS, length)
            if passage is None:
                raise CheckpointError(
                    f"{self.checkpoint.run} has no {split} split", hint="--split train, or --text TEXT"
                )
            return passage, task.read_as
        if "tokenizer" not in self.tokenizers:
            raise CheckpointError(
                f"{self.checkpoint.run} reads no text", hint="leave --text out: it reads its own data"
            )
        tokenizer, asks = self.tokenizers["tokenizer"], build.task_class(self.recipe).speaks
        return of_text(text, tokenizer, asks), Typed(tokenizer).read_as

    @torch.no_grad()
    def score(self, batch: Batch) -> Score:
        """The mean loss on one batch from an empty state, in nats per counted position."""
        loss, _ = self.model.loss(batch.to(self.device))
        return Score(loss.item(), batch.positions)

    def task(self) -> Task:
        """The task with its data, read again from where the recipe says it is.

        Errors: CheckpointError when the data is not what the model was trained on.
        """
        return build.task(self.recipe, data(self.recipe, self.checkpoint.run), self.tokenizers)

    def evaluate(self, split: str = "valid") -> dict[str, Figures]:
        """The figures of every way to evaluate on a split: nats, bits, perplexity. Empty without such a split."""
        return judged(self.model, self.task(), split, self.device)[0]

    def confusions(self, split: str = "valid") -> dict[str, Confusion]:
        """What was taken for what on a split, by name; empty where there are no labels, or no such split."""
        drawn = judged(self.model, self.task(), split, self.device)[1]
        return {name: one for name, one in drawn.items() if isinstance(one, Confusion)}


def told(figures: Mapping[str, float | str], between: str = ", ") -> str:
    """Figures in one line.

    >>> told({"loss": 1.23456, "how": "smoothed"})
    'loss 1.2346, how smoothed'
    """
    shown = {name: value if isinstance(value, str) else f"{value:.4f}" for name, value in figures.items()}
    return between.join(f"{name.replace('_', ' ')} {value}" for name, value in shown.items())


def load_tokenizers(folder: Path) -> dict[str, Tokenizer]:
    """The tokenizers of a run by their names, as they were fitted when it began."""
    files = {name: folder / f"{name}.json" for name in TOKENIZERS}
    return {name: load_text(read_text(file)) for name, file in files.items() if file.exists()}


def plugin_wanted(recipe: Recipe) -> str:
    """The hint for a run that was trained with a plug-in that is not here; "" when none is missing."""
    missing = [path for path in recipe.get("plugin", ()) if module_of(path) not in sys.modules]
    return f"it was trained with --plugin {missing[0]}" if missing else ""


def data(recipe: Recipe, folder: Path) -> Parts:
    """The data of a run, which must be what it was when the run began."""
    splits = build.dataset(recipe).read()
    was = read_json(folder / "about.json").get("fingerprint")
    if was != splits.fingerprint:
        where = recipe["data"].get("path") or recipe["data"].get("corpus")
        raise CheckpointError(
            f"the data {where} is not what {folder} was trained on", hint="restore the data, or train anew"
        )
    return splits
