"""Sound files as samples: WAV by itself, FLAC, mp3 and ogg by soundfile."""

import io
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unspool.data.readers.text import unreadable
from unspool.errors import DataError

ENDINGS = (".wav", ".flac", ".mp3", ".ogg")
LONGEST = 1800
"""Seconds that a sound may have: a small file may hold days of silence."""
RATES = (1_000, 768_000)
"""The least and the most samples a second."""
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE  # what a WAV file calls the kinds of its samples
UNKNOWN_SIZE = 0x7FFF0000
"""Sizes from here on, and 0, stand in the header of a WAV file that was written before its length was known."""
KINDS = {(PCM, 8): "u1", (PCM, 16): "<i2", (PCM, 24): "u1", (PCM, 32): "<i4", (FLOAT, 32): "<f4", (FLOAT, 64): "<f8"}
BLOCK = 2**16
"""So many samples of every channel are decoded at a time."""

Samples = NDArray[np.int16]
"""One channel of 16-bit samples, (T,)."""


def read_sound(sound: Any, rate: int = 0) -> tuple[bytes, int]:
    """The 16-bit samples of a sound, its channels made one, and how many there are in a second.

    Args:
        sound: the path of a sound file, the bytes of one, or samples (T,): 16-bit integers, or floats from -1 to 1.
        rate: of samples that are given as an array.

    Raises:
        DataError: for what is no sound, is not whole, or cannot be read.

    >>> read_sound([0.0, 0.5], rate=8000)
    (b'\\x00\\x00\\x00@', 8000)
    """
    if isinstance(sound, bytes):
        return decode_sound(sound, "the sound")
    if isinstance(sound, str | os.PathLike):
        name = os.fspath(sound)
        try:
            return decode_sound(Path(os.path.expanduser(name)).read_bytes(), name)
        except OSError as error:
            raise unreadable(name, error) from None
        except ValueError:
            raise DataError(f"{name!r} is not the name of a file", hint="correct its name") from None
    samples = np.asarray(sound)
    if samples.ndim != 1 or not samples.size or samples.dtype.kind not in "fiu":
        raise DataError(f"an array of the shape {samples.shape} is not a sound", hint="give its samples, (T,)")
    kept = sixteen_bits(samples, "the sound") if samples.dtype.kind == "f" else samples.astype(np.int16)
    return kept.tobytes(), rate


def decode_sound(data: bytes, name: str) -> tuple[bytes, int]:
    """The 16-bit samples of a sound file, its channels made one, and how many there are in a second.

    WAV of 8, 16, 24 and 32 bits and of floats is read here, everything else by soundfile.

    Raises: DataError for what is no sound, or is not whole.
    """
    samples, rate = read_wav(data, name) if data[:4] == b"RIFF" and data[8:12] == b"WAVE" else by_soundfile(data, name)
    if not RATES[0] <= rate <= RATES[1]:
        raise DataError(
            f"{name} has {rate:,} samples a second, from {RATES[0]:,} to {RATES[1]:,} are read",
            hint="save it with another sampling rate",
        )
    if len(samples) > LONGEST * rate:
        raise DataError(f"{name} is longer than {LONGEST // 60} minutes", hint="cut it into shorter files")
    return samples.tobytes(), rate


def read_wav(data: bytes, name: str) -> tuple[Samples, int]:
    """The samples of a WAV file, and how many there are in a second."""
    kind = channels = rate = frame = bits = 0
    for chunk, body, size in chunks(data):
        if chunk == b"fmt " and len(body) >= 16:
            kind, channels, rate, _, frame, bits = struct.unpack_from("<HHIIHH", body)
            if kind == EXTENSIBLE and len(body) >= 26:
                kind = struct.unpack_from("<H", body, 24)[0]
        elif chunk == b"data" and frame:
            if (kind, bits) not in KINDS:
                return by_soundfile(data, name)
            if frame != channels * bits // 8:
                raise DataError(f"{name} is not a WAV file: its header contradicts itself", hint="save it again")
            if len(body) < max(frame, 0 if size >= UNKNOWN_SIZE else size):
                raise DataError(f"{name} ends too early", hint="copy it again, or leave it out")
            whole = body[: len(body) // frame * frame]
            return mixed(as_numbers(whole, kind, bits).reshape(-1, channels), name), rate
    raise DataError(f"{name} is not a WAV file: it has no samples", hint="save it again, or leave it out")


def chunks(data: bytes) -> Iterator[tuple[bytes, memoryview, int]]:
    """The parts of a WAV file: the name of each, what is in it, and the size that its header says."""
    place, view = 12, memoryview(data)
    while place + 8 <= len(data):
        chunk, size = struct.unpack_from("<4sI", data, place)
        place += 8
        streamed = chunk == b"data" and (size == 0 or size >= UNKNOWN_SIZE)
        yield chunk, view[place : None if streamed else place + size], size
        place += size + size % 2


def as_numbers(body: memoryview, kind: int, bits: int) -> NDArray[Any]:
    """Samples as 16-bit integers, or as floats from -1 to 1 where that is how they are stored."""
    raw = np.frombuffer(body, KINDS[kind, bits])
    if kind == FLOAT:
        return raw
    if bits == 8:
        return (raw.astype(np.int16) - 128) << 8
    if bits == 24:
        return raw.reshape(-1, 3)[:, 1:].copy().view("<i2").ravel()  # the lowest of the three bytes is dropped
    return (raw >> 16).astype(np.int16) if bits == 32 else raw


def mixed(samples: NDArray[Any], name: str) -> Samples:
    """One channel of 16-bit samples (T,) from the mean of all channels (T, C), which may be floats."""
    if samples.shape[1] > 1:
        whole = samples.dtype.kind == "i"
        samples = np.trunc(samples.mean(axis=1, dtype=np.float64)).astype(np.int16) if whole else samples.mean(axis=1)
    samples = samples.reshape(-1)
    return sixteen_bits(samples, name) if samples.dtype.kind == "f" else samples.astype(np.int16)


def sixteen_bits(samples: NDArray[Any], name: str) -> Samples:
    """Floats from -1 to 1 as 16-bit integers; what is louder is clipped. Raises: DataError for NaN and infinity.

    >>> sixteen_bits(np.array([-1.0, 0.25, 2.0]), "the sound").tolist()
    [-32768, 8192, 32767]
    """
    if not np.isfinite(samples).all():
        raise DataError(f"{name} has samples that are not finite", hint="save it again, or leave it out")
    return (samples * 2.0**15).clip(-(2**15), 2**15 - 1).astype(np.int16)


def by_soundfile(data: bytes, name: str) -> tuple[Samples, int]:
    """The samples of a file in any format that soundfile reads, and how many there are in a second."""
    if not data:
        raise DataError(f"{name} is empty", hint="copy it again, or leave it out")
    try:
        import soundfile
    except ImportError:
        raise DataError(
            f"{name} is no plain WAV file, and other sounds need soundfile", hint="pip install soundfile"
        ) from None
    parts: list[Samples] = []
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            while len(block := file.read(BLOCK, dtype="float32", always_2d=True)):
                parts.append(mixed(block, name))
                if len(parts) * BLOCK > LONGEST * file.samplerate:
                    break
            rate = file.samplerate
    except (soundfile.SoundFileError, RuntimeError, ValueError) as error:
        reason = str(error).rpartition(": ")[2].rstrip(".")
        raise DataError(f"{name} is not a sound that can be read: {reason}", hint="save it as WAV") from None
    if not parts:
        raise DataError(f"{name} has no samples", hint="save it again, or leave it out")
    return np.concatenate(parts), rate
