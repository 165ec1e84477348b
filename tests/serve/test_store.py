"""Stored states are bounded, expire, and are found again; names are never paths."""

import pytest
import torch

from unspool.errors import LimitError
from unspool.generate.state import State
from unspool.serve.store import StateStore, new_name


def state(size=100):
    return State((torch.zeros(1, size),), torch.zeros(1, 5), torch.zeros(1, 3, dtype=torch.long))


def test_the_oldest_go_when_there_are_too_many(tmp_path):
    for folder in (None, tmp_path / "states"):
        store = StateStore(folder, limit=4000, keep=60.0)
        names = [store.put("state", "m", state(), {"number": number}) for number in range(12)]
        left = [name for name in names if store.get(name) is not None]
        assert 1 <= len(left) < 12 and left == names[-len(left) :] and store.size <= 4000
        assert folder is None or len(list(folder.iterdir())) == 2 * len(left)
        with pytest.raises(LimitError):
            store.put("state", "m", state(10_000), {})


def test_a_later_store_finds_them(tmp_path):
    name = StateStore(tmp_path, 10**6, 60.0).put("resp", "m", state(), {"text": "é"})
    (tmp_path / "strange.json").write_text("{")
    (tmp_path / "strange.state").write_text("")
    found = StateStore(tmp_path, 10**6, 60.0).get(name)
    assert found.model == "m" and found.info == {"text": "é"} and found.path.is_file()
    assert (tmp_path / "strange.json").exists()


def test_they_expire(tmp_path):
    for folder in (None, tmp_path / "states"):
        store = StateStore(folder, 10**6, keep=0.0)
        assert store.get(store.put("state", "m", state(), {})) is None and len(store) == 0 and store.size == 0


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "state_", "", "state_" + 31 * "a", "state_../" + 29 * "a"])
def test_names_are_never_paths(tmp_path, name):
    store = StateStore(tmp_path, 10**6, 60.0)
    assert store.get(name) is None and not store.delete(name)


def test_names_differ():
    assert len({new_name("state") for _ in range(100)}) == 100
