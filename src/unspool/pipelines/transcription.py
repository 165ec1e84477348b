"""Speech to text: of whole sounds, and while a sound goes on."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int16

from unspool.batch import Batch
from unspool.data.frames import FrameStream
from unspool.data.predictions import Caption
from unspool.data.preprocessors.preprocessor import Record, Row
from unspool.data.preprocessors.transcripts import TranscribedSound
from unspool.data.readers.pcm import stored_sound
from unspool.data.tokenizer import TextStream
from unspool.generate.ctc import GreedyDecoder, Labelling, greedy, prefix_beam_search
from unspool.models.sequence import SequenceModel
from unspool.nn.part import CoreState
from unspool.pipelines.pipeline import Predictor
from unspool.schema import Count, Natural


class Transcription(Predictor):
    """What is said in a sound: of whole sounds with `predict`, while they go on with `stream` and `listen`.

    Args:
        model: a trained model whose core is causal.
        preprocessor: the one that it was trained with.
        beam: so many prefixes are searched with; 1 is greedy. A sound that goes on is always decoded greedily.
    """

    preprocessor: TranscribedSound

    def __init__(self, model: SequenceModel, preprocessor: TranscribedSound, beam: Count = 1) -> None:
        super().__init__(model, preprocessor)
        self.beam = beam

    def encode(self, record: Record) -> Row:
        """A sound as steps, without its text. Raises: DataError for what is no sound."""
        return self.preprocessor.encode({"sound": record.get("sound")})

    def fitting(self, row: Row) -> Row:
        """A sound of any length fits: a core of limited length reads it through a window."""
        return row

    def forward(self, batch: Batch) -> Sequence[list[Labelling]]:
        """What is found in each row of a batch, the best first."""
        limit, length = self.engine.max_length, batch.inputs.shape[1]
        fits = limit is None or length <= limit
        scores = self.engine.forward(batch) if fits else self.engine.reader().feed(batch.inputs)
        lengths = [length] * len(scores) if batch.mask is None else batch.mask.sum(dim=1).tolist()
        rows = [row[:size] for row, size in zip(scores.cpu(), lengths, strict=True)]
        return [[greedy(row)] if self.beam == 1 else prefix_beam_search(row, self.beam) for row in rows]

    def stream(self, sound: Any, rate: Natural = 0) -> Iterator[Caption]:
        """The captions of a sound while it goes on, each as soon as the model recognizes something.

        Args:
            sound: the path of a sound file, the bytes of one, an array of samples (T,), or an iterable of arrays of
                16-bit samples, as a microphone gives them.
            rate: samples a second of samples; 0: as in training.

        Returns:
            An iterator of captions: the text so far, what is new, and how many seconds were heard.

        Raises:
            DataError: for what is no sound.
        """
        pieces: Iterable[Int16[np.ndarray, " N"]] = sound
        if isinstance(sound, np.ndarray | str | bytes) or not isinstance(sound, Iterable):
            pieces, rate = stored_sound(sound, rate or self.preprocessor.rate)
        captions = self.listen(rate)
        for piece in pieces:
            yield from captions.feed(piece)
        yield from captions.close()

    def listen(self, rate: Natural = 0) -> "Listener":
        """What a sound is fed to, piece by piece.

        Args:
            rate: samples a second; 0: as in training.
        """
        return Listener(self, rate)


class Listener:
    """Recognizes a sound while it goes on. What it said it never takes back, and nothing depends on later samples.

    Each step of the sound is read alone, from the state that the step before left. So states and captions are the same
    bits whatever follows, and in whatever pieces the sound arrives.

    Args:
        pipeline: with the model and its preprocessor.
        rate: samples a second; 0: as in training.
    """

    def __init__(self, pipeline: Transcription, rate: Natural = 0) -> None:
        self.preprocessor = pipeline.preprocessor
        self.frames = FrameStream(self.preprocessor.frames, rate)
        self.reader = pipeline.engine.reader()
        self.decoder = GreedyDecoder(self.preprocessor.targets.size - 1)
        self.decoding = TextStream(self.preprocessor.tokenizer)
        self.text = ""

    @property
    def state(self) -> CoreState:
        """A copy of the state of the model's core behind what was heard."""
        return self.reader.core

    @property
    def seconds(self) -> float:
        """How much of the sound was read."""
        return self.preprocessor.frames.end(self.reader.position - 1) if self.reader.position else 0.0

    def feed(self, samples: Int16[np.ndarray, " N"]) -> Iterator[Caption]:
        """What these samples make it recognize; take all captions before more is fed."""
        yield from self._read(self.frames.feed(samples))

    def close(self) -> Iterator[Caption]:
        """What the silence behind the sound makes it recognize."""
        yield from self._read(self.frames.close())

    def _read(self, steps: Iterable[Any]) -> Iterator[Caption]:
        for step in steps:
            scores = self.reader.feed(self.preprocessor.standardized(step).unsqueeze(0))
            found = self.decoder.feed(scores[0].argmax(dim=-1).tolist())
            added = "".join(self.decoding.feed(id) for id, _ in found)
            added = added if self.text else added.lstrip()
            if added:
                self.text += added
                yield Caption(self.text, added, round(self.seconds, 4))
