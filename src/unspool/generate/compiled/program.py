"""Programs: what a model computes for one token, as a list of instructions over the memory of a row.

Every row of a batch has one piece of memory, a line of float32: first its state, then what an instruction leaves for
the next one. Instructions name places in it by their offset. All weights are in one buffer of bytes.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Precision = Literal["float32", "bfloat16", "int8"]

LANES, BLOCK, ALIGN, GROUP = 16, 32, 64, 64
FIELDS = 12
"""Numbers of an instruction: its kind and its arguments."""

(
    EMBED,
    MATRIX,
    LSTM,
    GRU,
    ELMAN,
    MINGRU,
    MINLSTM,
    RGLRU,
    NORM,
    ACTIVATE,
    ADD,
    CONVOLVE,
    PLACE,
    ROTATE,
    ATTEND,
    ANGLES,
) = range(16)
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "int8")
ACTIVATIONS = ("gelu", "gelu-tanh", "relu", "relu-squared", "swiglu")


@dataclass(frozen=True)
class Slot:
    """Where a tensor of a model's state is in the memory of a row.

    Args:
        path: of the tensor in the state, "0.1".
        offset: its first float.
        shape: of one row.
        layout: "plain", its last axis padded to whole vectors; "length", which has no memory: the position; "keys" or
            "values" of a cache.
    """

    path: str
    offset: int
    shape: tuple[int, ...]
    layout: Literal["plain", "length", "keys", "values"] = "plain"


@dataclass
class Program:
    """Instructions, weights and the layout of a row.

    Args:
        code: the instructions, (n, 12).
        weights: the buffer that they refer to.
        state: the tensors of the model's state.
        state_size: how many floats of a row are the state; what follows is overwritten by every token.
        row_size: how many floats a row has.
        logits: where the logits are.
        size: V, how many there are.
        head: the first instruction that only logits need.
        capacity: how many tokens caches hold; 0: there are none.
    """

    code: NDArray[np.int64]
    weights: NDArray[np.uint8]
    state: list[Slot]
    state_size: int
    row_size: int
    logits: int
    size: int
    head: int
    capacity: int = 0


@dataclass
class Builder:
    """Collects instructions and weights.

    Args:
        precision: of the matrices.
    """

    precision: Precision = "float32"
    code: list[tuple[int, ...]] = field(default_factory=list)
    state: list[Slot] = field(default_factory=list)
    capacity: int = 0
    _pieces: list[NDArray[np.uint8]] = field(default_factory=list)
    _bytes: int = 0
    _floats: int = 0
    _state_size: int = 0

    def keep(self, path: str, shape: tuple[int, ...], layout: str = "plain", floats: int | None = None) -> int:
        """Room in the state of a row; where it is. All of it comes before the first `room`."""
        offset = self._floats
        self.state.append(Slot(path, offset, shape, layout))  # type: ignore[arg-type]
        self.room(int(np.prod(shape[:-1])) * padded(shape[-1]) if floats is None else floats)
        self._state_size = self._floats
        return offset

    def room(self, floats: int) -> int:
        """Room for what one instruction leaves for another; where it is."""
        offset = self._floats
        self._floats += -(-floats // GROUP) * GROUP
        return offset

    def store(self, array: NDArray) -> int:
        """Put weights in the buffer; where they are."""
        raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        offset = self._bytes
        piece = np.zeros(-(-raw.size // ALIGN) * ALIGN, np.uint8)
        piece[: raw.size] = raw
        self._pieces.append(piece)
        self._bytes += piece.size
        return offset

    def vector(self, values: NDArray | None, size: int = 0) -> int:
        """A vector of weights, padded with zeros to whole lanes; None: zeros."""
        values = np.zeros(size, np.float32) if values is None else values.reshape(-1)
        full = np.zeros(padded(max(size, values.size)), np.float32)
        full[: values.size] = values
        return self.store(full)

    def add(self, kind: int, *arguments: int) -> None:
        """One more instruction."""
        self.code.append((kind, *arguments, *[0] * (FIELDS - 1 - len(arguments))))

    def embed(self, table: NDArray, out: int) -> None:
        """out = table[token]; (V, D)."""
        self.add(EMBED, out, self.rows(table), padded(table.shape[1]))

    def rows(self, table: NDArray) -> int:
        """A table of weights whose rows are padded to whole vectors; where it is."""
        full = np.zeros((len(table), padded(table.shape[1])), np.float32)
        full[:, : table.shape[1]] = table
        return self.store(full)

    def matrix(self, weight: NDArray, bias: NDArray | None, x: int, out: int, adds: bool = False) -> None:
        """out = W x + b, or out += W x + b; W is (N, K)."""
        outputs, depth = weight.shape
        groups, quantum = -(-outputs // GROUP), BLOCK if self.precision == "int8" else 1
        full = np.zeros((groups * GROUP, -(-depth // quantum) * quantum), np.float32)
        full[:outputs, :depth] = weight
        scales = 0
        if self.precision == "int8":
            packed, factors = quantize(full)
            scales, full = self.store(factors), packed
        else:
            full = full.reshape(groups, GROUP, -1).transpose(0, 2, 1)
            full = full if self.precision == "float32" else as_bfloat16(full)
        kind = PRECISIONS.index(self.precision)
        weights, begin = self.store(full), self.vector(bias, groups * GROUP)
        self.add(MATRIX, x, out, depth, groups, weights, scales, begin, int(adds), kind)

    def finish(self, logits: int, size: int, head: int) -> Program:
        """The program."""
        code = np.array(self.code, np.int64)
        weights = aligned(np.concatenate(self._pieces))
        return Program(code, weights, self.state, self._state_size, self._floats, logits, size, head, self.capacity)


def padded(size: int) -> int:
    """The next multiple of a vector's length.

    >>> padded(16), padded(17)
    (16, 32)
    """
    return -(-size // LANES) * LANES


def aligned(raw: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A copy that begins at a multiple of 64 bytes, as vectors are read fastest."""
    room = np.empty(raw.size + ALIGN, np.uint8)
    begin = -room.ctypes.data % ALIGN
    room[begin : begin + raw.size] = raw
    return room[begin : begin + raw.size]


def as_bfloat16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The upper halves of floats, rounded to the nearest and to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def quantize(weight: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Weights in int8 plus 128 and their scales, in the order in which `tile_int8` reads them.

    Args:
        weight: (N, K), N a multiple of 64 and K of 32.

    Returns:
        (N / 64, K / 32, 4, 8, 16, 4) and (N / 64, K / 32, 4, 16): of four panels, block by block.

    >>> weights, scales = quantize(np.full((64, 32), -2.0, np.float32))
    >>> int(weights[0, 0, 0, 0, 0, 0]), weights.shape, scales.shape
    (1, (1, 1, 4, 8, 16, 4), (1, 1, 4, 16))
    """
    groups, blocks = len(weight) // GROUP, weight.shape[1] // BLOCK
    parts = weight.reshape(groups, GROUP // LANES, LANES, blocks, BLOCK)
    scales = np.abs(parts).max(axis=4) / 127
    rounded = np.rint(parts / np.where(scales == 0, 1, scales)[..., None]).astype(np.int16) + 128
    packed = rounded.astype(np.uint8).reshape(*parts.shape[:4], BLOCK // 4, 4).transpose(0, 3, 1, 4, 2, 5)
    return np.ascontiguousarray(packed), np.ascontiguousarray(scales.transpose(0, 3, 1, 2), np.float32)
