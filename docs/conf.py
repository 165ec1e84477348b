"""How Sphinx builds the site from the pages here and from the docstrings: `make site`."""

import re

project = "Unspool"
author = "the authors of Unspool"
html_theme = "furo"
html_title = "Unspool"

extensions = [
    "myst_nb",  # pages in Markdown, and the lecture pages, which are run
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["conf.py", "generate.py", "reproduce.py", "lectures/shared.py"]
templates_path: list[str] = []

nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
nb_execution_mode = "cache"  # a page is run again where its code has changed
nb_execution_timeout = 900
nb_execution_raise_on_error = True
nb_merge_streams = True

myst_heading_anchors = 4
suppress_warnings = ["mystnb.unknown_mime_type"]

autosummary_generate = True
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False
napoleon_numpy_docstring = False


def setup(app: object) -> None:
    """Sphinx calls this."""
    app.connect("source-read", link_to_source_as_text)  # type: ignore[attr-defined]


def link_to_source_as_text(app: object, page: str, source: list[str]) -> None:
    """A link to a file of the repository, which the site does not have, becomes text that tells the file on hover."""
    source[0] = re.sub(r"\[([^\]]+)\]\(\.\./((?:src|tests)/[^)]*)\)", r'<span title="\2">\1</span>', source[0])
