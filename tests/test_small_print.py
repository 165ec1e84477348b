"""What the other tests let slip: each of these fails for a deliberate bug that once passed all of them."""

import errno
import json
import math
import random
from itertools import islice

import numpy as np
import pytest
import torch
from torch import nn

from unspool import build, files, seeds
from unspool.batch import Batch, Tokens
from unspool.checks.promises.differences import largest
from unspool.checks.selftest import Result
from unspool.data.batching.contiguous import ContiguousBatches, RandomWindows
from unspool.data.splits import Splits
from unspool.data.tokenizer import tokenizers
from unspool.errors import CheckpointError, ConfigError, TrainingError
from unspool.experiment.events import Evaluated, Sampled
from unspool.experiment.experiment import Experiment
from unspool.generate.engine import Engine
from unspool.generate.sampling import (
    Sampling,
    greedy,
    min_p,
    repetition_penalty,
    sample_tokens,
    temperature,
    top_k,
    top_p,
)
from unspool.generate.stream import stream_text
from unspool.look.watch import watch
from unspool.models.sequence import SequenceModel
from unspool.nn.cell import cells
from unspool.nn.core import cores
from unspool.nn.embeddings import embedding
from unspool.nn.heads import head
from unspool.nn.part import Part, fork, tensors
from unspool.nn.unroll import unroll, unroll_loop
from unspool.recipe import load_recipe
from unspool.runs import checkpoint
from unspool.runs.run import Run
from unspool.training.evaluate import evaluate
from unspool.training.log import Log, records
from unspool.training.optimizers import optimizers
from unspool.training.schedules import Schedule
from unspool.training.trainer import Trainer, TrainingStep

B, T, D, H, V, W = 4, 6, 3, 5, 7, 6
MASK = torch.tensor([[1, 0, 1, 0, 0, 1], [0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1], [0, 1, 1, 0, 1, 0]]).bool()
KINDS = [*cells.kinds(), {"kind": "elman", "activation": "relu"}]
DATA = ContiguousBatches(torch.randint(V, (400,), generator=torch.Generator().manual_seed(0)), 4, 10)
every_cell = pytest.mark.parametrize("kind", KINDS, ids=str)


def model(dropout=0.0, **options):
    torch.manual_seed(0)
    core = cores.build("core", {"kind": "recurrent", "cell": "gru", **options}, width=W)
    return SequenceModel(embedding(Tokens(V), W), core, head(Tokens(V), W), dropout=dropout)


class Same:
    """One batch under every number."""

    epoch = 0

    def __init__(self, batch):
        self.batch = batch

    def __getitem__(self, number):
        return self.batch


def vector(made):
    return nn.utils.parameters_to_vector(made.parameters()).detach().clone()


def some_state(cell):
    return tuple(torch.rand_like(s) for s in cell.start(torch.zeros(B, D)))


@pytest.mark.parametrize("kind", ["lstm", "peephole"])
def test_a_new_lstm_remembers_by_default(kind):
    cell = cells.build("cell", kind, input_size=D, hidden_size=H)
    i, f, g, o = cell.input.bias.tolist()[::H]
    assert (i, f, g, o) == (0, 1, 0, 0)
    assert cell.input.bias.view(4, H).std(dim=1).eq(0).all()


def test_how_an_elman_net_begins():
    def recurrent(initial):
        options = {"kind": "elman", "initial": initial}
        return cells.build("cell", options, input_size=D, hidden_size=16).recurrent.weight.detach()

    identity, orthogonal, uniform = map(recurrent, ("identity", "orthogonal", "uniform"))
    assert torch.equal(identity, torch.eye(16))
    torch.testing.assert_close(orthogonal @ orthogonal.T, torch.eye(16))
    assert not torch.equal(orthogonal, torch.eye(16))
    assert 0.2 < uniform.abs().max() <= 0.25 and (uniform @ uniform.T - torch.eye(16)).abs().max() > 0.1


