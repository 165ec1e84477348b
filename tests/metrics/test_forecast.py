"""What forecasts are worth: by hand, by definition and in closed form."""

import pytest
import torch

from unspool.data.predictions import Series as Prediction
from unspool.data.scaling import naive_error
from unspool.metrics.forecast import (
    BetterThanSeasonalNaive,
    Coverage,
    OfSeasonalNaive,
    ScaledCrps,
    ScaledError,
    covered,
    crps,
    gaussian_crps,
    mase,
    seasonal_naive,
)


def test_mase_is_the_error_by_that_of_the_naive_forecast():
    values = torch.tensor([1.0, 5.0, 2.0, 7.0, 1.0])
    assert naive_error(values) == pytest.approx((4 + 3 + 5 + 6) / 4)
    assert naive_error(values, 2) == pytest.approx((1 + 2 + 1) / 3)
    assert mase(torch.tensor([2.0, 2.0]), torch.tensor([1.0, 5.0]), 4.0) == pytest.approx(0.5)


def record(series="a", naive=2.0, values=(1.0, 5.0), future=(2.0, 8.0)):
    return {"series": series, "naive": naive, "values": list(values), "future": list(future)}


def said(*values, samples=()):
    return Prediction("", [1, 2], list(values), samples=list(samples))


def test_errors_are_means_over_windows_and_then_over_series():
    metric = ScaledError()
    assert metric.compute() == {"mase": None}
    metric.update(said(2.0, 8.0), record())
    metric.update(said(4.0, 8.0), record())  # 1 / 2 in the mean, by a naive error of 2
    metric.update(said(3.0, 9.0), record("b", naive=0.5))
    metric.update(said(3.0, 9.0), record("constant", naive=0.0))
    assert metric.compute() == {"mase": ((0.0 + 0.5) / 2 + 2.0) / 2}
    for season, error in ((1, (3 + 3) / 2 / 2), (2, (1 + 3) / 2 / 2)):
        naive = ScaledError("naive", seasonal_naive(season))
        naive.update(said(0.0, 0.0), record())
        assert naive.compute() == {"naive": error}


def test_scores_of_paths_are_those_of_their_values():
    paths = torch.randn(9, 2, dtype=torch.float64)
    metric, single = ScaledCrps(), ScaledCrps()
    metric.update(said(0.0, 0.0, samples=paths.tolist()), record())
    assert metric.compute()["crps"] == pytest.approx(float(crps(paths, torch.tensor([2.0, 8.0])).mean()) / 2)
    single.update(said(3.0, 8.0), record())
    single.update(said(3.0, 8.0), record("constant", naive=0.0))
    assert single.compute() == {"crps": 0.25}
    cover = Coverage(80)
    cover.update(said(3.0, 8.0), record())
    assert cover.compute() == {}
    cover.update(said(0.0, 0.0, samples=[[float(n), float(n)] for n in range(9)]), record())
    assert cover.compute() == {"covered_80": 0.5}  # from 0.8 to 7.2


def test_a_ratio_to_the_seasonal_naive_forecast_is_undefined_where_that_has_no_error():
    of, better = OfSeasonalNaive(2), BetterThanSeasonalNaive(2)
    for metric in (of, better):
        metric.update(said(2.0, 8.0), record("exact", values=(2.0, 8.0)))
        assert list(metric.compute().values()) == [None]
        metric.update(said(2.0, 7.0), record("a"))  # 0.5 of 2
        metric.update(said(9.0, 8.0), record("b"))  # 3.5 of 2
    assert of.compute() == {"of_seasonal_naive": (0.25 + 1.75) / 2}
    assert better.compute() == {"better_than_seasonal_naive": 0.5}


def test_crps_of_drawn_values_is_its_definition_and_tends_to_the_closed_form():
    paths, true = torch.randn(7, 5, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    pairs = (paths.unsqueeze(0) - paths.unsqueeze(1)).abs().mean(dim=(0, 1))
    torch.testing.assert_close(crps(paths, true), (paths - true).abs().mean(dim=0) - pairs / 2)
    torch.testing.assert_close(crps(paths[:1], true), (paths[0] - true).abs())
    mean, scale, true = torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0]), torch.tensor([1.7, -2.5])
    many = mean + scale * torch.randn(40_000, 2)
    torch.testing.assert_close(crps(many, true), gaussian_crps(mean, scale, true), atol=2e-2, rtol=0)


def test_the_closed_form_is_the_integral():
    x = torch.linspace(-20, 20, 400_001, dtype=torch.float64)
    below = torch.distributions.Normal(0.3, 1.2).cdf(x)
    integral = float(torch.trapezoid((below - (x >= 1.1).double()).square(), x))
    assert integral == pytest.approx(float(gaussian_crps(*map(torch.tensor, (0.3, 1.2, 1.1)))), abs=1e-4)


def test_the_middle_80_percent_cover_80_percent_of_what_is_so_distributed():
    assert covered(torch.randn(1000, 4000), torch.randn(4000), 0.8) == pytest.approx(0.8, abs=0.03)
    assert covered(torch.randn(1000, 4000), 3 * torch.randn(4000), 0.8) < 0.5
