"""Numbers by name, kept as one array: a thousand columns of a table take 8 bytes each."""

from collections.abc import Iterator, Mapping
from hashlib import sha256

import numpy as np


class NamedNumbers(Mapping[str, float]):
    """Numbers by their names, which many such objects share.

    Two are shown and fingerprinted by what is in them.

    Args:
        names: of the numbers.
        array: their values in the same order, (number,) in double precision.

    >>> numbers = NamedNumbers(("degrees", "wind"), np.array([3.0, 1.0]))
    >>> numbers["wind"], numbers == {"degrees": 3.0, "wind": 1.0}
    (1.0, True)
    """

    def __init__(self, names: tuple[str, ...], array: np.ndarray) -> None:
        self.names, self.array = names, array

    def __getitem__(self, name: str) -> float:
        try:
            return float(self.array[self.names.index(name)])
        except ValueError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        digest = sha256("\0".join(self.names).encode("utf-8", "surrogatepass"))
        digest.update(self.array.tobytes())
        return f"NamedNumbers({digest.hexdigest()})"
