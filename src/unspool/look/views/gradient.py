"""How far back a loss reaches: the norm of its gradient by lag."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import cos, isfinite, pi, sin
from typing import Any, ClassVar

import torch

from unspool.look.canvas import COLOURS, CYCLE, FAINT, INK, Picture, plain, short_name
from unspool.look.inspection import Inspection
from unspool.look.lags import gradient_by_lag, windows
from unspool.look.measures import Decay, decay, eigenvalues
from unspool.look.panels import Curve, Lines, Panel
from unspool.look.record import place_name
from unspool.look.view import View, register_view
from unspool.nn.cell import Cell
from unspool.schema import Count

LAGS = 64
GOOD_FIT = 0.99  # R² of an exponential from which on it goes without saying
FLOOR = 1e-9  # of the y axis


@register_view("gradient")
@dataclass(frozen=True)
class Gradient(View):
    """Gradient norms by lag, of one or several models or places."""

    title: ClassVar[str] = "Gradient by lag"
    rank: ClassVar[int] = 25
    norms: dict[str, list[float]]
    place: str = "inputs"
    eigenvalues: dict[str, list[complex]] = field(default_factory=dict)  # of a recurrent matrix, the largest first

    @classmethod
    def of(cls, look: Inspection, lags: Count = LAGS, places: Sequence[str] = ("inputs",)) -> "Gradient":
        """The norm of d loss_t / d value_{t-k}: the mean over the rows, or over 16 windows of a single long row.

        Args:
            look: an inspection.
            lags: the largest k.
            places: of the values: "inputs" are the embeddings that the core reads.

        Raises:
            DataError: where what was read has no targets.
        """
        batch = windows(look.batch, look.fitting(lags + 1) - 1)
        norms = {place_name(place): gradient_by_lag(look.model, batch, place)[: lags + 1].tolist() for place in places}
        return cls(norms, ", ".join(places), recurrent_eigenvalues(look))

    def fits(self) -> dict[str, Decay]:
        """The exponential that fits each curve best."""
        return {
            name: decay(torch.tensor(norms), first=min(1, len(norms) - 2))
            for name, norms in self.norms.items()
            if len(norms) > 2
        }

    def relative(self) -> dict[str, list[float | None]]:
        """Norms divided by those at lag 0."""
        return {name: [norm / some[0] if some[0] else None for norm in some] for name, some in self.norms.items()}

    def summary(self) -> list[str]:
        """How much is left ten tokens back, the rate of the decay, and the size of the largest eigenvalue."""
        sentences = []
        for name, fit in self.fits().items():
            norms = self.norms[name]
            at = min(10, len(norms) - 1)
            share = norms[at] / norms[0] if norms[0] else float("nan")
            rate = f"factor {fit.rate:.3f} a token" + (f" (R² {fit.fit:.2f})" if fit.fit < GOOD_FIT else "")
            sentence = f"norm at lag {at} is {ratio(share)} of that at lag 0; {rate}"
            sentences.append(f"gradient of {name}: {sentence if isfinite(share) and share else 'zero'}")
        for name, values in self.eigenvalues.items():
            sentences.append(f"recurrent matrix of {name}: largest eigenvalue |λ| = {abs(values[0]):.3f}")
        return sentences

    def data(self) -> dict[str, Any]:
        """Norms by lag, the fitted exponentials and the eigenvalues."""
        fits = {name: {"rate": fit.rate, "fit": fit.fit} for name, fit in self.fits().items()}
        values = {name: [[v.real, v.imag] for v in some] for name, some in self.eigenvalues.items()}
        return {"place": self.place, "norms": self.norms, "fits": fits, "eigenvalues": values}

    def plot(self) -> Picture:
        """Norms by lag relative to lag 0, logarithmic; eigenvalues in the complex plane beside them."""
        panels = 1 + bool(self.eigenvalues)
        picture = Picture(5.6 + 3.6 * (panels - 1), 3.8, columns=panels, width_ratios=[1.5, 1.0][:panels])
        axes = picture.axes[0]
        for (name, curve), colour in zip(self.relative().items(), CYCLE, strict=False):
            shown = [float("nan") if share is None else max(share, 1e-30) for share in curve]
            axes.plot(range(len(curve)), shown, color=colour, linewidth=1.7, label=short_name(name))
        axes.set_yscale("log")
        axes.set_ylim(bottom=max(axes.get_ylim()[0], FLOOR))
        axes.set(xlabel="lag k (tokens)", ylabel="‖∂ loss$_t$ / ∂ value$_{t-k}$‖, relative to k = 0")
        plain(axes)
        picture.legend(axes, fontsize=9)
        if self.eigenvalues:
            draw_eigenvalues(picture, picture.axes[1], self.eigenvalues)
        return picture

    def panels(self) -> list[Panel]:
        """The curves."""
        curves = [Curve(name, range(len(some)), some) for name, some in self.relative().items()]
        return [Lines(curves, "lag (tokens back)", "gradient norm ÷ that at lag 0", log=True)]

    @classmethod
    def compare(cls, views: Mapping[str, "Gradient"]) -> Picture:
        """The curves of several runs."""
        return cls({f"{run}, {name}": some for run, view in views.items() for name, some in view.norms.items()}).plot()


def recurrent_eigenvalues(look: Inspection) -> dict[str, list[complex]]:
    """The eigenvalues of every square recurrent matrix of the core."""
    found = {}
    for path, cell in look.model.core.named_modules():
        weight = getattr(getattr(cell, "recurrent", None), "weight", None) if isinstance(cell, Cell) else None
        if weight is not None and weight.shape[0] == weight.shape[1]:
            found[place_name(f"core.{path}")] = eigenvalues(weight).tolist()
    return found


def draw_eigenvalues(picture: Picture, axes: Any, values: Mapping[str, Sequence[complex]]) -> None:
    """Eigenvalues in the complex plane: inside of the unit circle a memory decays, outside it grows."""
    turn = [2 * pi * n / 200 for n in range(201)]
    axes.plot([cos(a) for a in turn], [sin(a) for a in turn], color=FAINT, linewidth=1)
    for (name, some), colour in zip(values.items(), COLOURS, strict=False):
        axes.scatter([v.real for v in some], [v.imag for v in some], s=12, color=colour, label=name, alpha=0.8)
    axes.set(xlabel="real part", ylabel="imaginary part", aspect="equal")
    axes.set_title("eigenvalues of the recurrent matrix", fontsize=9, color=INK)
    plain(axes)
    if len(values) > 1:
        picture.legend(axes, fontsize=8)


def ratio(share: float) -> str:
    """A share in percent, or how many times.

    >>> ratio(0.0471), ratio(3200.0)
    ('4.7 %', '3,200.0 times')
    """
    if share >= 1:
        return f"{share:,.1f} times"
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"
