"""The interactive page of `unspool look`: one document that works from disk, without a network."""

import json
import math
from base64 import b64encode
from collections.abc import Mapping
from importlib.resources import files

import torch
from torch import Tensor

from unspool.errors import DataError

PLACE = "THE DATA"
"""What stands in page.html where the data goes."""

SCRIPTS = "page.js", "sections.js"
"""The files that page.html names, each in a comment of one line, where they go."""


def page(data: Mapping[str, object]) -> str:
    """The whole HTML document that shows the data.

    `data` is one JSON document: a "title", and "runs" with what is known of each. It may hold any text: no token can
    end the script that it is put into. What is no number, or infinite, becomes null, which is drawn as nothing.

    >>> "Infinity" in page({"title": "runs/a", "runs": [], "loss": float("inf")})
    False
    >>> page({"title": "</script>", "runs": []}).count("</script>")
    3
    """
    text = json.dumps(finite(data), allow_nan=False, separators=(",", ":"))
    folder = files("unspool.look")
    template = folder.joinpath("page.html").read_text(encoding="utf-8")
    for name in SCRIPTS:
        template = template.replace(f"// {name}\n", folder.joinpath(name).read_text(encoding="utf-8"))
    return template.replace(PLACE, text.replace("<", "\\u003c"), 1)  # neither </script> nor <!-- without it


def finite(value: object) -> object:
    """The same lists and mappings with None for every float that JSON does not know.

    >>> finite({"surprise": [0.5, float("nan")]})
    {'surprise': [0.5, None]}
    """
    if isinstance(value, Mapping):
        return {name: finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def encoded(values: Tensor, low: float, high: float) -> str:
    """Values of any shape as base64 of one byte each, row by row: byte 0 is `low` or less, byte 255 is `high` or more.

    The page reads byte b as low + (high - low) * b / 255, so a value within the limits is off by (high - low) / 510 at
    most. A DataError tells of values that are no numbers.

    >>> encoded(torch.tensor([[-1.0, 0.0], [1.0, 7.0]]), -1.0, 1.0)
    'AID//w=='
    """
    if values.isnan().any():
        raise DataError("a unit to be shown is not a number (NaN)", hint="the model has diverged: look at a sound run")
    share = (values.detach().double().cpu() - low) / ((high - low) or 1.0)
    return b64encode((share.clamp(0, 1) * 255).round().to(torch.uint8).contiguous().numpy().tobytes()).decode("ascii")
