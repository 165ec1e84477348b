"""Files are written whole or not at all."""

import errno

import pytest

from unspool import files
from unspool.errors import CheckpointError


def test_a_small_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "results.json"
    files.write_text(file, "old")

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(CheckpointError):
        patch.setattr("os.fsync", full)
        files.write_text(file, "new")
    assert file.read_text() == "old" and list(tmp_path.iterdir()) == [file]
