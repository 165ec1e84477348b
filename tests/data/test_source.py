"""The [data] section: splits, their sources, and the texts that come with Python."""

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unspool.data import corpora as shelf
from unspool.data.corpora import corpora, corpus
from unspool.data.source import Source
from unspool.data.splits import Splits
from unspool.errors import ConfigError, DataError
from unspool.schema import validated


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in {"train.txt": "t" * 100, "valid.txt": "v" * 20, "test.txt": "s" * 30}.items():
        (tmp_path / name).write_text(content)
    return tmp_path


def test_one_text_is_cut_in_order(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    text = "".join(chr(97 + n % 26) for n in range(1000))
    path.write_text(text)
    splits = Source(path=str(path), valid=0.05, test=0.05).read()
    assert (len(splits.train), len(splits.valid), len(splits.test)) == (900, 50, 50)
    assert splits.train + splits.valid + splits.test == text
    assert splits.files == (str(path),)


@given(st.integers(30, 10**12))
@settings(max_examples=200, deadline=None)
def test_the_default_split_is_that_of_nanogpt(size: int) -> None:
    source = Source(path="-")
    assert int(size * (1 - source.shares[0])) == int(size * 0.9)


def test_the_split_of_tinyshakespeare(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a" * 1_115_394)
    splits = Source(path=str(tmp_path / "a.txt")).read()
    assert (len(splits.train), len(splits.valid), splits.test) == (1_003_854, 111_540, "")


def test_a_folder_with_train_txt_is_three_texts(folder: Path) -> None:
    splits = Source(path=str(folder)).read()
    assert (splits.train, splits.valid, splits.test) == ("t" * 100, "v" * 20, "s" * 30)
    assert splits.files == tuple(str(folder / f"{name}.txt") for name in ("train", "valid", "test"))


def test_a_part_without_a_file_is_cut(folder: Path) -> None:
    (folder / "valid.txt").unlink()
    splits = Source(path=str(folder)).read()
    assert (splits.train, splits.valid, splits.test) == ("t" * 90, "t" * 10, "s" * 30)


def test_given_files_replace_the_shares(folder: Path) -> None:
    train, valid, test = (str(folder / f"{name}.txt") for name in ("train", "valid", "test"))
    splits = Source(train_path=train, valid_path=valid, test=0.2).read()
    assert (splits.train, splits.valid, splits.test) == ("t" * 80, "v" * 20, "t" * 20)
    splits = Source(path=train, test_path=test, valid=0.0).read()
    assert (splits.train, splits.valid, splits.test) == ("t" * 100, "", "s" * 30)
    splits = Source(path=train, valid_path=valid, test_path=valid).read()
    assert (splits.train, splits.valid, splits.test) == ("t" * 100, "v" * 20, "v" * 20)
    assert Source(path=str(folder), valid_path=test).read().valid == "s" * 30


def test_cleaning_comes_before_the_limit(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("“a”   b   c   d   e   f")
    splits = Source(path=str(tmp_path / "a.txt"), ascii=True, squeeze=True, limit=7, valid=0.0).read()
    assert splits.train == '"a" b c'


def test_notes_travel_with_the_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"caf\xe9 " * 20)
    assert Source(path=str(tmp_path / "a.txt")).read().notes == (
        f"{tmp_path / 'a.txt'} is not UTF-8: read as Windows-1252",
    )


def test_the_fingerprint_knows_where_the_cuts_are() -> None:
    assert Splits("ab", "c").fingerprint == Splits("ab", "c", notes=("other",)).fingerprint
    assert len({Splits("ab", "c").fingerprint, Splits("a", "bc").fingerprint, Splits("ab", "", "c").fingerprint}) == 3


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({}, "no text is given", "set data.path=FILE"),
        ({"path": "a", "train_path": "b"}, "data.path and data.train_path are set", "data.train_path="),
        ({"path": "a", "valid": 0.5, "test": 0.5}, "leave nothing to train on", "data.valid=0.1"),
    ],
)
def test_impossible_options(options: dict, message: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        Source(**options)
    assert hint in caught.value.hint


@pytest.mark.parametrize("options", [{"valid": 1.0}, {"limit": -1}, {"ascii": "perhaps"}, {"valid_file": "a"}])
def test_the_constructor_is_the_schema(options: dict) -> None:
    with pytest.raises(ConfigError, match=r"data\."):
        validated(Source, options, "data", "data")


@pytest.mark.parametrize(("text", "part"), [("a", "train"), ("abcdef", "valid")])
def test_too_little_text(tmp_path: Path, text: str, part: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(DataError, match=f"is too short to split: . would be left for {part}") as caught:
        Source(path=str(tmp_path / "a.txt")).read()
    assert "data.valid" in caught.value.hint


def test_every_corpus_is_there_and_the_same_twice() -> None:
    for name in corpora:
        text = corpus(name)
        assert len(text.text) > 100_000
        assert text.text == corpus(name).text
        assert text.files == (name,)
        assert "\0" not in text.text and " \n" not in corpus("python-docs").text
    assert len(corpus("python-source").text) <= shelf.SOURCE_LIMIT


def test_an_unknown_corpus() -> None:
    with pytest.raises(ConfigError) as caught:
        Source(corpus="python-doc").read()
    assert caught.value.hint == "did you mean 'python-docs'?"


def test_a_python_without_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(DataError, match="without its help pages"):
        corpus("python-docs")
    monkeypatch.setattr(shelf.sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(DataError, match="no Python source"):
        corpus("python-source")
    (tmp_path / "test").mkdir()
    for name, content in {"test/a.py": b"a", "b.py": b"b = 1\n", "c.py": b"\xff"}.items():
        (tmp_path / name).write_bytes(content)
    assert corpus("python-source").text == "b = 1\n"
