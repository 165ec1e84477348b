"""What can be seen inside trained models: gradients by lag of six cores, and the switch in temporal order.

    python benchmarks/inside.py gradients [--steps 400] [--lags 64] [--out FOLDER]
    python benchmarks/inside.py switch [--seeds 5] [--out FOLDER]

`gradients` trains six cores of equal width on the text of `char-lm` and measures how much the loss at a character hangs
on what was read k characters before. `switch` trains the practicum's LSTM of ten units on temporal order, MODERATE, and
asks `look` which unit turns on at the first trigger and off at the second. Pictures go to FOLDER.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from common import environment, report, say

from unspool import Run
from unspool.experiment.experiment import Experiment
from unspool.look.switches import picture as switches
from unspool.look.views.gradient import Gradient
from unspool.look.views.neurons import Neurons
from unspool.recipe import load_recipe

CORES = {
    "tanh RNN": ['core.cell={kind="elman", initial="uniform"}'],
    "IRNN": ['core.cell={kind="elman", activation="relu", initial="identity"}'],
    "LSTM": ["core.cell=lstm"],
    "GRU": ["core.cell=gru"],
    "minGRU": ["core.cell=mingru"],
    "transformer": ["core.layers=2"],
}
LECTURE = [  # the practicum's optimiser; ten units as in its state map
    "core.width=10",
    'core.cell={kind="lstm", forget_bias=1.0}',
    "train.optimizer=rmsprop",
    "train.learning_rate=0.002",
    "train.schedule=constant",
    "train.epochs=100",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("gradients", "switch"))
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--lags", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="a folder for the pictures")
    options = parser.parse_args()
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        switches().save(options.out / "gates.png")
    rows = gradients(options) if options.part == "gradients" else switch(options)
    report({"benchmark": f"inside: {options.part}", **environment(), "rows": rows})


def trained(recipe: str, overrides: list[str], folder: Path) -> Run:
    """A run, trained to its end."""
    every = ["train.threads=1", "train.precision=float32", "sample.times=0", "evaluate.times=1", *overrides]
    for _ in Experiment.new(load_recipe(recipe, every), folder):
        pass
    return Run.load(folder)


def gradients(options: argparse.Namespace) -> list[dict]:
    """For each core how fast its gradient fades, and its loss."""
    norms, rows = {}, []
    with TemporaryDirectory() as folder:
        for name, core in CORES.items():
            recipe = "shakespeare-transformer" if name == "transformer" else "char-lm"
            size = ["core.width=128", "data.corpus=python-docs", "train.minutes=0", f"train.steps={options.steps}"]
            run = trained(recipe, [*size, *core], Path(folder) / name.replace(" ", "-"))
            look = run.look(length=4000)
            view = Gradient.of(look, lags=options.lags)
            norms[name] = view.norms["inputs"]
            fit = Gradient(norms).fits()[name]
            share = {str(lag): norms[name][lag] / norms[name][0] for lag in (1, 10, 30, options.lags)}
            rows.append({"core": name, "loss": look.loss, "rate": fit.rate, "fit": fit.fit, "relative_norm": share})
            say(f"{name:<12} loss {look.loss:.3f}  a tick back x {fit.rate:.3f}  after 30 ticks {share['30']:.1e}")
    if options.out:
        Gradient(norms).plot().save(options.out / "gradient-by-lag.png")
    return rows


def switch(options: argparse.Namespace) -> list[dict]:
    """For each seed the unit that is best at telling what lies between the triggers."""
    rows, best = [], None
    with TemporaryDirectory() as folder:
        for seed in range(1, options.seeds + 1):
            run = trained("temporal-order-moderate", [*LECTURE, f"seed={seed}"], Path(folder) / str(seed))
            look = run.look()
            neurons = Neurons.of(look).best
            candidates = [one for one in neurons if one.feature.startswith("between ") and "trigger 2" in one.feature]
            one = max(candidates, key=lambda neuron: neuron.best.score)
            accuracy = next(value for key, value in run.evaluate("valid").items() if key.endswith("/accuracy"))
            rows.append({"seed": seed, "accuracy": accuracy, "summary": one.summary(), **vars(one.best)})
            say(f"seed {seed}: accuracy {accuracy:.3f}; {one.summary()}")
            if best is None or one.best.score > best[0]:
                best = one.best.score, one, look
        if options.out and best:
            _, one, look = best
            row = look.rows.tokens.index(one.tokens)
            look.units(one.place).plot(row=row).save(options.out / "temporal-order-map.png")
            Neurons([one]).plot().save(options.out / "temporal-order-unit.png")
    return rows


if __name__ == "__main__":
    main()
