"""Features depend on no later sample, and are the same of a file as of a sound that goes on."""

import numpy as np
import pytest
import torch

from unspool.data.frames import FrameOptions, FrameStream, moments
from unspool.data.resampling import Resampler, resampled
from unspool.data.sounds import log_mel

OPTIONS = FrameOptions(rate=8000, bands=10)


def noise(samples, seed=0):
    return (3000 * np.random.default_rng(seed).standard_normal(samples)).astype(np.int16)


def streamed(options, samples, sizes, rate=0, close=True):
    """The steps of a sound that arrives in pieces of these sizes, again and again."""
    stream, steps, begin, turn = FrameStream(options, rate), [], 0, 0
    while begin < len(samples):
        steps += stream.feed(samples[begin : begin + sizes[turn % len(sizes)]])
        begin, turn = begin + sizes[turn % len(sizes)], turn + 1
    return [*steps, *(stream.close() if close else ())]


@pytest.mark.parametrize("rate", [8000, 16000, 11025])
def test_a_stream_has_the_steps_of_the_whole_sound(rate):
    samples = noise(rate // 2)
    whole = OPTIONS.from_rate(samples, rate)
    once, often = (torch.cat(streamed(OPTIONS, samples, sizes, rate)) for sizes in ((len(samples),), (7, 160, 1, 900)))
    assert torch.equal(once, often)
    assert len(whole) == len(once)
    torch.testing.assert_close(once, whole, atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize("rate", [8000, 44100])
def test_what_comes_later_changes_nothing(rate):
    one, other = noise(rate // 2), noise(rate // 2)
    other[rate // 4 :] = noise(rate // 2, seed=1)[rate // 4 :]
    first, second = (torch.cat(streamed(OPTIONS, samples, (500,), rate)) for samples in (one, other))
    reach = 17 / 8000 if rate != 8000 else 0.0
    same = sum(OPTIONS.end(step) + reach <= 0.25 for step in range(len(first)))
    assert same > 5 and torch.equal(first[:same], second[:same]) and not torch.equal(first, second)
    cut = torch.cat(streamed(OPTIONS, one[: rate // 4], (500,), rate, close=False))
    assert torch.equal(cut, first[: len(cut)]) and abs(len(cut) - same) <= 1


def test_a_step_is_some_frames_and_ends_with_the_last():
    samples = noise(4000)
    plain = FrameOptions(rate=8000, bands=10, tail=0.0)
    frames = log_mel(samples.tobytes(), 8000, bands=10)
    steps = plain.features(samples)
    torch.testing.assert_close(steps, frames[: len(steps) * 3].reshape(len(steps), 30))
    assert plain.end(0) == pytest.approx(0.045) and plain.end(2) == pytest.approx(0.045 + 2 * 0.03)
    assert len(OPTIONS.features(samples)) == len(steps) + 10


def test_a_short_sound_is_its_silence():
    assert len(OPTIONS.features(np.zeros(1, np.int16))) == len(streamed(OPTIONS, np.zeros(1, np.int16), (1,))) == 9


def test_moments_are_those_of_a_band():
    mean, scale = moments(torch.tensor([[0.0, 5.0, 2.0, 5.0]]), bands=2)
    assert mean.tolist() == [1.0, 5.0] and scale.tolist() == [pytest.approx(2**0.5), pytest.approx(1e-3)]


@pytest.mark.parametrize(("before", "after"), [(16000, 8000), (8000, 16000), (44100, 8000), (8000, 11025)])
def test_a_tone_keeps_its_pitch_and_one_that_is_too_high_goes(before, after):
    time, then = np.arange(before // 2) / before, np.arange(after // 2) / after
    tone = np.round(9000 * np.sin(2 * np.pi * 440 * time)).astype(np.int16)
    found = resampled(tone, before, after)
    assert abs(len(found) - after / 2) <= 1
    wanted, edge = 9000 * np.sin(2 * np.pi * 440 * then), 200
    assert np.abs(found[edge : len(then) - edge] - wanted[edge:-edge]).max() < 40
    if after < before:
        high = np.round(9000 * np.sin(2 * np.pi * 0.6 * after * time)).astype(np.int16)
        assert np.abs(resampled(high, before, after)[edge:-edge].astype(int)).max() < 60


def test_resampling_does_not_mind_the_pieces():
    samples = noise(3000)
    made = Resampler(11025, 8000)
    parts = [made.feed(samples[begin : begin + 77]) for begin in range(0, 3000, 77)]
    assert np.array_equal(np.concatenate([*parts, made.flush()]), resampled(samples, 11025, 8000))
    assert resampled(samples, 8000, 8000) is samples
