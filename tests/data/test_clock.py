"""Times that go on as they began."""

import pytest

from unspool.data.clock import Clock


@pytest.mark.parametrize(
    ("times", "following"),
    [
        (["1", "2", "3"], [4, 5]),
        ([0, 0.5, 1.0], [1.5, 2]),
        (["2024-01-31 22:00", "2024-01-31 23:00"], ["2024-02-01 00:00:00", "2024-02-01 01:00:00"]),
        (["2023-11-01", "2023-12-01"], ["2023-12-31", "2024-01-30"]),
        (["2023-11-01", "2023-12-01", "2024-01-01"], ["2024-02-01", "2024-03-01"]),
        (["2023-12-31", "2024-01-02", "2024-01-04"], ["2024-01-06", "2024-01-08"]),
    ],
)
def test_times_go_on_as_they_began(times, following):
    assert Clock.of(times).times(len(times), 2) == following


@pytest.mark.parametrize("times", [[], ["1"], ["a", "b"], ["1", "2", "4"], ["2", "1"], ["1", "2024-01-01"], ["", ""]])
def test_times_that_are_not_equally_far_apart_have_no_clock(times):
    assert Clock.of(times) is None
