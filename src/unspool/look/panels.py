"""What a section of look.html may show: plain data, each kind with a renderer in panels.js of the same name."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from unspool.look.encoding import encoded


class Panel:
    """A part of a section: which renderer draws it, and its data."""

    renderer: ClassVar[str]

    def data(self) -> dict[str, Any]:
        """Its data, as JSON has it."""
        return vars(self)


@dataclass(frozen=True)
class Curve:
    """A named line of a chart; None among y leaves a gap."""

    name: str
    x: Sequence[int | float]
    y: Sequence[int | float | None]


@dataclass(frozen=True)
class Lines(Panel):
    """A chart of lines.

    >>> Lines([Curve("loss", [1, 2], [0.5, 0.25])], "step", "nats").data()["curves"][0]["y"]
    [0.5, 0.25]
    """

    renderer: ClassVar[str] = "lines"
    curves: Sequence[Curve]
    x_label: str
    y_label: str
    log: bool = False  # a logarithmic y axis
    note: str = ""

    def data(self) -> dict[str, Any]:
        """The curves as mappings."""
        return {**vars(self), "curves": [vars(curve) for curve in self.curves]}


@dataclass(frozen=True)
class Heatmap(Panel):
    """A matrix in colours, rows down and columns across; values are sent as bytes from the lowest to the highest.

    >>> Heatmap([[0.0, 1.0]], ["a"], ["x", "y"], "unit", "token").data()["cells"]
    'AP8='
    """

    renderer: ClassVar[str] = "heatmap"
    values: Sequence[Sequence[float]] | Tensor
    rows: Sequence[str]
    columns: Sequence[str]
    y_label: str
    x_label: str
    note: str = ""

    def data(self) -> dict[str, Any]:
        """The labels, and the values as base64 of a byte each."""
        values = torch.as_tensor(self.values, dtype=torch.float32)
        low, high = (float(values.min()), float(values.max())) if values.numel() else (0.0, 1.0)
        labels = {name: value for name, value in vars(self).items() if name != "values"}
        return {**labels, "cells": encoded(values, low, high), "low": low, "high": high}


@dataclass(frozen=True)
class Table(Panel):
    """Rows of cells under column headings, of which the last `numbers` are set to the right.

    `units` may name a unit (place, number) for a row: a click on its first cell colours the text of the page by it.
    """

    renderer: ClassVar[str] = "table"
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: int = 0
    units: Sequence[tuple[str, int] | None] = ()
    note: str = ""


@dataclass(frozen=True)
class Heads(Panel):
    """The weights of the heads of one attention layer, with the change of the loss without each of them."""

    renderer: ClassVar[str] = "heads"
    name: str
    rows: Sequence[str]  # tokens that attend
    columns: Sequence[str]  # tokens that are attended to
    weights: Tensor  # (K, T, S)
    summary: Sequence[str]
    ablated: Sequence[float] = ()  # the change of the loss, nats
    loss: float | None = None

    def data(self) -> dict[str, Any]:
        """The names, and the weights of each head as base64."""
        rest = {name: value for name, value in vars(self).items() if name != "weights"}
        return {**rest, "heads": [encoded(head, 0.0, 1.0) for head in self.weights]}


@dataclass(frozen=True)
class Scatter(Panel):
    """Named points in a plane; the pointer shows the nearest ones' neighbours with their cosines."""

    renderer: ClassVar[str] = "scatter"
    names: Sequence[str]
    xy: Sequence[Sequence[float]]
    x_label: str
    y_label: str
    neighbours: dict[str, list[tuple[str, float]]] = field(default_factory=dict)