@pytest.mark.parametrize("run", [unroll, unroll_loop])
def test_a_relu_net_equals_the_one_in_torch(run):
    cell = cells.build("cell", {"kind": "elman", "activation": "relu"}, input_size=D, hidden_size=H)
    theirs = nn.RNN(D, H, nonlinearity="relu", batch_first=True)
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(cell.input.weight), theirs.weight_hh_l0.copy_(cell.recurrent.weight)
        theirs.bias_ih_l0.copy_(cell.input.bias), theirs.bias_hh_l0.zero_()
    x = torch.randn(B, T, D)
    torch.testing.assert_close(run(cell, x, cell.start(x))[0], theirs(x)[0])


@every_cell
@pytest.mark.parametrize("run", [unroll, unroll_loop])
def test_a_masked_row_goes_on_from_its_own_state_and_shows_zero_elsewhere(kind, run):
    cell, x = cells.build("cell", kind, input_size=D, hidden_size=H), torch.randn(B, T, D)
    before = some_state(cell)
    y, after = run(cell, x, before, MASK)
    assert (y[~MASK] == 0).all()
    for row, there in enumerate(MASK):
        mine = tuple(s[row : row + 1] for s in before)
        if there.any():
            alone, mine = unroll_loop(cell, x[row : row + 1, there], mine)
            torch.testing.assert_close(y[row, there], alone[0])
        for ours, theirs in zip(after, mine, strict=True):
            torch.testing.assert_close(ours[row : row + 1], theirs)


def test_a_state_keeps_its_precision_in_a_low_one():
    cell, x = cells.build("cell", "lstm", input_size=D, hidden_size=H), torch.randn(B, T, D)
    with torch.autocast("cpu", torch.bfloat16):
        y, state = unroll(cell, x, cell.start(x))
    assert {y.dtype, *(s.dtype for s in state)} == {torch.float32}


@pytest.mark.parametrize("residual", [False, True])
def test_a_stack_is_layer_upon_layer(residual):
    core = cores.build("core", {"kind": "recurrent", "layers": 3, "residual": residual}, width=W)
    x = torch.randn(B, T, W)
    y, _ = core(x, core.start(x))
    for (cell,) in core.layers:
        inner, _ = unroll_loop(cell, x, cell.start(x))
        x = x + inner if residual else inner
    torch.testing.assert_close(y, x)


def test_dropout_is_between_the_layers_alone_and_off_when_judged():
    x = torch.randn(B, T, W)
    plain = model(layers=2).core
    dropped = cores.build("core", {"kind": "recurrent", "cell": "gru", "layers": 2, "dropout": 0.5}, width=W)
    dropped.load_state_dict(plain.state_dict())
    wanted, _ = plain(x, plain.start(x))
    torch.testing.assert_close(dropped.eval()(x, plain.start(x))[0], wanted)
    assert not torch.allclose(dropped.train()(x, plain.start(x))[0], wanted)
    single = cores.build("core", {"kind": "recurrent", "cell": "gru", "dropout": 0.5}, width=W).train()
    y, _ = single(x, single.start(x))
    torch.testing.assert_close(y, single.eval()(x, single.start(x))[0])


def test_a_models_dropout_acts_before_and_behind_the_core_and_is_off_when_judged():
    dropped, plain = model(dropout=0.5), model()
    ids = torch.randint(V, (B, 40))
    went_in = []
    dropped.core.register_forward_pre_hook(lambda _, given: went_in.append(given[0]))
    came_out, _ = dropped.train().hidden_states(ids, dropped.start(ids))
    assert 0.3 < (went_in[0] == 0).float().mean() < 0.7
    assert 0.3 < (came_out == 0).float().mean() < 0.7
    torch.testing.assert_close(dropped.eval()(ids, plain.start(ids))[0], plain(ids, plain.start(ids))[0])


def test_the_loss_of_a_padded_row_is_that_of_the_row_alone():
    made, ids, there = model(), torch.randint(V, (1, 8)), torch.tensor([[0, 0, 1, 1, 0, 1, 1, 1]]).bool()
    targets = ids.roll(1, 1)
    alone = Batch(ids[there][None], targets[there][None], torch.ones(1, 5).bool())
    torch.testing.assert_close(made.loss(Batch(ids, targets, there, there))[0], made.loss(alone)[0])


