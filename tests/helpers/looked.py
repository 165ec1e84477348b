"""A made-up document for look.html, of any size, with seeded random numbers."""

import math
import random

import torch

from unspool.look.encoding import encoded

TEXT = "She said, \u201cthe cat (that one) sat on the mat.\u201d Then it left; nobody knew why.\n"


def trace(layer, kind, tokens, units, generator):
    """One group of units over rows of so many tokens: slow waves and noise."""
    low, high = (0.0, 1.0) if kind == "gate" else (-2.5, 2.5)
    rows = []
    for count in tokens:
        wave = torch.sin(torch.arange(count) / (2 + 20 * torch.rand(units, 1, generator=generator)))
        values = wave + 0.3 * torch.randn(units, count, generator=generator)
        rows.append(encoded(values.sigmoid() if kind == "gate" else values, low, high))
    place, name = ("forget", "forget") if kind == "gate" else ("memory", "memory")
    return {
        "place": f"core.layers.{layer - 1}.0.{place}",
        "name": f"layer {layer} {name}",
        "kind": kind,
        "units": torch.randperm(2 * units, generator=generator)[:units].tolist(),
        "of": 2 * units,
        "low": low,
        "high": high,
        "rows": rows,
        "summary": "41 of 512 units are open (over 0.9) at least 95 % of the time, 3 shut" if kind == "gate" else "",
    }


def heads_section(names, heads, generator):
    """The heads of one layer, each token attending to those before it."""
    size = len(names)
    scores = torch.randn(heads, size, size, generator=generator).mul(2)
    scores = scores.masked_fill(torch.ones(size, size).triu(1).bool(), -math.inf)
    return {
        "id": "attention",
        "title": "Attention",
        "renderer": "heads",
        "name": "layer 2 attention",
        "rows": names,
        "columns": names,
        "heads": [encoded(head, 0.0, 1.0) for head in scores.softmax(-1)],
        "summary": ["attends to the token before (93 %)" if n % 2 else "" for n in range(1, heads + 1)],
        "loss": 1.43,
        "ablated": [round(0.213 / n - 0.03, 3) for n in range(1, heads + 1)],
    }


def run(name="runs/char-lm", lengths=(120,), units=16, heads=2, seed=0):
    """What is known of one run over rows of so many letters each."""
    generator, dice = torch.Generator().manual_seed(seed), random.Random(seed)
    letters = ["␣" if letter == " " else "\\n" if letter == "\n" else letter for letter in TEXT]
    rows = []
    for length in lengths:
        tokens = [letters[at % len(letters)] for at in range(length)]
        surprisal = [round(dice.expovariate(0.7), 3) for _ in tokens]
        surprisal[:1] = [None][:length]
        rows.append({"tokens": tokens, "targets": [*tokens[1:], "T"][:length], "surprisal": surprisal, "source": []})
    traces = [trace(1, "state", lengths, units, generator), trace(1, "gate", lengths, units, generator)]
    unit = traces[0]["units"][min(3, units - 1)]
    words = TEXT.replace(",", "").replace(".", "").split()
    vocabulary = sorted(set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,;()")) + words
    return {
        "name": name,
        "summary": "recurrent lstm, 140,660 weights",
        "loss": 1.43,
        "findings": [f"layer 1 memory, unit {unit} predicts 'inside quotes': AUC 0.98 (chance 0.61)"],
        "topics": [{"title": "Gradient by lag", "findings": ["gradient of inputs: a tenth is left 14 tokens back"]}],
        "rows": rows,
        "traces": traces,
        "sections": [
            {
                "id": "neurons",
                "title": "Neurons",
                "renderer": "table",
                "columns": ["feature", "unit", "score", "chance"],
                "rows": [["inside quotes", f"layer 1 memory, unit {unit}", "AUC 0.98", "0.61"]],
                "numbers": 2,
                "units": [["core.layers.0.0.memory", unit]],
                "note": "",
            },
            *([heads_section([letters[at % len(letters)] for at in range(40)], heads, generator)] if heads else []),
            {
                "id": "gradient",
                "title": "Gradient by lag",
                "renderer": "lines",
                "curves": [
                    {"name": "inputs", "x": list(range(60)), "y": [math.exp(-lag / 6) for lag in range(60)]},
                    {"name": "states", "x": list(range(60)), "y": [math.exp(-lag / 12) for lag in range(60)]},
                ],
                "x_label": "lag (tokens back)",
                "y_label": "gradient norm",
                "log": True,
                "note": "",
            },
            {
                "id": "embeddings",
                "title": "Embeddings",
                "renderer": "scatter",
                "names": vocabulary,
                "xy": torch.randn(len(vocabulary), 2, generator=generator).tolist(),
                "x_label": "first principal component (21 %)",
                "y_label": "second (10 %)",
                "neighbours": {token: [["a", 0.71], ["the", 0.42]] for token in vocabulary},
            },
        ],
    }


def section(one, name):
    """A section of what is known of a run."""
    return next(section for section in one["sections"] if section["id"] == name)


def document(*runs):
    """What look.html is given."""
    return {"title": " and ".join(one["name"] for one in runs), "runs": list(runs)}
