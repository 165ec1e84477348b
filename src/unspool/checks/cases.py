"""What the selftest tests: everything on the shelves, with many options, or a cell of yours."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unspool.batch import Batch, Tokens
from unspool.errors import ConfigError
from unspool.models.sequence import SequenceModel
from unspool.nn.cell import Cell, cells
from unspool.nn.core import Core, cores
from unspool.nn.embeddings import embedding
from unspool.nn.heads import head
from unspool.nn.part import CoreState
from unspool.plugins import load_plugin

SIZE, WIDTH, ROWS, TIME = 11, 8, 3, 9  # small enough to be quick, uneven enough to betray a swapped axis
LOOKS = (4, 2, 0, 5, 1)  # how long the sources are that the rows look at, in turn


VARIANTS: dict[str, dict[str, Any]] = {
    "recurrent both ways": {
        "kind": "recurrent",
        "cell": "lstm",
        "layers": 2,
        "residual": True,
        "bidirectional": True,
    },
    "transformer gpt-2": {
        "kind": "transformer",
        "positions": "learned",
        "norm": "layer",
        "feed_forward": "gelu-tanh",
        "bias": True,
        "layers": 2,
        "context": 24,
    },
    "transformer llama": {"kind": "transformer", "layers": 2, "heads": 4, "kv_heads": 2, "context": 24, "window": 4},
    "transformer 2017": {
        "kind": "transformer",
        "positions": "sinusoidal",
        "norm": "layer",
        "post_norm": True,
        "feed_forward": "relu",
        "bias": True,
        "scale_embedding": True,
        "layers": 2,
        "context": 24,
    },
    "transformer alibi": {
        "kind": "transformer",
        "positions": "alibi",
        "query_key_norm": True,
        "feed_forward": "relu-squared",
        "layers": 2,
        "heads": 2,
        "kv_heads": 1,
        "context": 5,
    },
    "transformer encoder": {"kind": "transformer", "causal": False, "positions": "none", "layers": 2, "window": 5},
    "recurrent conditioned initially": {"kind": "recurrent", "cell": "lstm", "layers": 2, "conditioning": "initial"},
    "recurrent conditioned always": {"kind": "recurrent", "cell": "gru", "layers": 2, "conditioning": "always"},
    "transformer cross-attention": {"kind": "transformer", "layers": 2, "context": 24, "cross_attention": True},
    "transformer cross-attention 2017": {
        "kind": "transformer",
        "positions": "sinusoidal",
        "norm": "layer",
        "post_norm": True,
        "feed_forward": "relu",
        "bias": True,
        "layers": 2,
        "context": 24,
        "cross_attention": True,
    },
    "attention-rnn additive lstm": {"kind": "attention-rnn", "cell": "lstm"},
    "attention-rnn dot gru": {"kind": "attention-rnn", "attention": "dot"},
    "attention-rnn general lstm": {"kind": "attention-rnn", "attention": "general", "cell": "lstm"},
    "convolutional cycled": {"kind": "convolutional", "layers": 4, "kernel": 2, "cycle": 2},
    "window-mlp of one": {"kind": "window-mlp", "window": 1, "layers": 1},
    "blocks mlstm": {"kind": "blocks", "cell": "mlstm", "layers": 2},
    "pooled max": {"kind": "pooled", "by": "max", "core": {"kind": "recurrent", "cell": "gru"}},
    "pooled attention": {"kind": "pooled", "by": "attention"},
    "pooled last": {"kind": "pooled", "by": "last", "core": {"kind": "transformer", "context": 24}},
    "pooled both ways": {"kind": "pooled", "core": {"kind": "recurrent", "cell": "gru", "bidirectional": True}},
}
"""Options that a core should be tested with, besides none; a kind that is here only is tested here only."""


@dataclass(frozen=True)
class Case:
    """What is tested: a name, and a way to make the same small model again and again."""

    name: str
    options: dict[str, object]
    device: str = "cpu"

    def model(self, dtype: torch.dtype = torch.float32) -> SequenceModel:
        """A small language model around the subject, the same weights every time."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            core = cores.build("core", self.options, width=WIDTH)
            made = SequenceModel(embedding(Tokens(SIZE), core.input_width), core, head(Tokens(SIZE), core.width))
        return made.to(self.device, dtype).eval()

    def ids(self, rows: int = ROWS, time: int = TIME, seed: int = 2) -> Tensor:
        """Some tokens, (rows, time), the same every time."""
        rng = torch.Generator().manual_seed(seed)
        return torch.randint(SIZE, (rows, time), generator=rng).to(self.device)

    def looks(self, rows: Sequence[int], dtype: torch.dtype = torch.float32) -> dict[str, Any]:
        """What these rows look at, as `start`, `stream` and `Batch` take it; nothing where nothing is needed.

        The sources are as long as the longest of these rows', so that a row alone has no padding to look at.
        """
        if not self.core.needs_source:
            return {}
        rng = torch.Generator().manual_seed(8)
        source = torch.randn(len(LOOKS), max(LOOKS), WIDTH, generator=rng)
        there = torch.arange(max(LOOKS)) < torch.tensor(LOOKS).unsqueeze(1)
        chosen = torch.tensor(rows) % len(LOOKS)
        longest = int(there[chosen].sum(dim=1).max())
        source, there = source[chosen, :longest], there[chosen, :longest]
        return {"source": source.to(self.device, dtype), "source_mask": there.to(self.device)}

    def start(self, model: SequenceModel, ids: Tensor, rows: Sequence[int] | None = None) -> CoreState:
        """The model's first state for these rows, the first ones if none are named, with what they look at."""
        looks = self.looks(range(len(ids)) if rows is None else rows, next(model.parameters()).dtype)
        return model.start(ids, **looks)

    def batch(self, ids: Tensor, loss_mask: Tensor | None = None, mask: Tensor | None = None, **more: Any) -> Batch:
        """A batch that asks for the token before each, wherever it counts."""
        loss_mask = torch.ones_like(ids, dtype=torch.bool) if loss_mask is None else loss_mask
        return Batch(ids, ids.roll(1, 1), loss_mask, mask, **{**self.looks(range(len(ids))), **more})

    @property
    def streams(self) -> bool:
        """Whether the core can go step by step."""
        return self.core.causal

    @cached_property
    def core(self) -> Core:
        """The core of such a model, to ask what it can do."""
        return self.model().core


