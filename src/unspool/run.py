"""A trained model in its folder."""

import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import torch

from unspool import build, config
from unspool.batch import Batch
from unspool.checkpoint import Checkpoint, find, read_json, read_text
from unspool.config import Recipe
from unspool.data.source import Parts
from unspool.data.tokenizer import Tokenizer, load_text
from unspool.errors import CheckpointError, UnspoolError
from unspool.generate.beam import answers
from unspool.generate.sampling import Sampling
from unspool.generate.text import Candidate, candidates, likeliest, write
from unspool.models.sequence import SequenceModel
from unspool.registry import module_of
from unspool.tasks.task import Captioned, Confusion, Figures, Task
from unspool.train.evaluate import Score, evaluate
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
        return judged(self.model, self.task(), split, self.device)[1]


def judged(
    model: SequenceModel, task: Task, split: str, device: str
) -> tuple[dict[str, Figures], dict[str, Confusion]]:
    """What a model is worth on a split, by the way of judging: its task's exams, and what it has "written".

    Beside the figures, what was taken for what, where there are labels.
    """
    found: dict[str, Figures] = {}
    confusions: dict[str, Confusion] = {}
    for way, batches in task.exams(split).items():
        score = evaluate(model, batches, device, mark=task.mark)
        found[way] = {**task.figures(split, score.loss, score.marks)}
        confusions |= task.confusions(score.marks)
    written = task.finals(split, partial(answers, model))
    return found | ({"written": written} if written else {}), confusions


def album(model: SequenceModel, task: Task, split: str) -> list[Captioned]:
    """A few images of a split with what a model writes of them; empty where there are none."""
    return task.album(split, partial(answers, model))


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
