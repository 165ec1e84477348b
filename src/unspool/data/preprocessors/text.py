"""Texts with one label, one number, or a label for each word."""

import html as markup
import re
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from unspool.batch import Batch, Domain, Tokens, Vectors
from unspool.data.batching.buckets import Side
from unspool.data.batching.collate import one_target, target_per_position
from unspool.data.predictions import Prediction, Span, Tags, Value
from unspool.data.preprocessors.labels import label, label_id, label_lines, label_names
from unspool.data.preprocessors.preprocessor import Preprocessor, Record, Row, answers, preprocessors, required
from unspool.data.spans import spans, tells_spans
from unspool.data.tokenizer import Tokenizer
from unspool.errors import DataError
from unspool.schema import Finite, Natural, Positive

JOINED = {ord(space): "\u2060" for space in "\u00a0\u2007\u202f"}
"""No-break spaces, and the word joiner that stands for them: white space would part the words of one token."""
TAG = re.compile(r"<[^<>]*>")
BLANK = "___"
"""The name of an id beyond the tokenizer's: a masked token, or padding that is shown as a token."""


class TextInput(Preprocessor):
    """A text as the ids of its tokens, with [CLS] before and [SEP] behind it where the tokenizer has such a frame.

    Args:
        tokenizer: of the text.
        max_length: only so many tokens of a text are read, its frame among them (0: all).
        truncate: which end of a longer text is read, its "first" or its "last" tokens.
        html: whether tags and entities are taken out before.
        padding: the side on which shorter texts of a batch are padded.
        mask_padding: whether the padding is masked; see `unspool.data.batching.collate.one_target`.
    """

    fields: ClassVar[Mapping[str, str]] = {"text": "text"}
    example: ClassVar[str] = "some text"

    def __init__(
        self,
        tokenizer: Tokenizer,
        max_length: Natural = 0,
        truncate: Literal["first", "last"] = "first",
        html: bool = False,
        padding: Side = "right",
        mask_padding: bool = True,
    ) -> None:
        self.tokenizer = tokenizer
        self.max_length, self.truncate, self.html = max_length, truncate, html
        self.padding, self.mask_padding = padding, mask_padding

    @property
    def inputs(self) -> Domain:  # type: ignore[override]
        """Token ids, and one more for padding that is shown as a token."""
        return Tokens(self.tokenizer.size + (not self.mask_padding))

    @property
    def frame(self) -> tuple[int, int] | None:
        """The ids before and behind every text; None: none."""
        return self.tokenizer.frame

    def text(self, record: Record) -> str:
        """The text that is tokenized."""
        text = str(required(record, "text"))
        return markup.unescape(TAG.sub(" ", text)).strip() if self.html else text

    def ids(self, record: Record) -> Tensor:
        """The ids of a record's text, (T,). Raises: DataError where no token is left."""
        before, behind = ([id] for id in self.frame) if self.frame else ([], [])
        limit = max(1, self.max_length - len(before) - len(behind))
        wanted = slice(-limit, None) if self.truncate == "last" else slice(limit)
        text = self.text(record)
        ids = self.tokenizer.encode(text)[wanted if self.max_length else slice(None)]
        if not len(ids):
            raise DataError(f"the text {text[:40]!r} has no tokens", hint="leave it out")
        return torch.tensor([*before, *ids.tolist(), *behind])

    def texts(self, records: Sequence[Record]) -> dict[str, str]:
        """The texts, one after the other."""
        return {"tokenizer": "".join(f"{self.text(record)}\n" for record in records)}

    def collate(self, rows: Sequence[Row]) -> Batch:
        """Texts side by side; the target is predicted at the end of each."""
        padding_id = 0 if self.mask_padding else self.tokenizer.size
        targets = answers(rows, self.targets)
        return one_target([row.input for row in rows], targets, self.padding, self.mask_padding, padding_id)

    def input_labels(self, ids: Sequence[int]) -> list[str]:
        """The tokens."""
        return [self.tokenizer.token(id) if id < self.tokenizer.size else BLANK for id in ids]


@preprocessors.register("labelled-text")
class LabelledText(TextInput):
    r"""A text and its label, one of a few; the other arguments are those of `TextInput`.

    Args:
        tokenizer: of the text.
        labels: the tokenizer of the labels.

    >>> from unspool.data.tokenizer import tokenizers
    >>> words = tokenizers.build("tokenizer", "word").fit("a fine film")
    >>> labels = tokenizers.build("labels", "label").fit("neg\npos\n")
    >>> LabelledText(words, labels).encode({"text": "a film", "label": "pos"})
    Row(input=tensor([1, 3]), target=tensor(1))
    """

    tokenizers: ClassVar[Mapping[str, str]] = {"tokenizer": "word", "labels": "label"}

    def __init__(
        self,
        tokenizer: Tokenizer,
        labels: Tokenizer,
        max_length: Natural = 0,
        truncate: Literal["first", "last"] = "first",
        html: bool = False,
        padding: Side = "right",
        mask_padding: bool = True,
    ) -> None:
        super().__init__(tokenizer, max_length, truncate, html, padding, mask_padding)
        self.labels = labels

    @property
    def targets(self) -> Domain:  # type: ignore[override]
        """Label ids."""
        return Tokens(self.labels.size)

    def texts(self, records: Sequence[Record]) -> dict[str, str]:
        """The texts, and the labels one a line."""
        return super().texts(records) | {"labels": label_lines(records)}

    def encode(self, record: Record) -> Row:
        """The ids of the text (T,), and the id of the label ()."""
        return Row(self.ids(record), label_id(record, self.labels))

    def decode(self, output: Tensor, record: Record) -> Prediction:
        """Logits (V,) as a label."""
        return label(output, self.target_labels(range(self.labels.size)))

    def target_labels(self, ids: Sequence[int]) -> list[str]:
        """The labels."""
        return label_names(self.labels, ids)


