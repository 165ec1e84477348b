"""The files of a report on one run, or on two side by side: pictures and look.html."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from unspool.errors import DataError
from unspool.files import write_bytes, writing
from unspool.look.canvas import REMEDY, Picture
from unspool.look.document import document
from unspool.look.inspection import Inspection
from unspool.look.page import page
from unspool.look.view import View, views

Views = Mapping[str, View]
"""Views of one run by name, in the order of their rank."""
FORMATS = "png", "svg"


def collect(
    look: Inspection,
    names: Sequence[str],
    missing: Callable[[str], None] | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, View]:
    """The views of those names.

    Args:
        look: a model that reads.
        names: of views.
        missing: is called with a sentence about a view that the model cannot have.
        options: of views, by name.

    Raises:
        DataError: for such a view, where `missing` is None.
    """
    found = {}
    for name in names:
        try:
            found[name] = look.view(name, **(options or {}).get(name, {}))
        except DataError as error:
            if missing is None:
                raise
            missing(f"{name}: {error}")
    return found


def pictures_of(found: Views) -> dict[str, Picture]:
    """Every picture of one run, by the name of its file without an ending."""
    return {
        f"{name}-{of}" if of else name: picture
        for name, view in found.items()
        for of, picture in view.pictures().items()
    }


def pictures_of_both(found: Sequence[Views], looks: Sequence[Inspection]) -> dict[str, Picture]:
    """What several runs show in one picture, by the name of its file."""
    compared = {}
    for name in found[0]:
        same = {look.name: views[name] for look, views in zip(looks, found, strict=True) if name in views}
        picture = found[0][name].compare(same) if len(same) > 1 else None
        if picture is not None:
            compared[name] = picture
    return compared


def write(
    looks: Sequence[Inspection],
    found: Sequence[Views],
    about: Sequence[str],
    folder: Path,
    formats: Sequence[str] = ("png",),
) -> list[Path]:
    """Write every picture and look.html into a folder; pictures of an earlier look are removed.

    Args:
        looks: one or two models that read.
        found: the views of each.
        about: a description of each.
        folder: is made where there is none.
        formats: of the pictures.

    Returns:
        The paths of the files, the page first.

    Raises:
        CheckpointError: where the folder cannot be written into.
    """
    html, file = page(document(looks, found, about)), folder / "look.html"
    with writing(folder, REMEDY):
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            if old.suffix[1:] in FORMATS and any(f"{old.stem}-".startswith(f"{name}-") for name in views.kinds()):
                old.unlink()
    write_bytes(file, html.encode(errors="replace"), REMEDY)
    written = [file]
    for number, one in enumerate(found, start=1):
        for name, picture in pictures_of(one).items():
            end = name if len(found) == 1 else f"{name}-{number}"
            written += [picture.save(folder / f"{end}.{kind}") for kind in formats]
    for name, picture in (pictures_of_both(found, looks) if len(found) > 1 else {}).items():
        written += [picture.save(folder / f"{name}.{kind}") for kind in formats]
    return written
