"""Sounds whose words and their ends are known: recorded words that are joined, and words of tones that need no file."""

import io
import wave
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int16

from unspool.seeds import mix

RATE = 8_000
"""Samples a second of tone speech."""
LETTERS = "abcdefgh"
"""What tone speech is written with."""
HERTZ = ((420, 1120), (420, 1900), (560, 1500), (560, 2600), (700, 1120), (700, 1900), (880, 1500), (880, 2600))
"""The two tones that sound together for each letter."""
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DIGITS = {str(digit): word for digit, word in enumerate(WORDS)}
"""How digits are spelled."""
BEFORE, NOISE = 0.2, (1.0, 30.0)  # at most so many seconds of faint noise before the first word, and how loud it is


class Clip(NamedTuple):
    """A recording of one word."""

    samples: Int16[np.ndarray, " N"]
    word: str
    speaker: str = ""


def joined(clips: Sequence[Clip], rate: int, gap: float, random: Random) -> dict[str, Any]:
    """A record of words that are said one after the other, with faint noise under them.

    Args:
        clips: the words in their order.
        rate: samples a second of all of them.
        gap: at most so many seconds are between two words.
        random: draws the gaps and the noise.

    Returns:
        A WAV file `sound`, its `text`, and `ends`: the place in the text and the second at which each word ends.

    >>> record = joined([Clip(np.ones(800, np.int16), "one")] * 2, rate=8000, gap=0.1, random=Random(0))
    >>> record["text"], [place for place, _ in record["ends"]]
    ('one one', [2, 6])
    """
    pieces: list[np.ndarray] = []
    ends: list[list[float]] = []
    place, done = -1, 0
    for number, clip in enumerate(clips):
        silent = np.zeros(round(rate * random.uniform(0, gap if number else BEFORE)), dtype=np.float64)
        pieces += [silent, clip.samples.astype(np.float64)]
        done += len(silent) + len(clip.samples)
        place += len(clip.word) + (number > 0)
        ends.append([place, round(done / rate, 4)])
    text = " ".join(clip.word for clip in clips)
    return {"text": text, "sound": wav_file(with_noise(np.concatenate(pieces), random), rate), "ends": ends}


def joined_strings(
    clips: Sequence[Clip], number: int, lengths: tuple[int, int], rate: int, gap: float, seed: int
) -> list[dict[str, Any]]:
    """So many strings of words, each by one speaker, the same for the same seed.

    Args:
        clips: of all speakers.
        number: of strings.
        lengths: the least and the most words of a string.
        rate: samples a second.
        gap: at most so many seconds are between two words.
        seed: of what is drawn.
    """
    speakers: dict[str, list[Clip]] = {}
    for clip in clips:
        speakers.setdefault(clip.speaker, []).append(clip)
    names, found = sorted(speakers), []
    for index in range(number):
        random = Random(mix(seed, index))
        own = speakers[random.choice(names)]
        chosen = [random.choice(own) for _ in range(random.randint(*lengths))]
        found.append({"name": f"string {index}", **joined(chosen, rate, gap, random)})
    return found


def tone_speech(seed: int, lengths: tuple[int, int] = (1, 3), gap: float = 0.3) -> Mapping[str, Any]:
    """A record of some words of one to four letters, each of which is a chord of two tones; the same for the same seed.

    Letters differ in length and loudness, and a pause that is longer than those inside a word is a space.

    Args:
        seed: of what is drawn.
        lengths: the least and the most words.
        gap: at most so many seconds are between two words.

    >>> record = tone_speech(1, lengths=(2, 2))
    >>> record["text"], len(record["ends"]) == len(record["text"].replace(" ", ""))
    ('c gddb', True)
    """
    random = Random(seed)
    words = ["".join(random.choices(LETTERS, k=random.randint(1, 4))) for _ in range(random.randint(*lengths))]
    pieces = [np.zeros(round(RATE * random.uniform(0, BEFORE)))]
    ends: list[list[float]] = []
    loudness = random.uniform(1000, 8000)
    text = " ".join(words)
    for place, letter in enumerate(text):
        if letter == " ":
            pieces.append(np.zeros(round(RATE * random.uniform(0.6 * gap, gap))))
            continue
        pieces.append(loudness * random.uniform(0.6, 1.4) * tone(letter, random.uniform(0.06, 0.14), random))
        ends.append([place, round(sum(map(len, pieces)) / RATE, 4)])
        pieces.append(np.zeros(round(RATE * random.uniform(0.01, 0.05))))
    return {"text": text, "sound": wav_file(with_noise(np.concatenate(pieces), random), RATE), "ends": ends}


def tone(letter: str, seconds: float, random: Random) -> np.ndarray:
    """The sound of a letter, from -1 to 1, which comes and goes in 8 ms and is up to two percent off its pitch."""
    time = np.arange(round(RATE * seconds)) / RATE
    low, high = (hertz * random.uniform(0.98, 1.02) for hertz in HERTZ[LETTERS.index(letter)])
    edge = np.minimum(time, time[::-1]) / 0.008
    return (np.sin(2 * np.pi * low * time) + np.sin(2 * np.pi * high * time)) / 2 * edge.clip(0, 1)


def with_noise(samples: np.ndarray, random: Random) -> Int16[np.ndarray, " N"]:
    """The samples with faint noise under them, as a quiet room has it."""
    noise = np.random.default_rng(random.getrandbits(32)).standard_normal(len(samples))
    return np.round(samples + random.uniform(*NOISE) * noise).clip(-(2**15), 2**15 - 1).astype(np.int16)


def wav_file(samples: Int16[np.ndarray, " N"], rate: int) -> bytes:
    """The bytes of a WAV file: 16 bits, one channel.

    >>> len(wav_file(np.zeros(100, np.int16), 8000))
    244
    """
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, rate, 0, "NONE", ""))
        sound.writeframes(samples.astype("<i2").tobytes())
    return file.getvalue()