@preprocessors.register("valued-text")
class ValuedText(TextInput):
    """A text and its number, read as how many standard deviations it is from the mean of the training numbers.

    >>> from unspool.data.tokenizer import tokenizers
    >>> words = tokenizers.build("tokenizer", "word").fit("a fine film")
    >>> preprocessor = ValuedText(words)
    >>> preprocessor.fit([{"text": "a film", "label": "1"}, {"text": "a fine film", "label": "3"}])
    >>> preprocessor.encode({"text": "a fine film", "label": "3"})
    Row(input=tensor([1, 2, 3]), target=tensor([1.]))
    """

    tokenizers: ClassVar[Mapping[str, str]] = {"tokenizer": "word"}
    targets = Vectors(1)
    mean, scale = 0.0, 1.0

    def fit(self, records: Sequence[Record]) -> None:
        """Learn the mean and the standard deviation of the numbers."""
        values = torch.tensor([label_value(record) for record in records])
        self.mean, self.scale = float(values.mean()), float(values.std(correction=0)) or 1.0

    def encode(self, record: Record) -> Row:
        """The ids of the text (T,), and the standardized number (1,)."""
        wanted = (torch.tensor([label_value(record)]) - self.mean) / self.scale if "label" in record else None
        return Row(self.ids(record), wanted)

    def decode(self, output: Tensor, record: Record) -> Prediction:
        """The mean (1,), or the mean, low and high (3, 1) of a distribution, in the unit of the data."""
        values = (output.double().flatten() * self.scale + self.mean).tolist()
        return Value(*values)

    learned: ClassVar[Mapping[str, Any]] = {"mean": Finite, "scale": Positive}

    def fitted(self) -> dict[str, Any]:
        """Mean and standard deviation of the training numbers."""
        return {"mean": self.mean, "scale": self.scale}

    def restore(self, fitted: Mapping[str, Any]) -> None:
        """Take mean and standard deviation back."""
        self.mean, self.scale = float(fitted["mean"]), float(fitted["scale"])


@preprocessors.register("tagged-text")
class TaggedText(TextInput):
    r"""A text and a label for each of its tokens; a record's label holds them with spaces between.

    Args:
        tokenizer: of the text.
        labels: the tokenizer of the labels, each of which is a word.

    >>> from unspool.data.tokenizer import tokenizers
    >>> words = tokenizers.build("tokenizer", "word").fit("a fine film")
    >>> labels = tokenizers.build("labels", "label").fit("O\nB-art\n")
    >>> TaggedText(words, labels).encode({"text": "a film", "label": "O B-art"})
    Row(input=tensor([1, 3]), target=tensor([1, 0]))
    """

    tokenizers: ClassVar[Mapping[str, str]] = {"tokenizer": "word", "labels": "label"}

    def __init__(
        self, tokenizer: Tokenizer, labels: Tokenizer, max_length: Natural = 0, padding: Side = "right"
    ) -> None:
        super().__init__(tokenizer, max_length, padding=padding)
        self.labels = labels

    @property
    def frame(self) -> None:
        """None: every token has a label."""

    @property
    def targets(self) -> Domain:  # type: ignore[override]
        """Label ids."""
        return Tokens(self.labels.size)

    def text(self, record: Record) -> str:
        """The text as it is tokenized: as long as it was written, and a word with a no-break space is one word."""
        return super().text(record).translate(JOINED)

    def texts(self, records: Sequence[Record]) -> dict[str, str]:
        """The texts, and the labels one a line."""
        names = "".join(f"{label}\n" for record in records for label in record["label"].split())
        return super().texts(records) | {"labels": names}

    def encode(self, record: Record) -> Row:
        """The ids of the tokens (T,) and of their labels (T,)."""
        words = self.ids(record)
        if "label" not in record:
            return Row(words)
        due = torch.from_numpy(self.labels.encode("\n".join(record["label"].split())))
        every = len(self.tokenizer.encode(self.text(record)))
        if every != len(due):
            raise DataError(
                f"the text {record['text'][:40]!r} has {every} tokens and {len(due)} labels",
                hint="give each word a label, and read words with tokenizer.kind=word",
            )
        return Row(words, due[: len(words)])

    def collate(self, rows: Sequence[Row]) -> Batch:
        """Texts side by side, with a target at every token."""
        targets = [row.input.new_zeros(len(row.input)) if row.target is None else row.target for row in rows]
        return target_per_position([row.input for row in rows], targets, self.padding)

    def decode(self, output: Tensor, record: Record) -> Prediction:
        """Logits (T, V) as labels, and the spans that they make with their character offsets."""
        text, names = super().text(record), self.target_labels(range(self.labels.size))
        places = self.tokenizer.offsets(self.text(record))[: len(output)]
        scores, ids = output.double().softmax(dim=-1).max(dim=-1)
        tags, chances = [names[id] for id in ids.tolist()], scores.tolist()
        found = []
        for first, end, name in sorted(spans(tags)) if tells_spans(names) else ():
            start, stop = places[first][0], places[end - 1][1]
            found.append(Span(name, start, stop, text[start:stop], fmean(chances[first:end])))
        return Tags([text[start:stop] for start, stop in places], tags, chances, found)

    def target_labels(self, ids: Sequence[int]) -> list[str]:
        """The labels."""
        return label_names(self.labels, ids)


def label_value(record: Record) -> float:
    """A record's label as a number. Raises: DataError where it is none."""
    try:
        return float(record["label"])
    except ValueError:
        raise DataError(f"the label {record['label']!r} is not a number", hint="task.kind=classify") from None
