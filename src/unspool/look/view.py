"""The shelf of views: each file in `look/views` is one, and `--plugin FILE` brings one's own."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from unspool.look.canvas import Picture
from unspool.look.panels import Panel
from unspool.registry import Registry

if TYPE_CHECKING:
    from unspool.look.inspection import Inspection
    from unspool.look.units import Units


class View(ABC):
    """One thing that `unspool look` computes, sums up in sentences, gives as JSON, plots and puts on the page.

    Subclasses are frozen dataclasses that hold what was computed. `of`, `summary`, `data` and `plot` are all that a
    view needs; the section of the page comes from `panels`, the sentences and their heading from `summary` and `title`.

    Attributes:
        title: the heading of its sentences and of its section.
        rank: views are listed by it; the first sentences of the first three are the main findings.
        most: how many sentences are printed.
        asked: whether it is left out where all views are wanted, as it answers a question of its own.
    """

    title: ClassVar[str]
    rank: ClassVar[int] = 100
    most: ClassVar[int] = 4
    asked: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def of(cls, look: "Inspection") -> "View":
        """Compute it. Raises: DataError where the model or its data have nothing of the kind, and why."""

    @abstractmethod
    def summary(self) -> list[str]:
        """Its findings, a sentence each, the most important first."""

    @abstractmethod
    def data(self) -> Any:
        """All of it, as JSON has it."""

    @abstractmethod
    def plot(self) -> Picture:
        """A picture of it; where there are several, the first."""

    def pictures(self) -> dict[str, Picture]:
        """Every picture of it, by what is appended to the view's name in the name of its file."""
        return {"": self.plot()}

    def panels(self) -> list[Panel]:
        """What its section of the page shows."""
        return []

    def units(self) -> "list[Units]":
        """Values over tokens by which the text of the page can be coloured."""
        return []

    @classmethod
    def compare(cls, views: Mapping[str, Any]) -> Picture | None:
        """One picture of several runs, by their names; None where there is none."""
        return None


views: Registry[View] = Registry("view", "unspool.look.views")
register_view = views.register
"""A decorator that puts a `View` on the shelf, for `--what NAME`, the page and JSON."""


def view_names(what: str) -> list[str]:
    """The views of a list with commas, by rank; for "" and "all" all of them that need no question.

    Raises:
        ConfigError: for a name that is not on the shelf.

    >>> view_names("hidden,gates")
    ['gates', 'hidden']
    """
    names = {name.strip() for name in what.split(",") if name.strip()} - {"all"}
    names = names or {name for name in views.kinds() if not views.find(name).asked}
    return sorted(names, key=lambda name: (views.find(name).rank, name))