def test_a_watcher_may_answer_with_another_value():
    part = Part()
    part.watcher = lambda name, value: value + 1
    assert part.tap("hidden", torch.ones(1)).item() == 2


def test_nobody_watches_after_the_block_even_when_it_fails():
    made, ids = model(), torch.randint(V, (1, 4))
    with watch(made) as trace:
        made.loss(Batch(ids, ids, torch.ones_like(ids).bool()))[0].backward()
    assert all(value.grad is not None for name, values in trace.items() if "hidden" in name for value in values)
    with pytest.raises(ZeroDivisionError), watch(made):
        raise ZeroDivisionError
    size = sum(map(len, trace.values()))
    made(ids, made.start(ids))
    assert sum(map(len, trace.values())) == size
    assert all(part.watcher is None for part in made.modules() if isinstance(part, Part))


def test_a_fork_can_be_come_back_to():
    state = ((torch.zeros(2, 3), torch.zeros(2, 3)),)
    for _, value in tensors(fork(state)):
        value.add_(1)
    assert all((value == 0).all() for _, value in tensors(state))


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "rmsprop", "muon"])
def test_one_step_moves_every_weight_at_one_factor(name):
    made = model()
    before = {key: value.clone() for key, value in made.state_dict().items()}
    trainer = Trainer(made, DATA, steps=10, optimizer=name, warmup=0.5)
    assert trainer.step().learning_rate == pytest.approx(0.2 * 3e-3)
    assert [key for key, value in made.state_dict().items() if torch.equal(value, before[key])] == []
    groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
    assert {group["lr"] for group in groups} == {groups[0]["base"] * 0.2}


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


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_step_tells_the_mean_loss_of_its_whole_batch(accumulate):
    ids = torch.randint(V, (7, 9))
    batch = Batch(ids, ids.roll(1, 1), torch.rand(7, 9) < torch.rand(7, 1))
    made = model()
    wanted = made.loss(batch)[0].item()
    step = Trainer(made, Same(batch), steps=1, accumulate=accumulate).step()
    assert step.loss == pytest.approx(wanted, abs=1e-6)
    assert step.positions == int(batch.loss_mask.sum())


def test_a_step_trains_whatever_the_mode_was_and_draws_by_seed_and_number():
    batch, quiet = DATA[0], {"learning_rate": 1e-12, "steps": 3}

    def losses(seed):
        return [step.loss for step in Trainer(model(dropout=0.5).eval(), Same(batch), seed=seed, **quiet)]

    assert losses(1) == losses(1)
    assert len({*losses(1), *losses(2), model().loss(batch)[0].item()}) == 7


def test_a_gradient_that_is_not_finite_changes_nothing():
    made = model()
    made.head.bias.register_hook(lambda gradient: gradient * float("inf"))
    before, trainer = vector(made), Trainer(made, DATA, steps=3)
    with pytest.raises(TrainingError, match="at step 1"):
        trainer.step()
    assert torch.equal(vector(made), before) and trainer.number == 0


def test_the_average_decays_slowly():
    trainer = Trainer(model(), DATA, steps=4, ema=0.9)
    average = vector(trainer.model)
    for _ in trainer:
        average = 0.9 * average + 0.1 * vector(trainer.model)
    with trainer.averaged():
        torch.testing.assert_close(vector(trainer.model), average)


def test_the_raw_weights_come_back_after_an_error_too():
    trainer = Trainer(model(), DATA, steps=3, ema=0.9)
    list(trainer)
    raw = vector(trainer.model)
    with pytest.raises(ZeroDivisionError), trainer.averaged():
        assert not torch.equal(vector(trainer.model), raw)
        raise ZeroDivisionError
    assert torch.equal(vector(trainer.model), raw)


