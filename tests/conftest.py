"""What all tests share."""

import pytest
import torch

torch.set_num_threads(1)  # the models here are tiny, and the machine may be shared: threads would wait for each other


@pytest.fixture(autouse=True)
def one_thread_and_one_seed():
    """Every test begins with the same random numbers, whatever ran before it."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
