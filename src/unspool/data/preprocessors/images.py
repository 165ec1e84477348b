"""Images with one label each."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from unspool.batch import Batch, Domain, Vectors
from unspool.data.preprocessors.labels import LabelledRecord, label_id
from unspool.data.preprocessors.preprocessor import Record, Row, preprocessors, required
from unspool.data.readers.images import ENDINGS, ImageSide, netpbm_width, numbers, patches, read_image, shape
from unspool.data.tokenizer import Tokenizer
from unspool.errors import ConfigError
from unspool.schema import Natural


@preprocessors.register("labelled-image")
class LabelledImage(LabelledRecord):
    """An image as patches in reading order, and its label, one of a few.

    Args:
        labels: the tokenizer of the labels.
        side: images are resized to `side` times `side` pixels; 0: to the size of the training images (`data.side`).
        patch_height: of a patch, in pixels (0: the whole side).
        patch_width: likewise. A height of 1 and a width of 0 are the rows of the image, from the top to the bottom.

    >>> from unspool.data.readers.images import netpbm
    >>> from unspool.data.tokenizer import tokenizers
    >>> labels = tokenizers.build("labels", "label").fit("cat\\ndog\\n")
    >>> row = LabelledImage(labels, side=4, patch_height=2).encode({"image": netpbm(bytes(48)), "label": "dog"})
    >>> row.input.shape, row.target
    (torch.Size([2, 24]), tensor(1))
    """

    fields: ClassVar[Mapping[str, str]] = {"image": "file"}
    endings: ClassVar[Sequence[str]] = ENDINGS

    def __init__(
        self, labels: Tokenizer, side: Natural = 0, patch_height: Natural = 4, patch_width: Natural = 4
    ) -> None:
        self.labels, self.side = labels, side
        self.patch_height, self.patch_width = patch_height, patch_width
        self.size = side

    @property
    def patch(self) -> tuple[int, int]:
        """Height and width of a patch, in pixels. Raises: ConfigError where images cannot be cut so."""
        if not self.size:
            raise ConfigError("the size of the images is not known", hint="set preprocessor.side=32")
        return shape(self.size, self.patch_height, self.patch_width)

    @property
    def inputs(self) -> Domain:  # type: ignore[override]
        """The red, green and blue of the pixels of a patch."""
        height, width = self.patch
        return Vectors(3 * height * width)

    def fit(self, records: Sequence[Record]) -> None:
        """Learn the size of the training images, unless `side` says another."""
        image = records[0]["image"] if records else None
        self.size = self.side or (netpbm_width(image) if isinstance(image, bytes) else 0)
        if records:
            self.patch  # noqa: B018 (it says what does not fit)

    def encode(self, record: Record) -> Row:
        """The patches (S, 3 * height * width) from 0 to 255, and the id of the label ()."""
        image = read_image(required(record, "image"), self.size)
        return Row(patches(image, self.size, *self.patch), label_id(record, self.labels))

    def collate(self, rows: Sequence[Row]) -> Batch:
        """Images side by side; pixels become numbers here, and take a quarter of the room until then."""
        batch = super().collate(rows)
        return replace(batch, inputs=numbers(batch.inputs))

    learned: ClassVar[Mapping[str, Any]] = {"side": ImageSide}

    def fitted(self) -> dict[str, Any]:
        """The side of an image, in pixels."""
        return {"side": self.size}

    def restore(self, fitted: Mapping[str, Any]) -> None:
        """Take the side back."""
        self.size = int(fitted["side"])
