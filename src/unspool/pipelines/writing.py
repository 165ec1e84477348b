"""Writers: models that go on with what they have read, token by token."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

from unspool.data.music.abc_reader import parse_tune
from unspool.data.music.chorales import as_score
from unspool.data.music.prompts import chorale_prompt, is_piece, tune_prompt
from unspool.data.predictions import Prediction
from unspool.data.preprocessors.music import TuneText
from unspool.data.preprocessors.preprocessor import Record
from unspool.data.readers.text import clean
from unspool.errors import ConfigError, DataError
from unspool.generate.documents import LONGEST, DocumentFormat, generate_documents
from unspool.generate.sampling import Sampling
from unspool.metrics.metric import MetricFactory
from unspool.metrics.music import ChoraleShares, TuneShares
from unspool.pipelines.pipeline import Pipeline
from unspool.schema import Count, NotNegative


class Writer(Pipeline):
    """Goes on with what it has read.

    There are two ways to write: a stream of text, which `Run.stream` and `unspool sample` run, and whole documents,
    where the preprocessor says how one begins and ends (`unspool sample --to FOLDER`).
    """

    verb = "sample"
    streams: ClassVar[bool] = False
    """Whether what it writes is text that can be shown token by token."""
    metrics: ClassVar[tuple[MetricFactory, ...]] = ()
    """What is measured of its documents."""
    sampling = Sampling()
    """How documents are drawn in an evaluation."""

    def generate_documents(
        self,
        count: Count,
        max_length: Count = LONGEST,
        sampling: Sampling | None = None,
        seed: int | None = None,
        prompt: str = "",
    ) -> Iterator[Any]:
        """Generate whole documents.

        Args:
            count: how many.
            max_length: how many tokens each has at most, behind what it begins with.
            sampling: how to draw; None: as in an evaluation.
            seed: a document follows from the seed and its number alone; None: others in every call.
            prompt: what each begins with.

        Returns:
            The documents as the preprocessor decodes them, in the order in which they end.

        Raises:
            ConfigError: the model writes no whole documents, or cannot read the prompt.
        """
        format = self.preprocessor
        if not isinstance(format, DocumentFormat):
            raise ConfigError("this model writes no whole documents", hint="leave out --to")
        made = generate_documents(self.model, format, count, max_length, sampling or self.sampling, seed, prompt)
        return (self.preprocessor.decode(document, {}) for document in made)

    def predict(self, records: Iterable[Record], batch_size: Count = 1) -> Iterator[Prediction]:
        """The documents of these numbers, the same ones in every call, for an evaluation.

        Args:
            records: each with its `number`.
            batch_size: of no consequence: documents are generated side by side.
        """
        numbers = [record["number"] for record in records]
        found = {document.number: document for document in self.generate_documents(max(numbers) + 1, seed=0)}
        return (found[number] for number in numbers)


@dataclass(frozen=True)
class PieceOfMusic:
    """A prompt that was read from a file of music."""

    text: str  # as the preprocessor takes it
    summary: str  # what was read, and where the prompt ends in what is written


def read_prompt(pipeline: Pipeline, prompt: str) -> tuple[str, str]:
    """The prompt as text, and a line on it where it names a file that the pipeline can read.

    Args:
        pipeline: of the run.
        prompt: what somebody gave: text, notes, or the path of a piece.

    Raises:
        DataError: it names a file that the pipeline cannot read.
    """
    if isinstance(pipeline, TuneWriter | ChoraleWriter):
        if is_piece(prompt):
            piece = pipeline.read_piece(prompt)
            return piece.text, piece.summary
        if is_file(prompt) and Path(prompt).suffix:
            raise DataError(f"{prompt} is no piece: they are read from .abc, .mid and .midi", hint="save it as one")
    elif is_piece(prompt) and is_file(prompt):
        raise DataError(
            f"{prompt} is a file of music, and this model writes text",
            hint="`unspool train music` makes a model that goes on with tunes",
        )
    return prompt, ""


def is_file(prompt: str) -> bool:
    """Whether a prompt names a file."""
    try:
        return Path(prompt).is_file()
    except (OSError, ValueError):  # too long for a name, or a zero byte
        return False


class TextWriter(Writer):
    """Goes on with a text."""

    streams = True


class TuneWriter(Writer):
    """Writes tunes in ABC notation, as a stream of text or whole.

    Args:
        temperature: at which the tunes of an evaluation are drawn.
    """

    streams = True
    metrics = (TuneShares,)

    def __init__(self, model: Any, preprocessor: Any, temperature: NotNegative = 0.7) -> None:
        super().__init__(model, preprocessor)
        self.sampling = Sampling(temperature)

    def read_piece(self, path: str) -> PieceOfMusic:
        """The tune in an ABC or MIDI file as a prompt.

        Raises:
            DataError: it cannot be written as a tune of one voice, or has a character that the model does not know.
        """
        tokenizer = cast(TuneText, self.preprocessor).tokenizer
        text = known_title(tune_prompt(path), tokenizer.unknown)
        unknown = tokenizer.unknown(text)
        if unknown:
            tie = "" if "-" not in unknown else "give it its own metre, so that no note is tied over a bar line, or "
            raise DataError(
                f"{path}: the model's tunes are written without {', '.join(map(repr, unknown[:5]))}",
                hint=f"{tie or 'write it with other keys and lengths, or '}train on tunes that have it",
            )
        score = parse_tune(text).score()
        return PieceOfMusic(text, said(path, f"{text.count('|')} bar lines", score.seconds))


class ChoraleWriter(Writer):
    """Writes whole chorales.

    Args:
        temperature: at which the chorales of an evaluation are drawn.
    """

    metrics = (ChoraleShares,)

    def __init__(self, model: Any, preprocessor: Any, temperature: NotNegative = 0.9) -> None:
        super().__init__(model, preprocessor)
        self.sampling = Sampling(temperature)

    def read_piece(self, path: str) -> PieceOfMusic:
        """The chords in a MIDI or ABC file as a prompt. Raises: DataError where they are no chords of four voices."""
        chords, between = chorale_prompt(path)
        text = ", ".join(" ".join(map(str, chord)) or "rest" for chord in chords)
        left_out = f" ({between} notes between the beats are left out)" if between else ""
        return PieceOfMusic(text, said(path, f"{len(chords)} chords{left_out}", as_score(chords).seconds))


def known_title(text: str, unknown: Callable[[str], list[str]]) -> str:
    """A tune with its title in letters that a model can read, else without; of a title nothing sounds."""
    header, _, rest = text.partition("\nT:")
    title, _, music = rest.partition("\n")
    if unknown(title):
        title = clean(title, ascii=True, squeeze=True).strip()
    return f"{header}\nT:{'A' if not title or unknown(title) else title}\n{music}"


def said(path: str, what: str, seconds: float) -> str:
    """Where a prompt ends."""
    return f"goes on from {path}: {what}; the prompt ends after {seconds:.1f} s"
