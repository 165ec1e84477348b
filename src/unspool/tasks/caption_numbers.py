"""Captions of a few numbers: from a vector to a sequence."""

from unspool.data.captioned_features import CaptionedFeatures
from unspool.data.preprocessors.captions import CaptionedNumbers
from unspool.tasks.caption import CaptionTask
from unspool.tasks.task import tasks


@tasks.register("caption-numbers")
class CaptionNumbers(CaptionTask):
    """Say in words what a few numbers mean: a plain vector goes in, a sequence of words comes out.

    The numbers are standardized by the training records, and are one step of the encoder's time: "window-mlp" with a
    window of 1, a feed-forward network, suffices. With `preprocessor.vectors` they are as many steps, such as the
    places of an image, and a core may attend to them. The other settings, and what is measured of the set "generated",
    are those of the task "caption".

    >>> from unspool import build
    >>> from unspool.data.splits import Splits
    >>> rows = [{"features": {"degrees": n, "wind": 1.0}, "captions": ["it is cold"]} for n in (1.0, 3.0)]
    >>> task = build.task({"task": {"kind": "caption-numbers"}}, Splits(rows))
    >>> task.train_batches()[0].source.shape  # (B, 1, numbers)
    torch.Size([2, 1, 2])
    """

    dataset = CaptionedFeatures
    preprocessing = CaptionedNumbers
    preprocessor: CaptionedNumbers
