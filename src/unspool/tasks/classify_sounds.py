"""Sound classification."""

from unspool.data.preprocessors.sounds import LabelledSound
from unspool.data.sounds import Sounds
from unspool.tasks.classify import LabelTask
from unspool.tasks.task import tasks


@tasks.register("classify-sounds")
class ClassifySounds(LabelTask):
    """Classify a sound: one label, predicted where the sound ends.

    Sounds of similar lengths make a batch: every `pool` batches' worth of rows are sorted by length (1: lengths are as
    they come). How a sound is read is set in [preprocessor] (`unspool.data.preprocessors.sounds.LabelledSound`).

    >>> from unspool import build
    >>> from fractions import Fraction
    >>> from unspool.data.music.notes import Note, Score
    >>> from unspool.data.music.synth import wav
    >>> from unspool.data.splits import Splits
    >>> sounds = [wav(Score([Note(Fraction(0), Fraction(1), pitch)], speed=600.0), rate=8000) for pitch in (60, 69)]
    >>> records = [{"sound": sounds[0], "label": "low"}, {"sound": sounds[1], "label": "high"}]
    >>> build.task({"task": {"kind": "classify-sounds"}}, Splits(records)).train_batches()[0].inputs.shape
    torch.Size([2, 14, 40])
    """

    dataset = Sounds
    preprocessing = LabelledSound
    preprocessor: LabelledSound
