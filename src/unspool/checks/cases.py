"""The models that the selftest tests: every registered cell and core with many options, or one cell of yours."""

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

SIZE, WIDTH, ROWS, TIME = 11, 8, 3, 9  # small, and all different, so that a swapped axis fails
SOURCE_LENGTHS = (4, 2, 0, 5, 1)  # the lengths of the sources of the rows, in turn


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
    "transformer bert": {
        "kind": "transformer",
        "causal": False,
        "positions": "learned",
        "norm": "layer",
        "post_norm": True,
        "embedding_norm": True,
        "feed_forward": "gelu",
        "bias": True,
        "layers": 2,
        "context": 24,
    },
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
    "pooled first": {
        "kind": "pooled",
        "by": "first",
        "project": True,
        "core": {"kind": "transformer", "causal": False, "context": 24},
    },
    "pooled both ways": {"kind": "pooled", "core": {"kind": "recurrent", "cell": "gru", "bidirectional": True}},
}
"""Options that a core should be tested with, besides none; a kind that is here only is tested here only."""


@dataclass(frozen=True)
class Case:
    """A model to test: its name, and the options to build the same small model any number of times."""

    name: str
    options: dict[str, object]
    device: str = "cpu"

    def model(self, dtype: torch.dtype = torch.float32) -> SequenceModel:
        """A small language model with the core under test; its weights are the same every time."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            core = cores.build("core", self.options, width=WIDTH)
            made = SequenceModel(embedding(Tokens(SIZE), core.input_width), core, head(Tokens(SIZE), core.width))
        return made.to(self.device, dtype).eval()

    def ids(self, rows: int = ROWS, time: int = TIME, seed: int = 2) -> Tensor:
        """Random token ids, (rows, time), the same every time."""
        rng = torch.Generator().manual_seed(seed)
        return torch.randint(SIZE, (rows, time), generator=rng).to(self.device)

    def source_of(self, rows: Sequence[int], dtype: torch.dtype = torch.float32) -> dict[str, Any]:
        """The sources of some rows as keyword arguments `source` and `source_mask`; empty for cores without a source.

        They are padded to the longest of these rows, so a single row has no padding.
        """
        if not self.core.needs_source:
            return {}
        rng = torch.Generator().manual_seed(8)
        source = torch.randn(len(SOURCE_LENGTHS), max(SOURCE_LENGTHS), WIDTH, generator=rng)
        there = torch.arange(max(SOURCE_LENGTHS)) < torch.tensor(SOURCE_LENGTHS).unsqueeze(1)
        chosen = torch.tensor(rows) % len(SOURCE_LENGTHS)
        longest = int(there[chosen].sum(dim=1).max())
        source, there = source[chosen, :longest], there[chosen, :longest]
        return {"source": source.to(self.device, dtype), "source_mask": there.to(self.device)}

    def start(self, model: SequenceModel, ids: Tensor, rows: Sequence[int] | None = None) -> CoreState:
        """The initial state of the model for some rows (default: the first ones), with their sources."""
        sources = self.source_of(range(len(ids)) if rows is None else rows, next(model.parameters()).dtype)
        return model.start(ids, **sources)

    def batch(self, ids: Tensor, loss_mask: Tensor | None = None, mask: Tensor | None = None, **more: Any) -> Batch:
        """A batch whose targets are the inputs shifted by one."""
        loss_mask = torch.ones_like(ids, dtype=torch.bool) if loss_mask is None else loss_mask
        return Batch(ids, ids.roll(1, 1), loss_mask, mask, **{**self.source_of(range(len(ids))), **more})

    @property
    def streams(self) -> bool:
        """Whether the core is causal, so that it can run step by step."""
        return self.core.causal

    @cached_property
    def core(self) -> Core:
        """The core of such a model, for its abilities."""
        return self.model().core


def cases(cell: str | None = None, core: str | None = None, device: str = "cpu") -> list[Case]:
    """The cases to test.

    Args:
        cell: one cell, by name or as FILE.py:Class; None: no restriction.
        core: one core, by name; None: all.
        device: as torch names devices.
    """
    if cell is not None:
        return [_cell(cell_kind(cell), device)]
    if core is not None:
        cores.find(core)
    names = cores.kinds() if core is None else [core]
    found = [_cell(kind, device) for kind in cells.kinds()] if "recurrent" in names else []
    found += [Case(name, {"kind": name}, device) for name in names if name != "recurrent"]
    return found + [Case(name, options, device) for name, options in VARIANTS.items() if options["kind"] in names]


def _cell(kind: str, device: str) -> Case:
    return Case(f"cell {kind}", {"kind": "recurrent", "cell": kind, "layers": 2}, device)


def cell_kind(name: str) -> str:
    """The registered name of a cell given by name or as FILE.py:Class.

    Raises:
        ConfigError: where the file defines no such cell.
    """
    file, colon, wanted = name.rpartition(":")
    if not colon:
        cells.find(name)
        return name
    made = getattr(load_plugin(Path(file)), wanted, None)
    if not (isinstance(made, type) and issubclass(made, Cell)):
        raise ConfigError(f"{file} defines no Cell named {wanted!r}", hint="give it as FILE.py:Class")
    known = [kind for kind in cells.kinds() if cells.find(kind) is made]
    if not known:
        cells.register(wanted)(made)
    return (known or [wanted])[0]
