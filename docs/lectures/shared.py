"""What the lecture pages share: trained models that are kept, and pictures, tables, sounds and sliders for a notebook.

The pages are Python files in jupytext's percent format: scripts, notebooks, and pages of the site (`make site`). With
`PAGE_SIZE=small` every training has a twentieth of its steps: a page runs in seconds, and its numbers mean nothing.
"""

import base64
import io
import json
import os
import platform
import wave
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import unspool

HERE = Path(__file__).parent
SMALL = os.environ.get("PAGE_SIZE") == "small"
KEPT = Path(os.environ.get("PAGE_RUNS", HERE.parents[1] / "runs" / "lectures"))
"""Where the trained models of the pages are kept: a page that is run again loads them."""


def trained(recipe: str, **settings: Any) -> unspool.Run:
    """The model of a recipe with these settings: trained now, or loaded where it was trained before.

    Args:
        recipe: a named recipe.
        **settings: keys with two underscores for the dot: `core__cell="gru"`.
    """
    given = {key.replace("__", "."): value for key, value in settings.items()}
    given |= {"train.threads": 1, "train.precision": "float32", "train.device": "cpu"}
    given |= {"sample.times": 0, "evaluate.times": 1}
    if SMALL:
        whole = unspool.load_recipe(recipe, given)["train"]
        given |= {"train.steps": max(2, whole.get("steps", 0) // 20)} if whole.get("steps") else {"train.epochs": 0.02}
    digest = sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()[:8]
    folder = KEPT / f"{recipe}-{digest}"
    if (folder / "results.json").exists():
        return unspool.load(folder)
    return unspool.train(recipe, folder, quiet=True, **given)


def results(run: unspool.Run) -> dict[str, float]:
    """What a run of `trained` wrote into its results.json."""
    return json.loads((Path(run.name) / "results.json").read_text(encoding="utf-8"))


def noted(recipe: str, claim: str) -> str:
    """What docs/lectures.json has of a claim: the mean, and the least and the largest of its seeds."""
    notes = json.loads((HERE.parent / "lectures.json").read_text(encoding="utf-8"))
    values = notes[recipe]["claims"][claim]["values"]
    spread = f" ({min(values):.4g} to {max(values):.4g}, {len(values)} seeds)" if len(values) > 1 else " (one seed)"
    return f"{np.mean(values):.4g}{spread}"


def minutes(recipe: str) -> str:
    """How long a seed of a recipe trained, as docs/lectures.json has it, and on what."""
    note = json.loads((HERE.parent / "lectures.json").read_text(encoding="utf-8"))[recipe]
    return f"{note['minutes']:g} minutes" + (" of one GPU" if "CUDA" in note["machine"] else "")


@dataclass(frozen=True)
class Html:
    """Something that a notebook shows as HTML, and a terminal as text."""

    html: str
    text: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.text


def table(rows: Iterable[Mapping[str, Any]]) -> Html:
    """Rows as a table; numbers with four digits."""
    rows = list(rows)

    def cell(value: Any) -> str:
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    names = list(rows[0])
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell(row[n]))}</td>" for n in names) + "</tr>" for row in rows)
    text = "\n".join("  ".join(cell(value) for value in row) for row in [names, *(row.values() for row in rows)])
    return Html(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>", text)


def picture(figure: Figure, alt: str) -> Html:
    """A figure with its alternative text."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110, bbox_inches="tight")
    data = base64.b64encode(file.getvalue()).decode()
    return Html(f'<img alt="{escape(alt)}" src="data:image/png;base64,{data}">', alt)


def lines(curves: Mapping[str, tuple[Iterable[float], Iterable[float]]], x: str, y: str, alt: str, **axes: Any) -> Html:
    """Curves in one picture, each with its name; `axes` are properties of the axes, such as yscale."""
    figure = Figure(figsize=(6.5, 3.4))
    ax = figure.add_subplot()
    for name, (across, up) in curves.items():
        ax.plot(list(across), list(up), marker=".", label=name)
    ax.set(xlabel=x, ylabel=y, **axes)
    ax.legend(frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return picture(figure, alt)


def labelled(axes: Axes, points: Iterable[tuple[float, float]], names: Iterable[str]) -> None:
    """Draws points with their names."""
    points = list(points)
    axes.scatter(*zip(*points, strict=True), s=14)
    for point, name in zip(points, names, strict=True):
        axes.annotate(name, point, fontsize=9)


def heat(
    axes: Axes, values: Iterable[Iterable[float]], rows: Iterable[Any], columns: Iterable[Any], **shown: str
) -> None:
    """Percentages as a map with a number in each cell; `shown` are properties of the axes: title, xlabel, ylabel."""
    percents = np.array([list(row) for row in values])
    axes.imshow(percents, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for (row, column), value in np.ndenumerate(percents):
        axes.text(column, row, f"{value:.0f}", ha="center", va="center", color="white" if value > 60 else "black")
    axes.set_xticks(range(percents.shape[1]), list(columns))
    axes.set_yticks(range(len(percents)), list(rows))
    axes.set(**shown)


GRADES = {"no errors": "#207020", "minor errors": "#b07000", "somewhat related": "#b04000", "unrelated": "#b00000"}
"""The colour of each grade of a caption."""


def captioned(shown: Iterable[tuple[Any, str, str]], alt: str) -> Html:
    """Images in rows of four, each with its caption above and its grade below: (image, caption, grade)."""
    shown = list(shown)
    rows = -(-len(shown) // 4)
    figure = Figure(figsize=(11, 7 * rows / 3), layout="constrained")
    for axes, (image, said, grade) in zip(figure.subplots(rows, 4).flat, shown, strict=True):
        axes.imshow(image)
        axes.set_title(said.replace(" a ", "\na "), fontsize=8, color=GRADES[grade])
        axes.set(xticks=[], yticks=[], xlabel=grade)
    return picture(figure, alt)


def coloured(parts: Iterable[tuple[str, str]]) -> Html:
    """Text with a background colour for each part ("" for none)."""
    parts = list(parts)
    spans = (
        f'<span style="background:{colour}">{escape(text)}</span>' if colour else escape(text) for text, colour in parts
    )
    return Html(f'<pre style="white-space:pre-wrap">{"".join(spans)}</pre>', "".join(text for text, _ in parts))


def below(parts: Iterable[Html]) -> Html:
    """One thing below the other."""
    parts = list(parts)
    return Html("".join(part.html for part in parts), "\n".join(part.text for part in parts))


def slider(label: str, frames: Mapping[str, Html]) -> Html:
    """One of several precomputed things at a time, chosen with a slider; all of them where there is no JavaScript."""
    name = "s" + sha256("".join(frame.html for frame in frames.values()).encode()).hexdigest()[:8]
    divs = "".join(
        f"<div class='{name}'><p><b>{escape(label)} {escape(k)}</b></p>{v.html}</div>" for k, v in frames.items()
    )
    control = (
        f"<label>{escape(label)} <input id='{name}' type='range' min='0' max='{len(frames) - 1}' value='0'></label>"
    )
    script = (
        f"<script>(()=>{{const all=[...document.getElementsByClassName('{name}')];"
        f"const input=document.getElementById('{name}');"
        "const show=()=>all.forEach((div,i)=>div.hidden=i!=input.value);input.oninput=show;show()})()</script>"
    )
    return Html(control + divs + script, "\n".join(f"{label} {key}\n{frame.text}" for key, frame in frames.items()))


def sound(samples: np.ndarray, rate: int, label: str) -> Html:
    """A player with the sound inside the page: samples from -1 to 1, (T,), at `rate` a second."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    data = base64.b64encode(file.getvalue()).decode()
    player = f'<audio controls src="data:audio/wav;base64,{data}"></audio>'
    return Html(
        f"<figure><figcaption>{escape(label)}</figcaption>{player}</figure>", f"{label}: {len(samples) / rate:.1f} s"
    )


def processor() -> str:
    """What the CPU calls itself."""
    file = Path("/proc/cpuinfo")
    rows = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    names = [row.partition(":")[2].strip() for row in rows if row.startswith("model name")]
    return names[0] if names else platform.processor()


def roll(score: Any, theme: float = 0) -> Html:
    """The notes of a `Score` as a piano roll, pitch over time; those of its first `theme` quarter beats in another colour."""
    figure = Figure(figsize=(8, 1.8))
    ax = figure.add_subplot(xlabel="quarter beats", ylabel="pitch")
    starts, lengths = ([float(getattr(note, name)) for note in score.notes] for name in ("start", "length"))
    colours = ["#d55e00" if start < theme else "#0072b2" for start in starts]
    ax.barh([note.pitch for note in score.notes], lengths, left=starts, color=colours)
    given = ", the given theme in orange" if theme else ""
    return picture(figure, f"{score.title}: {len(starts)} notes as bars, pitch over time{given}")


def switches(names: Iterable[str], frames: Mapping[str, Html]) -> Html:
    """One of several precomputed things at a time, chosen with a box for each name; keys say which are ticked: "010"."""
    key = "b" + sha256("".join(frame.html for frame in frames.values()).encode()).hexdigest()[:8]
    boxes = "".join(f"<label><input class='{key}i' type='checkbox' checked> {escape(n)}</label> " for n in names)
    divs = "".join(f"<div class='{key}' data-on='{on}'>{frame.html}</div>" for on, frame in frames.items())
    script = (
        f"<script>(()=>{{const all=[...document.getElementsByClassName('{key}')];"
        f"const boxes=[...document.getElementsByClassName('{key}i')];"
        "const show=()=>{const on=boxes.map(box=>+box.checked).join('');"
        "all.forEach(div=>div.hidden=div.dataset.on!=on)};boxes.forEach(box=>box.onchange=show);show()})()</script>"
    )
    return Html(f"<div>{boxes}</div>{divs}{script}", "\n".join(f"{on}: {f.text}" for on, f in frames.items()))
