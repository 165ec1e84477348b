"""Which token comes next in a text."""

from collections.abc import Mapping
from math import log
from typing import ClassVar, Literal

import torch

from unspool.batch import Batch, Batches, Tokens
from unspool.data.batching.contiguous import ContiguousBatches, ContiguousEval, RandomWindows, WindowedEval
from unspool.data.source import Splits, parts
from unspool.data.tokenizer import Tokenizer
from unspool.schema import Count, Share
from unspool.tasks.of_text import OfText
from unspool.tasks.task import perplexity, tasks


@tasks.register("language")
class Language(OfText):
    """Which token comes next in a text.

    `batching` is "contiguous" (the text as `batch_size` long rows, read `length` at a time with the state carried over:
    truncated back-propagation through time; a share `reset_probability` of the batches begins anew) or "windows" (random places,
    each from an empty state).

    Validation tells two losses: "carried", in one pass over the split with the state carried, and "windowed", from an
    empty state every `window` tokens. A core that can read no more than so many tokens begins anew when it is full.
    Carrying flatters models that remember; so compare like with like.
    """

    tokenizers: ClassVar[Mapping[str, str]] = {"tokenizer": "char"}
    speaks: ClassVar[bool] = True

    def __init__(
        self,
        splits: Splits,
        tokenizer: Tokenizer,
        seed: int = 0,
        batching: Literal["contiguous", "windows"] = "contiguous",
        batch_size: Count = 16,
        length: Count = 64,
        window: Count = 64,
        reset_probability: Share = 0.0,
    ) -> None:
        self.tokenizer, self.batching, self.batch_size = tokenizer, batching, batch_size
        self.length, self.window, self.reset_probability, self.seed = length, window, reset_probability, seed
        self.inputs = self.targets = Tokens(tokenizer.size)
        texts = parts(splits)
        self.ids = {name: torch.from_numpy(tokenizer.encode(text)).long() for name, text in texts.items()}
        self.sizes = {name: (len(texts[name]), len(texts[name].encode())) for name in self.ids}  # characters, bytes

    @classmethod
    def texts(cls, part: str) -> dict[str, str]:
        """The text itself."""
        return {"tokenizer": part}

    def batches(self) -> Batches:
        """The training split in lanes or in random windows."""
        if self.batching == "contiguous":
            return ContiguousBatches(self.ids["train"], self.batch_size, self.length, self.reset_probability, self.seed)
        return RandomWindows(self.ids["train"], self.batch_size, self.length, self.seed)

    def exams(self, split: str) -> dict[str, Batches]:
        """Every token but the first is predicted once: with the state carried, and in windows of a stated length.

        The way that is most like the training comes first: it decides which model is the best.
        """
        if split not in self.ids:
            return {}
        ids = self.ids[split]
        lanes = max(1, min(16, len(ids) // 512))
        rows = max(1, 4096 // self.window)
        carried, windowed = ContiguousEval(ids, lanes, self.length), WindowedEval(ids, self.window, rows)
        if self.batching == "windows":
            return {"windowed": windowed, "carried": carried}
        return {"carried": carried, "windowed": windowed}

    def first(self, split: str, rows: int, longest: int) -> Batch | None:
        """The split from its beginning on, as one row."""
        return WindowedEval(self.ids[split], longest, 1)[0] if split in self.ids else None

    def told(self) -> str:
        """How many tokens each split has."""
        return ", tokens: " + ", ".join(f"{name} {len(ids):,}" for name, ids in self.ids.items())

    def figures(self, split: str, loss: float, marks: Mapping[str, float]) -> dict[str, float]:
        """Nats per token, bits per character and per byte of the text that the tokens stand for, perplexity."""
        characters, bytes_ = self.sizes[split]
        bits = loss * len(self.ids[split]) / log(2)
        return {
            "loss": loss,
            "bits_per_character": bits / characters,
            "bits_per_byte": bits / bytes_,
            "perplexity": perplexity(loss),
        }
