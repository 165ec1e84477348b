"""Learning to execute: predict what a program prints."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import Random
from typing import Any, Literal, get_args
from zlib import crc32

import torch
from torch import Tensor

from unspool.batch import Batch, Batches
from unspool.data.batching.drawn import Drawn
from unspool.data.preprocessors.programs import SYMBOLS, ProgramText
from unspool.data.probe import everywhere
from unspool.data.synthetic.programs import PAPER, Code, OperationName, addition, program
from unspool.data.text_features import features_of_rows
from unspool.errors import ConfigError
from unspool.metrics.drawings import Drawing, Heatmap
from unspool.metrics.metric import GenerationSet
from unspool.metrics.text import TextMatch
from unspool.pipelines.text_generation import TextGeneration
from unspool.schema import Count
from unspool.seeds import mix
from unspool.tasks.generated import Generated, seed_of
from unspool.tasks.task import tasks

Maker = Callable[[Random], Code]
"""Draws a program of some kind."""
SLIDES: list[tuple[str, str]] = [
    ("j=8584\nfor x in range(8):j+=920\nb=(1500+j)\nprint((b+7567))", "25011"),
    ("i=8827\nc=(i-5347)\nprint((c+8704) if 2641<8500 else 5308)", "12184"),
]
"""The two programs of the slides, which are the paper's first examples, and what they print."""
PATIENCE = 10_000
"""Programs are drawn so often until one is of the split that is wanted."""
TOGETHER = 512
"""So many programs are run at once in an evaluation: few have the same length, and those of one length go together."""
CELL, PROGRAMS = 5, 1000
"""So many batches of programs are run for each length and nesting; fewer where that is more than so many programs."""

Curriculum = Literal["none", "naive", "mix", "combined"]


