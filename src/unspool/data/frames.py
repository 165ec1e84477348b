"""Sounds as steps of log-mel features that depend on no later sample, of a file or while it goes on."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int16
from torch import Tensor

from unspool.data.resampling import Resampler, resampled
from unspool.data.sounds import log_mel


@dataclass(frozen=True)
class FrameOptions:
    """How a sound becomes steps: `stack` log-mel frames each, which are read together.

    Args:
        rate: samples a second.
        bands: of frequencies, in a frame.
        window: seconds of a frame.
        hop: seconds from the beginning of a frame to that of the next.
        stack: frames of a step.
        tail: seconds of silence behind a sound, in which a model may say the rest.

    >>> options = FrameOptions(rate=8000, bands=8, tail=0.0)
    >>> options.features(np.zeros(8000, np.int16)).shape, options.end(0), round(options.end(31), 3)
    (torch.Size([32, 24]), 0.045, 0.975)
    """

    rate: int
    bands: int = 40
    window: float = 0.025
    hop: float = 0.01
    stack: int = 3
    tail: float = 0.3

    @property
    def hop_samples(self) -> int:
        """Samples from a frame to the next."""
        return max(1, round(self.hop * self.rate))

    @property
    def step_samples(self) -> int:
        """Samples that a step depends on."""
        return (self.stack - 1) * self.hop_samples + max(1, round(self.window * self.rate))

    @property
    def silence(self) -> Int16[np.ndarray, " N"]:
        """What stands behind a sound."""
        return np.zeros(round(self.tail * self.rate), dtype=np.int16)

    def end(self, step: int) -> float:
        """The second at which a step, counted from 0, has been heard."""
        return (step * self.stack * self.hop_samples + self.step_samples) / self.rate

    def features(self, samples: Int16[np.ndarray, " N"]) -> Float[Tensor, "T D"]:
        """All steps of a sound and the silence behind it, (T, stack * bands); frames that fill no step are left out."""
        whole = np.concatenate([samples, self.silence])
        frames = log_mel(whole.tobytes(), self.rate, self.bands, self.window, self.hop)
        steps = len(frames) // self.stack
        return frames[: steps * self.stack].reshape(steps, self.stack * self.bands)

    def from_rate(self, samples: Int16[np.ndarray, " N"], rate: int) -> Float[Tensor, "T D"]:
        """The same of a sound with another sampling rate."""
        return self.features(resampled(samples, rate, self.rate))


class FrameStream:
    """The steps of a sound while it goes on, one by one: each as soon as its last sample is there.

    A step is worked out from its own samples alone, so it is the same bits whatever follows, and in whatever pieces the
    sound arrives.

    Args:
        options: how a sound becomes steps.
        rate: samples a second of what comes in; 0: as in the options.

    >>> stream = FrameStream(FrameOptions(rate=8000, bands=8))
    >>> [len(list(stream.feed(np.zeros(samples, np.int16)))) for samples in (300, 60, 240)]
    [0, 1, 1]
    """

    def __init__(self, options: FrameOptions, rate: int = 0) -> None:
        self.options = options
        self.resampler = Resampler(rate, options.rate) if rate and rate != options.rate else None
        self.waiting = np.zeros(0, dtype=np.int16)

    def feed(self, samples: Int16[np.ndarray, " N"]) -> Iterator[Float[Tensor, "1 D"]]:
        """The steps (1, stack * bands) that are complete with these samples; take all before more are fed."""
        yield from self._steps(samples if self.resampler is None else self.resampler.feed(samples))

    def close(self) -> Iterator[Float[Tensor, "1 D"]]:
        """The steps that the silence behind the sound completes."""
        rest = self.waiting[:0] if self.resampler is None else self.resampler.flush()
        yield from self._steps(np.concatenate([rest, self.options.silence]))

    def _steps(self, samples: Int16[np.ndarray, " N"]) -> Iterator[Float[Tensor, "1 D"]]:
        self.waiting = np.concatenate([self.waiting, samples])
        size, move = self.options.step_samples, self.options.stack * self.options.hop_samples
        one = self.options
        while size <= len(self.waiting):
            part, self.waiting = self.waiting[:size].tobytes(), self.waiting[move:]
            yield log_mel(part, one.rate, one.bands, one.window, one.hop).reshape(1, -1)


def moments(features: Float[Tensor, "T D"], bands: int) -> tuple[Float[Tensor, " F"], Float[Tensor, " F"]]:
    """Mean and standard deviation (n - 1) of every band over steps.

    >>> import torch
    >>> [value.tolist() for value in moments(torch.tensor([[0.0, 1.0], [2.0, 3.0]]), bands=1)]
    [[1.5], [1.29099440574646]]
    """
    frames = features.reshape(-1, bands)
    return frames.mean(dim=0), frames.std(dim=0, correction=min(1, len(frames) - 1)).clamp(min=1e-3)
