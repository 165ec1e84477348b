"""Characters per second: the lecture's character RNN, one call of nn.LSTMCell per character, against ours.

    python benchmarks/char_rnn.py --data covid19-faq.txt [--rounds 5] [--seconds 2.5] [section.key=value ...]

First it proves that equal weights give an equal loss and an equal gradient; where they do not, it stops with status 1.
Then the variants take turns in rounds, so that a busy moment of the machine meets them all. The reference is the
lecture's loop with one thread or with two, whichever is faster; a ratio is the median of the ratios of the rounds.
Ours takes the precision and the threads that it measures to be best, unless train.threads=1, say, is given.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
import torch.nn.functional as F
from common import environment, report, say
from torch import Tensor, nn

from unspool.experiment.experiment import Experiment
from unspool.recipe import load_recipe

RECIPE = "char-rnn-stat453"
LOSS_TOLERANCE, GRADIENT_TOLERANCE = 1e-5, 1e-4
GOALS = {"ours, batch 1": 15.0, "ours, batched": 40.0}
BATCHED = (32, 128)


class LectureModel(nn.Module):
    """The lecture's model: embedding, LSTM cell, linear; written anew from its description (STAT453 L19)."""

    def __init__(self, size: int = 100, embedding_width: int = 100, hidden_width: int = 128) -> None:
        super().__init__()
        self.embedding = nn.Embedding(size, embedding_width)
        self.cell = nn.LSTMCell(embedding_width, hidden_width)
        self.linear = nn.Linear(hidden_width, size)

    def forward(self, character: Tensor, hidden: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The logits of the character after this one, and the state."""
        hidden, memory = self.cell(self.embedding(character), (hidden, memory))
        return self.linear(hidden), hidden, memory

    def loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of a portion, character by character from a zero state."""
        hidden = memory = torch.zeros(1, self.cell.hidden_size)
        total = torch.zeros(())
        for index in range(len(inputs)):
            logits, hidden, memory = self(inputs[index : index + 1], hidden, memory)
            total = total + F.cross_entropy(logits, targets[index : index + 1])
        return total / len(inputs)


@dataclass
class Variant:
    """One way to train: `step` does one optimiser step and says how many characters it learned from."""

    name: str
    threads: int
    precision: str
    step: Callable[[], int]
    per_second: list[float] = field(default_factory=list)  # one for each round
    per_cpu_second: list[float] = field(default_factory=list)

    def measure(self, seconds: float) -> None:
        """One round, after one step that does not count."""
        torch.set_num_threads(self.threads)
        self.step()
        characters, began, cpu_began = 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - began < seconds:
            characters += self.step()
        self.per_second.append(characters / (time.perf_counter() - began))
        self.per_cpu_second.append(characters / (time.process_time() - cpu_began))


def main() -> None:
    options = arguments()
    with TemporaryDirectory(prefix="char-rnn-") as folder:
        single = experiment(options, Path(folder) / "single")
        proof = prove_equal(single)
        if not proof["holds"]:
            say(f"equal weights do not give equal losses: {proof}")
            sys.exit(1)
        say(f"equal weights: the losses differ by {proof['loss_difference_nats']:.1e} nats")
        variants = [*lecture_variants(single), ours("ours, batch 1", single)]
        for size in BATCHED:
            contiguous = ["task.batching=contiguous", f"task.batch_size={size}"]
            variants.append(ours(f"ours, batch {size}", experiment(options, Path(folder) / str(size), contiguous)))
        take_turns(variants, options.rounds, options.seconds)
    conclude(variants, proof, options)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the lecture's text, covid19-faq.txt")
    parser.add_argument("--rounds", type=int, default=5, help="how often each variant has its turn")
    parser.add_argument("--seconds", type=float, default=2.5, help="how long a turn takes")
    parser.add_argument("overrides", nargs="*", help="settings of the recipe, section.key=value")
    return parser.parse_intermixed_args()


def experiment(options: argparse.Namespace, folder: Path, batching: Sequence[str] = ()) -> Experiment:
    """What `unspool train` would run: model, trainer, precision and threads are its own."""
    overrides = [f"data.path={options.data.resolve()}", *batching, *options.overrides]
    return Experiment.new(load_recipe(RECIPE, overrides), folder)


def ours(name: str, made: Experiment) -> Variant:
    """The real trainer, step by step."""
    say(f"{name}: {made.choice.precision}, {made.choice.threads} threads, {made.choice.why}")
    return Variant(name, made.choice.threads, made.choice.precision, lambda: made.trainer.step().positions)


def lecture_variants(made: Experiment) -> list[Variant]:
    """The lecture's training step, on the portions that our trainer draws, with one thread and with two."""
    return [Variant(f"lecture, {n} thread{'s' * (n > 1)}", n, "float32", lecture_step(made)) for n in (1, 2)]


def lecture_step(made: Experiment) -> Callable[[], int]:
    """Forward, backward and Adam on one portion."""
    model, batches = LectureModel(), made.trainer.batches
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    numbers = iter(range(sys.maxsize))

    def step() -> int:
        batch = batches[next(numbers)]
        optimizer.zero_grad()
        model.loss(batch.inputs[0], batch.targets[0]).backward()
        optimizer.step()
        return batch.positions

    return step


def prove_equal(made: Experiment) -> dict:
    """Copy our weights into the lecture's model: on one portion the loss and the gradient must be the same.

    The lecture's cell has a second bias whose gradient is that of the first; ours has one, so one counts.
    """
    model, batch = made.model, made.trainer.batches[0]
    lecture = copied(made)
    with one_thread():
        loss = model.loss(batch)[0]
        loss.backward()
        lecture_loss = lecture.loss(batch.inputs[0], batch.targets[0])
        lecture_loss.backward()
    norm = gradient_norm([p.grad for p in model.parameters()])
    lecture_norm = gradient_norm([p.grad for name, p in lecture.named_parameters() if name != "cell.bias_hh"])
    model.zero_grad()
    loss_difference, norm_difference = abs(loss.item() - lecture_loss.item()), abs(norm - lecture_norm)
    return {
        "holds": loss_difference <= LOSS_TOLERANCE and norm_difference <= GRADIENT_TOLERANCE,
        "loss_nats": loss.item(),
        "loss_difference_nats": loss_difference,
        "loss_tolerance_nats": LOSS_TOLERANCE,
        "gradient_norm": norm,
        "gradient_norm_difference": norm_difference,
        "gradient_norm_tolerance": GRADIENT_TOLERANCE,
        "parameters_ours": sum(p.numel() for p in model.parameters()),
        "parameters_lecture": sum(p.numel() for p in lecture.parameters()),
    }


@torch.no_grad()
def copied(made: Experiment) -> LectureModel:
    """The lecture's model with our weights."""
    lecture, weights = LectureModel(), made.model.state_dict()
    cell = "core.layers.0.0"
    lecture.embedding.weight.copy_(weights["embedding.weight"])
    lecture.cell.weight_ih.copy_(weights[f"{cell}.input.weight"])
    lecture.cell.bias_ih.copy_(weights[f"{cell}.input.bias"])
    lecture.cell.weight_hh.copy_(weights[f"{cell}.recurrent.weight"])
    lecture.cell.bias_hh.zero_()
    lecture.linear.weight.copy_(weights["head.weight"])
    lecture.linear.bias.copy_(weights["head.bias"])
    return lecture


def gradient_norm(gradients: list[Tensor]) -> float:
    """The length of all gradients as one vector."""
    return float(torch.stack([gradient.norm() for gradient in gradients]).norm())


@contextmanager
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def take_turns(variants: list[Variant], rounds: int, seconds: float) -> None:
    for number in range(1, rounds + 1):
        for variant in variants:
            variant.measure(seconds)
        summary = ", ".join(f"{variant.name} {variant.per_second[-1]:,.0f}" for variant in variants)
        say(f"round {number} of {rounds}, characters per second: {summary}")


def conclude(variants: list[Variant], proof: dict, options: argparse.Namespace) -> None:
    """Medians, ratios against the reference, and whether the goals are met."""
    reference = max(variants[:2], key=lambda variant: median(variant.per_second))
    rows = [row(variant, reference) for variant in variants]
    for row_ in rows:
        say(
            f"{row_['name']:<18} {row_['precision']:<9} {row_['threads']} thread(s)"
            f"{row_['characters_per_second']:>10,.0f} characters/s, {row_['times_reference_by_wall_time']:.1f} x"
            f"{row_['characters_per_cpu_second']:>10,.0f} characters/CPU-s, {row_['times_reference_by_cpu_time']:.1f} x"
        )
    goals = [verdict(name, wanted, rows) for name, wanted in GOALS.items()]
    report(
        {
            "benchmark": "char-rnn",
            "peer": "the lecture's nn.LSTMCell loop (STAT453 L19), written anew from its description",
            **environment(),
            "data": options.data.name,
            "overrides": options.overrides,
            "setting": "embedding 100, hidden 128, 100 symbols, portions of 200 characters, Adam 0.005, zero state",
            "rounds": options.rounds,
            "seconds_per_round_and_variant": options.seconds,
            "equal_weights": proof,
            "reference": reference.name,
            "variants": rows,
            "goals": goals,
        }
    )


def row(variant: Variant, reference: Variant) -> dict:
    return {
        "name": variant.name,
        "threads": variant.threads,
        "precision": variant.precision,
        "characters_per_second": round(median(variant.per_second), 1),
        "characters_per_cpu_second": round(median(variant.per_cpu_second), 1),
        "times_reference_by_wall_time": round(ratio(variant.per_second, reference.per_second), 2),
        "times_reference_by_cpu_time": round(ratio(variant.per_cpu_second, reference.per_cpu_second), 2),
        "characters_per_second_in_each_round": [round(rate, 1) for rate in variant.per_second],
        "characters_per_cpu_second_in_each_round": [round(rate, 1) for rate in variant.per_cpu_second],
    }


def ratio(rates: list[float], reference: list[float]) -> float:
    return median(rate / other for rate, other in zip(rates, reference, strict=True))


def verdict(name: str, wanted: float, rows: list[dict]) -> dict:
    """Whether the best variant of that name reaches its goal by wall time."""
    fitting = [r for r in rows if r["name"] == name or (name == "ours, batched" and r["name"] in batched_names())]
    best = max(fitting, key=lambda r: r["times_reference_by_wall_time"])
    reached = best["times_reference_by_wall_time"]
    met = reached >= wanted
    say(f"goal {name}, at least {wanted:g} x: {'met' if met else 'MISSED'} with {reached:.1f} x ({best['name']})")
    return {
        "name": name,
        "by": best["name"],
        "at_least_times": wanted,
        "reached_times_by_wall_time": reached,
        "reached_times_by_cpu_time": best["times_reference_by_cpu_time"],
        "met": met,
    }


def batched_names() -> list[str]:
    return [f"ours, batch {size}" for size in BATCHED]


if __name__ == "__main__":
    main()
