"""Another sampling rate for a sound that goes on: each new sample depends on a few samples around it alone."""

from math import gcd

import numpy as np
from jaxtyping import Float32, Float64, Int16, Int64

ZEROS = 16
"""So many zero crossings of the sinc on either side: 2 ms at 8,000 samples a second."""
PASSED = 0.95
"""The share of the lower rate's frequencies that pass."""
BLOCK = 2**14
"""So many samples are read, and written, at a time."""
PHASES = 2**10
"""Of more places between two samples the filters are made as they are needed: a table of all would not fit."""


class Resampler:
    """Changes the sampling rate by a windowed sinc, sample by sample (Smith & Gossett 1984).

    What comes out of the beginning of a sound does not depend on what follows `reach` samples later, and not on the
    sizes of the pieces. Frequencies above half of the lower rate are taken away.

    Args:
        before: samples a second of what comes in.
        after: of what goes out.

    >>> tone = np.round(1000 * np.sin(2 * np.pi * 100 * np.arange(16000) / 16000)).astype(np.int16)
    >>> half = resampled(tone, 16000, 8000)
    >>> len(half), bool(np.abs(half[50:-50].astype(int) - tone[::2][50:-50]).max() <= 2)
    (8000, True)
    """

    def __init__(self, before: int, after: int) -> None:
        divisor = gcd(before, after)
        self.up, self.down = after // divisor, before // divisor
        cutoff = PASSED * min(1.0, after / before)
        self.reach = int(np.ceil(ZEROS / cutoff))
        self.offsets = np.arange(-self.reach, self.reach + 1)
        self.cutoff = cutoff
        self.table = filters(np.arange(self.up) / self.up, self.offsets, cutoff) if self.up <= PHASES else None
        self.waiting = np.zeros(self.reach, dtype=np.float32)  # the first of them stands at `first`
        self.first, self.read, self.given = -self.reach, 0, 0

    def feed(self, samples: Int16[np.ndarray, " N"]) -> Int16[np.ndarray, " M"]:
        """The samples that are known once these are."""
        self.read += len(samples)
        self.waiting = np.concatenate([self.waiting, samples.astype(np.float32)])
        known = self.read - self.reach  # samples before here have all their neighbours
        end = max(self.given, -(-known * self.up // self.down))
        return self._until(end)

    def flush(self) -> Int16[np.ndarray, " M"]:
        """The rest, at the end of the sound."""
        whole = -(-self.read * self.up // self.down)
        self.waiting = np.concatenate([self.waiting, np.zeros(self.reach, dtype=np.float32)])
        return self._until(whole)

    def _until(self, end: int) -> Int16[np.ndarray, " M"]:
        parts = [self._at(np.arange(begin, min(end, begin + BLOCK))) for begin in range(self.given, end, BLOCK)]
        self.given = end
        gone = max(0, end * self.down // self.up - self.reach - self.first)
        self.waiting, self.first = self.waiting[gone:], self.first + gone
        return np.concatenate([np.zeros(0, dtype=np.int16), *parts])

    def _at(self, numbers: Int64[np.ndarray, " M"]) -> Int16[np.ndarray, " M"]:
        places, phases = np.divmod(numbers * self.down, self.up)
        index = places[:, None] + self.offsets - self.first  # (M, K)
        weights = filters(phases / self.up, self.offsets, self.cutoff) if self.table is None else self.table[phases]
        found = (self.waiting[index] * weights).sum(axis=1)
        return np.round(found).clip(-(2**15), 2**15 - 1).astype(np.int16)


def filters(places: Float64[np.ndarray, " P"], offsets: np.ndarray, cutoff: float) -> Float32[np.ndarray, "P K"]:
    """For each place between two samples, from 0 to 1, the weights of its neighbours, which add up to 1."""
    distance = offsets[None] - places[:, None]
    window = np.cos(np.pi / 2 * (distance / (len(offsets) // 2 + 1)).clip(-1, 1)) ** 2
    weights = np.sinc(cutoff * distance) * window
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def resampled(samples: Int16[np.ndarray, " N"], before: int, after: int) -> Int16[np.ndarray, " M"]:
    """A whole sound at another sampling rate; as it is where the rate is the same."""
    if before == after:
        return samples
    made = Resampler(before, after)
    parts = [made.feed(samples[begin : begin + BLOCK]) for begin in range(0, len(samples), BLOCK)]
    return np.concatenate([*parts, made.flush()])
