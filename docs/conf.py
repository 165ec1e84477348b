"""How Sphinx builds the site from the pages here and from the docstrings: `make site`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "Unspool"
author = "the Unspool authors"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
html_theme = "furo"
html_title = "Unspool"
html_static_path = ["_static"]
exclude_patterns = ["site", "conf.py", "generate.py", "reproduce.py"]
source_suffix = {".md": "myst-nb", ".rst": "restructuredtext"}
nb_execution_mode = "off"

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]

autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