def test_a_loaded_trainer_knows_its_time_and_its_plateau():
    first, second = (Trainer(model(), DATA, minutes=1.0, schedule="plateau", warmup=0.0) for _ in range(2))
    first.step()
    for loss in (1.0, 2.0):
        first.schedule.report(loss)
    second.load(*first.save())
    assert second.progress() == first.progress() > 0
    second.schedule.report(1.5)
    assert second.schedule.factor(0.5) == 0.25**2


def test_the_schedule_falls_over_its_decay_and_the_plateau_knows_its_best():
    schedule = Schedule("warmup-stable-decay", warmup=0.1, decay=0.4)
    assert [schedule.factor(p) for p in (0.5, 0.6, 0.8)] == pytest.approx([1.0, 1.0, 0.5])
    plateau = Schedule("plateau")
    for loss in (3.0, 2.0, 2.5, 2.2):
        plateau.report(loss)
    assert plateau.factor(0.5) == 0.25**2


def test_judging_and_writing_use_no_dropout_and_judging_puts_the_mode_back():
    dropped, plain, prompt = model(dropout=0.5).train(), model().eval(), torch.randint(V, (2, 5))
    assert evaluate(dropped, DATA) == evaluate(plain, DATA)
    assert dropped.training and not plain.training
    first, other = (next(sample_tokens(one, prompt, seed=1)) for one in (dropped, plain))
    torch.testing.assert_close(first.log_probability, other.log_probability)


def test_the_likelihood_of_a_draw_is_the_models_own():
    made, prompt = model(), torch.randint(V, (2, 5))
    with torch.no_grad():
        wanted = made(prompt, made.start(prompt))[0][:, -1].log_softmax(-1)
    drawn = next(sample_tokens(made, prompt, Sampling(temperature=0.3, top_k=2).filters()[0], seed=1))
    torch.testing.assert_close(drawn.log_probability, wanted.gather(1, drawn.ids).squeeze(1))


def test_what_was_read_or_drawn_counts_as_said():
    prompt, seen = torch.tensor([[1, 2, 2]]), []

    def look(logits, said):
        seen.append(said[0].nonzero().flatten().tolist())
        return logits.index_fill(1, torch.tensor([4]), 1e9)

    draws = sample_tokens(model(), prompt, look, seed=1)
    next(draws), next(draws)
    assert seen == [[1, 2], [1, 2, 4]]


def test_without_a_seed_every_call_draws_others():
    once, again = (
        [int(drawn.ids) for drawn in islice(sample_tokens(model(), torch.zeros(1, 1).long()), 40)] for _ in range(2)
    )
    assert once != again


def test_top_p_finds_the_likeliest_wherever_they_stand():
    logits = torch.tensor([[0.0, 2.0, -1.0, 1.0]])
    assert top_p(0.7)(logits, logits > 9).isfinite().tolist() == [[False, True, False, True]]


@pytest.mark.parametrize(
    ("options", "filters"),
    [
        ({}, []),
        ({"temperature": 0.0}, [greedy]),
        ({"temperature": 0.5}, [temperature(0.5)]),
        ({"top_k": 2}, [top_k(2)]),
        ({"top_p": 0.6}, [top_p(0.6)]),
        ({"min_p": 0.3}, [min_p(0.3)]),
        ({"repetition_penalty": 2.0}, [repetition_penalty(2.0)]),
        (
            {"repetition_penalty": 2.0, "temperature": 0.5, "top_k": 3, "top_p": 0.9, "min_p": 0.2},
            [repetition_penalty(2.0), temperature(0.5), top_k(3), top_p(0.9), min_p(0.2)],
        ),
    ],
    ids=["none", "cold", "temperature", "top_k", "top_p", "min_p", "penalty", "all"],
)
def test_every_option_of_sampling_does_something(options, filters):
    logits, said = torch.tensor([[0.5, 2.0, -1.0, 1.0]]), torch.tensor([[False, True, True, False]])
    ours = theirs = logits
    for change in Sampling(**options).filters():
        ours = change(ours, said)
    for change in filters:
        theirs = change(theirs, said)
    assert torch.equal(ours, theirs) and torch.equal(ours, logits) == (not options)


