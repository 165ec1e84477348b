"""A reader of a format of one's own: lines of `label => text` in .arrow.txt files would be `data.format=arrows`."""

from collections.abc import Iterator

from unspool.data.readers.tables import Placed, table_format


@table_format("arrows", ".arrows")
def arrows(text: str, name: str) -> Iterator[Placed]:
    """Lines of a label, an arrow and a text."""
    for number, line in enumerate(text.splitlines(), start=1):
        label, _, rest = line.partition(" => ")
        yield f"{name}, line {number}", {"label": label, "text": rest}
