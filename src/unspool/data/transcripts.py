"""The [data] section of the task `transcribe`: sounds with what is said in them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from unspool.data.labelled import cell_text, picked
from unspool.data.readers.sounds import ENDINGS, decode_sound
from unspool.data.readers.tables import Record, TableFormat
from unspool.data.readers.text import unreadable
from unspool.data.readers.trees import ARCHIVES
from unspool.data.records import SHUFFLE, Found, check_paths, gather, given_files, read_splits, split, split_tables
from unspool.data.resampling import resampled
from unspool.data.sounds import Sounds
from unspool.data.splits import SplitOptions, SplitPaths, Splits
from unspool.data.synthetic.speech import DIGITS, Clip, joined_strings, tone_speech
from unspool.errors import ConfigError, DataError, unknown
from unspool.schema import Count, NotNegative
from unspool.seeds import mix

CORPORA = ("tones",)
"""What is made here, and needs no file."""


@dataclass
class Transcripts(SplitOptions, TableFormat, SplitPaths):
    """Sounds and what is said in them: a table, recorded words that are joined to strings, or tones that are made here.

    A table (.csv, .tsv, .json, .jsonl, .parquet) has the columns `file`, the name of a sound file beside the table, and
    `text`; or `path` is a folder with train.csv and the like. WAV is read, and with soundfile FLAC, mp3 and ogg. A
    record whose sound cannot be read is left out and reported.

    A folder or .tar.gz of sound files without a table are recorded words, as `7_george_3.wav`: what is said, and by
    whom. `strings` of `shortest` to `longest` of them are joined for training, with up to `gap` seconds between two,
    each by one speaker; for validation and test fewer, from other recordings. Digits are spelled, "seven". The
    recordings for the test are those whose names `test_names` describes.

    Without files of yours the corpus "tones" makes `strings` of words, each letter of which is a chord of two tones.

    The other keys are those of all records: `valid` and `test` are shares, drawn once and for all, and `valid_path` and
    `test_path` are tables of their own.

    Args:
        path: a table, a folder with tables, or a folder or .tar.gz of recorded words.
        corpus: "tones": tone speech, where no path is given.
        file: the column of the sound files' names.
        text: the column of what is said.
        strings: so many strings are made for training ("tones": for all splits), where they are made.
        shortest: the least words of such a string.
        longest: the most words.
        gap: at most so many seconds are between two of its words.
        test_names: recordings of such names are for the test; "": a share is drawn.

    >>> splits = Transcripts(corpus="tones", strings=10, valid=0.2).read()
    >>> len(splits.train), splits.train[0]["text"]
    (8, 'h daf g eec')
    """

    path: str = ""
    corpus: str = ""
    file: str = field(default="file", kw_only=True)
    text: str = field(default="text", kw_only=True)
    strings: Count = field(default=4000, kw_only=True)
    shortest: Count = field(default=1, kw_only=True)
    longest: Count = field(default=5, kw_only=True)
    gap: NotNegative = field(default=0.3, kw_only=True)
    test_names: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.corpus = "" if self.path or self.train_path else self.corpus
        if self.corpus and self.corpus not in CORPORA:
            raise unknown("corpus of sounds", self.corpus, CORPORA)
        check_paths(self.path or self.corpus, self)
        if self.longest < self.shortest:
            raise ConfigError(
                f"data.longest={self.longest} is less than data.shortest={self.shortest}",
                hint=f"data.longest={self.shortest}",
            )

    def read(self) -> Splits[list[Record]]:
        """Read or make, check and split."""
        if self.corpus:
            return self.tones()
        if is_recordings(self.path or self.train_path):
            return self.recordings()
        notes: list[str] = []
        found = gather(self.path, self, lambda path: self.found(path, notes))
        return split(found, self, notes, given_files(self.path, self), self.taken)

    def from_stdin(self, splits: Splits[list[Record]]) -> str:
        """Sounds are never read from standard input."""
        return ""

    def found(self, path: str, notes: list[str]) -> Found:
        """The rows of the tables, each with the folder that its files are beside."""
        place = Path(os.path.expanduser(path))
        if place.suffix.lower() in ENDINGS:
            what = f"{path} is a sound, and a table with the columns {self.file},{self.text} or a folder is wanted"
            raise DataError(what, hint="data.path=TABLE.csv, with the name of a sound and what is said in each row")
        folder = place if place.is_dir() else place.parent
        rows = read_splits(path, self, notes)
        return {name: [(where, {**row, FOLDER: str(folder)}) for where, row in part] for name, part in rows.items()}

    def taken(self, place: str, record: Record) -> Record | None:
        """The bytes of the sound, and the text; None without a text. Raises: DataError for what is no sound."""
        columns = {name: value for name, value in record.items() if name != FOLDER}
        file, text = (picked(columns, place, *key) for key in ((self.file, "file"), (self.text, "text")))
        name, said = cell_text(file, place, self.file).strip(), cell_text(text, place, self.text).strip()
        if not name:
            raise DataError(f"{place}: there is no file", hint="fill it in, or drop the row")
        if not said:
            return None
        path = Path(record[FOLDER], os.path.expanduser(name))
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DataError(f"{place}: {unreadable(str(path), error)}", hint="correct the name") from None
        decode_sound(data, f"{place}: {path}")
        return {"name": name, "text": said, "sound": data}

    def tones(self) -> Splits[list[Record]]:
        """Tone speech, split by the shares."""
        drawn = [
            (f"string {index}", {"name": f"string {index}", **tone_speech(mix(SHUFFLE, index), self.lengths, self.gap)})
            for index in range(self.strings)
        ]
        return split({"train": drawn}, self, [], ("tones",))

    def recordings(self) -> Splits[list[Record]]:
        """Strings of recorded words: those of validation and test are joined from recordings of their own."""
        read = Sounds(self.path, test_names=self.test_names, valid=self.valid, test=self.test).read()
        rate = 0
        found: dict[str, list[Clip]] = {}
        for name in ("train", "valid", "test"):
            found[name] = []
            for record in getattr(read, name):
                data, own = decode_sound(record["sound"], record["name"])
                rate = rate or own
                samples = resampled(np.frombuffer(data, dtype=np.int16), own, rate)
                found[name].append(Clip(samples, spelled(record["label"]), speaker_of(record["name"])))
        train, valid, test = (self.joined(c, len(found["train"]), rate, seed) for seed, c in enumerate(found.values()))
        about = ", ".join(f"{name} {len(clips):,}" for name, clips in found.items() if clips)
        note = f"{self.path}: recorded words ({about}) were joined to strings of {self.shortest} to {self.longest}"
        return Splits(train, valid, test, files=read.files, notes=(*read.notes, note))

    def joined(self, clips: Sequence[Clip], trained: int, rate: int, seed: int) -> list[Record]:
        """Strings of these recordings, as many for each recording as training has."""
        number = round(self.strings * len(clips) / trained)
        kept = min(number, self.limit or number)
        return joined_strings(clips, kept, self.lengths, rate, self.gap, mix(SHUFFLE, seed)) if clips else []

    @property
    def lengths(self) -> tuple[int, int]:
        """The least and the most words of a string."""
        return self.shortest, self.longest


FOLDER = "\0folder"
"""The key of a row's folder, which no column is called."""


def is_recordings(path: str) -> bool:
    """Whether a path is an archive, or a folder without a table that is named by its split."""
    place = os.path.expanduser(path)
    return place.lower().endswith(ARCHIVES) or (os.path.isdir(place) and not split_tables(path))


def spelled(label: str) -> str:
    """A word as it is written: a digit is spelled.

    >>> spelled("7"), spelled("Yes")
    ('seven', 'Yes')
    """
    return DIGITS.get(label, label)


def speaker_of(name: str) -> str:
    """Who speaks, by the name of a recording; "" where it does not say.

    >>> speaker_of("recordings/7_george_3.wav"), speaker_of("7.wav")
    ('george', '')
    """
    parts = Path(name).stem.split("_")
    return parts[1] if len(parts) > 1 else ""
