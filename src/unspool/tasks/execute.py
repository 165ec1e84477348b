"""What does this program print?"""

from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any, ClassVar, Literal, get_args
from zlib import crc32

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from unspool.batch import Batch, Batches, Tokens
from unspool.data.batching.drawn import Drawn
from unspool.data.probe import everywhere
from unspool.data.synthetic.programs import OperationName, addition, program
from unspool.data.text_features import features_of_rows
from unspool.data.tokenizer import shown
from unspool.errors import ConfigError, DataError
from unspool.metrics.drawings import Heatmap
from unspool.schema import Count
from unspool.seeds import mix
from unspool.tasks.generated import SPLITS, Generated
from unspool.tasks.legacy import Figures, Finals, GenerationRequest, Trained, tasks

SYMBOLS = "\n ().:;=<+-*0123456789abcdefghijklmnopqrstuvwxyz#"
"""Every character of a program and of its answer; # goes before the answer, and a full stop behind it."""

Item = tuple[str, str]
"""A program, and what it prints."""
Maker = Callable[[Random], Item]
"""Draws a program of some kind."""
SLIDES: list[Item] = [
    ("j=8584\nfor x in range(8):j+=920\nb=(1500+j)\nprint((b+7567))", "25011"),
    ("i=8827\nc=(i-5347)\nprint((c+8704) if 2641<8500 else 5308)", "12184"),
]
"""The two programs of the slides, which are the paper's first examples."""
PATIENCE = 10_000
"""Programs are drawn so often until one is of the split that is wanted."""
CELL = 5
"""So many batches are asked for each length and nesting."""

Curriculum = Literal["none", "naive", "mix", "combined"]


