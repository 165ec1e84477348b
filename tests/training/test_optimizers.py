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


def test_muon_gets_the_matrices_of_cores_and_adamw_every_other_weight_once():
    parts = {
        "embedding": nn.Embedding(5, 4),
        "core": nn.ModuleDict({"input": nn.Linear(4, 6), "short_conv": nn.Conv1d(6, 6, 3), "norm": nn.LayerNorm(6)}),
        "head": nn.Linear(6, 5),
    }
    model = nn.ModuleDict(parts)
    muon, adamw = optimizers(model, "muon", 0.01, weight_decay=0.1)
    names = {id(weight): name for name, weight in model.named_parameters()}
    given = [[names[id(p)] for group in one.param_groups for p in group["params"]] for one in (muon, adamw)]
    assert given[0] == ["core.input.weight"]  # the convolution's kernel has three axes, so it is no matrix
    assert sorted(given[1]) == sorted(set(names.values()) - {"core.input.weight"})
    for weight in model.parameters():
        weight.grad = torch.ones_like(weight)
    muon.step(), adamw.step()  # a kernel in Muon would be refused, or orthogonalized along the wrong axes
