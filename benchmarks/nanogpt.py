"""nanoGPT's documented CPU run, measured: the peer of time_to_loss.py.

Alone: python benchmarks/nanogpt.py --data input.txt --nanogpt CHECKOUT [--peer-threads 0]

With one thread, the default, the run costs the least CPU time, since no thread waits for another one: that is the
fairer measure for the peer, and a busy machine disturbs it least. With 0 torch takes as many threads as it likes.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

from common import Child, environment, report, say

TRAIN = [
    "train.py",
    "config/train_shakespeare_char.py",
    "--device=cpu",
    "--compile=False",
    "--eval_iters=20",
    "--log_interval=1",
    "--block_size=64",
    "--batch_size=12",
    "--n_layer=4",
    "--n_head=4",
    "--n_embd=128",
    "--max_iters=2000",
    "--lr_decay_iters=2000",
    "--dropout=0.0",
]
EVALUATION = re.compile(r"step (\d+): train loss ([\d.]+), val loss ([\d.]+)")

WHOLE_SPLIT_LOSS = """
import json, numpy, torch
from model import GPT, GPTConfig
saved = torch.load("out-shakespeare-char/ckpt.pt", map_location="cpu", weights_only=False)
model = GPT(GPTConfig(**saved["model_args"])).eval()
model.load_state_dict(saved["model"])
window = saved["model_args"]["block_size"]
tokens = torch.from_numpy(numpy.fromfile("data/shakespeare_char/val.bin", dtype=numpy.uint16).astype(numpy.int64))
total = count = 0
with torch.no_grad():
    for start in range(0, len(tokens) - 1, window):
        inputs, targets = tokens[start : start + window][None], tokens[start + 1 : start + window + 1][None]
        inputs = inputs[:, : targets.shape[1]]
        total += model(inputs, targets)[1].item() * targets.numel()
        count += targets.numel()
print(json.dumps({"step": saved["iter_num"], "loss": total / count, "characters": count}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="tinyshakespeare's input.txt")
    parser.add_argument("--nanogpt", type=Path, required=True, help="a checkout of nanoGPT")
    parser.add_argument("--peer-threads", type=int, default=1, help="nanoGPT's threads; 0: as torch likes")
    options = parser.parse_args()
    peer = run_nanogpt(options.nanogpt, options.data, options.peer_threads)
    report({"benchmark": "nanogpt", **environment(), "nanogpt": peer})


def run_nanogpt(checkout: Path, data: Path, threads: int, seed: int = 0) -> dict:
    """Train by the README's CPU command in a copy of the checkout; its curve, cost and final loss.

    Its seed is written into its code (1337); another one is that many more.
    """
    with tempfile.TemporaryDirectory(prefix="nanogpt-") as folder:
        copy = Path(folder) / "nanoGPT"
        shutil.copytree(checkout, copy, ignore=shutil.ignore_patterns(".git", "out-*"))
        prepare(copy, data)
        script = copy / "train.py"
        script.write_text(script.read_text().replace("manual_seed(1337", f"manual_seed({1337 + seed}"))
        training = train(copy, threads)
        training["final"] = whole_split_loss(copy)
    say(f"nanoGPT: whole validation split, windows of 64: {training['final']['loss']:.4f}")
    return training


def prepare(checkout: Path, data: Path) -> None:
    """Run its prepare.py on our text; an empty `requests` stands in, for nothing is downloaded."""
    shutil.copyfile(data, checkout / "data/shakespeare_char/input.txt")
    stand_in = checkout.parent / "stand-in"
    stand_in.mkdir()
    (stand_in / "requests.py").touch()
    child = Child(
        [sys.executable, "data/shakespeare_char/prepare.py"], folder=checkout, variables={"PYTHONPATH": str(stand_in)}
    )
    for line in child.lines():
        say(f"nanoGPT prepare: {line.text.strip()}")


def train(checkout: Path, threads: int) -> dict:
    """The training run: a point of the curve at each of its own evaluations."""
    variables = {"OMP_NUM_THREADS": str(threads)} if threads else {}
    child = Child([sys.executable, *TRAIN], folder=checkout, variables=variables)
    curve = []
    for line in child.lines():
        if found := EVALUATION.match(line.text):
            step, _, loss = found.groups()
            point = {
                "step": int(step),
                "cpu_seconds": round(line.cpu_seconds, 2),
                "wall_seconds": round(line.wall_seconds, 2),
                "sampled_validation_loss_nats": float(loss),
            }
            curve.append(point)
            say(f"nanoGPT: step {step}, {line.cpu_seconds:.1f} CPU s, validation loss {loss} (sampled)")
    say(f"nanoGPT: {child.cpu_seconds:.1f} CPU s, {child.wall_seconds:.1f} s wall")
    return {
        "command": " ".join(["python", *TRAIN]),
        "threads": threads or "as torch likes",
        "cpu_seconds": round(child.cpu_seconds, 2),
        "wall_seconds": round(child.wall_seconds, 2),
        "curve": curve,
    }


def whole_split_loss(checkout: Path) -> dict:
    """Its saved checkpoint over the whole validation split in windows of its block size."""
    child = Child([sys.executable, "-c", WHOLE_SPLIT_LOSS], folder=checkout)
    *_, last = (json.loads(line.text) for line in child.lines() if line.text.startswith("{"))
    return {**last, "unit": "nats per character", "window": 64}


if __name__ == "__main__":
    main()
