"""What all tests share."""

import shutil

import pytest
import torch

torch.set_num_threads(1)  # the models here are tiny, and the machine may be shared: threads would wait for each other


@pytest.fixture
def place(trained, tmp_path, monkeypatch):
    """A folder of the test's own, with what the module's `trained` folder holds to play with."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def one_thread_and_one_seed():
    """Every test begins with the same random numbers, whatever ran before it."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
