"""Vector instructions for Numba: matrix tiles in float32, bfloat16 and int8, and a barrier for threads.

LLVM's vectors of 16 floats become one register with AVX-512 and two with AVX2. Every output of a tile is summed over k
in the same order whatever the size of the tile, so a row of a batch gets bit for bit what it gets alone.
"""

from collections.abc import Callable, Sequence
from sys import platform
from typing import Any, no_type_check

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

REORDER = {"contract", "reassoc", "arcp", "nsz"}  # NaN and infinity stay what they are
compiled = njit(nogil=True, fastmath=REORDER, error_model="numpy", cache=True)
f32, ZERO, ONE = np.float32, np.float32(0), np.float32(1)

LANES = 16
"""Floats in a vector, and outputs in a panel of a matrix."""
BLOCK = 32
"""So many neighbouring weights of a row share a scale in int8."""

FLOAT, BYTE, SHORT, INT, LONG = ir.FloatType(), ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64)
FLOATS, INTS = ir.VectorType(FLOAT, LANES), ir.VectorType(INT, LANES)
POINTER = ir.PointerType()


def constant(value: int) -> ir.Constant:
    """A 64-bit integer."""
    return ir.Constant(LONG, value)


def address(b: ir.IRBuilder, base: Any, *steps: tuple[Any, int]) -> Any:
    """base + step * size + ..., as a number."""
    for step, size in steps:
        b_step = step if size == 1 else b.mul(step, constant(size))
        base = b.add(base, b_step)
    return base


def load(b: ir.IRBuilder, type: Any, at: Any) -> Any:
    """The value at an address, which need not be aligned."""
    return b.load(b.inttoptr(at, POINTER), align=1, typ=type)


def store(b: ir.IRBuilder, value: Any, at: Any) -> None:
    """Write a value to an address."""
    b.store(value, b.inttoptr(at, POINTER), align=1)


def splat(b: ir.IRBuilder, value: Any) -> Any:
    """A vector of one value."""
    vector = ir.VectorType(value.type, LANES)
    first = b.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(INT, 0))
    return b.shuffle_vector(first, first, ir.Constant(ir.VectorType(INT, LANES), [0] * LANES))


def loop(b: ir.IRBuilder, count: Any, values: Sequence[Any], body: Callable[[Any, list[Any]], list[Any]]) -> list[Any]:
    """The values after `count` rounds of `body(round, values)`."""
    before, function = b.block, b.function
    head, inside, behind = (function.append_basic_block(name) for name in ("head", "inside", "behind"))
    b.branch(head)
    b.position_at_end(head)
    number = b.phi(LONG)
    number.add_incoming(constant(0), before)
    carried = [b.phi(value.type) for value in values]
    for phi, value in zip(carried, values, strict=True):
        phi.add_incoming(value, before)
    b.cbranch(b.icmp_signed("<", number, count), inside, behind)
    b.position_at_end(inside)
    after = body(number, carried)
    number.add_incoming(b.add(number, constant(1)), b.block)
    for phi, value in zip(carried, after, strict=True):
        phi.add_incoming(value, b.block)
    b.branch(head)
    b.position_at_end(behind)
    return carried


def multiply_add(b: ir.IRBuilder, x: Any, y: Any, z: Any) -> Any:
    """x * y + z, rounded once."""
    return b.call(external(b, "llvm.fma.v16f32", FLOATS, [FLOATS] * 3), [x, y, z])


def finish(b: ir.IRBuilder, sums: Any, bias: Any, out: Any, adds: Any) -> None:
    """Write sums + bias to `out`, added to what is there where `adds` is not zero."""
    total = b.fadd(sums, load(b, FLOATS, bias))
    with b.if_else(b.icmp_signed("!=", adds, constant(0))) as (there, anew):
        with there:
            store(b, b.fadd(load(b, FLOATS, out), total), out)
        with anew:
            store(b, total, out)


def features(context: Any) -> str:
    """The instruction sets of the processor that is compiled for, as LLVM names them."""
    return str(context.codegen().magic_tuple()[2])


def prefetch(b: ir.IRBuilder, begin: Any, size: int) -> None:
    """Ask for so many bytes of memory, which are read soon; it may reach beyond what there is."""
    ask = external(b, "llvm.prefetch.p0", ir.VoidType(), [POINTER, INT, INT, INT])
    read, second_cache, data = (ir.Constant(INT, value) for value in (0, 2, 1))
    for line in range(0, size, 64):
        b.call(ask, [b.inttoptr(b.add(begin, constant(line)), POINTER), read, second_cache, data])


