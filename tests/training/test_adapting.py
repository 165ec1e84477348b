"""Dynamic evaluation: scores before learning, the published rules, and weights that come back."""

import math

import pytest
import torch

from helpers.models import small, weights_of
from unspool import Tokens
from unspool.data.batching.contiguous import ContiguousEval
from unspool.errors import ConfigError, TrainingError
from unspool.training.adapting import FLOOR, Adapting, WeightUpdate, gradient_sizes, read_adaptively
from unspool.training.evaluate import evaluate

V = 7
IDS = torch.tensor([0, 1, 2, 3, 4, 5, 6] * 30)

LIMITED = {"kind": "transformer", "context": 16, "positions": "learned"}


def loss_of(scores):
    return -float(torch.cat([one.log_probability for one in scores]).mean())


@pytest.mark.parametrize("core", ["recurrent", {"kind": "transformer", "context": 16}, LIMITED, "blocks"])
def test_without_adapting_the_scores_are_those_of_evaluation(core):
    model = small(core, Tokens(V))
    wanted = evaluate(model, ContiguousEval(IDS, batch_size=1, length=8)).loss
    assert loss_of(read_adaptively(model, IDS, chunk=8)) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("core", ["recurrent", LIMITED])
@pytest.mark.parametrize("rule", ["sgd", "rms"])
def test_a_text_that_repeats_is_learnt(core, rule):
    model = small(core, Tokens(V))
    still = loss_of(read_adaptively(model, IDS, chunk=8))
    sizes = gradient_sizes(model, IDS, 8) if rule == "rms" else None
    adapting = Adapting(rule=rule, rate=0.3 if rule == "sgd" else 0.02, chunk=8)
    assert loss_of(read_adaptively(model, IDS, adapting, sizes)) < still - 0.1


def test_the_model_learns_from_a_chunk_when_the_next_is_asked_for():
    model = small("recurrent", Tokens(V))
    before = weights_of(model)
    chunks = read_adaptively(model, IDS, Adapting(rule="sgd", chunk=100))
    first = next(chunks)
    assert torch.equal(weights_of(model), before) and (first.start, first.updates) == (1, 0)
    second = next(chunks)
    assert not torch.equal(weights_of(model), before) and (second.start, second.updates) == (101, 1)


def test_a_core_of_limited_length_reads_shorter_chunks():
    model = small(LIMITED, Tokens(V))
    scores = list(read_adaptively(model, IDS, Adapting("cache", chunk=50)))
    assert max(len(one.log_probability) for one in scores) == 16
    assert sum(len(one.log_probability) for one in scores) == len(IDS) - 1


def test_the_step_is_that_of_the_papers():
    """w <- w - rate g / (r + floor) + decay r / mean(r) (w0 - w); for sgd all r are one and there is no floor."""
    for rule in ("sgd", "rms"):
        model = small("recurrent", Tokens(V))
        adapting = Adapting(rule=rule, rate=0.05, decay=0.25)
        sizes = [torch.rand_like(weight) for weight in model.parameters()]
        mean = float(torch.cat([size.flatten() for size in sizes]).mean())
        update, first = WeightUpdate(model, adapting, sizes), [w.detach().clone() for w in model.parameters()]
        for step in range(3):
            before = [w.detach().clone() for w in model.parameters()]
            loss = sum(((w - step) ** 2).sum() for w in model.parameters())
            update.step(loss)
            for now, w, w0, r in zip(model.parameters(), before, first, sizes, strict=True):
                gradient = 2 * (w - step)
                if rule == "rms":
                    wanted = w - 0.05 * gradient / (r + FLOOR * mean) + (0.25 * r / mean).clamp(max=1) * (w0 - w)
                else:
                    wanted = w - 0.05 * gradient + 0.25 * (w0 - w)
                torch.testing.assert_close(now.detach(), wanted)


def test_full_decay_and_no_rate_is_the_trained_model():
    model = small("recurrent", Tokens(V))
    before = weights_of(model)
    list(read_adaptively(model, IDS, Adapting(rule="sgd", rate=0.0, decay=1.0, chunk=20)))
    torch.testing.assert_close(weights_of(model), before)


def test_measuring_gradients_changes_nothing_and_is_their_root_mean_square():
    model = small("recurrent", Tokens(V)).train()
    before = weights_of(model)
    sizes = gradient_sizes(model, IDS[:9], chunk=8)  # one chunk: the mean square is a square
    assert torch.equal(weights_of(model), before) and all(w.grad is None for w in model.parameters())
    (chunk,) = [ContiguousEval(IDS[:9], 1, 8)[0]]
    loss, _ = model.loss(chunk)
    for size, gradient in zip(sizes, torch.autograd.grad(loss, list(model.parameters())), strict=True):
        torch.testing.assert_close(size, gradient.abs())


def test_steps_that_are_too_large_are_a_clear_error():
    model = small("transformer", Tokens(V))
    with pytest.raises(TrainingError, match=r"diverged at token [\d,]+: the scores are not finite") as caught:
        sizes = gradient_sizes(model, IDS[:9], chunk=8)
        list(read_adaptively(model, IDS, Adapting(rule="rms", rate=9e5, decay=0.0, chunk=8), sizes))
    assert "--adapt-rate" in caught.value.hint


@pytest.mark.parametrize(
    "wrong",
    [
        {"way": "dynamc"}, {"rule": "adam"}, {"rate": math.nan}, {"rate": -1.0}, {"decay": 2.0}, {"chunk": 0},
        {"cache_size": 0}, {"cache_theta": math.inf}, {"cache_lambda": 1.0}, {"cache_lambda": 0.0},
    ],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ConfigError, match=r"--\S+ should be .*received") as caught:
        Adapting(**wrong)
    assert caught.value.hint.partition("--")[2]


def test_rms_needs_the_sizes_of_gradients():
    with pytest.raises(ConfigError, match="rms needs"):
        list(read_adaptively(small("recurrent", Tokens(V)), IDS, Adapting()))
