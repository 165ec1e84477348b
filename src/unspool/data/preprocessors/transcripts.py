"""Sounds and what is said in them, for connectionist temporal classification."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from unspool.batch import Batch, Domain, UnalignedTokens, Vectors
from unspool.data.batching.buckets import padded
from unspool.data.frames import FrameOptions, moments
from unspool.data.predictions import Transcript
from unspool.data.preprocessors.preprocessor import Preprocessor, Record, Row, preprocessors, required
from unspool.data.readers.sounds import ENDINGS, read_sound
from unspool.data.sounds import BANDS_LEARNED, bands_fitted, bands_restored
from unspool.data.tokenizer import TextStream, Tokenizer
from unspool.errors import DataError
from unspool.schema import Count, NotNegative, Positive


@preprocessors.register("transcribed-sound")
class TranscribedSound(Preprocessor):
    r"""A sound as steps of standardized log-mel frames, and what is said as the ids of its characters.

    No step depends on a later sample, so that a sound can be read while it goes on: means and scales are those of the
    training sounds, and other sampling rates are changed sample by sample. A little silence stands behind every sound,
    in which a model says the rest.

    Args:
        tokenizer: of the texts, usually one token for each character.
        bands: so many bands of frequencies, as wide as the ear tells them apart.
        window: seconds of a frame.
        hop: seconds from the beginning of a frame to that of the next.
        stack: so many frames are read as one step; a text may have at most as many characters as the sound has steps.
        tail: seconds of silence behind a sound.
        lower: whether texts are read in lower case.

    >>> from unspool.data.synthetic.speech import tone_speech
    >>> from unspool.data.tokenizer import tokenizers
    >>> record = tone_speech(1, lengths=(2, 2))
    >>> preprocessor = TranscribedSound(tokenizers.build("tokenizer", "char").fit(record["text"]), bands=8)
    >>> preprocessor.fit([record])
    >>> row = preprocessor.encode(record)
    >>> row.input.shape, row.target.tolist()  # (T, stack * bands), (U,)
    (torch.Size([45, 24]), [2, 0, 4, 3, 3, 1])
    """

    tokenizers: ClassVar[Mapping[str, str]] = {"tokenizer": "char"}
    fields: ClassVar[Mapping[str, str]] = {"sound": "file"}
    endings: ClassVar[Sequence[str]] = ENDINGS

    def __init__(
        self,
        tokenizer: Tokenizer,
        bands: Count = 40,
        window: Positive = 0.025,
        hop: Positive = 0.01,
        stack: Count = 3,
        tail: NotNegative = 0.3,
        lower: bool = True,
    ) -> None:
        self.tokenizer, self.bands, self.window, self.hop = tokenizer, bands, window, hop
        self.stack, self.tail, self.lower = stack, tail, lower
        self.inputs = Vectors(stack * bands)
        self.mean, self.scale, self.rate = torch.zeros(bands), torch.ones(bands), 0

    @property
    def targets(self) -> Domain:  # type: ignore[override]
        """The ids of the tokens, and the blank."""
        return UnalignedTokens(self.tokenizer.size + 1)

    @property
    def frames(self) -> FrameOptions:
        """How a sound becomes steps."""
        return FrameOptions(self.rate, self.bands, self.window, self.hop, self.stack, self.tail)

    def text(self, record: Record) -> str:
        """What is said, as it is learned and compared: in lower case if so wanted, with single spaces."""
        text = " ".join(unicodedata.normalize("NFC", str(required(record, "text"))).split())
        return text.lower() if self.lower else text

    def texts(self, records: Sequence[Record]) -> dict[str, str]:
        """The texts, with spaces between them: no other character is added."""
        return {"tokenizer": "".join(f"{self.text(record)} " for record in records)}

    def fit(self, records: Sequence[Record]) -> None:
        """Learn the sampling rate of the first sound, and mean and standard deviation of every band."""
        if records:
            self.rate = read_sound(records[0]["sound"])[1]
            steps = torch.cat([self._features(record) for record in records])
            self.mean, self.scale = moments(steps, self.bands)

    def _features(self, record: Record) -> Tensor:
        """The log-mel frames of a sound by step, (T, stack * bands). Raises: DataError for what is no sound."""
        samples, rate = read_sound(required(record, "sound"), self.rate)
        return self.frames.from_rate(np.frombuffer(samples, dtype=np.int16), rate)

    def standardized(self, steps: Tensor) -> Tensor:
        """Steps (T, stack * bands) by mean and standard deviation of each band."""
        return (steps - self.mean.repeat(self.stack)) / self.scale.repeat(self.stack)

    def encode(self, record: Record) -> Row:
        """The standardized steps (T, stack * bands), and the ids of the text (U,) where it has one."""
        steps = self.standardized(self._features(record))
        if not len(steps):
            raise DataError("the sound is shorter than one step", hint="leave it out")
        if "text" not in record:
            return Row(steps)
        return Row(steps, torch.from_numpy(self.tokenizer.encode(self.text(record))).long())

    def collate(self, rows: Sequence[Row]) -> Batch:
        """Sounds side by side; the targets of each stand at its first positions, as many as there are."""
        inputs, mask = padded([row.input for row in rows])
        targets = torch.zeros(mask.shape, dtype=torch.long)
        loss_mask = torch.zeros_like(mask)
        for number, row in enumerate(rows):
            if row.target is not None:
                targets[number, : len(row.target)] = row.target
                loss_mask[number, : len(row.target)] = True
        return Batch(inputs, targets, loss_mask, None if bool(mask.all()) else mask)

    def decode(self, output: Any, record: Record) -> Transcript:
        """The labellings that were found, the best first, as a text with its alternatives."""
        best, *others = [self._transcript(one.ids, one.positions, one.log_probability) for one in output]
        return Transcript(best.text, best.tokens, best.log_probability, [*others], times=best.times)

    def _transcript(self, ids: Sequence[int], positions: Sequence[int], log_probability: float) -> Transcript:
        """A text with its tokens and the seconds at which each is recognized."""
        stream = TextStream(self.tokenizer)
        tokens = [stream.feed(id) for id in ids]
        times = [round(self.frames.end(position), 4) for position in positions]
        return Transcript("".join([*tokens, stream.flush()]).strip(), tokens, log_probability, times=times)

    def target_labels(self, ids: Sequence[int]) -> list[str]:
        """The tokens; "-" is the blank."""
        return [self.tokenizer.token(id) if id < self.tokenizer.size else "-" for id in ids]

    learned: ClassVar[Mapping[str, Any]] = BANDS_LEARNED

    def fitted(self) -> dict[str, Any]:
        """Mean and standard deviation of every band, and samples a second."""
        return bands_fitted(self.mean, self.scale, self.rate)

    def restore(self, fitted: Mapping[str, Any]) -> None:
        """Take all of that back. Raises: ValueError where there is not one mean and one scale for each band."""
        self.mean, self.scale, self.rate = bands_restored(fitted, self.bands)
