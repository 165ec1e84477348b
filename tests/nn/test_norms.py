"""RMSNorm in half precision: torch's own figures, without its warning."""

import warnings

import pytest
import torch

from unspool.nn.norms import RMSNorm


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_equal_to_torch_and_silent(dtype):
    mine, theirs = RMSNorm(64, eps=1e-6), torch.nn.RMSNorm(64, eps=1e-6)
    theirs.load_state_dict(mine.state_dict() | {"weight": torch.randn(64)})
    mine.load_state_dict(theirs.state_dict())
    x = torch.randn(5, 64, dtype=dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = theirs(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(mine(x), wanted)
