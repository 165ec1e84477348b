"""What does this program print?"""

from random import Random
from typing import Any, ClassVar, Literal

import torch
from torch.nn.utils.rnn import pad_sequence

from unspool.batch import Batch, Batches, Tokens
from unspool.data.programs import program
from unspool.errors import DataError
from unspool.registry import Count
from unspool.seeds import mix
from unspool.tasks.generated import Generated
from unspool.tasks.task import Question, tasks

SYMBOLS = "\n ().:;=<+-*0123456789abcdefghijklmnopqrstuvwxyz#"
"""Every character of a program and of its answer; # goes before the answer, and a full stop behind it."""

Curriculum = Literal["none", "naive", "mix", "combined"]


@tasks.register("execute")
class Execute(Generated):
    """Read a small Python program and say what it prints, digit by digit (Zaremba & Sutskever 2014, arXiv:1410.4615).

    Numbers have up to `length` digits and `nesting` operations lie in one another; the targets are what Python itself
    prints. `curriculum` says what is trained on: "none" is the hardest from the start; "naive" begins with one digit
    and one operation and goes on every `growth` batches, first with digits, then with operations; "mix" draws both for
    each program, up to the hardest; "combined" takes a half of each. Only the answer counts, and it is teacher-forced:
    "solved" is the share of answers that are right to the last digit. Exams are always the hardest.

    >>> batch = Execute(length=2, nesting=1, batch_size=1, seed=4).batches()[0]
    >>> print("".join(SYMBOLS[i] for i in batch.inputs[0]), "".join(SYMBOLS[i] for i in batch.targets[batch.counts]))
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
        batch_size: Count = 100,
        epoch: Count = 20,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, epoch, seed)
        self.length, self.nesting, self.curriculum, self.growth = length, nesting, curriculum, growth
        self.reads = self.writes = Tokens(len(SYMBOLS))

    def ask(self, text: str, material: Any) -> Question:
        """A program; on one line a semicolon ends each of its lines."""
        lines = "\n".join(line.strip() for line in text.replace(";", "\n").split("\n")).strip()
        if not lines or (strange := sorted(set(lines) - set(SYMBOLS[:-1]))):
            what = f"knows no {strange[0]!r}" if lines else "is empty"
            raise DataError(f"the program {what}", hint="for example --source 'c=1; print((6-c))'")
        return Question(ids(f"{lines}#").tolist(), SYMBOLS.index("."), 20 + 2 * self.length)

    def answer(self, ids: list[int], material: Any) -> str:
        """The digits."""
        return "".join(SYMBOLS[id] for id in ids)

    def batches(self) -> Batches:
        """Batches that follow the curriculum."""
        return Lessons(self)

    def draw(self, random: torch.Generator) -> Batch:
        """The hardest programs there are."""
        return self.batch(random, [(self.length, self.nesting)] * self.batch_size)

    def batch(self, random: torch.Generator, levels: list[tuple[int, int]]) -> Batch:
        """A program of each level (length, nesting), padded behind."""
        choose = Random(int(torch.randint(2**62, (), generator=random)))
        rows = [program(choose, *level) for level in levels]
        texts = [ids(f"{text}#{printed}.") for text, printed in rows]
        whole = pad_sequence(texts, batch_first=True)
        columns = torch.arange(whole.shape[1] - 1)
        ends = torch.tensor([len(text) - 1 for text in texts]).unsqueeze(1)
        answers = torch.tensor([len(printed) + 1 for _, printed in rows]).unsqueeze(1)  # with the full stop
        present = columns < ends
        return Batch(whole[:, :-1], whole[:, 1:], present & (columns >= ends - answers), present)

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
        return self.task.batch(random, self.task.levels(number, random))


def ids(text: str) -> torch.Tensor:
    """The symbols of a program."""
    return torch.tensor([SYMBOLS.index(symbol) for symbol in text])