def test_half_a_character_at_the_end_waits_in_the_state():
    tokenizer = tokenizers.build("tokenizer", "byte")
    torch.manual_seed(0)
    core = cores.build("core", "recurrent", width=4)
    made = SequenceModel(embedding(Tokens(256), 4), core, head(Tokens(256), 4))
    with torch.no_grad():
        made.head.bias[0xC3] = 1e9  # the first half of an accented letter, for ever
    stream = stream_text(Engine(made), tokenizer, "a", length=3)
    assert "".join(stream) == "\ufffd" * 2 and stream.state.pending == b"\xc3"


def test_a_character_of_another_split_is_known():
    splits = Splits("to be or not to be", "zebra")
    task = build.task({"tokenizer": "char"}, splits)
    assert task.preprocessor.tokenizer.unknown("zebra") == []
    words = build.task({"tokenizer": "word"}, splits)
    assert words.preprocessor.tokenizer.unknown("zebra") == ["zebra"]


def test_the_figures_of_a_split_are_those_of_its_own_text():
    splits = Splits("née " * 100, "née à née à née", "né")
    task = build.task({"tokenizer": "word", "task": {"kind": "language", "window": 3, "length": 5}}, splits)
    sets = task.eval_sets("valid")
    figures = sets["contiguous"].derived(1.0)  # 5 words, 15 characters, 20 bytes
    assert figures["bits_per_character"] == pytest.approx(5 / math.log(2) / 15)
    assert figures["bits_per_byte"] == pytest.approx(5 / math.log(2) / 20)
    assert figures["perplexity"] == pytest.approx(math.e)
    contiguous, windowed = (sets[name].batches[0] for name in ("contiguous", "windowed"))
    assert [batch.inputs.shape[1] for batch in (contiguous, windowed)] == [4, 3]
    assert torch.equal(contiguous.inputs[0], task.ids["valid"][:-1])


def test_a_task_trains_on_what_its_recipe_says():
    splits = Splits("abcdefghij" * 20)

    def batches(**options):
        return build.task(
            {"task": {"kind": "language", "batch_size": 2, "length": 5, **options}}, splits
        ).train_batches()

    assert isinstance(batches(), ContiguousBatches) and isinstance(batches(batching="windows"), RandomWindows)


def test_no_batch_of_lanes_is_empty():
    for size in range(4, 40):
        lanes = ContiguousBatches(torch.arange(size), 2, 3)
        assert all(lanes[number].positions for number in range(lanes.epoch))


def test_blank_lines_that_became_one_token_stay_one():
    text = "a b\n\n\nc d \n\n" * 50
    tokenizer = tokenizers.build("tokenizer", {"kind": "bpe", "vocabulary": 270}).fit(text)
    assert b"\n\n" in {piece[-2:] for piece in tokenizer.pieces}
    assert tokenizer.encode(text).tolist() == tokenizer.engine.encode(text).ids


TINY = [
    "data.limit=3000", "core.width=8", "core.input_width=0", "task.batch_size=4", "task.length=16", "train.minutes=0",
    "train.steps=12", "train.precision=float32", "train.threads=1", "evaluate.times=6", "sample.times=0",
]  # fmt: skip


def tiny(*overrides):
    return load_recipe("char-lm", [*TINY, *overrides])


def judged(events):
    return [event for event in events if isinstance(event, Evaluated)]


def test_the_averaged_model_is_the_one_that_is_judged_saved_and_sampled(tmp_path):
    recipe = tiny("train.ema=0.9", "train.learning_rate=0.05", "sample.times=1", "sample.length=30")
    experiment = Experiment.new(recipe, tmp_path / "run")
    events = list(experiment)
    last = Run.load(tmp_path / "run", which="last")
    average = dict(zip(dict(experiment.model.named_parameters()), experiment.trainer.average, strict=True))
    assert all(torch.equal(value, average[name]) for name, value in last.model.named_parameters())
    assert last.evaluate()["valid/contiguous/loss"] == pytest.approx(judged(events)[-1].values["loss"], abs=1e-6)
    (sampled,) = (event for event in events if isinstance(event, Sampled))
    sampling = Sampling(temperature=experiment.sections.sample.temperature)
    assert sampled.text == "".join(last.stream(sampled.prompt, length=30, sampling=sampling, seed=sampled.number))


