"""The [data] sections of tasks that look at images: files with captions or labels, or scenes that need no file."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from unspool.data.labelled import picked
from unspool.data.parallel import apart
from unspool.data.readers.images import ENDINGS, pixels
from unspool.data.readers.tables import FormatName, Placed, Record
from unspool.data.readers.text import read_bytes
from unspool.data.readers.trees import files, label_of, split_of
from unspool.data.records import SHUFFLE, Records
from unspool.data.synthetic.scenes import HELD_OUT, OTHERS, Scene, captions, painted, scene
from unspool.errors import ConfigError, DataError
from unspool.schema import Count, Natural, Share
from unspool.seeds import mix

TABLES = (".csv", ".tsv", ".json", ".jsonl")


class Pictures(Records):
    """Images of `side` times `side` pixels from `path`, or that many `scenes` that are drawn here.

    Images of yours go before the scenes of a recipe: `data.path=FOLDER` is all it takes. A scene has one to `things`
    things in it, and is the same in every run.
    """

    def __init__(
        self,
        path: str = "",
        scenes: Natural = 0,
        things: Count = 3,
        side: Count = 32,
        format: FormatName = "auto",
        encoding: str = "auto",
        limit: Natural = 0,
        valid: Share = 0.1,
        test: Share = 0.0,
    ) -> None:
        if not (path or scenes):
            raise ConfigError("no images are given", hint="set data.path=FOLDER, or data.scenes=1000 to draw some")
        if things > 3:
            raise ConfigError(f"a scene has room for three things, received data.things={things}", hint="data.things=3")
        super().__init__(path or "scenes", format=format, encoding=encoding, limit=limit, valid=valid, test=test)
        self.scenes, self.things, self.side = 0 if path else scenes, things, side

    def parts(self, path: str) -> dict[str, list[Placed]]:
        """The images with what is said of them, by the part of the data that they say they are."""
        return self.drawings() if self.scenes else self.found(path)

    def found(self, path: str) -> dict[str, list[Placed]]:
        """The images of files."""
        raise NotImplementedError

    def drawings(self) -> dict[str, list[Placed]]:
        """The scenes: each part has numbers of its own. What training does not show is every other one elsewhere."""
        valid, test = (int(self.scenes * share) for share in self.shares)
        sizes, number = {"train": self.scenes - valid - test, "valid": valid, "test": test}, 0
        parts: dict[str, list[Placed]] = {}
        for part, size in sizes.items():
            parts[part] = []
            for _ in range(size):
                unseen = part != "train" and number % 2 == 1
                drawn = scene(SHUFFLE, number, self.things, self.among(unseen))
                image = painted(drawn, self.side, mix(SHUFFLE, number)).tobytes()
                record = {"name": f"scene {number}", "pixels": image, **self.said(drawn, unseen)}
                parts[part].append((record["name"], record))
                number += 1
        return parts

    def among(self, unseen: bool) -> frozenset[tuple[str, str]]:
        """The combinations of colour and shape that a scene is made of."""
        return OTHERS | HELD_OUT

    def said(self, drawn: Scene, unseen: bool) -> Record:
        """What a record says of a scene."""
        raise NotImplementedError


class CaptionedImages(Pictures):
    """Images with captions: a table with a `file` and a `caption` in each row, beside its images, or drawn scenes.

    `path` is the table (.csv, .tsv, .json, .jsonl), or a folder with captions.csv, say, or with train.csv, valid.csv
    and test.csv. A file that has several rows has several captions, and all are right. Captions are written small, and
    punctuation stands apart as words do. Images are resized to `side` times `side` pixels.

    Without a path there are `scenes` of one to `things` things. Some combinations of colour and shape never occur in
    training; in validation and test, half of the scenes are made of them alone.
    """

    def __init__(
        self,
        path: str = "",
        scenes: Natural = 0,
        things: Count = 3,
        side: Count = 32,
        file: str = "file",
        caption: str = "caption",
        format: FormatName = "auto",
        encoding: str = "auto",
        limit: Natural = 0,
        valid: Share = 0.1,
        test: Share = 0.0,
    ) -> None:
        super().__init__(path, scenes, things, side, format, encoding, limit, valid, test)
        self.file, self.caption = file, caption

    def among(self, unseen: bool) -> frozenset[tuple[str, str]]:
        """Held out, or not."""
        return HELD_OUT if unseen else OTHERS

    def said(self, drawn: Scene, unseen: bool) -> Record:
        """Every right caption; the first of them is taught."""
        right = captions(drawn)
        return {"captions": right, "taught": right[:1], "unseen": unseen}

    def found(self, path: str) -> dict[str, list[Placed]]:
        """The images of a table or of a folder with tables."""
        place = Path(os.path.expanduser(path))
        if not place.is_dir():
            return {"train": list(self.grouped(self.table(path), place.parent))}
        if tables := sorted(table for table in place.glob("captions.*") if table.suffix in TABLES):
            return {"train": list(self.grouped(self.table(str(tables[0])), place))}
        if not any(place.glob("train.*")):
            raise DataError(
                f"there is no captions.csv or train.csv in the folder {path}",
                hint="write one with the columns file and caption, or name the table itself",
            )
        return {part: list(self.grouped(rows, place)) for part, rows in super(Pictures, self).parts(path).items()}

    def grouped(self, rows: list[Placed], folder: Path) -> Iterator[Placed]:
        """One record for each image, with the captions of all its rows."""
        found: dict[str, Placed] = {}
        for place, row in rows:
            file, caption = (picked(row, place, *key) for key in ((self.file, "file"), (self.caption, "caption")))
            name, words = str(file or "").strip(), apart(str(caption or "").lower())
            if not (name and words):
                raise DataError(f"{place}: there is no {'caption' if name else 'file'}", hint="fill it in, or drop it")
            if name not in found:
                found[name] = place, {"name": name, "pixels": self.image(folder, name, place), "captions": []}
            found[name][1]["captions"].append(words)
        yield from found.values()

    def image(self, folder: Path, name: str, place: str) -> bytes:
        """The pixels of an image. Errors: DataError that says where it is named."""
        try:
            return pixels(read_bytes(str(folder / name)), name, self.side)
        except (DataError, ValueError) as error:
            hint = getattr(error, "hint", "") or "correct its name"
            raise DataError(f"{place}: {error}", hint=hint) from None


class LabelledImages(Pictures):
    """Images with labels: a folder of images for each label (cat/1.png), or scenes with one thing in it each.

    `path` is the folder around them, or a .tar.gz of it; above the labels there may be train, valid and test. Images
    are resized to `side` times `side` pixels. Without a path there are that many `scenes`, each labelled with the shape
    of its one thing.
    """

    def __init__(
        self,
        path: str = "",
        scenes: Natural = 0,
        side: Count = 32,
        limit: Natural = 0,
        valid: Share = 0.1,
        test: Share = 0.0,
    ) -> None:
        super().__init__(path, scenes, 1, side, limit=limit, valid=valid, test=test)

    def said(self, drawn: Scene, unseen: bool) -> Record:
        """The shape of the only thing."""
        return {"label": drawn[0].shape}

    def found(self, path: str) -> dict[str, list[Placed]]:
        """The images of a tree."""
        parts: dict[str, list[Placed]] = {}
        for place, data in files(path, *ENDINGS):
            parts.setdefault(split_of(place), []).append(self.image(place, data, path))
        return parts

    def image(self, place: PurePosixPath, data: bytes, path: str) -> Placed:
        """The pixels of a file and its label."""
        name, label = f"{path}/{place}", label_of(place)
        if not label:
            raise DataError(f"{name}: there is no label", hint="put the images of each label into a folder of its name")
        return name, {"name": str(place), "label": label, "pixels": pixels(data, name, self.side)}
