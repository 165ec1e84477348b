"""Sound files as samples."""

import io
import os
import wave
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unspool.data.readers.text import unreadable
from unspool.errors import DataError


def pcm(data: bytes, name: str) -> tuple[bytes, int]:
    """The 16-bit samples of a WAV file, its channels made one, and how many there are in a second."""
    try:
        with wave.open(io.BytesIO(data)) as sound:
            channels, width, rate, number = sound.getparams()[:4]
            samples = sound.readframes(number)
    except (wave.Error, EOFError) as error:
        reason = str(error) or "it ends too early"
        raise DataError(
            f"{name} is not a WAV file of plain samples: {reason}", hint="sox IN OUT.wav makes one"
        ) from None
    if width != 2 or not samples or len(samples) != number * width * channels:
        what = f"has {8 * width}-bit samples, and 16 are wanted" if width != 2 else "ends too early"
        raise DataError(f"{name} {what}", hint="sox IN.wav -b 16 OUT.wav, or leave the file out")
    if channels > 1:
        mixed = torch.frombuffer(bytearray(samples), dtype=torch.int16).view(-1, channels).float().mean(dim=1)
        samples = mixed.to(torch.int16).numpy().tobytes()
    return samples, rate


def read_sound(sound: Any, rate: int = 0) -> tuple[bytes, int]:
    """The 16-bit samples of a sound, one channel, and how many there are in a second.

    Args:
        sound: the path of a WAV file, the bytes of one, or samples (T,): 16-bit integers, or floats from -1 to 1.
        rate: of samples that are given as an array.

    Raises:
        DataError: for what is no sound, is not whole, or cannot be read.

    >>> read_sound([0.0, 0.5], rate=8000)
    (b'\\x00\\x00\\x00@', 8000)
    """
    if isinstance(sound, bytes):
        return pcm(sound, "the sound")
    if isinstance(sound, str | os.PathLike):
        name = os.fspath(sound)
        try:
            return pcm(Path(os.path.expanduser(name)).read_bytes(), name)
        except OSError as error:
            raise unreadable(name, error) from None
        except ValueError:
            raise DataError(f"{name!r} is not the name of a file", hint="correct its name") from None
    samples = np.asarray(sound)
    if samples.ndim != 1 or not samples.size or samples.dtype.kind not in "fiu":
        raise DataError(f"an array of the shape {samples.shape} is not a sound", hint="give its samples, (T,)")
    if samples.dtype.kind == "f":
        samples = (samples * 2**15).clip(-(2**15), 2**15 - 1)
    return samples.astype(np.int16).tobytes(), rate
