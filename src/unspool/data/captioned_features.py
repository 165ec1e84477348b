"""The [data] section of the task with numbers and a caption: columns of a table, or scenes that need no file."""

from dataclasses import dataclass

from unspool.data.features import feature_values
from unspool.data.labelled import cell_text, picked
from unspool.data.pictures import draw_scenes, known_or_unseen, right_captions
from unspool.data.readers.tables import Names, Record, TableFormat
from unspool.data.records import check_paths, read_splits, split
from unspool.data.splits import SplitOptions, SplitPaths, Splits
from unspool.data.synthetic.scenes import Scene, measured
from unspool.errors import ConfigError, DataError
from unspool.schema import Count, Natural


@dataclass
class CaptionedFeatures(SplitOptions, TableFormat):
    """Numbers and captions: columns of a table, named `features` and `caption`, or that many drawn `scenes`.

    Without `features` every column is one but the captions and `name`. Where several columns are captions, or a cell of
    a .jsonl or .parquet is a list of them, a record has several right ones: each is learned, and an empty cell is none.
    A table of yours goes before the scenes of a recipe: `data.path=FILE` is all it takes.

    A scene is what could be measured of one to `things` things: place, size, corners, the share of the square around it
    that it covers, and colour. Some combinations of colour and shape never occur in training; in validation and test,
    half of the scenes are made of them alone.

    Args:
        path: a table, or a folder with train.csv, valid.csv and test.csv.
        scenes: how many scenes are drawn where no path is given.
        things: how many things a scene has at most.
        features: the columns of the numbers; none: every column but those of captions and names.
        caption: the column of the captions, or several.
        name: the column of what a record is called, such as a file: it is shown beside examples; "": none.

    >>> list(CaptionedFeatures(scenes=10, things=1, valid=0.1).read().valid[0]["features"])[:4]
    ['x1', 'y1', 'size1', 'corners1']
    """

    path: str = ""
    scenes: Natural = 0
    things: Count = 2
    features: Names = ()
    caption: Names = ("caption",)
    name: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.path or self.scenes):
            raise ConfigError("no records are given", hint="set data.path=FILE, or data.scenes=1000 to draw some")
        check_paths(self.path or "scenes", SplitPaths())
        if self.things > 3:
            raise ConfigError(
                f"a scene has room for three things, received data.things={self.things}", hint="data.things=3"
            )
        if self.path:
            self.scenes = 0
        else:
            self.features, self.caption, self.name = (), ("caption",), ""

    def read(self) -> Splits[list[Record]]:
        """Read or draw, check and split."""
        notes: list[str] = []
        if self.scenes:
            found = draw_scenes(self, self.scenes, self.things, self.show, known_or_unseen, right_captions)
            return split(found, self, notes, ("scenes",))
        return split(read_splits(self.path, self, notes), self, notes, (self.path,), self.taken)

    def from_stdin(self, splits: Splits[list[Record]]) -> str:
        """Records are never read from standard input."""
        return ""

    def show(self, drawn: Scene, seed: int) -> Record:
        """The numbers of a drawn scene."""
        return {"features": measured(drawn, self.things, seed)}

    def taken(self, place: str, record: Record) -> Record | None:
        """The numbers of the features, and the captions."""
        captions = [text for column in self.caption for text in self.captions(place, record, column)]
        if not captions:
            raise DataError(f"{place}: there is no caption", hint="give each record a caption, or leave it out")
        others = (*self.caption, self.name)
        names = self.features or tuple(name for name in record if name not in others)
        if twice := next((name for name in names if name in self.caption), None):
            raise DataError(f"the column {twice!r} is the caption and a feature", hint="leave it out of data.features")
        named = {"name": cell_text(picked(record, place, self.name, "name"), place, self.name)} if self.name else {}
        return {**named, "captions": captions, "features": feature_values(record, place, names, "caption")}

    def captions(self, place: str, record: Record, column: str) -> list[str]:
        """The captions in a cell: one, or a list of them."""
        cell = picked(record, place, column, "caption")
        several = cell if isinstance(cell, list) else [cell]
        return list(filter(None, (cell_text(one, place, column).strip() for one in several)))
