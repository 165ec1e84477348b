"""Files are written whole or not at all."""

import errno
import os
from pathlib import Path

import pytest
import torch

from unspool import files
from unspool.errors import CheckpointError
from unspool.runs.checkpoint import save_checkpoint


def test_a_small_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "results.json"
    files.write_text(file, "old")

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(CheckpointError):
        patch.setattr("os.fsync", full)
        files.write_text(file, "new")
    assert file.read_text() == "old" and list(tmp_path.iterdir()) == [file]


@pytest.fixture
def calls(monkeypatch):
    """What is asked of the disk, in order: ("flush", inode) and ("rename", inode of the folder)."""
    asked, flush = [], os.fsync

    def flushed(handle):
        asked.append(("flush", os.fstat(handle).st_ino))
        flush(handle)

    def recorded(name):
        rename = getattr(Path, name)

        def renamed(self, target):
            asked.append(("rename", Path(target).parent.stat().st_ino))
            return rename(self, target)

        monkeypatch.setattr(Path, name, renamed)

    monkeypatch.setattr("os.fsync", flushed)
    recorded("rename"), recorded("replace")
    return asked


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a folder cannot be flushed")
def test_a_rename_is_flushed_with_its_folder_so_that_it_outlives_a_power_cut(tmp_path, calls):
    files.write_text(tmp_path / "results.json", "{}")
    content, renamed, folder = calls
    assert content[0] == "flush" and renamed == ("rename", tmp_path.stat().st_ino)
    assert folder == ("flush", tmp_path.stat().st_ino)
    calls.clear()
    saved = save_checkpoint(tmp_path, 1, {"a": torch.zeros(1)}, {}, {})
    place = saved.path.parent.stat().st_ino
    assert calls[-2:] == [("rename", place), ("flush", place)]  # fsync(2): a folder's entries need one of their own
    assert [name for name, _ in calls[:-2]] == ["flush"] * 4
