"""A trained model in its folder."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import SystemRandom

import torch

from unspool import build, config
from unspool.batch import Batch
from unspool.checkpoint import Checkpoint, find, read_json, read_text
from unspool.config import Recipe
from unspool.data.readers.tables import written_csv
from unspool.data.source import Parts
from unspool.data.tokenizer import Tokenizer, load_text
from unspool.errors import CheckpointError, UnspoolError
from unspool.generate.beam import ask
from unspool.generate.fill import BLANK, Filling, fill
from unspool.generate.rollout import Roller
from unspool.generate.sampling import Sampling
from unspool.generate.suggest import Savings, Suggestion, keystrokes_saved, suggest
from unspool.generate.text import Candidate, candidates, likeliest, write
from unspool.generate.whole import Written, whole
from unspool.judge import LONGEST, judged
from unspool.models.sequence import SequenceModel
from unspool.registry import module_of
from unspool.tasks.drawings import Confusion
from unspool.tasks.task import Figures, Form, Task
from unspool.train.evaluate import Score
from unspool.train.precision import usable


class Run:
    """A trained model in its folder: `Run.load("runs/char-lm")`, then `.stream(prompt)`, `.score(batch)`.

    Nothing in the folder is executed, and it loads on any device.
    """

    def __init__(
        self, checkpoint: Checkpoint, recipe: Recipe, model: SequenceModel, tokenizers: Mapping[str, Tokenizer]
    ) -> None:
        self.checkpoint, self.recipe, self.model, self.tokenizers = checkpoint, recipe, model, tokenizers

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu", which: str = "best") -> "Run":
        """The best (or the last) model of a run folder, or that of one checkpoint's folder.

        Errors: CheckpointError when the folder is missing, damaged or needs a plug-in that was not given.
        """
        device = usable(device)
        checkpoint = find(path, which)
        recipe = config.parse(read_text(checkpoint.run / "recipe.toml"), str(checkpoint.run))
        about = read_json(checkpoint.run / "about.json")
        tokenizers = load_tokenizers(checkpoint.run)
        try:
            with torch.random.fork_rng(devices=[]):
                kinds = (build.kind(about[name]) for name in ("reads", "writes", "looks_at") if about.get(name))
                model = build.model(recipe, *kinds)
            model.load_state_dict(checkpoint.weights())
        except UnspoolError as error:
            hint = plugin_wanted(recipe) or error.hint
            raise CheckpointError(f"{checkpoint.run} cannot be loaded: {error}", hint=hint) from error
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise CheckpointError(f"{checkpoint.run} is of another model: {reason}", hint="train anew") from error
        return cls(checkpoint, recipe, model.to(device).eval(), tokenizers)

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
        return str(next(self.model.parameters()).device)

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
        asked = build.task_class(self.recipe)
        task, material = build.task(self.recipe, asked.nothing, self.tokenizers), build.source(self.recipe)
        return [
            Candidate(task.answer(beam.ids, material), beam.log_probability)
            for beam in ask(self.model, task.ask(source, material), width)
        ]

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
    files = {name: folder / f"{name}.json" for name in config.TOKENIZERS}
    return {name: load_text(read_text(file)) for name, file in files.items() if file.exists()}


def plugin_wanted(recipe: Recipe) -> str:
    """The hint for a run that was trained with a plug-in that is not here; "" when none is missing."""
    missing = [path for path in recipe.get("plugin", ()) if module_of(path) not in sys.modules]
    return f"it was trained with --plugin {missing[0]}" if missing else ""


def data(recipe: Recipe, folder: Path) -> Parts:
    """The data of a run, which must be what it was when the run began."""
    splits = build.source(recipe).read()
    was = read_json(folder / "about.json").get("fingerprint")
    if was != splits.fingerprint:
        where = recipe["data"].get("path") or recipe["data"].get("corpus")
        raise CheckpointError(
            f"the data {where} is not what {folder} was trained on", hint="restore the data, or train anew"
        )
    return splits
