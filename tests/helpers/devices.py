"""The devices that tests run on here."""

import pytest
import torch

GPU = torch.cuda.is_available()
needs_gpu = pytest.mark.skipif(not GPU, reason="no GPU")
DEVICES = ["cpu", pytest.param("cuda", marks=needs_gpu)]
ROUNDING = 1e-5 if GPU else 1e-6
"""Trainings that choose their device run on a GPU where there is one; what is loaded behind them runs on the CPU."""
