"""Image classification."""

from unspool.data.pictures import LabelledImages
from unspool.data.preprocessors.images import LabelledImage
from unspool.data.splits import Splits
from unspool.schema import Count
from unspool.tasks.classify import LabelTask
from unspool.tasks.task import tasks


@tasks.register("classify-images")
class ClassifyImages(LabelTask):
    """Classify an image: one label, predicted after the last patch.

    How an image is cut in patches is set in [preprocessor] (`unspool.data.preprocessors.images.LabelledImage`).
    Behind core "pooled" a transformer that reads both ways and has positions is a small vision transformer (Dosovitskiy
    et al. 2020, arXiv:2010.11929). Patches with a height of 1 and a width of 0 are the rows of the image, for a
    recurrent core that reads both ways.

    >>> from unspool import build
    >>> from unspool.data.readers.images import netpbm
    >>> from unspool.data.splits import Splits
    >>> records = [{"image": netpbm(bytes(192)), "label": label} for label in ("cat", "dog")]
    >>> task = build.task({"task": {"kind": "classify-images"}}, Splits(records))
    >>> task.train_batches()[0].inputs.shape  # (B, patches, numbers of a patch)
    torch.Size([2, 4, 48])
    """

    dataset = LabelledImages
    preprocessing = LabelledImage
    preprocessor: LabelledImage

    def __init__(self, splits: Splits, preprocessor: LabelledImage, seed: int = 0, batch_size: Count = 64) -> None:
        super().__init__(splits, preprocessor, seed, batch_size, pool=1)
