"""Generation and training on a GPU: ours by CUDA graphs and step by step, torch's own cells, Hugging Face, nanoGPT.

    python benchmarks/gpu.py [--part generate train] [--case lstm-2x512 ...] [--batch 1 16 256] [--rounds 5]
        [--seconds 0.5] [--nanogpt CHECKOUT]

Generation: all variants of a case have the same random weights in float32, draw at temperature 0.8 and take turns in
rounds. Training: one step of Adam or AdamW on random tokens of the same shape, in bfloat16 where ours is; the peers are
a plain loop around nn.LSTM (as torch-rnn and char-rnn.pytorch have it) and nanoGPT's own model and loop, with and
without torch.compile. A figure is the median of the rounds.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any

import generate_peers as peers
import torch
from common import environment, report, say
from torch import Tensor, nn

from generate import CASES, TEMPERATURE, Variant
from unspool import SequenceModel, Tokens, cores, embedding, head
from unspool.data.batching.contiguous import ContiguousBatches
from unspool.generate.engine import Engine
from unspool.generate.graph_steps import GraphSteps
from unspool.generate.sampling import Sampling, sampler
from unspool.training.precision import usable
from unspool.training.trainer import Trainer

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"  # there only to try the script
WARM = 12
"""Steps before a training is timed; a graph is recorded in them."""
BLOCK = 250
"""Tokens of a text; then the next one begins, as Hugging Face's do, so that all have contexts of the same lengths."""


def finish() -> None:
    """Wait until the GPU is done."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    options = arguments()
    found: dict[str, Any] = {}
    if "generate" in options.part:
        found["generate"] = {case: generation(case, options) for case in options.case}
    if "train" in options.part:
        found["train"] = {
            name: training(name, rows) for name, rows in (("lstm", lstm_steps()), ("gpt", gpt_steps(options)))
        }
    gpu = {"gpu": torch.cuda.get_device_name(0), "cuda": torch.version.cuda} if DEVICE == "cuda" else {}
    report({"benchmark": "gpu", **environment(), **gpu, "peers": peers.versions(), **found})


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", nargs="+", default=["generate", "train"], choices=["generate", "train"])
    parser.add_argument("--case", nargs="+", default=list(CASES), choices=CASES)
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 16, 256])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each variant in each round")
    parser.add_argument("--nanogpt", help="a checkout of nanoGPT")
    return parser.parse_args()


def generation(case: str, options: argparse.Namespace) -> dict[str, Any]:
    """Tokens a second of all variants of a case, in turns."""
    size, core_options = CASES[case]
    torch.manual_seed(0)
    core = cores.build("core", dict(core_options))
    model = SequenceModel(embedding(Tokens(size), core.input_width), core, head(Tokens(size), core.width)).eval()
    theirs = peer_model(case, model)
    model = model.to(DEVICE)
    variants = [one for batch in options.batch for one in generators(model, theirs, batch)]
    for number in range(options.rounds + 1):
        for one in variants:
            one.measure(options.seconds)
            if number == 0:
                one.rates.clear()  # the first finds out how many tokens fill the time
    table: dict[str, Any] = {}
    for batch in options.batch:
        rows = [one for one in variants if one.batch == batch]
        for one in rows:
            ratio = median(a / b for a, b in zip(one.rates, rows[-1].rates, strict=True))
            table[f"{one.name}, batch {batch}"] = {
                "tokens_per_second": round(median(one.rates), 1),
                "ratio": round(ratio, 2),
            }
            say(f"{case}, batch {batch}: {one.name:<24} {median(one.rates):>12,.0f} tokens/s {ratio:>7.2f}")
    return table


def peer_model(case: str, model: SequenceModel) -> Any:
    """The same weights in the peer's own module, on the GPU: torch's cells, or Hugging Face's Llama."""
    if case.startswith("lstm"):
        return [cell.to(DEVICE) for cell in peers.cells_of(model)]
    import transformers

    transformers.logging.set_verbosity_error()
    return peers.hugging_face(model).to(DEVICE)


def generators(model: SequenceModel, theirs: Any, batch: int) -> Iterator[Variant]:
    """The variants of one number of rows; the peer is the last."""
    engine = Engine(model)
    prompt = torch.zeros(batch, 1, dtype=torch.long, device=DEVICE)
    state = replace(engine.read(prompt), seed=1)
    draw = Sampling(TEMPERATURE)

    @torch.inference_mode()
    def graph(number: int) -> None:
        while number > 0:
            steps._load(state.core, state.logits)
            steps._draw(steps._sampler, min(number, BLOCK), False)
            number -= BLOCK

    def plain(number: int) -> None:
        while number > 0:
            one = engine.steps(state, sampler(state, draw))
            for _ in range(min(number, BLOCK)):
                next(one).ids.tolist()
            number -= BLOCK

    steps = GraphSteps(engine, state, sampler(state, draw))
    yield Variant("ours, CUDA graph", batch, graph)
    yield Variant("ours, step by step", batch, plain)
    if isinstance(theirs, list):
        yield Variant("torch, LSTMCell", batch, synchronized(peers.torch_cells(model, theirs, batch)))
    else:
        yield Variant("Hugging Face generate", batch, synchronized(peers.by_hugging_face(theirs, batch)))


