"""Which label does an image have?"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isqrt
from typing import ClassVar

from unspool.batch import Batch, Vectors
from unspool.data.batching.bucketed import Bucketed, Row
from unspool.data.pictures import LabelledImages
from unspool.data.readers.images import numbers, patches, read_image, shape
from unspool.data.splits import Splits, parts
from unspool.data.tokenizer import Tokenizer
from unspool.schema import Count, Natural
from unspool.tasks.legacy import tasks
from unspool.tasks.one_label import OneLabel, answered


class _Pixels(Bucketed):
    """Rows of pixels, which become numbers where a batch is made: they take a quarter of the room until then."""

    def batch(self, rows: Sequence[Row]) -> Batch:
        made = super().batch(rows)
        return replace(made, inputs=numbers(made.inputs))


@tasks.register("classify-images")
class ClassifyImages(OneLabel):
    """Which label does an image have? The answer is asked for where the image ends.

    An image is read as patches of `patch_height` times `patch_width` pixels (0: the whole side), in reading order.
    Behind core "pooled" a transformer that sees both ways and has positions is a small vision transformer (Dosovitskiy
    et al. 2020, arXiv:2010.11929). A height of 1 and a width of 0 are the rows of the image, from the top to the
    bottom, for a recurrent core that reads both ways.
    """

    dataset = LabelledImages
    tokenizers: ClassVar[Mapping[str, str]] = {"labels": "label"}
    batching = _Pixels

    def __init__(
        self,
        splits: Splits,
        labels: Tokenizer,
        seed: int = 0,
        patch_height: Natural = 4,
        patch_width: Natural = 4,
        batch_size: Count = 64,
    ) -> None:
        every = parts(splits)
        side = splits.train and isqrt(len(splits.train[0]["image"]) // 3)
        patch = shape(side, patch_height, patch_width)
        self.inputs = Vectors(3 * patch[0] * patch[1])
        rows = {
            name: answered(
                [patches(read_image(record["image"], side), side, *patch) for record in records], records, labels
            )
            for name, records in every.items()
        }
        super().__init__(rows, labels, batch_size, "right", True, 1, 0, seed)
