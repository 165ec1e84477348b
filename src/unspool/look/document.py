"""The JSON document from which look.html draws itself."""

from collections.abc import Mapping, Sequence
from typing import Any

from unspool.look.findings import main_findings, topics
from unspool.look.inspection import Inspection
from unspool.look.panels import Panel, Table
from unspool.look.units import paged
from unspool.look.view import View


def document(
    looks: Sequence[Inspection],
    found: Sequence[Mapping[str, View]],
    about: Sequence[str],
) -> dict[str, Any]:
    """All that the page of one or two runs is made of."""
    every = zip(looks, found, about, strict=True)
    return {"title": " and ".join(look.name for look in looks), "runs": [run_document(*one) for one in every]}


def run_document(look: Inspection, found: Mapping[str, View], about: str) -> dict[str, Any]:
    """One run: sentences, rows of tokens, units over tokens, and sections of panels in the order of the views."""
    panels = [(name, view.title, panel) for name, view in found.items() for panel in view.panels()]
    linked = linked_units([panel for _, _, panel in panels])
    units = [one for view in found.values() for one in view.units()]
    units.sort(key=lambda one: list(linked).index(one.place) if one.place in linked else len(linked))
    return {
        "name": look.name,
        "summary": about,
        "findings": main_findings(found),
        "topics": [{"title": title, "findings": some} for title, some in topics(found).items()],
        "loss": look.loss,
        "rows": row_documents(look),
        "traces": [one.trace(linked.get(one.place, ())) for one in units],
        "sections": [
            {"id": name, "title": title, "renderer": panel.renderer, **panel.data()} for name, title, panel in panels
        ],
    }


def linked_units(panels: Sequence[Panel]) -> dict[str, list[int]]:
    """The units to which tables link, by place."""
    linked: dict[str, list[int]] = {}
    for panel in panels:
        for unit in filter(None, panel.units if isinstance(panel, Table) else ()):
            linked.setdefault(unit[0], []).append(unit[1])
    return linked


def row_documents(look: Inspection) -> list[dict[str, Any]]:
    """The rows that the page shows: tokens, targets, surprisal, source."""
    rows = look.rows
    nats = look.surprisal() or [[] for _ in rows.tokens]
    source = rows.source or [[] for _ in rows.tokens]
    every = zip(paged(rows), rows.tokens, rows.targets, nats, source, strict=False)
    return [
        {"tokens": tokens[:size], "targets": targets[:size], "surprisal": costs[:size], "source": read}
        for size, tokens, targets, costs, read in every
    ]