def synchronized(run: Callable[[int], None]) -> Callable[[int], None]:
    """With the time until the GPU is done."""

    def wait(number: int) -> None:
        run(number)
        finish()

    return wait


def training(name: str, rows: list[tuple[str, int, Callable[[], Any]]]) -> dict[str, Any]:
    """Tokens a second in training, of all variants in turns."""
    times: dict[str, list[float]] = {what: [] for what, _, _ in rows}
    for what, _, step in rows:
        began = time.perf_counter()
        for _ in range(WARM):
            step()
        finish()
        say(f"{name}: {what} warmed up in {time.perf_counter() - began:.1f} s")
    for _ in range(5):
        for what, _, step in rows:
            began = time.perf_counter()
            for _ in range(20):
                step()
            finish()
            times[what].append((time.perf_counter() - began) / 20)
    table = {}
    for what, tokens, _ in rows:
        ratio = median(b / a for a, b in zip(times[what], times[rows[-1][0]], strict=True))
        took = median(times[what])
        table[what] = {"milliseconds": round(1000 * took, 2), "times_last": round(ratio, 2)}
        say(f"{name}: {what:<28} {1000 * took:>8.2f} ms {tokens / took:>12,.0f} tokens/s {ratio:>6.2f}")
    return table


def trainer_of(core_options: dict[str, Any], size: int, batch: int, length: int, precision: str) -> Trainer:
    """Ours, on random tokens."""
    torch.manual_seed(0)
    core = cores.build("core", core_options)
    model = SequenceModel(embedding(Tokens(size), core.input_width), core, head(Tokens(size), core.width))
    batches = ContiguousBatches(torch.randint(size, (200_000,)), batch_size=batch, length=length)
    return Trainer(model, batches, steps=10**6, learning_rate=1e-3, device=usable(DEVICE), precision=precision)


def lstm_steps() -> list[tuple[str, int, Callable[[], Any]]]:
    """A character LSTM of 2 x 512 units, 64 rows of 256 characters."""
    size, batch, length, width = 100, 64, 256, 512
    options = {"kind": "recurrent", "cell": "lstm", "width": width, "layers": 2}
    rows = [
        (
            f"ours, {precision}",
            batch * length,
            rounded("ieee", trainer_of(options, size, batch, length, precision).step),
        )
        for precision in ("float32", "bfloat16")
    ]

    class CharRNN(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.lstm = nn.Embedding(size, width), nn.LSTM(width, width, 2, batch_first=True)
            self.head = nn.Linear(width, size)

        def forward(self, ids: Tensor) -> Tensor:
            return self.head(self.lstm(self.table(ids))[0])

    model = CharRNN().to(DEVICE)

    def loss_of(x: Tensor, y: Tensor) -> Tensor:
        return nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten())

    plain = peer_step(model, size, batch, length, loss_of)
    return [*rows, ("nn.LSTM, plain loop, TF32", batch * length, rounded("tf32", plain))]


def rounded(precision: str, step: Callable[[], Any]) -> Callable[[], Any]:
    """A step whose recurrent layers round float32 so: as it is, or to TF32, which is torch's default."""

    def run() -> None:
        torch.backends.cudnn.rnn.fp32_precision = precision
        step()

    return run


def peer_step(
    model: nn.Module, size: int, batch: int, length: int, loss_of: Callable[[Tensor, Tensor], Tensor]
) -> Callable[[], None]:
    """A training step as nanoGPT and every tutorial have it: forward, backward, clipping, AdamW."""
    model.to(DEVICE).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    text = torch.randint(size, (200_000,))

    def step() -> None:
        places = torch.randint(len(text) - length - 1, (batch,)).tolist()
        x, y = (torch.stack([text[i + shift : i + shift + length] for i in places]) for shift in (0, 1))
        x, y = (part.to(DEVICE) for part in (x, y))
        loss_of(x, y).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def gpt_steps(options: argparse.Namespace) -> list[tuple[str, int, Callable[[], Any]]]:
    """nanoGPT's character model: 6 layers of 384, 64 rows of 256 characters."""
    size, batch, length = 65, 64, 256
    form = {
        "kind": "transformer", "width": 384, "layers": 6, "heads": 6, "context": length, "positions": "learned",
        "norm": "layer", "feed_forward": "gelu", "dropout": 0.2,
    }  # fmt: skip
    rows = [("ours, bfloat16", batch * length, trainer_of(form, size, batch, length, "bfloat16").step)]
    if not options.nanogpt:
        return rows
    sys.path.insert(0, options.nanogpt)
    from model import GPT, GPTConfig

    config = GPTConfig(block_size=length, vocab_size=size, n_layer=6, n_head=6, n_embd=384, dropout=0.2, bias=False)
    for name, compiled in (("nanoGPT, compiled, bfloat16", True), ("nanoGPT, bfloat16", False)):
        model = GPT(config).to(DEVICE)
        model = torch.compile(model) if compiled else model
        rows.append((name, batch * length, peer_step(model, size, batch, length, partial(nanogpt_loss, model))))
    return rows


def nanogpt_loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """As nanoGPT's train.py has it."""
    with torch.autocast(DEVICE, dtype=torch.bfloat16):
        return model(x, y)[1]


if __name__ == "__main__":
    main()
