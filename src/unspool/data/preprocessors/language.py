"""A text as one long row of token ids."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch

from unspool.batch import Domain, Tokens
from unspool.data.predictions import Fill, Fills, Prediction
from unspool.data.preprocessors.preprocessor import Preprocessor, Record, Row, preprocessors, required
from unspool.data.tokenizer import Tokenizer
from unspool.errors import ConfigError, DataError

BLANK = "___"
"""A token that is missing from a text."""


@preprocessors.register("language")
class LanguageText(Preprocessor):
    """A text, of which every next token is predicted.

    Args:
        tokenizer: of the text.

    >>> from unspool.data.tokenizer import tokenizers
    >>> LanguageText(tokenizers.build("tokenizer", "byte")).encode("hi").input.tolist()
    [104, 105]
    """

    tokenizers: ClassVar[Mapping[str, str]] = {"tokenizer": "char"}

    def __init__(self, tokenizer: Tokenizer) -> None:
        if not tokenizer.writes:
            raise ConfigError(
                "the tokens of tokenizer.kind=ngrams overlap: no text can be written with them",
                hint="tokenizer.kind=word",
            )
        self.tokenizer = tokenizer

    @property
    def inputs(self) -> Domain:  # type: ignore[override]
        """Token ids."""
        return Tokens(self.tokenizer.size)

    @property
    def targets(self) -> Domain:  # type: ignore[override]
        """Token ids."""
        return Tokens(self.tokenizer.size)

    def texts(self, records: str) -> dict[str, str]:
        """The text itself."""
        return {"tokenizer": records}

    def encode(self, record: str) -> Row:
        """The ids of a text, (T,)."""
        return Row(torch.from_numpy(self.tokenizer.encode(record)).long())

    def input_labels(self, ids: Sequence[int]) -> list[str]:
        """The tokens."""
        return [self.tokenizer.token(id) if id < self.tokenizer.size else BLANK for id in ids]


@preprocessors.register("masked-language")
class MaskedText(LanguageText):
    """A text of which some tokens are masked.

    The mask is the tokenizer's own, where it has one, else the id beyond it, which is read and never predicted.

    >>> from unspool.data.tokenizer import tokenizers
    >>> words = tokenizers.build("tokenizer", "word").fit("to be or not to be")
    >>> MaskedText(words).encode({"text": "to ___ or"}).input.tolist()  # the mask is id 5
    [1, 5, 3]
    """

    tokenizers: ClassVar[Mapping[str, str]] = {"tokenizer": "word"}
    fields: ClassVar[Mapping[str, str]] = {"text": "text"}
    example: ClassVar[str] = "some ___ text"
    top = 5
    """How many tokens are given for each blank."""

    @property
    def inputs(self) -> Domain:  # type: ignore[override]
        """Token ids and the mask."""
        return Tokens(max(self.tokenizer.size, self.mask + 1))

    @property
    def mask(self) -> int:
        """The id of the mask."""
        return self.tokenizer.size if self.tokenizer.mask is None else self.tokenizer.mask

    def encode(self, record: Any) -> Row:
        """The ids of a text (T,); in a record's text every ___ is a mask. Raises: DataError without a blank."""
        if isinstance(record, str):
            return super().encode(record)
        text = str(required(record, "text"))
        before, *after = text.split(BLANK)
        if not after:
            raise DataError(f"there is no blank to fill in {text[:40]!r}", hint=f"write {BLANK} for a missing token")
        ids = self.tokenizer.encode(before).tolist()
        for part in after:
            ids += [self.mask, *self.tokenizer.encode(part).tolist()]
        return Row(torch.tensor(ids))

    def decode(self, output: Any, record: Record) -> Prediction:
        """Ids (T,) and logits (T, V) as the filled text and the likeliest tokens of each blank."""
        ids, logits = output
        places = (ids == self.mask).nonzero().flatten()
        best = logits[places].double().softmax(dim=-1).topk(min(self.top, self.tokenizer.size))
        fills = [
            [Fill(self.tokenizer.decode([id]), score) for id, score in zip(one, scores, strict=True)]
            for one, scores in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]
        text = record["text"]
        for blank in fills:
            text = text.replace(BLANK, blank[0].token, 1)
        return Fills(text, fills)
