"""What is told of one run, or of two side by side: words, data, pictures and a page."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from unspool.errors import ConfigError, DataError
from unspool.files import write_bytes, writing
from unspool.look.canvas import REMEDY, Picture
from unspool.look.inside import Inspection
from unspool.look.page import encoded, page
from unspool.look.views import Attention, Embeddings, Gradient, Neurons, Rows, Surprise, Units, View, joined

ViewFunction = Callable[[Inspection], Any]
"""An inspection gives a view, or a list of views."""
VIEWS: dict[str, ViewFunction] = {
    "neurons": Inspection.neurons,
    "surprise": Inspection.surprise,
    "gates": Inspection.gates,
    "hidden": Inspection.hidden,
    "path": Inspection.path,
    "gradient": Inspection.gradient,
    "attention": Inspection.attention,
    "embeddings": Inspection.embeddings,
}
"""What can be asked for, what matters most first."""


def register_view(name: str) -> Callable[[ViewFunction], ViewFunction]:
    """A decorator that makes a function a view, for `--what NAME`, the page and JSON; a plug-in may bring one.

    The function is shown an inspection of a model and gives a view, with `summary()` (sentences), `data()` (JSON) and
    `plot()` (a picture), or a list of them.

    >>> @register_view("width")
    ... def width(inspection): ...
    >>> VIEWS.pop("width") is width
    True
    """

    def add(function: ViewFunction) -> ViewFunction:
        VIEWS[name] = function
        return function

    return add


MISSING = {
    "neurons": "nothing that a unit could be asked about varies in what is read",
    "gates": "this model has no gates",
    "hidden": "this model has no states",
    "attention": "no part of this model looks",
}
WORDS = {"neurons": 12, "gates": 8}
"""How many sentences are told of these; 4 of each other kind."""
UNITS = 96  # of each place that a page can show
PAGED = 1500  # tokens that a page shows, of all rows together; an LSTM of two layers of 512 takes 2 MB
KINDS = "png", "svg"
"""Kinds of pictures that an earlier look may have written."""
SLIGHT = 0.05  # nats, which are no difference worth a sentence
PICTURED = 6  # places of a kind that are drawn


HISTORY = "losses", "unrolled"
"""What does not need a reading: how the runs were trained."""


def chosen(what: str) -> list[str]:
    """The names of views in a list with commas; all of them for "". Errors: ConfigError for one that there is not.

    >>> chosen("gates,hidden")
    ['gates', 'hidden']
    """
    every = [*VIEWS, *HISTORY]
    names = list(dict.fromkeys(name.strip() for name in what.split(",") if name.strip())) or every
    names = every if names == ["all"] else names
    for name in names:
        if name not in every:
            raise ConfigError(f"there is nothing called {name!r} to look at", hint=f"--what {','.join(every)}")
    return names


def seen(look: Inspection, names: Sequence[str], lacks: Callable[[str], None] | None = None) -> dict[str, list[View]]:
    """The views of those names that a model has; who is given as `lacks` is told what it has not, and why.

    Errors: DataError for one that it has not, where nobody is to be told.
    """
    found: dict[str, list[View]] = {}
    for name in filter(VIEWS.__contains__, names):
        try:
            view = VIEWS[name](look)
            if missing := MISSING.get(name) if not view or view in (Attention([]), Neurons([])) else None:
                raise DataError(f"{look.name}: {missing}", hint="ask for something else, as --what hidden,gradient")
        except DataError as error:
            if lacks is None:
                raise
            lacks(f"{name}: {error}")
            continue
        found[name] = view if isinstance(view, list) else [view]
    return found


def words(found: Mapping[str, Sequence[View]]) -> list[str]:
    """What matters, some sentences of each kind."""
    of = {name: [word for view in views for word in view.summary()] for name, views in found.items()}
    return [word for name, some in of.items() for word in some[: WORDS.get(name, 4)]]


def compared(looks: Sequence[Inspection]) -> list[str]:
    """Which of two runs was less surprised by what both read, and where they differ most."""
    one, other = looks
    if one.loss is None or other.loss is None:
        return []
    if one.rows.targets != other.rows.targets:  # tokens of other kinds
        costs = (f"{look.name}: {look.loss * look.share_asked:.4f}" for look in (one, other) if look.loss is not None)
        return [f"{', '.join(costs)} nats a character"]
    words = [f"{one.name}: {one.loss:.4f} nats a token; {other.name}: {other.loss:.4f}"]
    every = [
        (a - b, row, t)
        for row, pair in enumerate(zip(one.surprise().nats, other.surprise().nats, strict=True))
        for t, (a, b) in enumerate(zip(*pair, strict=True))
        if a is not None and b is not None
    ]
    for better, (gap, row, t) in ((other, max(every, default=(0.0, 0, 0))), (one, min(every, default=(0.0, 0, 0)))):
        if abs(gap) >= SLIGHT and (gap > 0) == (better is other):
            said, before = one.rows.targets[row][t], joined(one.rows.tokens[row][max(0, t - 20) : t + 1])
            words.append(f"{better.name} is better by {abs(gap):.1f} nats at '{said}' after '{before}'")
    return words


def together(found: Sequence[Mapping[str, Sequence[View]]], looks: Sequence[Inspection]) -> dict[str, Picture]:
    """What is drawn of several runs in one picture: gradients by lag."""
    norms: dict[str, list[float]] = {}
    for look, views in zip(looks, found, strict=True):
        for view in views.get("gradient", ()):
            if isinstance(view, Gradient):
                norms |= {f"{look.name}, {name}": curve for name, curve in view.norms.items()}
    return {"gradient": Gradient(norms).plot()} if len(norms) > 1 else {}


def drawn(found: Mapping[str, Sequence[View]]) -> dict[str, Picture]:
    """Pictures by the names of their files."""
    pictures = {}
    for name, views in found.items():
        for view in views[:PICTURED]:
            of = f"-{view.name.replace(' ', '-')}" if isinstance(view, Units) else ""
            pictures[f"{name}{of}"] = view.plot()
    best = next((view.best for views in found.values() for view in views if isinstance(view, Neurons)), [])
    for view in found.get("hidden", ()):
        if best and isinstance(view, Units) and view.place == best[0].place:
            pictures["text"] = view.text(best[0].found.unit)
    return pictures


def document(
    looks: Sequence[Inspection], found: Sequence[Mapping[str, Sequence[View]]], summary: Sequence[str]
) -> dict[str, Any]:
    """All that the page of one or two runs is made of."""
    runs = [_run(look, views, said) for look, views, said in zip(looks, found, summary, strict=True)]
    return {"title": " and ".join(look.name for look in looks), "runs": runs}


def _run(look: Inspection, found: Mapping[str, Sequence[View]], summary: str) -> dict[str, Any]:
    views = [view for some in found.values() for view in some]
    by_kind: dict[type, Any] = {type(view): view for view in views}
    neurons, attention = by_kind.get(Neurons), by_kind.get(Attention)
    surprise, gradient, embeddings = by_kind.get(Surprise), by_kind.get(Gradient), by_kind.get(Embeddings)
    best = [] if neurons is None else neurons.best
    known: dict[str, list[int]] = {}
    for neuron in best:
        known.setdefault(neuron.place, []).append(neuron.found.unit)
    units = [view for view in views if isinstance(view, Units)]
    units.sort(key=lambda view: not best or view.place != best[0].place)  # the clearest first
    traces = [_trace(view, known.get(view.place, [])) for view in units]
    return {
        "name": look.name,
        "summary": summary,
        "words": words(found),
        "loss": look.loss,
        "rows": _rows(look, surprise),
        "traces": traces,
        "neurons": [
            {
                "feature": one.feature,
                "place": one.place,
                "name": one.name,
                "unit": one.found.unit,
                "score": one.found.score,
                "statistic": one.statistic,
                "chance": one.found.chance,
            }
            for one in best
        ],
        "gradient": None if gradient is None else _gradient(gradient),
        "attention": [] if attention is None else _attention(attention),
        "embeddings": None if embeddings is None else _embeddings(embeddings),
    }


def _paged(rows: Rows) -> list[int]:
    """How many tokens of each of the first rows a page shows."""
    sizes: list[int] = []
    for row in rows.tokens:
        if sizes and sum(sizes) + len(row) > PAGED:
            break
        sizes.append(min(len(row), PAGED))
    return sizes


def _rows(look: Inspection, surprise: Surprise | None) -> list[dict[str, Any]]:
    rows = look.rows
    nats = [[] for _ in rows.tokens] if surprise is None else surprise.nats
    source = rows.source or [[] for _ in rows.tokens]
    every = zip(_paged(rows), rows.tokens, rows.targets, nats, source, strict=False)
    return [
        {"tokens": tokens[:size], "targets": targets[:size], "surprise": costs[:size], "source": seen}
        for size, tokens, targets, costs, seen in every
    ]


def _trace(view: Units, known: Sequence[int]) -> dict[str, Any]:
    sizes = _paged(view.rows)
    values = view.values[: len(sizes), : max(sizes)].float()
    moving = values.flatten(0, 1).std(dim=0, correction=0).argsort(descending=True, stable=True).tolist()
    units = list(dict.fromkeys([*known, *moving]))[:UNITS]
    shown, low = values[..., units], 0.0 if view.gate is not None else -1.0
    found = {
        "place": view.place,
        "name": view.name,
        "kind": "state" if view.gate is None else "gate",
        "units": units,
        "of": values.shape[-1],
        "low": low,
        "high": 1.0,
        "summary": "; ".join(view.summary()),
    }
    if view.gate is None:  # one that counts to a hundred leaves the others their colours
        scales = shown.abs().flatten(0, 1).amax(dim=0).clamp(min=1e-9)
        shown, found["scales"] = shown / scales, [float(f"{scale:.4g}") for scale in scales.tolist()]
    return {**found, "rows": [encoded(row[:size].T, low, 1.0) for row, size in zip(shown, sizes, strict=True)]}


def _gradient(view: Gradient) -> dict[str, Any]:
    longest = max(map(len, view.norms.values()), default=0)
    curves = [{"name": name, "norms": norms} for name, norms in view.norms.items()]
    return {"lags": list(range(longest)), "curves": curves, "summary": "; ".join(view.summary())}


def _attention(view: Attention) -> list[dict[str, Any]]:
    return [
        {
            "name": one.name,
            "down": one.down,
            "across": one.across,
            "heads": [encoded(head, 0.0, 1.0) for head in one.weights],
            "summary": [", ".join(one.only(k).head(0)[: -1 if one.costs else None]) for k in range(len(one.weights))],
            "ablated": one.costs,
            "loss": view.loss,
        }
        for one in view.maps
    ]


def _embeddings(view: Embeddings) -> dict[str, Any]:
    pairs = zip(view.tokens, view.neighbours, strict=True)
    near = {token: [[other, cosine] for other, cosine in some] for token, some in pairs}
    return {"tokens": view.tokens, "xy": view.places, "explained": view.explained, "neighbours": near}


def write(
    looks: Sequence[Inspection],
    found: Sequence[Mapping[str, Sequence[View]]],
    summary: Sequence[str],
    folder: Path,
    kinds: Sequence[str] = ("png",),
) -> list[Path]:
    """Every picture and look.html, into a folder; those of an earlier look are removed.

    The paths come back, the page first. Errors: CheckpointError where the folder cannot be written into.
    """
    html, file = page(document(looks, found, summary)), folder / "look.html"
    with writing(folder, REMEDY):
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            if old.suffix[1:] in KINDS and old.stem.partition("-")[0] in {*VIEWS, *HISTORY, "text"}:
                old.unlink()
    write_bytes(file, html.encode(errors="replace"), REMEDY)
    written = [file]
    for number, views in enumerate(found, start=1):
        for name, picture in drawn(views).items():
            end = name if len(found) == 1 else f"{name}-{number}"
            written += [picture.save(folder / f"{end}.{kind}") for kind in kinds]
    for name, picture in (together(found, looks) if len(found) > 1 else {}).items():
        written += [picture.save(folder / f"{name}.{kind}") for kind in kinds]
    return written
