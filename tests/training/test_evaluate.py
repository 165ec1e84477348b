"""Evaluation uses no dropout and changes nothing."""

import torch

from helpers.models import gru
from unspool.data.batching.contiguous import ContiguousBatches
from unspool.generate.sampling import (
    sample_tokens,
)
from unspool.training.evaluate import evaluate

V = 7
DATA = ContiguousBatches(torch.randint(V, (400,), generator=torch.Generator().manual_seed(0)), 4, 10)


def test_judging_and_writing_use_no_dropout_and_judging_puts_the_mode_back():
    dropped, plain, prompt = gru(dropout=0.5).train(), gru(), torch.randint(V, (2, 5))
    assert evaluate(dropped, DATA) == evaluate(plain, DATA)
    assert dropped.training and not plain.training
    first, other = (next(sample_tokens(one, prompt, seed=1)) for one in (dropped, plain))
    torch.testing.assert_close(first.log_probability, other.log_probability)