def test_the_best_model_is_kept_through_worse_ones_and_a_resume(tmp_path):
    """The learning rate grows until every judgement is worse than the one before."""
    recipe = tiny("train.optimizer=sgd", "train.learning_rate=2000", "train.clip=0", "train.schedule=constant",
                  "train.warmup=0.99", "evaluate.times=12")  # fmt: skip
    experiment = Experiment.new(recipe, tmp_path / "run")
    events = []
    for event in experiment:
        events.append(event)
        if getattr(event, "number", 0) == 10:
            experiment.stop()
    events += list(Experiment.resume(tmp_path / "run"))
    losses = [event.values["loss"] for event in judged(events)]
    best = losses.index(min(losses)) + 1
    assert len(losses) == 12 and best < 9
    assert [event.number for event in judged(events) if event.best][-1] == best
    assert [c.number for c in checkpoint.checkpoints(tmp_path / "run")] == [best, 11, 12]
    assert checkpoint.find_checkpoint(tmp_path / "run").number == best
    assert events[-1].results["valid/contiguous/loss"] == pytest.approx(min(losses), abs=1e-6)


def test_patience_is_not_renewed_by_a_resume(tmp_path):
    recipe = tiny("train.learning_rate=1e-12", "train.steps=60", "evaluate.times=30", "evaluate.patience=3")
    straight = list(Experiment.new(recipe, tmp_path / "straight"))[-1]
    experiment = Experiment.new(recipe, tmp_path / "stopped")
    for event in experiment:
        if isinstance(event, Evaluated) and event.number == straight.number - 2:
            experiment.stop()
    resumed = list(Experiment.resume(tmp_path / "stopped"))[-1]
    assert (resumed.number, resumed.why) == (straight.number, "patience")


def test_a_plateau_hears_every_judgement(tmp_path):
    recipe = tiny("train.schedule=plateau", "train.warmup=0", "train.learning_rate=1e-12")
    steps = [event for event in Experiment.new(recipe, tmp_path / "run") if isinstance(event, TrainingStep)]
    losses = [event["loss"] for event in records(tmp_path / "run", "valid")]
    worse = sum(loss >= min(losses[:index]) for index, loss in enumerate(losses[:-1]) if index)
    assert worse > 0 and steps[-1].learning_rate / 1e-12 == pytest.approx(0.25**worse)


def test_what_one_resume_was_told_the_next_one_knows(tmp_path):
    list(Experiment.new(tiny("train.schedule=constant"), tmp_path / "run"))
    list(Experiment.resume(tmp_path / "run", ["train.steps=14", "train.learning_rate=0.25"]))
    steps = [
        event for event in Experiment.resume(tmp_path / "run", ["train.steps=16"]) if isinstance(event, TrainingStep)
    ]
    assert [(step.number, step.learning_rate) for step in steps] == [(15, 0.25), (16, 0.25)]


def test_the_training_loss_is_the_mean_of_the_last_fifth(tmp_path):
    events = list(Experiment.new(tiny(), tmp_path / "run"))
    losses = [event.loss for event in events if isinstance(event, TrainingStep)]
    assert events[-1].results["train/loss"] == pytest.approx(sum(losses[-2:]) / 2)


def test_another_seed_is_another_model(tmp_path):
    first, same, other = (Experiment.new(tiny(f"seed={seed}"), tmp_path / str(n)) for n, seed in enumerate((1, 1, 2)))
    assert torch.equal(vector(first.model), vector(same.model))
    assert not torch.equal(vector(first.model), vector(other.model))
    assert [e.trainer.seed for e in (first, other)] == [1, 2]


def test_a_small_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "results.json"
    files.write_text(file, "old")

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(CheckpointError):
        patch.setattr("os.fsync", full)
        files.write_text(file, "new")
    assert file.read_text() == "old" and list(tmp_path.iterdir()) == [file]