@tasks.register("execute")
class Execute(Generated):
    """Read a small Python program and say what it prints, digit by digit (Zaremba & Sutskever 2014, arXiv:1410.4615).

    Numbers have up to `length` digits and `nesting` operations lie in one another; the targets are what Python itself
    prints. `curriculum` says what is trained on: "none" is the hardest from the start; "naive" begins with one digit
    and one operation and goes on every `growth` batches, first with digits, then with operations; "mix" draws both for
    each program, up to the hardest; "combined" takes a half of each. Only the answer counts, and it is teacher-forced:
    "solved" is the share of answers that are right to the last digit. Exams are always the hardest. A program belongs
    to one split, by a checksum of its text: none that is asked in an exam was ever trained on.

    >>> batch = Execute(length=2, nesting=1, batch_size=1, seed=4).train_batches()[0]
    >>> print("".join(SYMBOLS[i] for i in batch.inputs[0]), "".join(SYMBOLS[i] for i in batch.targets[batch.loss_mask]))
    c=1
    print((6-c))#5 5.
    """

    answers: ClassVar[bool] = True

    def __init__(
        self,
        length: Count = 4,
        nesting: Count = 3,
        curriculum: Curriculum = "combined",
        growth: Count = 200,
        operations: tuple[OperationName, ...] = get_args(OperationName),
        batch_size: Count = 100,
        epoch: Count = 20,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, epoch, seed)
        self.length, self.nesting, self.curriculum, self.growth = length, nesting, curriculum, growth
        if not operations:
            raise ConfigError("task.operations names none", hint=f"choose some of {', '.join(get_args(OperationName))}")
        self.operations = operations
        self.inputs = self.targets = Tokens(len(SYMBOLS))

    def ask(self, text: str, dataset: Any) -> GenerationRequest:
        """A program; on one line a semicolon ends each of its lines."""
        lines = "\n".join(line.strip() for line in text.replace(";", "\n").split("\n")).strip()
        if not lines or (strange := sorted(set(lines) - set(SYMBOLS[:-1]))):
            what = f"knows no {strange[0]!r}" if lines else "is empty"
            raise DataError(f"the program {what}", hint="for example --source 'c=1; print((6-c))'")
        return GenerationRequest(ids(f"{lines}#").tolist(), SYMBOLS.index("."), 20 + 2 * self.length)

    def answer(self, ids: list[int], dataset: Any) -> str:
        """The digits."""
        return "".join(SYMBOLS[id] for id in ids)

    def input_labels(self, ids: Sequence[int]) -> list[str]:
        """The characters."""
        return [shown(SYMBOLS[id]) for id in ids]

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """What is true of the program so far; behind # stands the answer."""
        there = everywhere(batch.inputs, batch.mask)
        rows = zip(batch.inputs, there, strict=True)
        return features_of_rows([[SYMBOLS[id] for id in ids[here].tolist()] for ids, here in rows], there)

    def train_batches(self) -> Batches:
        """Batches that follow the curriculum."""
        return Lessons(self)

    def exams(self, split: str) -> dict[str, Batches]:
        """The hardest programs of the split."""
        return {"fresh": self.asked(split, self.level(self.length, self.nesting), self.epoch)}

    def asked(self, split: str, make: Maker, epoch: int) -> Batches:
        """So many batches of programs of one kind."""
        return Drawn(partial(self.batch, split, [make] * self.batch_size), mix(self.seed, -SPLITS[split]), epoch)

    def level(self, length: int, nesting: int) -> Maker:
        """Programs as long and as deep as that."""
        return partial(program, length=length, nesting=nesting, names=self.operations)

    def batch(self, split: str, makers: Sequence[Maker], random: torch.Generator) -> Batch:
        """A program of each kind, drawn until it is one of the split."""
        choose = Random(int(torch.randint(2**62, (), generator=random)))
        rows = []
        for make in makers:
            drawn = (make(choose) for _ in range(PATIENCE))
            item = next((item for item in drawn if split_of(item[0]) == split), None)
            if item is None:
                raise ConfigError(
                    f"there are too few programs of this kind: none is for {split}",
                    hint="a larger task.length or task.nesting, or more of task.operations",
                )
            rows.append(item)
        return self.rows(rows)

    def rows(self, rows: Sequence[Item]) -> Batch:
        """Programs and what they print, padded behind."""
        texts = [ids(f"{text}#{printed}.") for text, printed in rows]
        whole = pad_sequence(texts, batch_first=True)
        columns = torch.arange(whole.shape[1] - 1)
        ends = torch.tensor([len(text) - 1 for text in texts]).unsqueeze(1)
        answers = torch.tensor([len(printed) + 1 for _, printed in rows]).unsqueeze(1)  # with the full stop
        mask = columns < ends
        return Batch(whole[:, :-1], whole[:, 1:], mask & (columns >= ends - answers), mask)

    def finals(self, split: str, trained: Trained) -> Finals:
        """The share of answers that are right to the last digit by length and nesting, of sums, and of the slides.

        "addition" asks for the sum of two numbers of two digits, as print((37+85)), and "slides" for the two programs
        that the lecture's slides print.
        """

        def solved(batches: Batches) -> float:
            return trained.score(batches, self.mark)["solved"]

        lengths, nestings = range(1, self.length + 1), range(1, self.nesting + 1)
        table = [[solved(self.asked(split, self.level(n, m), CELL)) for m in nestings] for n in lengths]
        found: Figures = {f"length_{n}_nesting_{m}": table[n - 1][m - 1] for n in lengths for m in nestings}
        found["addition"] = solved(self.asked(split, addition, CELL))
        found["slides"] = solved(Drawn(lambda _: self.rows(SLIDES), 0, 1))
        drawn = Heatmap(
            table, [str(n) for n in lengths], [str(m) for m in nestings], "digits of a number", "operations"
        )
        return {"executed": found}, {"solved": drawn}

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


def split_of(text: str) -> str:
    """The split of a program: one in ten is for validation, one in ten for the test.

    >>> split_of("print((59+63))")
    'valid'
    """
    return {0: "valid", 1: "test"}.get(crc32(text.encode()) % 10, "train")


def ids(text: str) -> torch.Tensor:
    """The symbols of a program."""
    return torch.tensor([SYMBOLS.index(symbol) for symbol in text])
