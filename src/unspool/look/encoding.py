"""Numbers on their way to the page: JSON without infinities, and tensors as base64 of bytes."""

import math
from base64 import b64encode
from collections.abc import Mapping

import torch
from torch import Tensor

from unspool.errors import DataError


def finite(value: object) -> object:
    """The same lists and mappings with None for every float that JSON does not know.

    >>> finite({"loss": [0.5, float("nan")]})
    {'loss': [0.5, None]}
    """
    if isinstance(value, Mapping):
        return {name: finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple | range):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def encoded(values: Tensor, low: float, high: float) -> str:
    """Values of any shape as base64 of one byte each, row by row: byte 0 is `low` or less, byte 255 is `high` or more.

    The page reads byte b as low + (high - low) * b / 255, so a value within the limits is off by (high - low) / 510 at
    most. Raises a DataError for values that are not numbers.

    >>> encoded(torch.tensor([[-1.0, 0.0], [1.0, 7.0]]), -1.0, 1.0)
    'AID//w=='
    """
    if values.isnan().any():
        raise DataError("a unit to be shown is not a number (NaN)", hint="the model has diverged: look at a sound run")
    share = (values.detach().double().cpu() - low) / ((high - low) or 1.0)
    return b64encode((share.clamp(0, 1) * 255).round().to(torch.uint8).contiguous().numpy().tobytes()).decode("ascii")
