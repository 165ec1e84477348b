"""CPU seconds to a validation loss on tinyshakespeare: nanoGPT's documented CPU run against a recipe of ours.

    python benchmarks/time_to_loss.py --data input.txt --nanogpt CHECKOUT [--recipe shakespeare-lstm] [--seeds 1]
        [--plot FILE.png] [section.key=value ...]

Both train in a child process whose whole CPU time counts, start-up, evaluations and checkpoints included. nanoGPT sees
64 characters at most; ours carries its state along the text. So there are two figures: carried, which is what a
recurrent model gives its user, and windowed, with an empty state every task.window characters (64, unless the recipe
says otherwise), which compares like with like. The curve is in the way that is most like the recipe's training.
--nanogpt may be the JSON that nanogpt.py printed, so that the peer need not run again; without it ours runs alone.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from common import Child, environment, report, say
from nanogpt import run_nanogpt

OURS, THEIRS, INK = "#0072b2", "#d55e00", "#333333"  # Okabe & Ito: safe for the colour-blind


def main() -> None:
    options = arguments()
    peer = peer_figures(options)
    runs = [run_ours(options, seed) for seed in range(options.seeds)]
    summary = summarise(runs, peer, options.target)
    tell(summary, peer)
    if options.plot:
        draw(runs, peer, options)
    report(
        {
            "benchmark": "time-to-loss",
            "peer": "nanoGPT, its README's CPU command" if peer else "none",
            **environment(),
            "data": f"{options.data.name}, the last tenth for validation",
            "unit_of_losses": "nats per character",
            "recipe": options.recipe,
            "overrides": options.overrides,
            "nanogpt": peer,
            "ours": runs,
            "summary": summary,
        }
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="tinyshakespeare's input.txt")
    parser.add_argument("--nanogpt", type=Path, help="a checkout of nanoGPT, or what nanogpt.py printed")
    parser.add_argument("--peer-threads", type=int, default=1, help="nanoGPT's threads; 0: as torch likes")
    parser.add_argument("--recipe", default="shakespeare-lstm", help="a recipe's name or a .toml file")
    parser.add_argument("--seeds", type=int, default=1, help="how often ours runs; figures are medians")
    parser.add_argument("--target", type=float, default=1.88, help="the loss to wait for, nats per character")
    parser.add_argument("--plot", type=Path, help="a PNG of both curves")
    parser.add_argument("overrides", nargs="*", help="settings of the recipe, section.key=value")
    return parser.parse_intermixed_args()


def peer_figures(options: argparse.Namespace) -> dict | None:
    """What nanoGPT takes and reaches, measured now or before."""
    if options.nanogpt is None:
        return None
    if options.nanogpt.is_file():
        return json.loads(options.nanogpt.read_text())["nanogpt"]
    return run_nanogpt(options.nanogpt, options.data, options.peer_threads)


def run_ours(options: argparse.Namespace, seed: int) -> dict:
    """One training of the recipe by the command line: its curve, its cost and its final losses."""
    overrides = [f"data.path={options.data.resolve()}", "data.valid=0.1", *options.overrides, f"seed={seed}"]
    curve, results, steps, first_step, way = [], {}, 0, None, ""
    with TemporaryDirectory(prefix="time-to-loss-") as folder:
        verb = [sys.executable, "-m", "unspool", "train", options.recipe, *overrides]
        child = Child([*verb, "--run", f"{folder}/run", "--json"])
        for line in child.lines():
            event = json.loads(line.text)
            if event["event"] == "TrainingStep":
                first_step = first_step or line.cpu_seconds
            elif event["event"] == "Evaluated":
                curve.append(point(event, line.cpu_seconds, line.wall_seconds))
                way = event["name"]
            elif event["event"] == "Finished":
                results, steps = event["results"], event["number"]
        about = json.loads(Path(folder, "run/about.json").read_text())
    carried, windowed = results["valid/contiguous/loss"], results["valid/windowed/loss"]
    say(f"ours, seed {seed}: {child.cpu_seconds:.1f} CPU s, carried {carried:.4f}, windowed {windowed:.4f} nats")
    return {
        "seed": seed,
        "command": " ".join(["unspool", *verb[3:]]),
        "parameters": about["parameters"],
        "precision": about["precision"],
        "cpu_seconds": round(child.cpu_seconds, 2),
        "cpu_seconds_to_first_step": round(first_step, 2),
        "wall_seconds": round(child.wall_seconds, 2),
        "train_wall_seconds": round(results["train/seconds"], 2),
        "steps": steps,
        "curve_is": way,
        "best_carried_validation_loss_nats": round(carried, 5),
        "best_windowed_validation_loss_nats": round(windowed, 5),
        "curve": curve,
    }


def point(event: dict, cpu_seconds: float, wall_seconds: float) -> dict:
    return {
        "step": event["number"],
        "cpu_seconds": round(cpu_seconds, 2),
        "wall_seconds": round(wall_seconds, 2),
        "validation_loss_nats": round(event["values"]["loss"], 5),
    }


def summarise(runs: list[dict], peer: dict | None, target: float) -> dict:
    """Medians over the seeds; a time is that of the first evaluation at or below the target, no interpolation."""
    times = [first_time(run["curve"], target) for run in runs]
    reached = [time for time in times if time is not None]
    summary = {
        "curve_is": runs[0]["curve_is"],
        "target_loss_nats": target,
        "cpu_seconds_to_target": median(reached) if len(reached) == len(runs) else None,
        "cpu_seconds_to_target_for_each_seed": times,
        "cpu_seconds": round(median(run["cpu_seconds"] for run in runs), 2),
        "best_carried_validation_loss_nats": median(run["best_carried_validation_loss_nats"] for run in runs),
        "best_windowed_validation_loss_nats": median(run["best_windowed_validation_loss_nats"] for run in runs),
    }
    if peer:
        summary |= against(summary, runs, peer)
    return summary


def against(summary: dict, runs: list[dict], peer: dict) -> dict:
    """Our figures beside the peer's cost and final loss."""
    to_target, budget = summary["cpu_seconds_to_target"], peer["cpu_seconds"]
    within = [
        min((p["validation_loss_nats"] for p in run["curve"] if p["cpu_seconds"] <= budget), default=None)
        for run in runs
    ]
    return {
        "nanogpt_cpu_seconds": budget,
        "nanogpt_final_loss_windows_of_64_nats": round(peer["final"]["loss"], 5),
        "share_of_nanogpt_cpu_seconds_to_target": round(to_target / budget, 4) if to_target else None,
        "times_less_cpu_time_to_target": round(budget / to_target, 2) if to_target else None,
        "loss_within_nanogpt_cpu_seconds_nats": None if None in within else median(within),
        "windowed_loss_below_nanogpt": summary["best_windowed_validation_loss_nats"] <= peer["final"]["loss"],
    }


