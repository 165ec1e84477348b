"""One seed for every generator."""

import random

import numpy as np
import torch

from unspool import seeds
from unspool.seeds import GOLDEN, _hashed, random_numbers


def test_a_seed_starts_every_generator():
    def draws():
        seeds.start(5)
        return torch.rand(1).item(), random.random(), np.random.rand()

    assert draws() == draws()


STREAM = (6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821)
"""The first numbers of SplitMix64 from the state 1234567, as its authors' C code gives them."""


def test_the_hash_is_that_of_splitmix64():
    states = np.uint64(1234567) + GOLDEN * np.arange(1, 6, dtype=np.uint64)
    assert _hashed(states).tolist() == list(STREAM)


def test_random_numbers_are_even_and_those_of_near_seeds_and_places_unrelated():
    numbers = random_numbers(np.arange(2000), np.arange(500)[:, None])
    assert numbers.min() > 0 and numbers.max() < 1
    assert abs(numbers.mean() - 1 / 2) < 0.001 and abs(numbers.var() - 1 / 12) < 0.001
    for a, b in ((numbers[:-1], numbers[1:]), (numbers[:, :-1], numbers[:, 1:]), (numbers[:-1, :-1], numbers[1:, 1:])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.004
    counts = np.bincount((numbers * 64).astype(int).ravel(), minlength=64)
    assert ((counts - numbers.size / 64) ** 2 / (numbers.size / 64)).sum() < 110  # chi-square, 63 degrees: p = 0.0002


def test_every_whole_number_is_a_seed():
    numbers = random_numbers([0, -1, 2**64 - 1, 2**63, -(2**63), 2**70], 0)
    assert numbers[1] == numbers[2] and numbers[3] == numbers[4] and numbers[5] == numbers[0]
    assert len(set(numbers.tolist())) == 3
