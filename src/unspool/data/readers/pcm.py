"""Sounds that arrive while they are played: raw samples, or a WAV file whose end is not known, from a pipe."""

import struct
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np

from unspool.data.readers.sounds import EXTENSIBLE, KINDS, RATES, Samples, as_numbers, mixed, read_sound
from unspool.errors import DataError

PIECE = 0.02
"""Seconds of a piece."""


@runtime_checkable
class Readable(Protocol):
    """What bytes are read from: a pipe or a file."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes, fewer only at the end."""


def live_sound(stream: Readable, rate: int, name: str = "standard input") -> tuple[Iterator[Samples], int]:
    """The pieces of a sound as they arrive, 16-bit and one channel, and how many samples there are in a second.

    Args:
        stream: raw samples (16-bit, little-endian, one channel), or a WAV file of any kind of sample.
        rate: of raw samples; a WAV file says its own.
        name: of the stream, for errors.

    Raises:
        DataError: where it begins like a WAV file and is none.

    >>> from io import BytesIO
    >>> pieces, rate = live_sound(BytesIO(bytes(500)), rate=8000)
    >>> [len(piece) for piece in pieces], rate
    ([160, 90], 8000)
    """
    beginning = stream.read(12)
    if beginning[:4] != b"RIFF" or beginning[8:] != b"WAVE":
        return raw_pieces(stream, beginning, rate), rate
    kind = channels = frame = bits = 0
    while len(header := stream.read(8)) == 8:
        chunk, size = struct.unpack("<4sI", header)
        if chunk == b"data":
            break
        body = stream.read(size + size % 2)
        if chunk == b"fmt " and len(body) >= 16:
            kind, channels, rate, _, frame, bits = struct.unpack_from("<HHIIHH", body)
            if kind == EXTENSIBLE and len(body) >= 26:
                kind = struct.unpack_from("<H", body, 24)[0]
    else:
        frame = 0
    if (kind, bits) not in KINDS or frame != channels * bits // 8 or not RATES[0] <= rate <= RATES[1]:
        raise DataError(f"{name} is not a WAV file that can be read", hint="send raw 16-bit samples of one channel")
    return wav_pieces(stream, kind, bits, channels, rate, name), rate


def raw_pieces(stream: Readable, beginning: bytes, rate: int) -> Iterator[Samples]:
    """Pieces of raw samples."""
    size = 2 * max(1, round(PIECE * rate))
    data = beginning + stream.read(size - len(beginning))
    while len(data) > 1:
        yield np.frombuffer(data[: len(data) // 2 * 2], dtype="<i2").astype(np.int16)
        data = stream.read(size)


def wav_pieces(stream: Readable, kind: int, bits: int, channels: int, rate: int, name: str) -> Iterator[Samples]:
    """Pieces of the samples of a WAV file."""
    frame = channels * bits // 8
    size = frame * max(1, round(PIECE * rate))
    while len(data := stream.read(size)) >= frame:
        whole = memoryview(data[: len(data) // frame * frame])
        yield mixed(as_numbers(whole, kind, bits).reshape(-1, channels), name)


def stored_sound(sound: object, rate: int) -> tuple[Iterator[Samples], int]:
    """A whole sound in the same pieces.

    Args:
        sound: the path of a sound file, the bytes of one, or samples (T,).
        rate: of samples that are given as an array.
    """
    data, found = read_sound(sound, rate)
    samples = np.frombuffer(data, dtype=np.int16)
    size = max(1, round(PIECE * found))
    return (samples[begin : begin + size] for begin in range(0, len(samples), size)), found
