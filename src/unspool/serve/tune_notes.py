"""The notes of the tune that is being written, for the page to draw and play."""

from typing import Any

from unspool.data.music.abc_reader import blocks, parse_tune
from unspool.data.music.abc_tune import Tune, bar_order
from unspool.errors import DataError

TRIES = 60
"""So many of the last bars are left out, one after the other, until the rest can be read."""
LONGEST = 8000
"""Characters of a tune that are read."""
REPEATS = 20
MOST = 4000
"""Notes that are shown."""


def notes_at(text: str, caret: int) -> dict[str, Any]:
    r"""The notes of the tune in ABC notation at a place of a text, as far as they can be read.

    Args:
        text: tunes, and what stands between them.
        caret: how many characters come before the place.

    Returns:
        "notes", each with its start and length in quarter beats and its pitch as MIDI's number; "speed" in quarter
        beats a minute; "title"; "bars", where each begins; "error", what stands in the way of the rest, or "".

    >>> found = notes_at("X:1\nT:Two\nM:2/4\nL:1/8\nK:G\nG2 A2|B2 &", 10)
    >>> found["notes"], found["error"]
    ([[0.0, 1.0, 67], [1.0, 1.0, 69]], "line 6: '&' is no music")
    """
    begun = [(number, tune) for number, tune in blocks(text) if number - 1 <= text[:caret].count("\n")]
    if not begun:
        return {"notes": [], "speed": 120.0, "title": "", "bars": [], "error": "there is no tune here yet"}
    number, tune = begun[-1]
    tune = tune[:LONGEST]
    read, error = _readable(tune, number)
    if read is None:
        return {"notes": [], "speed": 120.0, "title": "", "bars": [], "error": error}
    score, bars, now = read.score(), list[float](), 0.0
    for number in bar_order(read.bars):
        bars.append(round(now, 4))
        now += float(read.bars[number].length)
    notes = [[round(float(n.start), 4), round(float(n.length), 4), n.pitch] for n in score.notes[:MOST]]
    return {"notes": notes, "speed": score.speed, "title": score.title, "bars": bars, "error": error}


def _readable(tune: str, first: int) -> tuple[Tune | None, str]:
    """As much of a tune as can be read, and why not all."""
    error = ""
    for _ in range(TRIES):
        try:
            found = parse_tune(tune, first=first, whole=False)
            if any(bar.repeats > REPEATS for bar in found.bars):
                return None, f"a part is repeated more than {REPEATS} times"
            return (found if found.bars else None), error or ("" if found.bars else "there are no notes yet")
        except DataError as wrong:
            error = error or str(wrong)
        shorter = tune.rstrip("|:] \n")
        cut = max(shorter.rfind("|"), shorter.rfind("\n"))
        if cut <= 0:
            break
        tune = shorter[: cut + 1]
    return None, error
