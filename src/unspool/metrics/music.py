"""Metrics of generated music: which shares of the tunes and chorales keep the rules."""

from abc import abstractmethod
from collections import Counter
from typing import Any

from unspool.data.music.documents import ChoraleDocument, TuneDocument
from unspool.metrics.metric import Metric


class DocumentShares(Metric):
    """The number of documents, and for each check the share of them that pass it."""

    def __init__(self) -> None:
        self.number = 0
        self.passed: Counter[str] = Counter()

    @abstractmethod
    def checks(self, output: Any) -> dict[str, bool]:
        """What is checked of one document, and whether it passes; the same names for each."""

    def update(self, output: Any, reference: Any = None) -> None:
        """Count one document; there is no reference."""
        self.number += 1
        for name, passes in self.checks(output).items():
            self.passed[name] += passes

    def compute(self) -> dict[str, float]:
        """The number of documents, and the shares."""
        shares = {name: passed / self.number for name, passed in self.passed.items()}
        return {"documents": float(self.number), **shares}


class TuneShares(DocumentShares):
    r"""The shares of tunes that ended by themselves, that parse, whose inner bars are full, and that keep their metre.

    `unspool.data.music.abc_tune.Tune.metre_error` says the rule.

    >>> metric = TuneShares()
    >>> metric.update(TuneDocument(0, "X:1\nT:One\nM:2/4\nL:1/4\nK:G\nG A|B G A|\n", True))
    >>> metric.update(TuneDocument(1, "X:1\nT:Two\nM:2/4\nL:1/4\nK:G\nG A|B G|\n", True))
    >>> metric.compute()
    {'documents': 2.0, 'ended': 1.0, 'parses': 1.0, 'full_bars': 0.5, 'keeps_metre': 0.5}
    """

    def checks(self, output: TuneDocument) -> dict[str, bool]:
        """Whether it ended, parses, has full bars inside its parts, and keeps its metre altogether."""
        tune = output.tune()
        return {
            "ended": output.ended,
            "parses": tune is not None,
            "full_bars": tune is not None and not tune.metre_error(paired=False),
            "keeps_metre": tune is not None and not tune.metre_error(),
        }


class ChoraleShares(DocumentShares):
    """The shares of chorales that ended by themselves, and that are well formed.

    >>> metric = ChoraleShares()
    >>> metric.update(ChoraleDocument(0, [(60, 64)], True))
    >>> metric.compute()
    {'documents': 1.0, 'ended': 1.0, 'well_formed': 0.0}
    """

    def checks(self, output: ChoraleDocument) -> dict[str, bool]:
        """Whether it ended, and whether its chords have at most four pitches that go down."""
        return {"ended": output.ended, "well_formed": output.is_well_formed()}
