"""Sounds: files whose label is in their name, and their log-mel spectrograms."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from unspool.data.readers.skipped import usable
from unspool.data.readers.sounds import ENDINGS, decode_sound
from unspool.data.readers.tables import Placed, Record
from unspool.data.readers.trees import File, files, label_of, split_of
from unspool.data.records import Found, check_paths, split
from unspool.data.splits import SplitOptions, SplitPaths, Splits
from unspool.errors import DataError
from unspool.schema import Count, Finite, Positive


@dataclass
class Sounds(SplitOptions):
    """Sound files in a folder or a .tar.gz, with their labels: WAV, and with soundfile also FLAC, mp3 and ogg.

    They may have different sampling rates: all are resampled to that of the first. `label` is the "name" up to its
    first underscore (7_george_3.wav is a 7), or the "folder" that the file is in.
    `valid` and `test` are shares, drawn once and for all, unless there are folders train, valid and test, or
    `test_names` is a pattern: files of such names are for the test. `limit` keeps so many of every part (0: all).

    Args:
        path: a folder, or a .tar.gz.

    >>> Sounds(path="recordings", test_names="*_[0-4].wav").part(PurePosixPath("7_george_3.wav"))
    'test'
    """

    path: str = ""
    label: Literal["name", "folder"] = "name"
    test_names: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_paths(self.path, SplitPaths())

    def read(self) -> Splits[list[Record]]:
        """Read, check and split."""
        notes: list[str] = []
        return split(self.found(notes), self, notes, (self.path,))

    def from_stdin(self, splits: Splits[list[Record]]) -> str:
        """Sounds are never read from standard input."""
        return ""

    def found(self, notes: list[str]) -> Found:
        """The sounds by their split; those that cannot be read are counted."""
        found: Found = {}
        for part, placed in usable(files(self.path, *ENDINGS), self.readable, "sounds", notes):
            found.setdefault(part, []).append(placed)
        return found

    def readable(self, file: File) -> tuple[str, Placed]:
        """The part of the data that a file belongs to, and its record. Raises: DataError where it cannot be read."""
        place, record = self.sound(file)
        decode_sound(record["sound"], place)
        return self.part(file[0]), (place, record)

    def part(self, place: PurePosixPath) -> str:
        """The part of the data that a file belongs to."""
        return "test" if self.test_names and fnmatch(place.name, self.test_names) else split_of(place)

    def sound(self, file: File) -> Placed:
        """The bytes of a file, and its label."""
        place, data = file
        name = f"{self.path}/{place}"
        label = place.stem.partition("_")[0] if self.label == "name" else label_of(place)
        if not label:
            raise DataError(f"{name}: there is no label in its {self.label}", hint="set data.label to name or folder")
        return name, {"name": str(place), "label": label, "sound": data}


def log_mel(
    samples: bytes, rate: int, bands: int = 40, window: float = 0.025, hop: float = 0.010
) -> Float[Tensor, "T {bands}"]:
    """The log-mel spectrogram: the logarithm of the power of each mel band in each frame, (T, bands).

    A frame is `window` seconds under a Hann window, and one begins every `hop` seconds.

    >>> log_mel(bytes(2 * 8000), rate=8000).shape
    torch.Size([98, 40])
    """
    sound = torch.frombuffer(bytearray(samples), dtype=torch.int16).float() / 2**15
    size, step = max(1, round(window * rate)), max(1, round(hop * rate))
    if len(sound) < size:
        sound = torch.nn.functional.pad(sound, (0, size - len(sound)))
    frames = sound.unfold(0, size, step) * torch.hann_window(size)  # (T, size)
    bins = 1 << (size - 1).bit_length()
    power = torch.fft.rfft(frames, n=bins).abs().square()  # (T, bins / 2 + 1)
    return (power @ filter_bank(bands, bins, rate) + 1e-6).log()


@lru_cache
def filter_bank(bands: int, bins: int, rate: int) -> Float[Tensor, "F {bands}"]:
    """Overlapping triangles, as wide as the ear is coarse there: mel = 2595 log10(1 + hertz / 700)."""
    top = 2595 * torch.tensor(1 + rate / 2 / 700).log10()
    edges = 700 * (10 ** (torch.linspace(0, 1, bands + 2) * top / 2595) - 1)  # hertz
    hertz = torch.linspace(0, rate / 2, bins // 2 + 1).unsqueeze(1)  # (F, 1)
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (hertz - low) / (middle - low), (high - hertz) / (high - middle)
    return torch.minimum(rising, falling).clamp(min=0)


BANDS_LEARNED: Mapping[str, Any] = {"mean": list[Finite], "scale": list[Positive], "rate": Count}
"""What a preprocessor of sounds learns from the training sounds: of each band the mean and the scale, and a rate."""


def bands_fitted(mean: Tensor, scale: Tensor, rate: int) -> dict[str, Any]:
    """Mean and standard deviation of every band, and samples a second, as plain data."""
    return {"mean": mean.tolist(), "scale": scale.tolist(), "rate": rate}


def bands_restored(fitted: Mapping[str, Any], bands: int) -> tuple[Tensor, Tensor, int]:
    """The inverse of `bands_fitted`. Raises: ValueError where there is not one mean and one scale for each band.

    >>> bands_restored(bands_fitted(torch.zeros(1), torch.ones(1), 8000), bands=1)
    (tensor([0.]), tensor([1.]), 8000)
    """
    if not bands == len(fitted["mean"]) == len(fitted["scale"]):
        raise ValueError(f"mean and scale should have {bands} numbers each")
    return torch.tensor(fitted["mean"]), torch.tensor(fitted["scale"]), int(fitted["rate"])
