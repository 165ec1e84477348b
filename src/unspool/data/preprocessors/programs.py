"""Small programs and what they print, character by character."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from unspool.batch import Batch, Tokens
from unspool.data.batching.buckets import padded
from unspool.data.preprocessors.generation import GeneratedText
from unspool.data.preprocessors.preprocessor import Record, Row, preprocessors
from unspool.data.tokenizer import visible
from unspool.errors import DataError

SYMBOLS = "\n ().:;=<+-*0123456789abcdefghijklmnopqrstuvwxyz#"
"""Every character of a program and of its output; # stands between them, and a full stop behind."""


@preprocessors.register("program")
class ProgramText(GeneratedText):
    r"""A program (`source`) and what it prints (`target`); a semicolon may end a line of it.

    >>> row = ProgramText().encode({"source": "c=1; print((6-c))", "target": "5"})
    >>> "".join(SYMBOLS[id] for id in row.input), "".join(SYMBOLS[id] for id in row.target)
    ('c=1\nprint((6-c))#', '5.')
    """

    fields: ClassVar[Mapping[str, str]] = {"source": "source"}
    example: ClassVar[str] = "print((12+30))"
    inputs = targets = Tokens(len(SYMBOLS))
    end = SYMBOLS.index(".")

    def encode(self, record: Record) -> Row:
        """The ids of the program and # behind it (T,), and of what it prints with a full stop behind it (U,)."""
        lines = [line.strip() for line in str(record.get("source", "")).replace(";", "\n").split("\n")]
        program = "\n".join(filter(None, lines))
        if not program:
            raise DataError("the program is empty", hint="for example c=1; print((6-c))")
        target = self.ids(f"{record['target']}.") if "target" in record else None
        return Row(self.ids(f"{program}#", but="#"), target)

    def ids(self, text: str, but: str = "") -> Tensor:
        """The ids of a text, (T,); `but` may stand in it once, at its end. Raises: DataError for unknown characters."""
        if strange := sorted(set(text.removesuffix(but)) - set(SYMBOLS[:-1])):
            raise DataError(f"the program knows no {strange[0]!r}", hint="for example c=1; print((6-c))")
        return torch.tensor([SYMBOLS.index(symbol) for symbol in text])

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
        """The characters."""
        return [SYMBOLS[id] for id in ids]

    def text(self, ids: Sequence[int]) -> str:
        """The characters together."""
        return "".join(self.tokens(ids))

    def input_labels(self, ids: Sequence[int]) -> list[str]:
        """The characters, as a picture shows them."""
        return [visible(SYMBOLS[id]) for id in ids]
