"""One seed for every generator."""

import random

import numpy as np
import torch

from unspool import seeds


def test_a_seed_starts_every_generator():
    def draws():
        seeds.start(5)
        return torch.rand(1).item(), random.random(), np.random.rand()

    assert draws() == draws()
