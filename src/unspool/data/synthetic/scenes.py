"""Scenes of a few coloured shapes, drawn from a seed and a number, and every right caption of them."""

from itertools import combinations, permutations
from random import Random
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from unspool.seeds import mix

COLOURS = {
    "red": (214, 39, 40),
    "green": (44, 150, 44),
    "blue": (40, 90, 210),
    "yellow": (240, 215, 40),
    "purple": (140, 50, 170),
    "orange": (250, 135, 20),
}
SHAPES = ("circle", "square", "triangle", "cross", "ring")
HELD_OUT = frozenset(
    {
        ("red", "circle"),
        ("green", "square"),
        ("blue", "triangle"),
        ("yellow", "cross"),
        ("purple", "ring"),
        ("orange", "triangle"),
    }
)
"""The combinations that training does not show: each colour once, and each shape."""
OTHERS = frozenset((colour, shape) for colour in COLOURS for shape in SHAPES) - HELD_OUT

FORMS = {"circle": (0, 0.79), "square": (4, 1.0), "triangle": (3, 0.5), "cross": (12, 0.55), "ring": (0, 0.55)}
"""How many corners each shape has, and how much of the square around it is covered."""
MEASURED = ("x", "y", "size", "corners", "cover", "red", "green", "blue")
"""What is measured of each thing."""

LARGE, SMALL = 0.19, 0.135  # radii, of the image's side
CLEAR = 0.12  # so much farther apart are two things along one axis than along the other: no relation is in doubt
FINE = 3  # dots along each side of a pixel: edges are smooth


class Thing(NamedTuple):
    """What stands somewhere; x goes to the right and y down, both from 0 to 1.

    >>> str(Thing("red", "circle", True, 0.5, 0.5))
    'a small red circle'
    """

    colour: str
    shape: str
    small: bool
    x: float
    y: float

    @property
    def radius(self) -> float:
        """How far it reaches."""
        return SMALL if self.small else LARGE

    def __str__(self) -> str:
        return f"a {'small' if self.small else 'large'} {self.colour} {self.shape}"


Scene = tuple[Thing, ...]


def scene(seed: int, number: int, most: int, among: frozenset[tuple[str, str]] = OTHERS) -> Scene:
    """Scene `number` of a seed: one to `most` things whose colours and shapes are combined as in `among`.

    >>> scene(0, 7, most=2) == scene(0, 7, most=2), scene(0, 7, most=2) == scene(1, 7, most=2)
    (True, False)
    """
    random = Random(mix(seed, number))
    kinds = sorted(among)
    looks = [(*random.choice(kinds), random.random() < 0.5) for _ in range(random.randint(1, most))]
    while True:
        things = []
        for colour, shape, small in looks:
            edge = SMALL if small else LARGE
            things.append(Thing(colour, shape, small, random.uniform(edge, 1 - edge), random.uniform(edge, 1 - edge)))
        if all(_clear(a, b) for a, b in combinations(things, 2)):
            return tuple(things)


def _clear(one: Thing, other: Thing) -> bool:
    """Whether two things do not touch, and one axis says how they stand."""
    across, down = abs(one.x - other.x), abs(one.y - other.y)
    return abs(across - down) >= CLEAR and max(across, down) >= one.radius + other.radius + 0.03


def relation(one: Thing, other: Thing) -> str:
    """How the first stands to the second, along the axis on which they are farther apart.

    >>> relation(Thing("red", "ring", True, 0.2, 0.5), Thing("red", "ring", True, 0.8, 0.4))
    'left of'
    """
    across, down = one.x - other.x, one.y - other.y
    if abs(across) > abs(down):
        return "left of" if across < 0 else "right of"
    return "above" if down < 0 else "below"


def captions(things: Scene) -> list[str]:
    """All right captions of a scene by its grammar: each thing may come first, and the others in any order.

    In the first caption they come from left to right.

    >>> captions((Thing("blue", "square", False, 0.8, 0.4), Thing("red", "ring", True, 0.2, 0.5)))[0]
    'a small red ring left of a large blue square'
    """
    captions = []
    for first, *rest in permutations(sorted(things, key=lambda thing: thing.x)):
        more = " and ".join(f"{relation(first, other)} {other}" for other in rest)
        captions.append(f"{first} {more}".strip())
    return list(dict.fromkeys(captions))


def measured(things: Scene, most: int, seed: int) -> dict[str, float]:
    """The scene as a plain vector: eight numbers for each of `most` things, zeros for one that is not there.

    They are what one could measure on a picture: place, size, corners, how much of the square around it a thing covers,
    and its colour, which varies. The things stand in no order.

    >>> found = measured((Thing("red", "ring", True, 0.2, 0.5),), most=2, seed=0)
    >>> list(found)[:8], found["x1"], found["corners2"]
    (['x1', 'y1', 'size1', 'corners1', 'cover1', 'red1', 'green1', 'blue1'], 0.2, 0.0)
    """
    random = Random(seed)
    found: dict[str, float] = {}
    for number in range(most):
        values = [0.0] * len(MEASURED)
        if number < len(things):
            thing = things[number]
            colour = [level + random.uniform(-15, 15) for level in COLOURS[thing.colour]]
            values = [thing.x, thing.y, 2 * thing.radius, *FORMS[thing.shape], *colour]
        named = zip(MEASURED, values, strict=True)
        found |= {f"{name}{number + 1}": round(float(value), 3) for name, value in named}
    return found


def painted(things: Scene, side: int, seed: int) -> UInt8[np.ndarray, "side side 3"]:
    """The scene as pixels: colours and the grey behind them vary, and there is some noise."""
    random = np.random.default_rng(seed)
    picture = np.full((side, side, 3), random.uniform(190, 250))
    dots = (np.arange(side * FINE) + 0.5) / (side * FINE)
    for thing in things:
        low, high = (
            [max(0, int((place - thing.radius) * side)) for place in (thing.x, thing.y)],
            [min(side, int((place + thing.radius) * side) + 1) for place in (thing.x, thing.y)],
        )
        u = (dots[low[0] * FINE : high[0] * FINE] - thing.x) / thing.radius
        v = (dots[low[1] * FINE : high[1] * FINE] - thing.y) / thing.radius
        inside = _inside(thing.shape, u[None, :], v[:, None])
        cover = inside.reshape(len(v) // FINE, FINE, len(u) // FINE, FINE).mean(axis=(1, 3))[..., None]
        colour = np.array(COLOURS[thing.colour]) + random.uniform(-15, 15, 3)
        part = picture[low[1] : high[1], low[0] : high[0]]
        part += cover * (colour - part)
    picture += random.normal(0, 4, picture.shape)
    return picture.clip(0, 255).astype(np.uint8)


def _inside(shape: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Where a shape of radius one is, at (0, 0)."""
    if shape == "square":
        return np.maximum(abs(u), abs(v)) <= 0.85
    if shape == "triangle":
        return (v <= 0.8) & (abs(u) <= 0.55 * (v + 1))
    if shape == "cross":
        return np.minimum(abs(u), abs(v)) <= 0.33
    squared = u * u + v * v
    return (squared <= 1) & ((squared >= 0.3) if shape == "ring" else True)
