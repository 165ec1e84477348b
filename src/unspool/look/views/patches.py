"""Where in an image the attention of a captioner or of an image classifier lies."""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from unspool.data.probe import beginning, select_positions
from unspool.data.readers.images import unpatched
from unspool.errors import DataError
from unspool.look.attention import AttentionMap, attention_maps
from unspool.look.canvas import INK, Picture
from unspool.look.inspection import Inspection
from unspool.look.panels import Heatmap, Panel
from unspool.look.view import View, register_view

IMAGES = 4
WORDS = 40  # of a caption that are drawn
DIFFERENT = 0.05  # the mean difference from an image's usual colour from which on a patch belongs to something
ABREAST = 8  # images


@runtime_checkable
class CutsImages(Protocol):
    """A preprocessor that cuts square images into patches."""

    size: int

    @property
    def patch(self) -> tuple[int, int]:
        """Height and width of a patch, in pixels."""


@dataclass(frozen=True)
class AttendedImage:
    """An image, and the weights (W, S) that each of W words, or the whole model, gives to its S patches.

    Args:
        pixels: (height, width, 3), from 0 to 1.
        words: what the weights belong to.
        weights: each row sums to 1.
        grid: rows and columns of patches.
    """

    pixels: Float[Tensor, "height width 3"]
    words: list[str]
    weights: Float[Tensor, "W S"]
    grid: tuple[int, int]

    @property
    def foreground(self) -> Tensor:
        """Which patches differ from the image's usual colour, the median of its pixels, (S,)."""
        (down, across), (height, width) = self.grid, self.pixels.shape[:2]
        background = self.pixels.flatten(0, 1).median(dim=0).values
        cut = (self.pixels - background).abs().view(down, height // down, across, width // across, 3)
        return cut.mean(dim=(1, 3, 4)).flatten() > DIFFERENT

    def place(self, patch: int) -> str:
        """The name of a patch."""
        row, column = divmod(patch, self.grid[1])
        return f"row {row + 1}, column {column + 1}"

    def shaded(self, word: int) -> Tensor:
        """The pixels, the paler the less weight their patch has beside the most attended one."""
        strength = (self.weights[word] / self.weights[word].max().clamp(min=1e-12)).view(*self.grid)
        height, width = (side // count for side, count in zip(self.pixels.shape[:2], self.grid, strict=True))
        strength = strength.repeat_interleave(height, 0).repeat_interleave(width, 1).unsqueeze(-1)
        return 1 - (0.12 + 0.88 * strength) * (1 - self.pixels)


@register_view("patches")
@dataclass(frozen=True)
class Patches(View):
    """The patches of the first images that each word of a caption, or a classifier, attends to.

    Of a captioner the weights are those of the last layer that attends to the image, while a word is chosen; of a
    classifier those that a patch gets from all patches in its last layer of attention. Heads are averaged.
    """

    title: ClassVar[str] = "Attention over image patches"
    rank: ClassVar[int] = 16
    images: list[AttendedImage]

    @classmethod
    def of(cls, look: Inspection) -> "Patches":
        """Read the weights. Raises: DataError for a model that reads no images, or has no attention over them."""
        cutter = look.preprocessor
        if not isinstance(cutter, CutsImages):
            raise DataError(f"{look.name} reads no images", hint="ask for another view, as --what attention")
        few = select_positions(look.batch, beginning(look.batch, IMAGES, look.fitting(WORDS**2)))
        maps = attention_maps(look.model, few)
        maps = [one for one in maps if one.attends_to_source] if few.source is not None else maps
        if not maps:
            raise DataError(
                f"{look.name} has no attention over images", hint="ask for another view, as --what gradient"
            )
        images = few.inputs if few.source is None else few.source[: len(few.inputs)]
        across = cutter.size // cutter.patch[1]
        grid = images.shape[1] // across, across
        found = []
        for row, image in enumerate(images.float().cpu()):
            words, weights = attended(maps[-1], row, look.rows.targets[row] if few.source is not None else [])
            found.append(AttendedImage((unpatched(image, across, *cutter.patch) + 1) / 2, words, weights, grid))
        return cls(found)

    def summary(self) -> list[str]:
        """How much of the attention lies where something is drawn, then the patch of each word of the first image."""
        drawn = torch.stack([one.foreground.float().mean() for one in self.images]).mean()
        share = torch.stack([(one.weights * one.foreground).sum(dim=1).mean() for one in self.images]).mean()
        first = self.images[0]
        places = [
            f"{word!r} attends most to {first.place(int(weights.argmax()))} ({float(weights.max()):.2f})"
            for word, weights in zip(first.words, first.weights, strict=True)
        ]
        where = f"{share:.2f} of the attention lies on the foreground, {drawn:.2f} of all patches"
        return [where, *places]

    def data(self) -> list[dict[str, Any]]:
        """The words and the weights of every image."""
        return [
            {
                "words": one.words,
                "grid": list(one.grid),
                "foreground": one.foreground.tolist(),
                "weights": [[round(weight, 4) for weight in weights] for weights in one.weights.tolist()],
            }
            for one in self.images
        ]

    def plot(self) -> Picture:
        """Each image, and behind it the same for each word: the paler a patch, the less it is attended to."""
        across = min(ABREAST, 1 + max(len(one.words) for one in self.images))
        tiles: list[tuple[str, Tensor]] = []
        for one in self.images:
            row = [("image", one.pixels), *((word, one.shaded(n)) for n, word in enumerate(one.words))]
            tiles += [*row, *[("", torch.ones(1, 1, 3))] * (-len(row) % across)]
        down = -(-len(tiles) // across)
        picture = Picture(1.25 * across, 1.45 * down, down, across)
        for axes, (name, pixels) in zip(picture.axes, tiles, strict=True):
            axes.imshow(pixels.clamp(0, 1).numpy(), interpolation="nearest")
            axes.set_title(name, fontsize=8, color=INK, parse_math=False)
            axes.set_axis_off()
        return picture

    def panels(self) -> list[Panel]:
        """The weights of each image, words down and patches across."""
        return [
            Heatmap(one.weights, one.words, [one.place(n) for n in range(one.weights.shape[1])], "word", "patch")
            for one in self.images
        ]


def attended(one: AttentionMap, row: int, targets: list[str]) -> tuple[list[str], Tensor]:
    """The words of an image and the weights (W, S) of each: the mean over the heads."""
    weights = one.weights[row].float().cpu().mean(dim=0)  # (T, S)
    if not one.attends_to_source:
        return ["all patches"], weights.mean(dim=0, keepdim=True)
    places = [place for place, word in enumerate(targets[: len(weights)]) if word.strip()][:WORDS]
    return [targets[place] for place in places], weights[places]
