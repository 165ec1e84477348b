"""TimeSeries from tables: what is read, and what is refused by file and line."""

import numpy as np
import pytest

from helpers.files import write
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


def test_rows_that_go_back_in_time_are_refused(tmp_path):
    path = write(tmp_path, "day,value\n2024-01-02,1\n2024-01-01,2\n")
    with pytest.raises(DataError, match=r"series.csv, line 3: 2024-01-01 is before 2024-01-02") as refused:
        TimeSeries(path, time="day").read()
    assert "sort" in refused.value.hint
    assert TimeSeries(path, valid=0.0, test=0.5).read().train, "without a time nobody can tell"
