"""Images and vectors of numbers with captions."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from torch import Tensor

from unspool.batch import Batch, Domain, Vectors
from unspool.data.preprocessors.generation import SourceAndText, TokenizedTarget
from unspool.data.preprocessors.numbers import StandardizedNumbers
from unspool.data.preprocessors.parallel import prepared
from unspool.data.preprocessors.preprocessor import Record, Row, preprocessors, required
from unspool.data.punctuation import join_punctuation
from unspool.data.readers.images import ENDINGS, ImageSide, netpbm_width, numbers, patches, read_image, shape
from unspool.data.tokenizer import Tokenizer
from unspool.errors import ConfigError
from unspool.schema import Count, Natural

SIDE = 32
"""The side of images in pixels, where nobody says another."""


class CaptionText(TokenizedTarget, SourceAndText):  # type: ignore[override]
    """The caption of a source between two line breaks: in lower case, with punctuation apart from words."""

    tokenizers: ClassVar[Mapping[str, str]] = {"tokenizer": "word"}

    def texts(self, records: Sequence[Record]) -> dict[str, str]:
        """All right captions, one a line."""
        return {"tokenizer": "".join(f"{prepared(caption)}\n" for r in records for caption in r["captions"])}

    def caption(self, caption: str) -> Tensor:
        """The ids of a raw caption between two line breaks, (U,)."""
        return self.framed(self.tokenizer.encode(prepared(caption)).tolist())

    def target(self, record: Record) -> Tensor | None:
        """The ids of the `target` of a record, (U,); None where it has none."""
        return self.caption(str(record["target"])) if "target" in record else None

    def references(self, record: Record) -> list[list[str]]:
        """The words of every right caption."""
        return [prepared(caption).split() for caption in record["captions"]]

    def text(self, ids: Sequence[int]) -> str:
        """The caption, its punctuation where it is usually written."""
        return join_punctuation(self.tokenizer.decode(ids))


@preprocessors.register("captioned-image")
class CaptionedImage(CaptionText):
    """An image as patches in reading order, and a caption between two line breaks.

    Captions are read in lower case, with punctuation apart from words.

    Args:
        tokenizer: of the captions.
        side: images are resized to `side` times `side` pixels; 0: as drawn scenes are (`data.side`), and files to 32.
        patch_height: of a patch, in pixels (0: the whole side).
        patch_width: likewise.

    >>> from unspool.data.readers.images import netpbm
    >>> from unspool.data.tokenizer import tokenizers
    >>> words = tokenizers.build("tokenizer", "word").fit("red \\n")
    >>> row = CaptionedImage(words, side=4, patch_height=2, patch_width=4).encode({"image": netpbm(bytes(48))})
    >>> row.input.shape, row.target
    (torch.Size([2, 24]), None)
    """

    fields: ClassVar[Mapping[str, str]] = {"image": "file"}
    endings: ClassVar[Sequence[str]] = ENDINGS

    def __init__(
        self, tokenizer: Tokenizer, side: Natural = 0, patch_height: Natural = 4, patch_width: Natural = 4
    ) -> None:
        self.tokenizer, self.side = tokenizer, side
        self.patch_height, self.patch_width = patch_height, patch_width
        self.size = side or SIDE

    @property
    def patch(self) -> tuple[int, int]:
        """Height and width of a patch, in pixels. Raises: ConfigError where images cannot be cut so."""
        return shape(self.size, self.patch_height, self.patch_width)

    @property
    def source(self) -> Domain:  # type: ignore[override]
        """The red, green and blue of the pixels of a patch."""
        height, width = self.patch
        return Vectors(3 * height * width)

    def fit(self, records: Sequence[Record]) -> None:
        """Learn the size of drawn scenes, unless `side` says another."""
        image = records[0]["image"] if records else None
        self.size = self.side or (netpbm_width(image) if isinstance(image, bytes) else 0) or SIDE
        self.patch  # noqa: B018 (it says what does not fit)

    learned: ClassVar[Mapping[str, Any]] = {"side": ImageSide}

    def fitted(self) -> dict[str, Any]:
        """The side of an image, in pixels."""
        return {"side": self.size}

    def restore(self, fitted: Mapping[str, Any]) -> None:
        """Take the side back."""
        self.size = int(fitted["side"])

    def patches(self, image: Any) -> Tensor:
        """The patches of an image, (S, 3 * height * width) from 0 to 255."""
        return patches(read_image(image, self.size), self.size, *self.patch)

    def encode(self, record: Record) -> Row:
        """The patches of an image (S, 3 * height * width), and the ids of its `target` (U,) where it has one."""
        return Row(self.patches(required(record, "image")), self.target(record))

    def collate(self, rows: Sequence[Row]) -> Batch:
        """Images and captions side by side; pixels become numbers here, and take a quarter of the room until then."""
        batch = super().collate(rows)
        return replace(batch, source=numbers(batch.source))  # type: ignore[arg-type]


@preprocessors.register("captioned-numbers")
class CaptionedNumbers(CaptionText):
    r"""Numbers as a source, standardized by the training records, and a caption between two line breaks.

    Args:
        tokenizer: of the captions.
        vectors: how many vectors the numbers are, one after the other, such as what is seen in each place of an image:
            a core can attend to them. 1: all numbers are one.

    >>> from unspool.data.tokenizer import tokenizers
    >>> made = CaptionedNumbers(tokenizers.build("tokenizer", "word").fit("warm \n"))
    >>> made.fit([{"features": {"degrees": 1.0}}, {"features": {"degrees": 3.0}}])
    >>> made.encode({"degrees": "3", "target": "warm"}).input
    tensor([[1.]])
    """

    learned: ClassVar[Mapping[str, Any]] = StandardizedNumbers.learned

    def __init__(self, tokenizer: Tokenizer, vectors: Count = 1) -> None:
        self.tokenizer, self.vectors = tokenizer, vectors
        self.numbers = StandardizedNumbers()

    @property
    def fields(self) -> Mapping[str, str]:  # type: ignore[override]
        """The names of the numbers: each stands in a column of its own."""
        return dict.fromkeys(self.numbers.names, "")

    @property
    def source(self) -> Domain:  # type: ignore[override]
        """The numbers of one vector."""
        return Vectors(len(self.numbers.names) // self.vectors)

    def fit(self, records: Sequence[Record]) -> None:
        """Learn the names of the numbers, and mean and standard deviation of each."""
        self.numbers.fit(records)
        if len(self.numbers.names) % self.vectors:
            raise ConfigError(
                f"{len(self.numbers.names):,} numbers are not {self.vectors:,} vectors of one size",
                hint="set preprocessor.vectors to a divisor, or name the columns with data.features",
            )

    def encode(self, record: Record) -> Row:
        """The standardized numbers (vectors, size), and the ids of its `target` (U,) where it has one."""
        target = None if "target" in self.numbers.names else self.target(record)  # a number may be called so
        return Row(self.numbers.vector(record).view(self.vectors, -1), target)

    def fitted(self) -> dict[str, Any]:
        """The names of the numbers, and mean and standard deviation of each."""
        return self.numbers.fitted()

    def restore(self, fitted: Mapping[str, Any]) -> None:
        """Take all of that back."""
        self.numbers.restore(fitted)
