"""Our optimizers are torch's."""

import pytest
import torch
from torch import nn

from unspool.training.optimizers import optimizers


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "rmsprop"])
def test_an_optimizer_is_that_of_torch_with_the_given_settings(name):
    ours, theirs = nn.Linear(3, 2, bias=False), nn.Linear(3, 2, bias=False)
    theirs.load_state_dict(ours.state_dict())
    (made,) = optimizers(ours, name, 0.1, weight_decay=0.2, betas=(0.5, 0.6), momentum=0.7)
    kind = {"adamw": "AdamW", "adam": "Adam", "sgd": "SGD", "rmsprop": "RMSprop"}[name]
    given = {"betas": (0.5, 0.6)} if name.startswith("adam") else {"momentum": 0.7}
    wanted = getattr(torch.optim, kind)(theirs.parameters(), lr=0.1, weight_decay=0.2, **given)
    for _ in range(3):
        ours.weight.grad = torch.randn(2, 3)
        theirs.weight.grad = ours.weight.grad.clone()
        made.step(), wanted.step()
    torch.testing.assert_close(ours.weight, theirs.weight)
