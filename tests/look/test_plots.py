"""What a picture shows, not its pixels."""

import pytest

from unspool.look import plots
from unspool.look.canvas import Picture
from unspool.metrics.drawings import Captioned, Heatmap, Heatmaps


def test_the_mean_follows_and_never_lags():
    falling = [float(v) for v in range(500, 0, -1)]
    assert plots.smooth(falling) == pytest.approx(falling)  # the mean around a point of a straight line is that point
    assert plots.smooth([]) == []
    noisy = [v + (-1) ** i for i, v in enumerate(falling)]
    assert max(abs(s - v) for s, v in zip(plots.smooth(noisy)[5:-5], falling[5:-5], strict=True)) < 0.5


def test_a_curve_tells_every_step_and_every_way(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(Picture, "save", lambda picture, path: drawn.append(picture))
    records = [{"kind": "step", "step": n, "loss": 5.0 - n / 100} for n in range(1, 201)]
    records += [{"kind": "valid", "set": "carried", "step": n, "loss": 4.0 - n / 100} for n in (100, 200)]
    plots.draw_loss(records, tmp_path / "loss.png", "a run")
    (axes,) = drawn[0].axes
    every, mean, now, carried = axes.lines
    assert list(every.get_xdata()) == list(mean.get_xdata()) == list(range(1, 201))
    assert list(carried.get_ydata()) == [3.0, 2.0]
    assert (list(now.get_xdata()), list(now.get_ydata())) == ([200], [mean.get_ydata()[-1]])
    assert mean.get_ydata()[-1] == pytest.approx(3.0)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "training (now 3.000)",
        "validation, carried (best 2.000)",
    ]
    assert axes.get_xlabel() == "training step" and "nats" in axes.get_ylabel() and axes.get_title() == "a run"


def test_tables_of_shares_show_every_share_under_its_names(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(Picture, "save", lambda picture, path: drawn.append(picture))
    one = Heatmap([[0.25, 1.0], [0.5, 0.0], [0.0, 0.125]], ["$a", "b", "c"], ["x", "y"], "said", "looked at", "first")
    plots.draw(Heatmaps([one, Heatmap([[1.0]], ["a"], ["x"], "said", "looked at"), one]), tmp_path / "maps.png", "run")
    plots.draw(one, tmp_path / "map.png")
    three, alone = drawn
    assert [axes.get_visible() for axes in three.axes] == [True, True, True, False]
    for axes in (three.axes[0], alone.axes[0]):
        assert axes.images[0].get_array().tolist() == one.values
        assert [label.get_text() for label in axes.get_yticklabels()] == one.rows
        assert [label.get_text() for label in axes.get_xticklabels()] == one.columns
        assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("looked at", "said", "first")
        assert [text.get_text() for text in axes.texts] == ["25", "100", "50", "0", "0", "12"]


def test_the_last_value_of_the_curve_is_no_single_loss():
    noisy = [2.0 + (0.5 if step % 2 else -0.5) for step in range(1000)]
    assert plots.smooth(noisy)[-1] == pytest.approx(2.0, abs=0.2)


def test_a_captioned_image_keeps_its_aspect(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(Picture, "save", lambda picture, path: drawn.append(picture))
    image = [[[0, 0, 0]] * 4] * 4  # resized to a square
    plots.draw_captions([Captioned(image, "wide", ["wide"], aspect=2.0)], tmp_path / "a.png")
    left, right, bottom, top = drawn[0].axes[0].images[0].get_extent()
    assert (right - left) / (bottom - top) == 2.0 and drawn[0].axes[0].get_aspect() == 1.0
