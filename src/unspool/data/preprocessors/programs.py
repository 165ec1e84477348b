"""Small programs and what they print, character by character."""

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from unspool.batch import Batch, Tokens
from unspool.data.batching.buckets import padded
from unspool.data.preprocessors.generation import GeneratedText
from unspool.data.preprocessors.preprocessor import Record, Row, preprocessors
from unspool.data.tokenizer import visible
from unspool.errors import DataError
from unspool.schema import Natural

SYMBOLS = "\n ().:;=<+-*0123456789abcdefghijklmnopqrstuvwxyz#"
"""Every character of a program and of its output; # stands between them, and a full stop behind."""
ALLOWED = frozenset(SYMBOLS[:-1])
IDS = np.array([max(0, SYMBOLS.find(chr(code))) for code in range(128)])
"""The id of each ASCII character that is one of them."""
NUMBER = re.compile(r"\d+")


@preprocessors.register("program")
class ProgramText(GeneratedText):
    r"""A program (`source`) and what it prints (`target`); a semicolon may end a line of it.

    By default the model reads and writes the text as it is, as in the paper (Zaremba and Sutskever 2014,
    arXiv:1410.4615). The options change what the model sees; a user types programs, and reads predictions, as ever.

    Args:
        reverse_source: whether the model reads a program from its last character to its first.
        reverse_target: whether the model generates the output from its last character, so that a sum begins with its
            ones and each digit needs only the carry of the one before (Lee et al. 2023, arXiv:2307.03381).
        digits: numbers of a program are filled up with zeros in front to so many digits, so that digits of one value
            are at the same places in all programs of a kind; 0: they are as they are.
        scratchpad: whether the model generates the value of each operation before the output, in the order of
            execution (Nye et al. 2021, arXiv:2112.00114): a record's `steps`, each with its sign in front, filled up
            to twice as many digits, and a semicolon behind. Only the output is given to the user.

    >>> row = ProgramText().encode({"source": "c=1; print((6-c))", "target": "5"})
    >>> "".join(SYMBOLS[id] for id in row.input), "".join(SYMBOLS[id] for id in row.target)
    ('c=1\nprint((6-c))#', '5.')
    >>> row = ProgramText(reverse_target=True, digits=2).encode({"source": "print((8+94))", "target": "102"})
    >>> "".join(SYMBOLS[id] for id in row.input), "".join(SYMBOLS[id] for id in row.target)
    ('print((08+94))#', '201.')
    >>> record = {"source": "c=1; print(((6-c)*3))", "target": "15", "steps": [5, 15]}
    >>> "".join(SYMBOLS[id] for id in ProgramText(digits=1, scratchpad=True).encode(record).target)
    '+05;+15;15.'
    """

    fields: ClassVar[Mapping[str, str]] = {"source": "source"}
    example: ClassVar[str] = "print((12+30))"
    inputs = targets = Tokens(len(SYMBOLS))
    end = SYMBOLS.index(".")

    def __init__(
        self,
        reverse_source: bool = False,
        reverse_target: bool = False,
        digits: Natural = 0,
        scratchpad: bool = False,
    ) -> None:
        self.reverse_source, self.reverse_target = reverse_source, reverse_target
        self.digits, self.scratchpad = digits, scratchpad

    def encode(self, record: Record) -> Row:
        """The ids of the program and # behind it (T,), and of what it prints with a full stop behind it (U,)."""
        lines = [line.strip() for line in str(record.get("source", "")).replace(";", "\n").split("\n")]
        program = "\n".join(filter(None, lines))
        if not program:
            raise DataError("the program is empty", hint="for example c=1; print((6-c))")
        if self.digits:
            program = NUMBER.sub(lambda number: number[0].zfill(self.digits), program)
        source = self.ids(program[::-1] if self.reverse_source else program, end="#")
        if "target" not in record:
            return Row(source)
        target = str(record["target"])
        steps = "".join(map(self.step, record.get("steps", ()))) if self.scratchpad else ""
        return Row(source, self.ids(steps + (target[::-1] if self.reverse_target else target), end="."))

    def step(self, value: int) -> str:
        """The value of an operation as the scratchpad has it."""
        digits = str(abs(value)).zfill(2 * self.digits)
        return f"{'-' if value < 0 else '+'}{digits[::-1] if self.reverse_target else digits};"

    def ids(self, text: str, end: str) -> Tensor:
        """The ids of a text and of its end, (T,). Raises: DataError for characters that no program has."""
        if not ALLOWED.issuperset(text):
            strange = min(set(text) - ALLOWED)
            raise DataError(f"the program knows no {strange!r}", hint="for example c=1; print((6-c))")
        return torch.from_numpy(IDS[np.frombuffer((text + end).encode("ascii"), dtype=np.uint8)])

    def collate(self, rows: Sequence[Row]) -> Batch:
        """Programs with what they print, which alone is a target; or programs alone."""
        if any(row.target is None for row in rows):
            prompts, mask = padded([row.input for row in rows])
            return Batch(prompts, prompts, mask, mask)
        whole, _ = padded([torch.cat([row.input, row.target]) for row in rows])  # type: ignore[list-item]
        columns = torch.arange(whole.shape[1] - 1)
        ends = torch.tensor([len(row.input) + len(row.target) - 1 for row in rows]).unsqueeze(1)  # type: ignore[arg-type]
        begins = torch.tensor([len(row.input) - 1 for row in rows]).unsqueeze(1)
        mask = columns < ends
        return Batch(whole[:, :-1], whole[:, 1:], mask & (columns >= begins), mask)

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """The characters of an output, in their normal order, without the scratchpad."""
        output = "".join(SYMBOLS[id] for id in ids)
        if self.scratchpad:
            output = output.rpartition(";")[2]
        return list(reversed(output) if self.reverse_target else output)

    def text(self, ids: Sequence[int]) -> str:
        """The characters together."""
        return "".join(self.tokens(ids))

    def input_labels(self, ids: Sequence[int]) -> list[str]:
        """The characters, as a picture shows them."""
        return [visible(SYMBOLS[id]) for id in ids]
