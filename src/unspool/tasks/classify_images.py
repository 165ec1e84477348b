"""Which label does an image have?"""

from unspool.data.pictures import LabelledImages
from unspool.data.preprocessors.images import LabelledImage
from unspool.data.splits import Splits
from unspool.schema import Count
from unspool.tasks.classify import LabelTask
from unspool.tasks.task import tasks


@tasks.register("classify-images")
class ClassifyImages(LabelTask):
    """Which label does an image have? It is predicted behind the last patch of the image.

    How an image is cut in patches is said in [preprocessor] (`unspool.data.preprocessors.images.LabelledImage`).
    Behind core "pooled" a transformer that reads both ways and has positions is a small vision transformer (Dosovitskiy
    et al. 2020, arXiv:2010.11929). Patches with a height of 1 and a width of 0 are the rows of the image, for a
    recurrent core that reads both ways.
    """

    dataset = LabelledImages
    preprocessing = LabelledImage
    preprocessor: LabelledImage

    def __init__(self, splits: Splits, preprocessor: LabelledImage, seed: int = 0, batch_size: Count = 64) -> None:
        super().__init__(splits, preprocessor, seed, batch_size, pool=1)
