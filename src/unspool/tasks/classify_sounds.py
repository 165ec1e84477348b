"""Which label does a sound have?"""

from collections.abc import Mapping
from typing import ClassVar

import torch

from unspool.batch import Vectors
from unspool.data.batching.buckets import Side
from unspool.data.sounds import Sounds, log_mel
from unspool.data.splits import Splits, parts
from unspool.data.tokenizer import Tokenizer
from unspool.schema import Count, Natural, Positive
from unspool.tasks.legacy import tasks
from unspool.tasks.one_label import OneLabel, answered


@tasks.register("classify-sounds")
class ClassifySounds(OneLabel):
    """Which label does a sound have? The answer is asked for where the sound ends.

    A sound is read as frames of `window` seconds, one every `hop` seconds: how loud each of `bands` bands of
    frequencies is, in logarithms, as far as it is from the mean of the training sounds. The first `longest` frames are
    read (0: all). `padding`, `masked` and `pool` are as for the task "classify".
    """

    dataset = Sounds
    tokenizers: ClassVar[Mapping[str, str]] = {"labels": "label"}

    def __init__(
        self,
        splits: Splits,
        labels: Tokenizer,
        seed: int = 0,
        bands: Count = 40,
        window: Positive = 0.025,
        hop: Positive = 0.01,
        batch_size: Count = 32,
        longest: Natural = 0,
        padding: Side = "right",
        masked: bool = True,
        pool: Natural = 50,
    ) -> None:
        self.inputs = Vectors(bands)
        every = parts(splits)
        heard = {
            name: [log_mel(r["samples"], r["rate"], bands, window, hop)[: longest or None] for r in records]
            for name, records in every.items()
        }
        known = torch.cat(heard["train"])
        mean, spread = known.mean(dim=0), known.std(dim=0).clamp(min=1e-3)
        rows = {
            name: answered([(sound - mean) / spread for sound in sounds], every[name], labels)
            for name, sounds in heard.items()
        }
        super().__init__(rows, labels, batch_size, padding, masked, pool, 0, seed)
