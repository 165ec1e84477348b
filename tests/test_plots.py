"""What a picture shows, not its pixels."""

from unspool.look import plots


def test_the_mean_follows_and_never_lags():
    falling = [float(v) for v in range(500, 0, -1)]
    assert plots.smooth(falling) == falling  # the mean around a point of a straight line is that point
    assert plots.smooth([]) == []
    noisy = [v + (-1) ** i for i, v in enumerate(falling)]
    assert max(abs(s - v) for s, v in zip(plots.smooth(noisy)[5:-5], falling[5:-5], strict=True)) < 0.5


def test_a_curve_tells_every_step_and_every_way(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, path: drawn.append((figure, path)))
    records = [{"kind": "step", "step": n, "loss": 5.0 - n / 100} for n in range(1, 201)]
    records += [{"kind": "valid", "way": "carried", "step": n, "loss": 4.0 - n / 100} for n in (100, 200)]
    plots.draw_loss(records, tmp_path / "loss.png", "a run")
    (axes,) = drawn[0][0].axes
    every, mean, carried = axes.lines
    assert list(every.get_xdata()) == list(mean.get_xdata()) == list(range(1, 201))
    assert list(carried.get_ydata()) == [3.0, 2.0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "training (now 3.015)",
        "validation, carried (best 2.000)",
    ]
    assert axes.get_xlabel() == "training step" and "nats" in axes.get_ylabel() and axes.get_title() == "a run"