def tile(kind: str, vectors: int, rows: int) -> Any:
    """A product of a few panels of a matrix with a few rows of inputs, in float32 or bfloat16.

    The intrinsic takes addresses and steps in bytes: weights `w` of vector v at k are at w + k * k_step + v * v_step;
    inputs of row r at x + r * x_step + 4 k; outputs at out + r * out_step + 64 v.
    """

    @intrinsic
    def product(context: Any, w: Any, k_step: Any, v_step: Any, x: Any, x_step: Any, depth: Any,
                bias: Any, out: Any, out_step: Any, adds: Any) -> Any:  # fmt: skip
        def generate(context: Any, b: ir.IRBuilder, signature: Any, args: Sequence[Any]) -> Any:
            *inputs, bias, out, out_step, adds = args
            sums = _float_sums(b, kind, inputs, [ir.Constant(FLOATS, [0.0] * LANES)] * (vectors * rows), vectors)
            _finish_all(b, sums, vectors, bias, out, out_step, adds)
            return context.get_dummy_value()

        return types.void(*[types.intp] * 10), generate

    return product


def tile_part(kind: str, vectors: int, rows: int) -> Any:
    """A part of the same product, over some of k: it adds to sums at sums + r * 256 + 64 v, and asks for memory ahead.

    All rows of a batch read a part of the weights from the nearest cache where it fits in; what each gets is the same.
    `ahead` is memory that is wanted soon: a tile asks for a sixteenth of k_step for each k and each of its vectors.
    """

    @intrinsic
    def product(context: Any, w: Any, k_step: Any, v_step: Any, x: Any, x_step: Any, depth: Any,
                sums: Any, ahead: Any) -> Any:  # fmt: skip
        def generate(context: Any, b: ir.IRBuilder, signature: Any, args: Sequence[Any]) -> Any:
            *inputs, sums, ahead = args
            places = [address(b, sums, (constant(256 * r + 64 * v), 1)) for r in range(rows) for v in range(vectors)]
            begin = [load(b, FLOATS, place) for place in places]
            step = b.sdiv(b.mul(inputs[1], constant(vectors)), constant(16))
            for value, place in zip(_float_sums(b, kind, inputs, begin, vectors, (ahead, step)), places, strict=True):
                store(b, value, place)
            return context.get_dummy_value()

        return types.void(*[types.intp] * 8), generate

    return product


