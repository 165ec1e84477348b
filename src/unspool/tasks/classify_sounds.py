"""Which label does a sound have?"""

from unspool.data.preprocessors.sounds import LabelledSound
from unspool.data.sounds import Sounds
from unspool.tasks.classify import LabelTask
from unspool.tasks.task import tasks


@tasks.register("classify-sounds")
class ClassifySounds(LabelTask):
    """Which label does a sound have? It is predicted where the sound ends.

    Sounds of similar lengths make a batch: every `pool` batches' worth of rows are sorted by length (1: lengths are as
    they come). How a sound is read is said in [preprocessor] (`unspool.data.preprocessors.sounds.LabelledSound`).
    """

    dataset = Sounds
    preprocessing = LabelledSound
    preprocessor: LabelledSound
