"""The surprisal of each token: -ln of the probability that the model gave to it."""

from dataclasses import dataclass
from typing import Any, ClassVar

from unspool.errors import DataError
from unspool.look.canvas import Picture
from unspool.look.inspection import Inspection
from unspool.look.panels import Panel, Table
from unspool.look.text_picture import coloured_text
from unspool.look.tokens import TokenRows, with_spaces
from unspool.look.view import View, register_view

HIGHEST = 10  # tokens in the table of the page


@register_view("surprisal")
@dataclass(frozen=True)
class Surprisal(View):
    """The surprisal of each token in nats, and its mean: the loss."""

    title: ClassVar[str] = "Surprisal"
    rank: ClassVar[int] = 30
    rows: TokenRows
    nats: list[list[float | None]]  # of what is shown; None outside of the loss mask
    mean: float  # of all that was read
    count: int

    @classmethod
    def of(cls, look: Inspection) -> "Surprisal":
        """Read off the recorded losses. Raises: DataError where no tokens are predicted."""
        known = look.record.surprisal
        if known is None:
            raise DataError("surprisal needs a model that predicts tokens", hint="--what hidden,gradient")
        if look.loss is None:
            raise DataError("what was read has no targets, so there is no surprisal", hint="--what hidden,gates")
        return cls(look.rows, look.surprisal(), look.loss, int((~known.isnan()).sum()))

    def highest(self) -> list[tuple[float, int, int]]:
        """(nats, row, position) of the tokens that are shown, the most surprising first."""
        every = [
            (nats, row, t) for row, some in enumerate(self.nats) for t, nats in enumerate(some) if nats is not None
        ]
        return sorted(every, reverse=True)

    def summary(self) -> list[str]:
        """The mean, and the most surprising token."""
        sentence = f"surprisal: {self.mean:.3f} nats a token over {self.count:,} tokens"
        every = self.highest()
        if every:
            nats, row, t = every[0]
            shown = "" if len(every) == self.count else " of those shown"
            target = self.rows.targets[row][t]
            sentence += f"; the highest{shown} is {nats:.1f}, at '{target}' after '{self.rows.before(row, t)}'"
        return [sentence]

    def data(self) -> dict[str, Any]:
        """Nats by row and token."""
        return {"tokens": self.rows.tokens, "targets": self.rows.targets, "nats": self.nats}

    def plot(self) -> Picture:
        """The text, darker where the surprisal is higher."""
        return coloured_text(with_spaces(self.rows.targets), self.nats, "surprisal (nats)", from_zero=True)

    def panels(self) -> list[Panel]:
        """A table of the most surprising tokens."""
        cells = [
            (self.rows.targets[row][t], self.rows.before(row, t), f"{nats:.2f}")
            for nats, row, t in self.highest()[:HIGHEST]
        ]
        return [Table(["token", "after", "surprisal (nats)"], cells, numbers=1)] if cells else []
