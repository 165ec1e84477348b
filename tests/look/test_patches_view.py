"""Attention over image patches: the weights of the right words on the right patches, and the picture of them."""

import pytest
import torch

from helpers.commands import run
from unspool import Run
from unspool.data.readers.images import patches, unpatched
from unspool.errors import DataError
from unspool.look.views.patches import AttendedImage, Patches

SIDE, PATCH = 8, 4
SCENE = bytes(range(SIDE * SIDE * 3))


def image_of_four():
    """Two by two patches of 2 x 2 pixels, of which only the last has two colours."""
    pixels = torch.zeros(4, 4, 3)
    pixels[2, 2] = 1.0
    weights = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1]])
    return AttendedImage(pixels, ["a", "ring"], weights, (2, 2))


def test_patches_are_put_back():
    cut = patches(SCENE, SIDE, 2, PATCH)
    assert bytes(unpatched(cut, SIDE // PATCH, 2, PATCH).flatten().tolist()) == SCENE


def test_a_patch_that_differs_from_the_usual_colour_is_foreground():
    assert image_of_four().foreground.tolist() == [False, False, False, True]


def test_the_most_attended_patch_is_shown_as_it_is_and_others_paler():
    shaded = image_of_four().shaded(1)
    assert torch.equal(shaded[:2, :2], torch.zeros(2, 2, 3))
    assert float(shaded[0, 3, 0]) == pytest.approx(1 - (0.12 + 0.88 / 7))


def test_the_summary_names_words_places_and_shares():
    share, first, second = Patches([image_of_four()]).summary()
    assert share == "0.25 of the attention lies on the foreground, 0.25 of all patches"
    assert first == "'a' attends most to row 2, column 2 (0.40)"
    assert second == "'ring' attends most to row 1, column 1 (0.70)"


RECIPES = {
    "caption": [
        "captions",
        "core.width=8",
        "core.input_width=4",
        "encoder.width=8",
        "encoder.columns=4",
        "data.side=16",
    ],
    "classify-images": ["shapes", "core.width=8", "core.core.layers=1", "core.core.heads=2", "data.side=8"],
}


@pytest.mark.parametrize("kind", RECIPES)
def test_of_a_model(kind, tmp_path):
    settings = ["data.scenes=60", "train.steps=1", "train.threads=1"]
    assert run("train", *RECIPES[kind], *settings, "--run", tmp_path / "run") == 0
    view = Run.load(tmp_path / "run").look().view("patches")
    for one in view.images:
        assert torch.allclose(one.weights.sum(dim=1), torch.ones(len(one.words)), atol=1e-4)
        assert one.weights.shape[1] == one.grid[0] * one.grid[1] and 0 <= float(one.pixels.min()) <= 1
    assert view.images[0].words[0] == {"caption": "a", "classify-images": "all patches"}[kind]
    assert len(view.plot().axes) >= len(view.images) * 2
    assert len(view.data()) == len(view.images) == len(view.panels())


def test_a_model_that_reads_no_images_is_refused(tmp_path):
    assert run("train", "parity", "core.width=4", "train.steps=1", "--run", tmp_path / "run") == 0
    with pytest.raises(DataError, match="reads no images"):
        Run.load(tmp_path / "run").look().view("patches")