def test_what_a_crash_left_half_written_goes_and_is_never_read(tmp_path):
    experiment = Experiment.new(tiny("train.steps=2"), tmp_path / "run")
    draft = tmp_path / "run/checkpoints/.draft-abc"
    draft.mkdir(parents=True)
    (draft / "model.safetensors").write_bytes(b"half")
    list(experiment)
    assert not draft.exists() and checkpoint.find_checkpoint(tmp_path / "run").number in (1, 2)


def test_a_manifest_names_every_file(tmp_path):
    list(Experiment.new(tiny("train.steps=2", "evaluate.times=1"), tmp_path / "run"))
    manifest = checkpoint.find_checkpoint(tmp_path / "run").path / "manifest.json"
    named = json.loads(manifest.read_text())
    for name in ("model.safetensors", "trainer.safetensors", "trainer.json"):
        less = {key: value for key, value in named["sha256"].items() if key != name}
        manifest.write_text(json.dumps({"sha256": less}))
        with pytest.raises(CheckpointError, match="does not name every file"):
            checkpoint.find_checkpoint(tmp_path / "run")


def test_validation_looks_at_the_validation_text():
    splits = Splits("ab" * 20, "abba", "baab")
    task = build.task({"tokenizer": "char"}, splits)
    shown = {name: task.eval_sets(name)["contiguous"].batches[0] for name in ("valid", "test")}
    assert {name: task.preprocessor.tokenizer.decode(batch.targets[0]) for name, batch in shown.items()} == {
        "valid": "bba", "test": "aab",
    }  # fmt: skip


def test_not_a_number_never_passes():
    nan = float("nan")
    assert math.isnan(largest(1.0, nan)) and math.isnan(largest(nan, 1.0)) and largest(1.0, 2.0) == 2.0
    assert not Result("cell", "promise", nan, 1.0).passed
    assert not Result("cell", "promise", 0.0, 1.0, "it raised").passed
    assert Result("cell", "promise", 1.0, 1.0).passed


def test_an_option_is_known_and_of_its_kind_and_a_name_is_taken_once():
    with pytest.raises(ConfigError, match="depth"):
        cores.build("core", {"kind": "recurrent", "depth": 2}, width=W)
    with pytest.raises(ConfigError, match=r"core\.layers"):
        cores.build("core", {"kind": "recurrent", "layers": True}, width=W)
    with pytest.raises(ConfigError, match="already defined"):
        cells.register("lstm")(type("Other", (cells.find("gru"),), {"__module__": "elsewhere"}))
    assert cells.find("lstm").__module__ == "unspool.nn.cells.lstm"


def test_a_seed_starts_every_generator():
    def draws():
        seeds.start(5)
        return torch.rand(1).item(), random.random(), np.random.rand()

    assert draws() == draws()


def test_metrics_after_the_checkpoint_are_forgotten(tmp_path):
    log = Log(tmp_path)
    for step in (1, 2, 3):
        log.write("step", step, {"loss": 1.0})
    log.close()
    Log(tmp_path, after=2).close()
    assert [record["step"] for record in records(tmp_path)] == [1, 2]


def test_data_that_changed_is_not_trained_on(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("to be or not to be " * 100)
    list(Experiment.new(tiny("train.steps=2", f"data.path={text}"), tmp_path / "run"))
    text.write_text("to be or not to bo " * 100)
    with pytest.raises(CheckpointError, match="not what"):
        Experiment.resume(tmp_path / "run", ["train.steps=4"])


def test_a_sum_of_losses_is_taken_in_full():
    layer, y = head(Tokens(V), W).to(torch.bfloat16), torch.randn(50, 40, W).to(torch.bfloat16)
    targets = torch.randint(V, (50, 40))
    loss = layer.loss(y, targets, torch.ones_like(targets).bool())
    wanted = nn.functional.cross_entropy(layer(y).float().flatten(0, 1), targets.flatten())
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, wanted)
