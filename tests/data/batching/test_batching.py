"""Batches by number: contiguous ones, random windows, and evaluation that counts every target once."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from unspool.batch import Batch, Batches
from unspool.data.batching.buckets import padded
from unspool.data.batching.contiguous import ContiguousBatches, ContiguousEval, RandomWindows, WindowedEval
from unspool.errors import DataError

ALPHABET = torch.arange(26)
SIZES = st.integers(2, 60)
SMALL = st.integers(1, 9)


def letters(ids: Tensor) -> list[str]:
    """Time by time, as the lecture draws it."""
    return ["".join(chr(97 + id) for id in row) for row in ids.T.tolist()]


def epoch(batches: Batches) -> list[Batch]:
    return [batches[number] for number in range(batches.epoch)]


def counted(batches: Batches) -> list[tuple[int, int]]:
    """What is predicted from what."""
    return [
        pair
        for batch in epoch(batches)
        for pair in zip(batch.inputs[batch.loss_mask].tolist(), batch.targets[batch.loss_mask].tolist(), strict=True)
    ]


def equal(one: Batch, other: Batch) -> bool:
    return torch.equal(one.inputs, other.inputs) and torch.equal(one.targets, other.targets)


def test_the_alphabet_of_the_lecture() -> None:
    batches = ContiguousBatches(ALPHABET, batch_size=4, length=3)
    first, second = epoch(batches)
    assert letters(first.inputs) == ["agms", "bhnt", "ciou"]
    assert letters(first.targets) == ["bhnt", "ciou", "djpv"]
    assert letters(second.inputs) == ["djpv", "ekqw"]
    assert letters(second.targets) == ["ekqw", "flrx"]


def test_lanes_start_again_with_an_empty_memory() -> None:
    batches = ContiguousBatches(ALPHABET, batch_size=4, length=2)
    assert [batches[number].carries_state for number in range(7)] == [False, True, True, False, True, True, False]
    assert equal(batches[1], batches[4])


def test_some_batches_begin_with_an_empty_state() -> None:
    ids = torch.arange(20_002)
    batches, never = ContiguousBatches(ids, 2, 5, reset_probability=0.1, seed=3), ContiguousBatches(ids, 2, 5)
    anew = [not batches[number].carries_state for number in range(1, batches.epoch)]
    assert 0.08 < sum(anew) / len(anew) < 0.12
    assert anew == [not batches[number].carries_state for number in range(1, batches.epoch)]
    assert all(never[number].carries_state for number in range(1, 100))
    assert torch.equal(batches[7].inputs, never[7].inputs)


@given(SIZES, SMALL, SMALL)
@settings(max_examples=100, deadline=None)
def test_lanes_show_each_target_of_a_lane_once(size: int, batch_size: int, length: int) -> None:
    width = size // batch_size
    if width < 2:
        with pytest.raises(DataError):
            ContiguousBatches(torch.arange(size), batch_size, length)
        return
    batches = ContiguousBatches(torch.arange(size), batch_size, length)
    expected = [(row * width + n, row * width + n + 1) for row in range(batch_size) for n in range(width - 1)]
    assert sorted(counted(batches)) == expected
    assert all(batch.inputs.shape == (batch_size, length) for batch in epoch(batches)[:-1])
    assert all(batch.mask is None for batch in epoch(batches))


def test_a_window_is_a_pure_function_of_its_number() -> None:
    numbers = [0, 5, 10**9, 5, 0]
    windows = RandomWindows(torch.arange(1000), batch_size=4, length=7, seed=3)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    found = [windows[number] for number in numbers]
    assert torch.equal(torch.get_rng_state(), before)
    other = RandomWindows(torch.arange(1000), batch_size=4, length=7, seed=3)
    assert all(equal(other[number], batch) for number, batch in zip(numbers, found, strict=True))
    assert not equal(found[0], found[1])
    assert not equal(RandomWindows(torch.arange(1000), 4, 7, seed=4)[5], found[1])


def test_every_window_can_come_the_last_one_too() -> None:
    windows = RandomWindows(torch.arange(12), batch_size=50, length=4)
    starts = torch.cat([windows[number].inputs[:, 0] for number in range(20)])
    counts = torch.bincount(starts, minlength=8)
    assert len(counts) == 8
    assert counts.min() > 80 and counts.max() < 170  # 125 each, sd 10.5
    batch = windows[0]
    assert torch.equal(batch.targets, batch.inputs + 1)
    assert torch.equal(batch.inputs - batch.inputs[:, :1], torch.arange(4).expand(50, 4))


def test_a_text_of_one_window() -> None:
    windows = RandomWindows(torch.arange(5), batch_size=2, length=4)
    assert windows.epoch == 1
    assert windows[3].targets.tolist() == [[1, 2, 3, 4]] * 2
    assert RandomWindows(torch.arange(1000), 4, 10).epoch == 25


def test_windows_and_lanes_count_everywhere() -> None:
    for batch in (
        RandomWindows(ALPHABET, 3, 5)[0],
        ContiguousBatches(ALPHABET, 3, 5)[0],
        ContiguousEval(ALPHABET[:25], 3, 4)[0],
    ):
        assert batch.mask is None
        assert batch.loss_mask.dtype == torch.bool and batch.loss_mask.shape == batch.inputs.shape
        assert batch.positions == batch.inputs.numel()
        assert [len(part.inputs) for part in batch.parts(3)] == [1, 1, 1]


def test_each_part_of_a_padded_batch_is_as_long_as_its_longest_row() -> None:
    ids, mask = padded([torch.arange(length) for length in (2, 3, 4, 6, 6)])
    parts = list(Batch(ids, ids + 1, mask, mask).parts(3))
    assert [tuple(part.inputs.shape) for part in parts] == [(2, 3), (2, 6), (1, 6)]
    for part in parts:
        assert part.mask is not None and part.mask.any(dim=0).all() and part.loss_mask.shape == part.mask.shape
    rows = [part.targets[row, here] for part in parts for row, here in enumerate(part.mask)]  # type: ignore[arg-type]
    assert [row.tolist() for row in rows] == [list(range(1, length + 1)) for length in (2, 3, 4, 6, 6)]
    left, there = padded([torch.arange(2), torch.arange(3)], side="left")
    assert [part.inputs.shape for part in Batch(left, left, there, there).parts(2)] == [(1, 3)] * 2
    nothing = torch.zeros(2, 3, dtype=torch.bool)
    assert [part.inputs.shape for part in Batch(ids[:2, :3], ids[:2, :3], nothing, nothing).parts(1)] == [(2, 1)]
    aligned_otherwise = Batch(ids, ids[:, :2], mask[:, :2], mask)  # as of transcripts
    assert [part.inputs.shape[1] for part in aligned_otherwise.parts(2)] == [6, 6]


@given(SIZES, SMALL, SMALL)
@settings(max_examples=150, deadline=None)
def test_contiguous_evaluation_predicts_every_target_once(size: int, rows: int, length: int) -> None:
    evaluation = ContiguousEval(torch.arange(size), rows, length)
    assert sorted(counted(evaluation)) == [(n, n + 1) for n in range(size - 1)]
    batches = epoch(evaluation)
    assert [batch.carries_state for batch in batches] == [False] + [True] * (len(batches) - 1)
    assert not evaluation[evaluation.epoch].carries_state
    assert all(len(batch.inputs) == len(batches[0].inputs) <= rows for batch in batches)
    joined = torch.cat([batch.inputs for batch in batches], 1)
    there = torch.cat([batch.loss_mask for batch in batches], 1)
    assert there.any(1).all()  # no row is empty
    for row, real in zip(joined, there, strict=True):
        kept = row[real]
        assert torch.equal(kept, torch.arange(len(kept)) + kept[0])


@given(SIZES, st.integers(1, 70), SMALL)
@settings(max_examples=150, deadline=None)
def test_windowed_evaluation_predicts_every_target_once(size: int, window: int, batch_size: int) -> None:
    evaluation = WindowedEval(torch.arange(size), window, batch_size)
    assert counted(evaluation) == [(n, n + 1) for n in range(size - 1)]
    for batch in epoch(evaluation):
        assert not batch.carries_state
        assert len(batch.inputs) <= batch_size and batch.inputs.shape[1] <= window
        assert batch.loss_mask[:, 0].all()  # no row is empty
        assert (batch.inputs[:, 0] % min(window, size - 1) == 0).all()


@given(SIZES, SMALL, SMALL)
@settings(max_examples=60, deadline=None)
def test_padding_is_marked_and_only_where_it_is(size: int, one: int, other: int) -> None:
    for batches in (ContiguousEval(torch.arange(size), one, other), WindowedEval(torch.arange(size), one, other)):
        for batch in epoch(batches):
            assert (batch.mask is None) == bool(batch.loss_mask.all())
            assert batch.mask is None or torch.equal(batch.mask, batch.loss_mask)
            assert torch.equal(batch.targets[batch.loss_mask], batch.inputs[batch.loss_mask] + 1)


def test_numbers_go_on_after_an_epoch() -> None:
    for batches in (ContiguousEval(ALPHABET, 3, 4), WindowedEval(ALPHABET, 4, 3)):
        assert all(equal(batches[n], batches[n + batches.epoch]) for n in range(batches.epoch))


@pytest.mark.parametrize(
    ("make", "message", "hint"),
    [
        (
            lambda ids: ContiguousBatches(ids, 4, 3),
            "a text of 1 tokens is too short for 4 rows: 8 are needed",
            "task.batch_size",
        ),
        (
            lambda ids: RandomWindows(ids, 4, 3),
            "too short for a window of 3 and its next one: 4 are needed",
            "task.length",
        ),
        (lambda ids: ContiguousEval(ids, 4, 3), "too short for one prediction: 2 are needed", "give more text"),
        (lambda ids: WindowedEval(ids, 4, 3), "too short for one prediction: 2 are needed", "give more text"),
    ],
)
def test_too_little_text(make: Callable[[Tensor], Batches], message: str, hint: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        make(torch.arange(1))
    assert hint in caught.value.hint


def test_no_batch_of_lanes_is_empty():
    for size in range(4, 40):
        batches = ContiguousBatches(torch.arange(size), 2, 3)
        assert all(batches[number].positions for number in range(batches.epoch))