def cases(cell: str = "", core: str = "", device: str = "cpu") -> list[Case]:
    """What to test: one cell (a name or FILE.py:Class), one core, or all there are."""
    if cell:
        return [_cell(cell_kind(cell), device)]
    if core:
        cores.find(core)
    names = [core] if core else cores.kinds()
    found = [_cell(kind, device) for kind in cells.kinds()] if "recurrent" in names else []
    found += [Case(name, {"kind": name}, device) for name in names if name != "recurrent"]
    return found + [Case(name, options, device) for name, options in VARIANTS.items() if options["kind"] in names]


def _cell(kind: str, device: str) -> Case:
    return Case(f"cell {kind}", {"kind": "recurrent", "cell": kind, "layers": 2}, device)


def cell_kind(name: str) -> str:
    """The shelf name of a cell given as such, or as FILE.py:Class."""
    file, colon, wanted = name.rpartition(":")
    if not colon:
        cells.find(name)
        return name
    before = set(Cell.__subclasses__())
    load_plugin(Path(file))
    made = [c for c in set(Cell.__subclasses__()) - before if c.__name__ == wanted]
    if not made:
        raise ConfigError(f"{file} defines no Cell named {wanted!r}", hint="give it as FILE.py:Class")
    known = [kind for kind in cells.kinds() if cells.find(kind) is made[0]]
    if not known:
        cells.register(wanted)(made[0])
    return (known or [wanted])[0]
