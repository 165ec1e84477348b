"""Sounds with one label each."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from unspool.batch import Batch, Vectors
from unspool.data.batching.buckets import Side
from unspool.data.batching.collate import one_target
from unspool.data.frames import moments
from unspool.data.preprocessors.labels import LabelledRecord, label_id
from unspool.data.preprocessors.preprocessor import Record, Row, answers, preprocessors, required
from unspool.data.readers.sounds import ENDINGS, read_sound
from unspool.data.resampling import resampled
from unspool.data.sounds import BANDS_LEARNED, bands_fitted, bands_restored, log_mel
from unspool.data.tokenizer import Tokenizer
from unspool.schema import Count, Natural, Positive


@preprocessors.register("labelled-sound")
class LabelledSound(LabelledRecord):
    r"""A sound as the loudness of bands of frequencies in each frame, standardized, and its label, one of a few.

    Args:
        labels: the tokenizer of the labels.
        bands: so many bands of frequencies, as wide as the ear tells them apart.
        window: seconds of a frame.
        hop: seconds from the beginning of a frame to that of the next.
        max_length: only the first so many frames of a sound are read (0: all).
        padding: the side on which shorter sounds of a batch are padded.
        mask_padding: whether the padding is masked; see `unspool.data.batching.collate.one_target`.

    >>> from fractions import Fraction
    >>> from unspool.data.music.notes import Note, Score
    >>> from unspool.data.music.synth import wav
    >>> from unspool.data.tokenizer import tokenizers
    >>> record = {"sound": wav(Score([Note(Fraction(0), Fraction(1), 69)], speed=600.0), rate=8000), "label": "a"}
    >>> preprocessor = LabelledSound(tokenizers.build("labels", "label").fit("a\nb\n"), bands=8)
    >>> preprocessor.fit([record])
    >>> preprocessor.encode(record).input.shape  # (T, bands)
    torch.Size([14, 8])
    """

    fields: ClassVar[Mapping[str, str]] = {"sound": "file"}
    endings: ClassVar[Sequence[str]] = ENDINGS

    def __init__(
        self,
        labels: Tokenizer,
        bands: Count = 40,
        window: Positive = 0.025,
        hop: Positive = 0.01,
        max_length: Natural = 0,
        padding: Side = "right",
        mask_padding: bool = True,
    ) -> None:
        self.labels, self.bands, self.window, self.hop = labels, bands, window, hop
        self.max_length, self.padding, self.mask_padding = max_length, padding, mask_padding
        self.inputs = Vectors(bands)
        self.mean, self.scale, self.rate = torch.zeros(bands), torch.ones(bands), 0

    def fit(self, records: Sequence[Record]) -> None:
        """Learn the sampling rate, and mean and standard deviation of every band over the training sounds."""
        if records:
            self.rate = read_sound(records[0]["sound"])[1]
            frames = torch.cat([self.loudness(record) for record in records])
            self.mean, self.scale = moments(frames, self.bands)

    def loudness(self, record: Record) -> Tensor:
        """The logarithms of the loudness of every band in every frame that is read, (T, bands).

        A sound with another sampling rate than the first training sound is resampled.

        Raises: DataError for what is no sound.
        """
        samples, rate = read_sound(required(record, "sound"), self.rate)
        if self.rate:
            samples = resampled(np.frombuffer(samples, dtype=np.int16), rate, self.rate).tobytes()
            rate = self.rate
        return log_mel(samples, rate, self.bands, self.window, self.hop)[: self.max_length or None]

    def encode(self, record: Record) -> Row:
        """The standardized frames (T, bands), and the id of the label ()."""
        return Row((self.loudness(record) - self.mean) / self.scale, label_id(record, self.labels))

    def collate(self, rows: Sequence[Row]) -> Batch:
        """Sounds side by side; the target is predicted at the end of each."""
        targets = answers(rows, self.targets)
        return one_target([row.input for row in rows], targets, self.padding, self.mask_padding)

    learned: ClassVar[Mapping[str, Any]] = BANDS_LEARNED

    def fitted(self) -> dict[str, Any]:
        """Mean and standard deviation of every band, and samples a second."""
        return bands_fitted(self.mean, self.scale, self.rate)

    def restore(self, fitted: Mapping[str, Any]) -> None:
        """Take all of that back. Raises: ValueError where there is not one mean and one scale for each band."""
        self.mean, self.scale, self.rate = bands_restored(fitted, self.bands)
