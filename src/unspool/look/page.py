"""The interactive page of `unspool look`: one document that works from disk, without a network."""

import json
from collections.abc import Mapping
from importlib.resources import files

from unspool.look.encoding import finite

PLACE = "THE DATA"
"""What stands in page.html where the data goes."""

SCRIPTS = "page.js", "panels.js", "sections.js"
"""The files that page.html names, each in a comment of one line, where they go."""


def page(data: Mapping[str, object]) -> str:
    """The whole HTML document that shows the data.

    `data` is one JSON document: a "title", and "runs" with what is known of each. It may hold any text: no token can
    end the script that it is put into. What is no number, or infinite, becomes null, which is drawn as nothing.

    >>> "Infinity" in page({"title": "runs/a", "runs": [], "loss": float("inf")})
    False
    >>> page({"title": "</script>", "runs": []}).count("</script>")
    4
    """
    text = json.dumps(finite(data), allow_nan=False, separators=(",", ":"))
    folder = files("unspool.look")
    template = folder.joinpath("page.html").read_text(encoding="utf-8")
    for name in SCRIPTS:
        template = template.replace(f"// {name}\n", folder.joinpath(name).read_text(encoding="utf-8"))
    return template.replace(PLACE, text.replace("<", "\\u003c"), 1)  # neither </script> nor <!-- without it
