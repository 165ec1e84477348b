"""The [data] section of tasks with a text and a label: tables, and folders that say the labels by their names."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from unspool.data.readers.conll import NO_BREAK
from unspool.data.readers.decoding import decode
from unspool.data.readers.tables import Placed, Record, TableFormat
from unspool.data.readers.trees import File, is_tree, label_of, split_of
from unspool.data.readers.trees import files as tree_files
from unspool.data.records import Found, check_paths, gather, given_files, read_splits, split, split_tables
from unspool.data.splits import SplitOptions, SplitPaths, Splits
from unspool.data.synthetic.code_words import code_words
from unspool.errors import DataError, unknown

CORPORA: dict[str, Callable[[], Iterator[Placed]]] = {"code-words": code_words}
"""Name -> what reads it, from what is on every computer with Python."""


@dataclass
class Labelled(SplitOptions, TableFormat, SplitPaths):
    """Texts and their labels: two columns of a table, named `text` and `label`, or a folder or .tar.gz of .txt files.

    In a folder each label is a folder of texts (pos/1.txt), or a file with a text on each line (Arabic.txt); above them
    there may be train, valid and test. Records without a text are left out.

    Without files of yours a `corpus` comes with Python: "code-words" are the sentences of its help pages, each word of
    which is marked as code or not (for the task "tag").

    The other keys are those of all records: `valid` and `test` are shares, drawn once and for all. A part that has a
    file of its own is that file instead: `valid_path`, `test_path`, or a test folder beside a train folder. `format` is
    found by the ending (.csv, .tsv, .json, .jsonl, .parquet, each plain or .gz); "label-text" are lines of a label and
    a text, "conll" (.conll, .conllu) lines of a word and its label, with an empty line after each sentence. Delimiter,
    quoting and header of a table are detected unless they are given (`delimiter`, `quoting`, `header`, `columns`).
    `distinct` takes a record that comes again once, so that none is both learned and asked for where shares are drawn;
    `limit` keeps so many of every part (0: all). `together` puts the parts of `path` together, so that shares are drawn
    from all of it.

    Args:
        path: a table (.csv, .tsv, .json, .jsonl, .parquet, .conll, each plain or .gz), a folder or a .tar.gz.
        corpus: "code-words" are the sentences of Python's help pages, read where no file is given.
        text: the column of the texts.
        label: the column of the labels.
        distinct: whether duplicate records are dropped, so that none is in two splits.
        together: whether the splits of `path` are joined, so that shares are drawn from all of it.

    >>> Labelled(path="names", valid=0.2).taken("a.csv, line 2", {"text": " Ang ", "label": "Chinese", "more": 1})
    {'text': 'Ang', 'label': 'Chinese'}
    """

    path: str = ""
    corpus: str = ""
    text: str = field(default="text", kw_only=True)
    label: str = field(default="label", kw_only=True)
    distinct: bool = field(default=False, kw_only=True)
    together: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.corpus = "" if self.path or self.train_path else self.corpus
        if self.corpus and self.corpus not in CORPORA:
            raise unknown("corpus of records", self.corpus, CORPORA)
        check_paths(self.path or self.corpus, self)

    def read(self) -> Splits[list[Record]]:
        """Read, check and split."""
        notes: list[str] = []
        found = gather(self.path or self.corpus, self, lambda path: self.found(path, notes), self.together)
        return split(found, self, notes, given_files(self.path or self.corpus, self), self.taken, self.distinct)

    def from_stdin(self, splits: Splits[list[Record]]) -> str:
        """Records are never read from standard input."""
        return ""

    def found(self, path: str, notes: list[str]) -> Found:
        """The records of a corpus, of a table or of a tree of texts."""
        if self.corpus:
            return {"train": list(CORPORA[self.corpus]())}
        if not is_tree(path) or "train" in split_tables(path):
            return read_splits(path, self, notes)
        found: Found = {}
        tree = tree_files(path, ".txt")
        foldered = any(label_of(place) for place, _ in tree)  # then a file beside the folders is a list of something
        for file in tree:
            if bool(label_of(file[0])) == foldered:
                found.setdefault(split_of(file[0]), []).extend(self.texts(file, path, notes))
        return found

    def texts(self, file: File, path: str, notes: list[str]) -> list[Placed]:
        """The records in one file of a tree: itself, or each of its lines."""
        place, data = file
        name, label = f"{path}/{place}", label_of(place)
        text, note = decode(data, name, self.encoding)
        notes += [note] if note else []
        if label:
            return [(name, {self.text: text, self.label: label})]
        lines = enumerate(text.split("\n"), start=1)
        return [(f"{name}, line {n}", {self.text: line, self.label: place.stem}) for n, line in lines if line.strip()]

    def taken(self, place: str, record: Record) -> Record | None:
        """Text and label alone, both as text."""
        text, label = (picked(record, place, *key) for key in ((self.text, "text"), (self.label, "label")))
        if isinstance(label, list) and not isinstance(text, list):
            raise DataError(
                f"{place}: the column {self.label!r} holds a list, and a text has one label",
                hint="choose another data.label, or give the words of the text as a list as well",
            )
        label = " ".join(cell_text(label, place, self.label).split())
        if not label:
            raise DataError(f"{place}: there is no label", hint="give each text a label, or leave the record out")
        text = cell_text(text, place, self.text).strip()
        return {"text": text, "label": label} if text else None


def cell_text(value: Any, place: str, column: str) -> str:
    """What a cell of a table says: a list of words with spaces between them. Raises: DataError for what is no text.

    >>> cell_text(["New York", "."], "a.jsonl, line 1", "words"), cell_text(0, "a.jsonl, line 1", "label")
    ('New\\xa0York .', '0')
    """
    if isinstance(value, list | tuple) and not any(isinstance(one, list | tuple | dict | bytes) for one in value):
        return " ".join(NO_BREAK.join(str(one).split()) for one in value)
    if isinstance(value, list | tuple | dict | bytes):
        kind = {"dict": "an object", "bytes": "bytes"}.get(type(value).__name__, "a list of lists")
        raise DataError(f"{place}: the column {column!r} holds {kind}", hint="write it as text")
    return "" if value is None else str(value)


def picked(record: Record, place: str, name: str, key: str) -> Any:
    """What stands in the column that `data.key` names."""
    if name not in record:
        hint = unknown("column", name, record, prefix=f"data.{key}=").hint
        raise DataError(f"{place}: there is no column {name!r}", hint=hint)
    return record[name]
