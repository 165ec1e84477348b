"""Plays music: a plucked tone, made of sines, as a WAV file."""

import io
import wave
from functools import lru_cache

import numpy as np
from jaxtyping import Float32

from unspool.data.music.midi import seconds
from unspool.data.music.notes import Score

RATE = 22_050  # samples a second
PARTIALS = (1.0, 0.45, 0.28, 0.14, 0.08, 0.04)
"""How loud a tone and its overtones are."""
ATTACK, RELEASE = 0.008, 0.06  # seconds in which a tone comes and goes: none is cut off, which would click
DECAY = 1.6  # seconds in which a tone falls to 1/e; overtones fall faster
PEAK = 0.9  # of what a sample can hold


def wav(score: Score, rate: int = RATE) -> bytes:
    """The score as a WAV file: 16 bits, one channel. Its loudest moment is at `PEAK`, so that nothing is clipped.

    >>> from fractions import Fraction
    >>> from unspool.data.music.notes import Note
    >>> with wave.open(io.BytesIO(wav(Score([Note(Fraction(0), Fraction(1), 69)], speed=60.0)))) as sound:
    ...     sound.getparams()[:4]
    (1, 2, 22050, 23373)
    """
    samples = np.round(synthesize(score, rate) * 32767).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(samples.tobytes())
    return file.getvalue()


def synthesize(score: Score, rate: int = RATE) -> Float32[np.ndarray, " N"]:
    """The samples, between -1 and 1."""
    end = int((score.seconds + RELEASE) * rate)
    mix = np.zeros(end, dtype=np.float32)
    for note in score.notes:
        start = int(seconds(score, note.start) * rate)
        sound = tone(note.pitch, round(seconds(score, note.length) * rate), rate)[: end - start]
        mix[start : start + len(sound)] += sound
    loudest = float(np.abs(mix).max(initial=0.0))
    return mix * np.float32(PEAK / loudest) if loudest else mix


@lru_cache(maxsize=512)
def tone(pitch: int, length: int, rate: int = RATE) -> Float32[np.ndarray, " N"]:
    """One plucked tone of `length` samples, and `RELEASE` seconds in which it dies away; 69 is the A of 440 Hz."""
    time = np.arange(length + int(RELEASE * rate)) / rate
    hertz = 440.0 * 2 ** ((pitch - 69) / 12)
    sound = np.zeros_like(time)
    for number, loudness in enumerate(PARTIALS, start=1):
        if number * hertz < 0.45 * rate:
            sound += loudness * np.exp(-time * number / DECAY) * np.sin(2 * np.pi * number * hertz * time)
    rise = np.clip(time / ATTACK, 0, 1)
    fall = np.clip((time[-1] - time) / RELEASE, 0, 1)
    return (sound * rise * fall**2).astype(np.float32)