@tasks.register("execute")
class Execute(Generated):
    """Learning to execute: predict what a small Python program prints (Zaremba & Sutskever 2014, arXiv:1410.4615).

    Numbers are drawn evenly from 1 to 10^length - 1 and `nesting` operations lie in one another; the targets are what
    Python itself prints. `curriculum` says what is trained on, as in section 4 of the paper: "none" is always the
    hardest; "naive" begins with one digit and one operation and adds a digit every `growth` batches, and at the last
    digit an operation, beginning with one digit again (the paper goes on when validation stops improving); "mix" draws
    digits and operations evenly for each program; "combined" takes a half of each batch from either. Only the output
    counts. The set "fresh" is always the hardest programs, teacher-forced: "accuracy" is the share of characters that
    are right, which the paper reports, "solved" that of whole outputs. The set "generated" has programs of every
    length and nesting ("length_2_nesting_1"; the drawing "solved" is their table), sums of two numbers of `length`
    digits as print((37+85)) ("addition"), and the two programs of the lecture's slides ("slides"). A program belongs to
    one split, by a checksum of its text: none of an evaluation was ever trained on.

    Args:
        operations: which operations programs have; "sum" is a "pair" that is always added, for sums alone.
        preprocessor: of programs, in the order of the text or backwards.
        length: how many digits a number has at most.
        nesting: how many operations lie in one another at most.
        curriculum: what is trained on: "none", "naive", "mix" or "combined".
        growth: after so many batches the naive curriculum gets harder.

    >>> batch = Execute(length=2, nesting=1, batch_size=1, seed=4).train_batches()[0]
    >>> print("".join(SYMBOLS[i] for i in batch.inputs[0]), "".join(SYMBOLS[i] for i in batch.targets[batch.loss_mask]))
    print((3-8))#-5 -5.
    """

    preprocessing = ProgramText
    pipeline = TextGeneration
    preprocessor: ProgramText

    def __init__(
        self,
        preprocessor: ProgramText | None = None,
        length: Count = 4,
        nesting: Count = 3,
        curriculum: Curriculum = "combined",
        growth: Count = 200,
        operations: tuple[OperationName, ...] = PAPER,
        batch_size: Count = 100,
        epoch: Count = 20,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, epoch, seed)
        self.length, self.nesting, self.curriculum, self.growth = length, nesting, curriculum, growth
        if not operations:
            raise ConfigError("task.operations names none", hint=f"choose some of {', '.join(get_args(OperationName))}")
        self.operations, self.preprocessor = operations, preprocessor or ProgramText()
        self.inputs, self.targets = self.preprocessor.inputs, self.preprocessor.targets

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """What is true of the program so far; behind # stands the output."""
        there = everywhere(batch.inputs, batch.mask)
        rows = zip(batch.inputs, there, strict=True)
        return features_of_rows([[SYMBOLS[id] for id in ids[here].tolist()] for ids, here in rows], there)

    def train_batches(self) -> Batches:
        """Batches that follow the curriculum."""
        return Lessons(self)

    def drawn(self, split: str) -> Batches:
        """The hardest programs of a split."""
        makers = [self.level(self.length, self.nesting)] * self.batch_size
        return Drawn(partial(self.batch, split, makers), seed_of(self.seed, split), self.epoch)

    def level(self, length: int, nesting: int) -> Maker:
        """Programs as long and as deep as that."""
        return partial(program, length=length, nesting=nesting, names=self.operations)

    def items(self, split: str, makers: Sequence[Maker], random: torch.Generator) -> list[Code]:
        """A program of each kind, drawn until it is one of the split."""
        choose = Random(int(torch.randint(2**62, (), generator=random)))
        found = []
        for make in makers:
            drawn = (make(choose) for _ in range(PATIENCE))
            code = next((code for code in drawn if program_split(code.text()) == split), None)
            if code is None:
                raise ConfigError(
                    f"there are too few programs of this kind: none is for {split}",
                    hint="a larger task.length or task.nesting, or more of task.operations",
                )
            found.append(code)
        return found

    def batch(self, split: str, makers: Sequence[Maker], random: torch.Generator) -> Batch:
        """A batch with a program of each kind; in training the shortest first, so that parts have little padding."""
        codes = self.items(split, makers, random)
        if split == "train":
            codes.sort(key=lambda code: len(code.text()))
        records = [{"source": code.text(), "target": code.printed(), "steps": code.steps} for code in codes]
        return self.preprocessor.collate([self.preprocessor.encode(record) for record in records])

    def generation_sets(self, split: str) -> dict[str, GenerationSet]:
        """Programs of every length and nesting, sums, and the programs of the slides; each in a group of its name."""
        kinds = {self.cell(n, m): self.level(n, m) for n in self.lengths for m in self.nestings} | {
            "addition": partial(addition, length=self.length)
        }
        batches = max(1, min(CELL, PROGRAMS // self.batch_size))
        records = [
            {"source": code.text(), "target": code.printed(), "group": name}
            for name, make in kinds.items()
            for number in range(batches)
            for code in self.items(split, [make] * self.batch_size, generator(self.seed, split, number))
        ]
        records += [{"source": text, "target": printed, "group": "slides"} for text, printed in SLIDES]
        drawing = partial(self.heatmap, records)
        generated = GenerationSet(
            records, [TextMatch], lambda record: [record["group"]], drawing=drawing, batch_size=TOGETHER
        )
        return {"generated": generated}

    @property
    def lengths(self) -> range:
        """Every length of a number."""
        return range(1, self.length + 1)

    @property
    def nestings(self) -> range:
        """Every number of operations."""
        return range(1, self.nesting + 1)

    @staticmethod
    def cell(length: int, nesting: int) -> str:
        """The group of programs of a length and nesting."""
        return f"length_{length}_nesting_{nesting}"

    def heatmap(self, records: Sequence[Mapping[str, Any]], predictions: Sequence[Any]) -> dict[str, Drawing]:
        """The share of outputs that are right, by length and nesting."""
        shares: dict[str, TextMatch] = {}
        for record, prediction in zip(records, predictions, strict=True):
            shares.setdefault(record["group"], TextMatch()).update(prediction, record)
        table = [[shares[self.cell(n, m)].compute()["exact_match"] or 0.0 for m in self.nestings] for n in self.lengths]
        rows, columns = [str(n) for n in self.lengths], [str(m) for m in self.nestings]
        return {"solved": Heatmap(table, rows, columns, "digits of a number", "operations")}

    def levels(self, number: int, random: torch.Generator) -> list[tuple[int, int]]:
        """How long and how deep each program of a training batch is."""
        grown = number // self.growth
        naive = (1 + grown % self.length, min(self.nesting, 1 + grown // self.length))
        if grown >= self.length * self.nesting:
            naive = (self.length, self.nesting)
        hardest = (self.length, self.nesting)
        if self.curriculum in ("none", "naive"):
            return [hardest if self.curriculum == "none" else naive] * self.batch_size
        mixed = [
            tuple(int(torch.randint(1, top + 1, (), generator=random)) for top in hardest)
            for _ in range(self.batch_size)
        ]
        if self.curriculum == "combined":
            mixed[::2] = [naive] * len(mixed[::2])
        return mixed  # type: ignore[return-value]


class Lessons:
    """The training batches of a curriculum, by number."""

    def __init__(self, task: Execute) -> None:
        self.task = task

    @property
    def epoch(self) -> int:
        """How many batches are called one pass."""
        return self.task.epoch

    def __getitem__(self, number: int) -> Batch:
        """Batch `number`, as hard as it is then."""
        random = torch.Generator().manual_seed(mix(self.task.seed, number))
        return self.task.batch("train", [self.task.level(*one) for one in self.task.levels(number, random)], random)


def generator(seed: int, split: str, number: int) -> torch.Generator:
    """The random numbers of a batch of a split."""
    return torch.Generator().manual_seed(mix(seed_of(seed, split), number))


def program_split(text: str) -> str:
    """The split of a program: one in ten is for validation, one in ten for the test.

    >>> program_split("print((59+63))")
    'valid'
    """
    return {0: "valid", 1: "test"}.get(crc32(text.encode()) % 10, "train")
