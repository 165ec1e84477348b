"""Folders and archives as one: what counts as a file of them, and what is not read."""

import os
import tarfile
from pathlib import PurePosixPath

import pytest

from unspool.data.readers import text, trees
from unspool.data.recognize import recognize
from unspool.errors import DataError


@pytest.fixture
def folder(tmp_path):
    for name in ("all/train/pos/1.txt", "all/test/neg/2.TXT", "all/.git/3.txt", "all/train/pos/._1.txt", "all/a.md"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    return tmp_path


PLACES = [PurePosixPath("test/neg/2.TXT"), PurePosixPath("train/pos/1.txt")]


def test_hidden_files_are_no_data(folder):
    assert [name for name, _ in trees.files(str(folder), ".txt")] == PLACES
    assert trees.places(str(folder), ".txt") == PLACES
    assert trees.places(str(folder), ".png") == []
    assert len(text.find(str(folder))) == 2
    with pytest.raises(DataError, match="no \\.png file"):
        trees.files(str(folder), ".png")


def test_an_archive_has_the_places_of_its_folder(folder):
    with tarfile.open(folder / "a.tar.gz", "w:gz") as archive:
        archive.add(folder / "all/train", "all/train")
        archive.add(folder / "all/test", "all/test")
    assert trees.places(str(folder / "a.tar.gz"), ".txt") == PLACES
    assert dict(trees.files(str(folder / "a.tar.gz"), ".txt"))[PLACES[1]] == b"all/train/pos/1.txt"


def test_data_is_recognized_without_reading_the_files(folder, monkeypatch):
    monkeypatch.setattr(trees, "read_bytes", lambda name: pytest.fail(f"{name} was read"))
    assert recognize(str(folder)).seen == ("2 files", "2 labels: neg (1), pos (1)")


def test_what_goes_away_while_it_is_walked_is_left_out(folder, monkeypatch):
    """A whole file system, as `unspool train /` has one, changes below any walk through it."""
    walk = os.walk

    def removing(place, **options):
        for here, folders, names in walk(place, **options):
            if here.endswith("neg"):
                os.remove(os.path.join(here, "2.TXT"))
            folders.append("gone")
            yield here, folders, names

    monkeypatch.setattr(os, "walk", removing)
    assert trees.places(str(folder), ".txt") == [PurePosixPath("1.txt")]
