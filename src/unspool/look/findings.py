"""The sentences of a report: the main findings, the rest by topic, and how two runs compare."""

from collections.abc import Iterator, Mapping, Sequence

from unspool.look.inspection import Inspection
from unspool.look.view import View

Views = Mapping[str, View]
"""Views of one run by name, in the order of their rank."""
MAIN = 3  # findings that come first
SLIGHT = 0.05  # nats: a smaller difference between two runs is not reported


def main_findings(found: Views) -> list[str]:
    """The first sentences of the first three views that have any."""
    return [sentences[0] for view in found.values() if (sentences := view.summary())][:MAIN]


def topics(found: Views) -> dict[str, list[str]]:
    """The other sentences by the titles of their views, at most `most` of each."""
    first = main_findings(found)
    other = {view.title: [s for s in view.summary()[: view.most] if s not in first] for view in found.values()}
    return {title: sentences for title, sentences in other.items() if sentences}


def lines(found: Views) -> Iterator[str]:
    """The sentences as the console shows them: the main findings, then the rest by topic."""
    yield from main_findings(found)
    for title, sentences in topics(found).items():
        yield from ("", title, *(f"  {sentence}" for sentence in sentences))


def compare_losses(looks: Sequence[Inspection]) -> list[str]:
    """Which of two runs has the lower loss on the same text, and the tokens at which they differ most."""
    one, other = looks
    if one.loss is None or other.loss is None:
        return []
    if one.rows.targets != other.rows.targets:  # other tokens
        costs = (f"{look.name}: {look.loss * look.tokens_per_character:.4f}" for look in looks if look.loss is not None)
        return [f"{', '.join(costs)} nats a character"]
    sentences = [f"{one.name}: {one.loss:.4f} nats a token; {other.name}: {other.loss:.4f}"]
    gaps = [
        (a - b, row, t)
        for row, pair in enumerate(zip(one.surprisal(), other.surprisal(), strict=True))
        for t, (a, b) in enumerate(zip(*pair, strict=True))
        if a is not None and b is not None
    ]
    for better, (gap, row, t) in ((other, max(gaps, default=(0.0, 0, 0))), (one, min(gaps, default=(0.0, 0, 0)))):
        if abs(gap) >= SLIGHT and (gap > 0) == (better is other):
            target = one.rows.targets[row][t]
            where = f"at '{target}' after '{one.rows.before(row, t)}'"
            sentences.append(f"{better.name} is better by {abs(gap):.1f} nats {where}")
    return sentences