def _float_sums(
    b: ir.IRBuilder, kind: str, inputs: Sequence[Any], begin: list[Any], vectors: int, ahead: Any = None
) -> list[Any]:
    """The sums over k of a tile in float32 or bfloat16, row by row, from what they begin with."""
    w, k_step, v_step, x, x_step, depth = inputs
    element = FLOAT if kind == "float32" else SHORT

    def weights(at: Any) -> Any:
        raw = load(b, ir.VectorType(element, LANES), at)
        if kind == "float32":
            return raw
        return b.bitcast(b.shl(b.zext(raw, INTS), ir.Constant(INTS, [16] * LANES)), FLOATS)

    def step(k: Any, sums: list[Any]) -> list[Any]:
        if ahead:
            prefetch(b, address(b, ahead[0], (b.mul(k, ahead[1]), 1)), 64)
        at = address(b, w, (b.mul(k, k_step), 1))
        ws = [weights(address(b, at, (v_step, v))) if v else weights(at) for v in range(vectors)]
        after = []
        for r in range(len(begin) // vectors):
            value = splat(b, load(b, FLOAT, address(b, x, (x_step, r), (k, 4))))
            after += [multiply_add(b, one, value, sums[r * vectors + v]) for v, one in enumerate(ws)]
        return after

    return loop(b, depth, begin, step)


def _finish_all(b: ir.IRBuilder, sums: list[Any], vectors: int, bias: Any, out: Any, out_step: Any, adds: Any) -> None:
    """Write the sums of a tile, row by row, with `finish`."""
    for number, one in enumerate(sums):
        r, v = divmod(number, vectors)
        at = address(b, out, (out_step, r), (constant(4 * LANES), v))
        finish(b, one, address(b, bias, (constant(4 * LANES), v)), at, adds)


def tile_int8(vectors: int, rows: int) -> Any:
    """The same of weights in int8 with a scale for 32 of them, and of inputs that were rounded to int8 in blocks of 32.

    Four panels lie side by side, block by block. Weights are stored plus 128, four neighbours of k side by
    side, for VNNI; without it pairs of 16-bit products are summed, to equal whole numbers. `offset` has -128 times the
    sum of each block of inputs. Products of a block are exact; blocks are summed in float32, in order.
    """

    @intrinsic
    def product(context: Any, w: Any, scales: Any, x: Any, x_scales: Any, offset: Any, blocks: Any,
                block_step: Any, bias: Any, out: Any, out_step: Any, adds: Any) -> Any:  # fmt: skip
        def generate(context: Any, b: ir.IRBuilder, signature: Any, args: Sequence[Any]) -> Any:
            *inputs, blocks, block_step, bias, out, out_step, adds = args

            def step(block: Any, sums: list[Any]) -> list[Any]:
                products = _block(context, b, (*inputs, block_step), block, vectors, rows)
                return [multiply_add(b, *product, one) for product, one in zip(products, sums, strict=True)]

            sums = loop(b, blocks, [ir.Constant(FLOATS, [0.0] * LANES)] * (vectors * rows), step)
            _finish_all(b, sums, vectors, bias, out, out_step, adds)
            return context.get_dummy_value()

        return types.void(*[types.intp] * 11), generate

    return product


def tile_int8_part(vectors: int, rows: int) -> Any:
    """A part of the product in int8, over some blocks, as `tile_part`."""

    @intrinsic
    def product(context: Any, w: Any, scales: Any, x: Any, x_scales: Any, offset: Any, blocks: Any,
                block_step: Any, sums: Any, ahead: Any) -> Any:  # fmt: skip
        def generate(context: Any, b: ir.IRBuilder, signature: Any, args: Sequence[Any]) -> Any:
            *inputs, blocks, block_step, sums, ahead = args
            asked = 4 * BLOCK * LANES * vectors // 16

            def step(block: Any, _: list[Any]) -> list[Any]:
                prefetch(b, address(b, ahead, (block, asked)), asked)
                for number, (whole, factor) in enumerate(
                    _block(context, b, (*inputs, block_step), block, vectors, rows)
                ):
                    r, v = divmod(number, vectors)  # the registers are full: sums are in memory
                    place = address(b, sums, (constant(256 * r + 64 * v), 1))
                    store(b, multiply_add(b, whole, factor, load(b, FLOATS, place)), place)
                return []

            loop(b, blocks, [], step)
            return context.get_dummy_value()

        return types.void(*[types.intp] * 9), generate

    return product


def _block(
    context: Any, b: ir.IRBuilder, inputs: Sequence[Any], block: Any, vectors: int, rows: int
) -> list[tuple[Any, Any]]:
    """The sums of the products of a block, which are whole numbers, and their factors, row by row."""
    w, scales, x, x_scales, offset, block_step = inputs
    places = [b.add(b.mul(block_step, constant(r)), block) for r in range(rows)]
    values = [address(b, x, (place, BLOCK)) for place in places]
    begins = [splat(b, load(b, INT, address(b, offset, (place, 4)))) for place in places]
    at = [address(b, w, (constant(v), BLOCK * LANES), (block, 4 * BLOCK * LANES)) for v in range(vectors)]
    multiply = _vnni if "+avx512vnni" in features(context) else _pairs
    wholes = multiply(b, at, values, begins)
    steps = [load(b, FLOATS, address(b, scales, (constant(v), 64), (block, 16 * LANES))) for v in range(vectors)]
    found = []
    for r, place in enumerate(places):
        scale = splat(b, load(b, FLOAT, address(b, x_scales, (place, 4))))
        for v in range(vectors):
            found.append((b.sitofp(wholes[r * vectors + v], FLOATS), b.fmul(steps[v], scale)))
    return found


def external(b: ir.IRBuilder, name: str, result: Any, arguments: Sequence[Any]) -> Any:
    """A function that is not ours: one of LLVM's, or of the system."""
    found = b.module.globals.get(name)
    return found or ir.Function(b.module, ir.FunctionType(result, arguments), name)


def _vnni(b: ir.IRBuilder, weights: list[Any], inputs: list[Any], begins: list[Any]) -> list[Any]:
    """The sums of a block for all rows and vectors, by AVX512-VNNI; a weight is read once for all rows."""
    add = external(b, "llvm.x86.avx512.vpdpbusd.512", INTS, [INTS, INTS, INTS])
    totals = [begin for begin in begins for _ in weights]
    for k in range(0, BLOCK, 4):
        fours = [load(b, INTS, address(b, at, (constant(k), LANES))) for at in weights]
        for r, at in enumerate(inputs):
            value = splat(b, load(b, INT, address(b, at, (constant(k), 1))))
            for v, four in enumerate(fours):
                number = r * len(weights) + v
                totals[number] = b.call(add, [totals[number], four, value])
    return totals


def _pairs(b: ir.IRBuilder, weights: list[Any], inputs: list[Any], begins: list[Any]) -> list[Any]:
    """The sums of a block for all rows and vectors on any processor."""
    return [_pairs_of_one(b, w, x, begin) for x, begin in zip(inputs, begins, strict=True) for w in weights]


def _pairs_of_one(b: ir.IRBuilder, weights: Any, inputs: Any, begin: Any) -> Any:
    """16 sums, by sums of two products of 16 bits: one instruction of AVX2."""
    bytes_, shorts, eight = ir.VectorType(BYTE, LANES), ir.VectorType(SHORT, LANES), ir.VectorType(INT, 8)
    even, odd = (ir.Constant(eight, list(range(first, LANES, 2))) for first in (0, 1))
    sums = [ir.Constant(eight, [0] * 8) for _ in range(4)]  # each of 4 outputs, two partial sums each
    for k in range(0, BLOCK, 4):
        four = b.sext(load(b, ir.VectorType(BYTE, 4), address(b, inputs, (constant(k), 1))), ir.VectorType(SHORT, 4))
        spread = b.sext(b.shuffle_vector(four, four, ir.Constant(INTS, [0, 1, 2, 3] * 4)), INTS)
        for part in range(4):
            at = address(b, weights, (constant(k), LANES), (constant(part), LANES))
            products = b.mul(b.sext(b.zext(load(b, bytes_, at), shorts), INTS), spread)
            pairs = b.add(b.shuffle_vector(products, products, even), b.shuffle_vector(products, products, odd))
            sums[part] = b.add(sums[part], pairs)
    halves = []
    for which in (even, odd):
        low, high = (b.shuffle_vector(sums[i], sums[i + 1], which) for i in (0, 2))
        halves.append(b.shuffle_vector(low, high, ir.Constant(INTS, list(range(LANES)))))
    return b.add(b.add(*halves), begin)


@intrinsic
def wide_registers(context: Any) -> Any:
    """Whether a vector of 16 floats is one register: 1 with AVX-512, else 0."""

    def generate(context: Any, b: ir.IRBuilder, signature: Any, args: Any) -> Any:
        return constant(int("+avx512f" in features(context)))

    return types.int64(), generate


@intrinsic
def atomic_add(context: Any, at: Any) -> Any:
    """Add one to the number at an address, for all threads to see."""

    def generate(context: Any, b: ir.IRBuilder, signature: Any, args: Any) -> Any:
        return b.atomic_rmw("add", b.inttoptr(args[0], POINTER), constant(1), "seq_cst")

    return types.int64(types.intp), generate


@intrinsic
def atomic_load(context: Any, at: Any) -> Any:
    """The number at an address, as other threads left it."""

    def generate(context: Any, b: ir.IRBuilder, signature: Any, args: Any) -> Any:
        return b.load_atomic(b.inttoptr(args[0], POINTER), "acquire", 8, typ=LONG)

    return types.int64(types.intp), generate


@intrinsic
def give_way(context: Any) -> Any:
    """Let another thread have the processor."""

    def generate(context: Any, b: ir.IRBuilder, signature: Any, args: Any) -> Any:
        b.call(external(b, "SwitchToThread" if platform == "win32" else "sched_yield", INT, []), [])
        return context.get_dummy_value()

    return types.void(), generate


SPINS = 4000
"""So often a thread looks for the others before it gives way: a few microseconds."""


@compiled
@no_type_check
def meet(counter, target):
    """Wait until the counter, at an address, is at the target: all threads have come here."""
    atomic_add(counter)
    waited = 0
    while atomic_load(counter) < target:
        waited += 1
        if waited > SPINS:
            give_way()
