"""Our optimizers are torch's."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from unspool.training.adam import Adam
from unspool.training.optimizers import load_optimizer_state, optimizer_state, optimizers


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


@pytest.mark.parametrize("decoupled", [True, False])
def test_adam_is_torchs_fused_one_bit_for_bit_for_weights_that_come_and_go(decoupled):
    torch.manual_seed(0)
    ours = [nn.Parameter(torch.randn(size)) for size in ((3, 2), (5,), (4, 4))]
    theirs = [nn.Parameter(weight.detach().clone()) for weight in ours]
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    decays, rest = {"weight_decay": 0.2}, {"lr": 0.1, "betas": (0.5, 0.6)}
    one = Adam([{"params": ours[:2], **decays}, {"params": ours[2:]}], decoupled=decoupled, **rest)
    other = kind([{"params": theirs[:2], **decays}, {"params": theirs[2:]}], weight_decay=0, fused=True, **rest)
    for step in range(6):
        for number, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            a.grad = None if (step + number) % 3 == 0 else torch.randn(a.shape)
            b.grad = None if a.grad is None else a.grad.clone()
        one.step(), other.step()
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert one.state_dict()["state"].keys() == other.state_dict()["state"].keys()


@pytest.mark.parametrize("name", ["adamw", "adam", "muon"])
def test_a_loaded_state_goes_on_bit_for_bit_and_is_not_shared(name):
    model = nn.ModuleDict({"core": nn.Linear(4, 3), "head": nn.Linear(3, 2)})
    made = optimizers(model, name, 0.1, weight_decay=0.1)

    def steps(those):
        torch.manual_seed(1)
        for _ in range(2):
            for weight in model.parameters():
                weight.grad = torch.randn(weight.shape)
            for optimizer in those:
                optimizer.step()
        return [weight.detach().clone() for weight in model.parameters()]

    steps(made)
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    kept, settings = optimizer_state(made)
    kept = {place: value.clone() for place, value in kept.items()}
    wanted = steps(made)
    model.load_state_dict(weights)
    again = optimizers(model, name, 0.1, weight_decay=0.1)
    load_optimizer_state(again, kept, settings)
    before = {place: value.clone() for place, value in kept.items()}
    assert all(torch.equal(a, b) for a, b in zip(steps(again), wanted, strict=True))
    assert all(torch.equal(kept[place], before[place]) for place in kept)


def test_training_does_not_import_torchs_compiler():
    code = (
        "import sys, torch; from torch import nn; from unspool.training.optimizers import optimizers\n"
        "model = nn.ModuleDict({'core': nn.Linear(2, 2)})\n"
        "model['core'](torch.ones(1, 2)).sum().backward()\n"
        "for optimizer in optimizers(model, 'muon', 0.1): optimizer.step()\n"
        "print('torch._dynamo' in sys.modules)"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "False", "it takes a second"


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
