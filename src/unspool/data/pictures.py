"""The [data] sections of tasks that look at images: files with captions or labels, or scenes that need no file."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from unspool.data.labelled import cell_text, picked
from unspool.data.readers.images import ENDINGS, find_image, netpbm, pixels
from unspool.data.readers.skipped import usable
from unspool.data.readers.tables import Placed, Record, TableFormat
from unspool.data.readers.trees import File, files, label_of, split_of
from unspool.data.records import SHUFFLE, Found, check_paths, read_splits, read_table_files, split
from unspool.data.splits import SplitOptions, SplitPaths, Splits
from unspool.data.synthetic.scenes import HELD_OUT, OTHERS, Scene, captions, painted, scene
from unspool.errors import ConfigError, DataError
from unspool.schema import Count, Natural
from unspool.seeds import mix

TABLES = (".csv", ".tsv", ".json", ".jsonl")


def draw_scenes(
    options: SplitOptions,
    number: int,
    things: int,
    show: Callable[[Scene, int], Record],
    among: Callable[[bool], frozenset[tuple[str, str]]],
    describe: Callable[[Scene, bool], Record],
) -> Found:
    """So many drawn scenes, split by the shares; the same in every run.

    Args:
        things: at most so many in a scene.
        show: what a record shows of a scene, given a seed.
        among: the combinations of colour and shape that a scene may have, given whether it is an unseen one: every
            other scene of validation and test is.
        describe: what a record says of a scene, given the same.
    """
    valid, test = (int(number * share) for share in options.shares)
    sizes, index = {"train": number - valid - test, "valid": valid, "test": test}, 0
    found: Found = {}
    for name, size in sizes.items():
        found[name] = []
        for _ in range(size):
            unseen = name != "train" and index % 2 == 1
            drawn = scene(SHUFFLE, index, things, among(unseen))
            record = {"name": f"scene {index}", **show(drawn, mix(SHUFFLE, index)), **describe(drawn, unseen)}
            found[name].append((record["name"], record))
            index += 1
    return found


def as_image(drawn: Scene, seed: int, side: int) -> Record:
    """A scene as an image of so many pixels a side."""
    return {"image": netpbm(painted(drawn, side, seed).tobytes())}


def known_or_unseen(unseen: bool) -> frozenset[tuple[str, str]]:
    """The combinations that training never shows, or the others."""
    return HELD_OUT if unseen else OTHERS


def right_captions(drawn: Scene, unseen: bool) -> Record:
    """Every right caption of a scene; the first of them is the one to learn."""
    right = captions(drawn)
    return {"captions": right, "trained": right[:1], "unseen": unseen}


def check_images(path: str, scenes: int) -> None:
    """Raise ConfigError where there are neither images nor scenes."""
    if not (path or scenes):
        raise ConfigError("no images are given", hint="set data.path=FOLDER, or data.scenes=1000 to draw some")
    check_paths(path or "scenes", SplitPaths())


@dataclass
class CaptionedImages(SplitOptions, TableFormat):
    """Images with captions: a table with a `file` and a `caption` in each row, beside its images, or drawn scenes.

    `path` is the table (.csv, .tsv, .json, .jsonl), or a folder with captions.csv, say, or with train.csv, valid.csv
    and test.csv. A file that has several rows has several captions, and all are right.

    Without a path there are `scenes` of one to `things` things, `side` times `side` pixels large. Some combinations
    of colour and shape never occur in training; in validation and test, half of the scenes are made of them alone.

    Args:
        path: a table, or a folder with one.
        scenes: how many scenes are drawn where no path is given.
        things: how many things a scene has at most.
        side: how many pixels a side of an image has.
        file: the column of the images' file names.
        caption: the column of the captions.
    """

    path: str = ""
    scenes: Natural = 0
    things: Count = 3
    side: Count = 32
    file: str = "file"
    caption: str = "caption"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_images(self.path, self.scenes)
        if self.things > 3:
            raise ConfigError(
                f"a scene has room for three things, received data.things={self.things}", hint="data.things=3"
            )
        self.scenes = 0 if self.path else self.scenes

    def read(self) -> Splits[list[Record]]:
        """Read or draw, and split."""
        notes: list[str] = []
        if self.scenes:
            show = partial(as_image, side=self.side)
            found = draw_scenes(self, self.scenes, self.things, show, known_or_unseen, right_captions)
        else:
            found = self.found(notes)
        return split(found, self, notes, (self.path or "scenes",))

    def from_stdin(self, splits: Splits[list[Record]]) -> str:
        """Images are never read from standard input."""
        return ""

    def found(self, notes: list[str]) -> Found:
        """The images of a table or of a folder with tables."""
        place = Path(os.path.expanduser(self.path))
        if not place.is_dir():
            return {"train": self.grouped(read_table_files(self.path, self, notes), place.parent, notes)}
        if tables := sorted(table for table in place.glob("captions.*") if table.suffix in TABLES):
            return {"train": self.grouped(read_table_files(str(tables[0]), self, notes), place, notes)}
        if not any(place.glob("train.*")):
            raise DataError(
                f"there is no captions.csv or train.csv in the folder {self.path}",
                hint="write one with the columns file and caption, or name the table itself",
            )
        named = read_splits(self.path, self, notes)
        return {name: self.grouped(rows, place, notes) for name, rows in named.items()}

    def grouped(self, rows: list[Placed], folder: Path, notes: list[str]) -> list[Placed]:
        """One record for each image, with the captions of all its rows; rows that are of no use are counted."""
        found: dict[str, Placed] = {}

        def add(placed: Placed) -> None:
            place, row = placed
            name, caption = self.named(row, place)
            if name not in found:
                found[name] = place, {"name": name, "image": find_image(folder / name, place), "captions": []}
            found[name][1]["captions"].append(caption)

        usable(rows, add, "rows", notes)
        return list(found.values())

    def named(self, row: Record, place: str) -> tuple[str, str]:
        """The file and the caption of a row. Raises: DataError where one is missing."""
        file, caption = (picked(row, place, *key) for key in ((self.file, "file"), (self.caption, "caption")))
        name, words = cell_text(file, place, self.file).strip(), cell_text(caption, place, self.caption).strip()
        if not (name and words):
            raise DataError(f"{place}: there is no {'caption' if name else 'file'}", hint="fill it in, or drop it")
        return name, words


@dataclass
class LabelledImages(SplitOptions):
    """Images with labels: a folder of images for each label (cat/1.png), or scenes with one thing in it each.

    `path` is the folder around them, or a .tar.gz of it; above the labels there may be train, valid and test. Images
    are resized to `side` times `side` pixels. Without a path there are that many `scenes`, each labelled with the shape
    of its one thing.

    Args:
        path: a folder, or a .tar.gz of it.
        scenes: how many scenes are drawn where no path is given.
        side: how many pixels a side of an image has.
    """

    path: str = ""
    scenes: Natural = 0
    side: Count = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        check_images(self.path, self.scenes)
        self.scenes = 0 if self.path else self.scenes

    def read(self) -> Splits[list[Record]]:
        """Read or draw, and split."""
        notes: list[str] = []
        if self.scenes:
            every = OTHERS | HELD_OUT
            show = partial(as_image, side=self.side)
            found = draw_scenes(self, self.scenes, 1, show, lambda unseen: every, self.describe)
        else:
            found = self.found(notes)
        return split(found, self, notes, (self.path or "scenes",))

    def from_stdin(self, splits: Splits[list[Record]]) -> str:
        """Images are never read from standard input."""
        return ""

    @staticmethod
    def describe(drawn: Scene, unseen: bool) -> Record:
        """The shape of the only thing."""
        return {"label": drawn[0].shape}

    def found(self, notes: list[str]) -> Found:
        """The images of a tree of folders; those that cannot be read are counted."""
        found: Found = {}
        for part, placed in usable(files(self.path, *ENDINGS), self.image, "images", notes):
            found.setdefault(part, []).append(placed)
        return found

    def image(self, file: File) -> tuple[str, Placed]:
        """The part of the data that a file belongs to, its pixels and its label."""
        place, data = file
        name, label = f"{self.path}/{place}", label_of(place)
        if not label:
            raise DataError(f"{name}: there is no label", hint="put the images of each label into a folder of its name")
        image = netpbm(pixels(data, name, self.side))
        return split_of(place), (name, {"name": str(place), "label": label, "image": image})