def first_time(curve: list[dict], target: float) -> float | None:
    """CPU seconds at the first evaluation at or below the target."""
    return next((p["cpu_seconds"] for p in curve if p["validation_loss_nats"] <= target), None)


def tell(summary: dict, peer: dict | None) -> None:
    """The summary in words."""
    target, seconds, way = summary["target_loss_nats"], summary["cpu_seconds_to_target"], summary["curve_is"]
    when = f"reaches {target} ({way}) after {seconds:.1f} CPU s" if seconds else f"NEVER reaches {target} ({way})"
    say(f"ours {when}")
    say(
        f"ours ends after {summary['cpu_seconds']:.1f} CPU s: best model carried "
        f"{summary['best_carried_validation_loss_nats']:.4f}, windowed "
        f"{summary['best_windowed_validation_loss_nats']:.4f} nats per character"
    )
    if not peer:
        return
    say(f"nanoGPT: {peer['cpu_seconds']:.1f} CPU s to {peer['final']['loss']:.4f} (windows of 64)")
    if seconds:
        share = summary["share_of_nanogpt_cpu_seconds_to_target"]
        say(f"that is {100 * share:.1f} % of its CPU time, {summary['times_less_cpu_time_to_target']:.1f} times less")
    within = summary["loss_within_nanogpt_cpu_seconds_nats"]
    say(
        f"within its CPU time ours reaches {within:.4f} ({way})" if within else "ours has no evaluation in its CPU time"
    )


def draw(runs: list[dict], peer: dict | None, options: argparse.Namespace) -> None:
    """Both curves over the CPU time on a logarithmic axis."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    for number, run in enumerate(runs):
        x, y = columns(run["curve"], "validation_loss_nats")
        label = f"Unspool {Path(options.recipe).stem}, {run['curve_is']}" if not number else None
        axes.plot(x, y, color=OURS, marker="o", markersize=4, label=label)
    ends = [(run["cpu_seconds"], run["best_windowed_validation_loss_nats"]) for run in runs]
    axes.plot(*zip(*ends, strict=True), color=OURS, marker="s", linestyle="", label="the same, windows of 64")
    if peer:
        x, y = columns(peer["curve"], "sampled_validation_loss_nats")
        axes.plot(x, y, color=THEIRS, marker="^", markersize=5, linestyle="--", label="nanoGPT, its own sampled loss")
        end = peer["cpu_seconds"], peer["final"]["loss"]
        axes.plot(*end, color=THEIRS, marker="s", linestyle="", label="nanoGPT, whole split, windows of 64")
    axes.axhline(options.target, color=INK, linewidth=0.8, linestyle=":", label=f"{options.target} nats")
    axes.set(xscale="log", xlabel="CPU time (seconds, all threads, start-up included)")
    axes.set(ylabel="validation loss (nats per character)", ylim=(None, 3.0), title="tinyshakespeare on a CPU")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, which="both")
    axes.legend(frameon=False)
    figure.savefig(options.plot)
    say(f"picture: {options.plot}")


def columns(curve: list[dict], loss: str) -> tuple[list[float], list[float]]:
    return [p["cpu_seconds"] for p in curve], [p[loss] for p in curve]


if __name__ == "__main__":
    main()
