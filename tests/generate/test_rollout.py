"""Roll-outs: what a model of numbers says next is what it reads next."""

import pytest
import torch

from helpers.models import small
from unspool.batch import Vectors
from unspool.generate.engine import window_start
from unspool.generate.rollout import Roller

CORES = [
    {"kind": "recurrent", "cell": "gru", "layers": 2, "residual": True},
    {"kind": "recurrent", "cell": "lstm"},
    {"kind": "transformer", "layers": 1, "heads": 2, "context": 32},
    {"kind": "convolutional", "layers": 2},
    {"kind": "window-mlp", "window": 3},
]


@pytest.mark.parametrize("options", CORES, ids=lambda o: o["kind"])
@pytest.mark.parametrize("components", [0, 1, 3])
def test_going_on_step_by_step_is_one_pass_over_ones_own_outputs(options, components):
    """The autoregressive network of the practicum: its outputs are its inputs."""
    net, prompt = small(options, Vectors(2), components=components), torch.randn(3, 6, 2)
    said = Roller(net)(prompt, 12)
    whole = torch.cat([prompt, said[:, :-1]], dim=1)
    with torch.no_grad():
        again, _ = net(whole, net.start(whole))
    torch.testing.assert_close(said, again[:, 5:], atol=1e-6, rtol=0)


def test_what_is_drawn_is_fed_back_and_follows_from_the_seed():
    net, prompt = small(CORES[0], Vectors(2), components=2), torch.randn(2, 4, 2)
    one, same, other = (Roller(net)(prompt, 9, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)
    whole = torch.cat([prompt, one[:, :-1]], dim=1)
    with torch.no_grad():
        y, _ = net.hidden_states(whole, net.start(whole))
        density = net.head.density(y[:, 3:])
    off = (one - density.means.mean(dim=-2)).abs() / density.scales.amax(dim=-2)
    assert float(off.max()) < 6, "each was drawn where the model sees it after those before"


@pytest.mark.parametrize(
    "options", [CORES[0], {**CORES[2], "positions": "learned", "context": 8}], ids=lambda o: o["kind"]
)
def test_a_window_is_read_anew_at_each_step(options):
    net, prompt = small(options, Vectors(2)), torch.randn(2, 5, 2)
    window = 3 if options["kind"] == "recurrent" else 8
    said = Roller(net)(prompt, 9, window=window if options["kind"] == "recurrent" else 0)
    every = torch.cat([prompt, said], dim=1)
    for step in range(9):
        begin = 5 + step - window if options["kind"] == "recurrent" else window_start(5 + step, window)
        seen = every[:, max(0, begin) : 5 + step]
        with torch.no_grad():
            torch.testing.assert_close(said[:, step], net(seen, net.start(seen))[0][:, -1], atol=1e-6, rtol=0)
