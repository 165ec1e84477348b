"""Five series that need no download, each with something that a forecast has to find out."""

import numpy as np

SEASON = 24
"""After so many values the seasons come again."""
LENGTH = 1200
SEED = 19_940_101
"""Of the noise: the same series in every run, so that runs can be compared."""


def five_series(length: int = LENGTH) -> dict[str, list[float]]:
    """The five series, of that many values each, by their names.

    sine:     sin(2 pi t / 24) + noise (the wave of pytorch/examples time_sequence_prediction, with noise)
    trend:    0.02 t + three waves a season + noise
    ar2:      v[t] = 1.6 v[t-1] - 0.8 v[t-2] + noise, whose own period is 13.4 values and never settles
    walk:     w[t] = w[t-1] + noise, plus the season
    growing:  (1 + 0.002 t) (1 + 0.5 season) (1 + noise)

    >>> len(five_series(100)), len(five_series(100)["walk"])
    (5, 100)
    """
    random = np.random.default_rng(SEED)
    t = np.arange(length)
    angle = 2 * np.pi * t / SEASON

    def noise(scale: float) -> np.ndarray:
        return scale * random.standard_normal(length)

    ar2, pushes = np.zeros(length), noise(1.0)
    for n in range(2, length):
        ar2[n] = 1.6 * ar2[n - 1] - 0.8 * ar2[n - 2] + pushes[n]
    season = np.sin(angle) + 0.5 * np.cos(2 * angle)
    found = {
        "sine": np.sin(angle) + noise(0.2),
        "trend": 0.02 * t + season + 0.3 * np.sin(3 * angle) + noise(0.3),
        "ar2": ar2,
        "walk": noise(0.3).cumsum() + 2 * season,
        "growing": 10 * (1 + 0.002 * t) * (1 + 0.4 * season) * (1 + noise(0.05)),
    }
    return {name: values.tolist() for name, values in found.items()}
