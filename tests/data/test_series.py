"""TimeSeries from tables: what is read, and what is refused by file and line."""

import numpy as np
import pytest

from helpers.files import write
from unspool.data.clock import Clock
from unspool.data.series import TimeSeries
from unspool.data.synthetic.five_series import five_series
from unspool.errors import DataError


def test_series_are_columns_and_groups_cut_in_time(tmp_path):
    rows = [f"{shop},{n},{10 * n}" for n in range(10) for shop in ("b", "a") if n < 8 or shop == "a"]
    path = write(tmp_path, "\n".join(["shop,sales,visits", *rows]))
    parts = TimeSeries(path, column=("sales", "visits"), group="shop", valid=0.25, test=0.25).read()
    train, valid, test = ({r["series"]: r["values"] for r in p} for p in (parts.train, parts.valid, parts.test))
    assert list(train) == ["b sales", "b visits", "a sales", "a visits"]
    assert train["b sales"] == [0, 1, 2, 3] and valid["b sales"] == [4, 5] and test["b sales"] == [6, 7]
    assert train["a visits"] + valid["a visits"] + test["a visits"] == [10 * n for n in range(10)]
    assert parts.places["b visits"] == f"{path}, line 2"
    assert parts.fingerprint != TimeSeries(path, column="sales", group="shop").read().fingerprint


@pytest.mark.parametrize(
    ("text", "options", "error", "hint"),
    [
        ("value\n1\n\n,\n", {}, "line 4: there is no number in the column 'value'", "fill it"),
        ("a,value\n1,2\n1,\n", {}, "line 3: there is no number in the column 'value'", "fill it"),
        ("value\n1\nx1\n", {}, "line 3: 'x1' in the column 'value' is not a number", "with a point"),
        ("value\n1\n1,5\n", {}, "line 3", ""),
        ("value\n1\nNaN\n", {}, "line 3: 'NaN' in the column 'value' is no finite", "fill it"),
        ("value\n1e39\n1\n", {}, "line 2: '1e39'", "fill it"),
        ("valeu\n1\n", {}, "line 2: there is no column 'value'", "data.column=valeu"),
        ("id,value\n,1\n", {"group": "id"}, "line 2: the column 'id' names no series", "fill it"),
        (
            "id,value\na,1\na,2\na,3\nb,7\n",
            {"group": "id", "valid": 0.0, "test": 0.5},
            "line 5: the series 'b' has 1",
            "longer",
        ),
        ("value\n", {}, "empty", "one record"),
    ],
)
def test_a_table_that_is_no_series_is_refused_by_file_and_line(tmp_path, text, options, error, hint):
    with pytest.raises(DataError) as caught:
        TimeSeries(write(tmp_path, text), **options).read()
    assert "series.csv" in str(caught.value) and error in str(caught.value) and hint in caught.value.hint


def test_the_made_series_are_the_same_every_time():
    one, again = five_series(), five_series()
    assert one == again and len(one) == 5
    assert all(len(values) == 1200 and np.isfinite(values).all() for values in one.values())
    sine = np.array(one["sine"])
    assert np.std(sine - np.sin(2 * np.pi * np.arange(1200) / 24)) == pytest.approx(0.2, abs=0.02)


def test_rows_are_sorted_by_the_time_that_is_found(tmp_path):
    days = Clock("2024-01-01", 86_400.0).times(0, 10)
    path = write(tmp_path, "\n".join(["Date,value", *(f"{day},{n}" for n, day in reversed([*enumerate(days)]))]))
    found = TimeSeries(path, valid=0.0, test=0.2).read()
    assert found.train == [{"series": "value", "values": [*range(8)], "times": days[:8]}]
    assert found.test[0]["values"] == [8, 9], "the latest are the test"
    assert found.notes[1:] == ("times are in the column 'Date'", "the rows of 'value' were sorted by time")
    named = write(tmp_path, "\n".join(["weekday,value", "Monday,1", "Sunday,2"]))
    assert TimeSeries(named, time="weekday", valid=0.0, test=0.5).read().train[0]["values"] == [1.0]


def test_two_series_without_a_group_are_refused_with_the_group(tmp_path):
    rows = [f"2024-01-{day:02},{shop},{day}" for day in range(1, 9) for shop in ("north", "south")]
    path = write(tmp_path, "\n".join(["day,shop,value", *rows]))
    with pytest.raises(DataError, match=r"line 3: the time 2024-01-01 comes twice in .*line 2") as refused:
        TimeSeries(path).read()
    assert refused.value.hint == "tell the series apart with data.group=shop"
    assert [r["series"] for r in TimeSeries(path, group="shop", valid=0.0).read().train] == ["north", "south"]
    path = write(tmp_path, "day,value\n2024-01-01,1\n2024-01-02,2\n2024-01-02,3\n")
    with pytest.raises(DataError, match="line 4: the time 2024-01-02 comes twice") as refused:
        TimeSeries(path).read()
    assert refused.value.hint == "leave one of the rows out"


@pytest.mark.parametrize(
    ("times", "previous", "linear", "filled"),
    [
        (["1", "2", "5"], [0, 1, 1, 1, 2], [0, 1, 4 / 3, 5 / 3, 2], ["1", "2", "3", "4", "5"]),
        (["2024-01-31", "2024-02-01", "2024-02-03"], [0, 1, 1, 2], [0, 1, 1.5, 2], ["2024-02-02"]),
        (["2024-01-01", "2024-02-01", "2024-04-01"], [0, 1, 1, 2], [0, 1, 1.5, 2], ["2024-03-01"]),
        (["2024-05-02", "2024-05-03", "2024-05-07"], [0, 1, 1, 2], [0, 1, 1.5, 2], ["2024-05-06"]),
    ],
    ids=["numbers", "days", "months", "weekdays"],
)
def test_holes_are_refused_or_filled(tmp_path, times, previous, linear, filled):
    path = write(tmp_path, "\n".join(["time,value", *(f"{time},{n}" for n, time in enumerate(times))]))
    with pytest.raises(DataError, match=f"line 4: between {times[1]} and {times[2]} there is a hole") as refused:
        TimeSeries(path, valid=0.0, test=0.0).read()
    assert "data.holes=previous" in refused.value.hint
    for holes, values in (("previous", previous), ("linear", linear), ("keep", [0, 1, 2])):
        (record,) = TimeSeries(path, valid=0.0, test=0.0, holes=holes).read().train
        assert record["values"] == pytest.approx(values)
        assert holes == "keep" or set(filled) <= set(record["times"])


def test_weekends_are_no_holes_and_unequal_steps_are_refused(tmp_path):
    path = write(tmp_path, "date,value\n2024-05-02,1\n2024-05-03,2\n2024-05-06,3\n2024-05-07,4\n")
    found = TimeSeries(path, valid=0.0, test=0.0).read()
    assert found.train[0]["values"] == [1, 2, 3, 4] and "weekdays" in found.notes[-1]
    path = write(tmp_path, "time,value\n1,1\n2,2\n3.5,3\n")
    with pytest.raises(DataError, match="there are no equal steps in") as refused:
        TimeSeries(path, valid=0.0, test=0.0, holes="linear").read()
    assert "data.holes=keep" in refused.value.hint
