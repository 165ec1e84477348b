"""Functions of one number at a time, over vectors of sixteen: cells, activations, and sums and maxima of them."""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from unspool.nn.kernels.vectors import (
    BLOCK,
    BYTE,
    FLOATS,
    INT,
    INTS,
    LANES,
    address,
    constant,
    external,
    load,
    loop,
    multiply_add,
    splat,
    store,
)

PLACES = 7
"""The most arrays that a function reads and writes."""


class Vector:
    """Sixteen floats while code is generated: arithmetic on it writes instructions.

    Args:
        b: where the instructions go.
        value: the vector.
    """

    def __init__(self, b: ir.IRBuilder, value: Any) -> None:
        self.b, self.value = b, value

    def of(self, other: Any) -> "Vector":
        """A vector of one number, or the vector that it is."""
        return other if isinstance(other, Vector) else Vector(self.b, ir.Constant(FLOATS, [float(other)] * LANES))

    def __add__(self, other: Any) -> "Vector":
        return Vector(self.b, self.b.fadd(self.value, self.of(other).value))

    def __sub__(self, other: Any) -> "Vector":
        return Vector(self.b, self.b.fsub(self.value, self.of(other).value))

    def __mul__(self, other: Any) -> "Vector":
        return Vector(self.b, self.b.fmul(self.value, self.of(other).value))

    def __truediv__(self, other: Any) -> "Vector":
        return Vector(self.b, self.b.fdiv(self.value, self.of(other).value))

    def __neg__(self) -> "Vector":
        return self.of(0) - self

    def times_plus(self, factor: Any, term: Any) -> "Vector":
        """self * factor + term, rounded once."""
        return Vector(self.b, multiply_add(self.b, self.value, self.of(factor).value, self.of(term).value))

    def where(self, sign: str, other: Any, then: Any, otherwise: Any) -> "Vector":
        """`then` where self < other (or another sign), else `otherwise`."""
        true = self.b.fcmp_ordered(sign, self.value, self.of(other).value)
        return Vector(self.b, self.b.select(true, self.of(then).value, self.of(otherwise).value))

    def maximum(self, other: Any) -> "Vector":
        """The larger of two; NaN of self remains."""
        other = self.of(other)
        return Vector(self.b, self.b.select(self.b.fcmp_ordered("<", self.value, other.value), other.value, self.value))

    def minimum(self, other: Any) -> "Vector":
        """The smaller of two; NaN of self remains."""
        other = self.of(other)
        return Vector(self.b, self.b.select(self.b.fcmp_ordered(">", self.value, other.value), other.value, self.value))

    def call(self, name: str) -> "Vector":
        """A function that LLVM has for vectors: sqrt, fabs, floor."""
        return Vector(self.b, self.b.call(external(self.b, f"llvm.{name}.v16f32", FLOATS, [FLOATS]), [self.value]))

    def exp(self) -> "Vector":
        """e^x to one or two units in the last place (Cephes), between 1e-38 and 1e38."""
        x = self.minimum(88.0).maximum(-87.3)
        n = x.times_plus(1.4426950408889634, 0.5).call("floor")
        r = n.times_plus(2.12194440e-4, n.times_plus(-0.693359375, x))
        p = self.of(1.9875691500e-4)
        for term in (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1):
            p = p.times_plus(r, term)
        p = p.times_plus(r * r, r) + 1.0
        whole = self.b.fptosi(n.value, INTS)
        scale = self.b.shl(self.b.add(whole, ir.Constant(INTS, [127] * LANES)), ir.Constant(INTS, [23] * LANES))
        return p * Vector(self.b, self.b.bitcast(scale, FLOATS))

    def sigmoid(self) -> "Vector":
        """1 / (1 + e^-x)."""
        return self.of(1) / ((-self).exp() + 1)

    def tanh(self) -> "Vector":
        """2 / (1 + e^-2x) - 1, and near zero a series, which has no cancellation."""
        square = self * self
        p = self.of(-17 / 315)
        for term in (2 / 15, -1 / 3):
            p = p.times_plus(square, term)
        near, far = (p * square).times_plus(self, self), self.of(2) / ((self * -2).exp() + 1) - 1
        return self.call("fabs").where("<", 0.08, near, far)

    def positive(self) -> "Vector":
        """x + 1/2 above zero, sigmoid(x) below."""
        return self.where(">=", 0, self + 0.5, self.sigmoid())

    def erf(self) -> "Vector":
        """The error function to 2e-7 (Abramowitz & Stegun 7.1.26)."""
        z = self.call("fabs")
        t, p = self.of(1) / z.times_plus(0.3275911, 1.0), self.of(1.061405429)
        for term in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
            p = p.times_plus(t, term)
        y = self.of(1) - p * t * (-(z * z)).exp()
        return self.where(">=", 0, y, -y)

    def one_minus_exp(self) -> "Vector":
        """1 - e^x for x below zero, exact near zero too."""
        p = self.of(1 / 5040)
        for term in (1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2, 1.0):
            p = p.times_plus(self, term)
        return self.where(">", -0.35, -(p * self), self.of(1) - self.exp())


Function = Callable[..., Sequence[Vector]]


def each(function: Function, reads: int, writes: Sequence[int]) -> Any:
    """An intrinsic that applies a function to whole vectors of some arrays.

    It takes how many vectors there are and seven addresses; the function gets the first `reads` of them and what it
    returns is written to those of the places `writes`. The last vector may reach beyond the arrays, into their padding.
    """

    @intrinsic
    def apply(context: Any, count: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any) -> Any:
        def generate(context: Any, b: ir.IRBuilder, signature: Any, args: Sequence[Any]) -> Any:
            count, *places = args

            def step(number: Any, _: list[Any]) -> list[Any]:
                at = [address(b, place, (number, 4 * LANES)) for place in places]
                results = function(*(Vector(b, load(b, FLOATS, one)) for one in at[:reads]))
                for place, result in zip(writes, results, strict=True):
                    store(b, result.value, at[place])
                return []

            loop(b, count, [], step)
            return context.get_dummy_value()

        return types.void(*[types.intp] * (PLACES + 1)), generate

    return apply


def fold(function: Callable[[Vector, Vector], Vector], join: str, start: float, keep: bool = False) -> Any:
    """An intrinsic that joins f(x, scalar) over an array: its sum ("add") or its maximum ("max").

    It takes an address, how many floats there are, and the scalar. What f gives is also written back where `keep` is.
    """

    @intrinsic
    def reduce(context: Any, at: Any, size: Any, scalar: Any) -> Any:
        def generate(context: Any, b: ir.IRBuilder, signature: Any, args: Sequence[Any]) -> Any:
            at, size, scalar = args
            spread = Vector(b, splat(b, scalar))
            numbers = ir.Constant(INTS, list(range(LANES)))

            def step(number: Any, values: list[Any]) -> list[Any]:
                place = address(b, at, (number, 4 * LANES))
                result = function(Vector(b, load(b, FLOATS, place)), spread)
                if keep:
                    store(b, result.value, place)
                left = b.trunc(b.sub(size, b.mul(number, constant(LANES))), INT)
                inside = b.icmp_signed("<", numbers, splat(b, left))
                result = Vector(b, b.select(inside, result.value, ir.Constant(FLOATS, [start] * LANES)))
                before = Vector(b, values[0])
                return [(before + result if join == "add" else before.maximum(result)).value]

            count = b.sdiv(b.add(size, constant(LANES - 1)), constant(LANES))
            (joined,) = loop(b, count, [ir.Constant(FLOATS, [start] * LANES)], step)
            return _across(b, joined, join)

        return types.float32(types.intp, types.int64, types.float32), generate

    return reduce


def _across(b: ir.IRBuilder, vector: Any, join: str) -> Any:
    """The sum or maximum of the sixteen floats, in a fixed order."""
    half = LANES
    while half > 1:
        half //= 2
        order = [(i + half) % LANES if i < half else i for i in range(LANES)]
        moved = Vector(b, b.shuffle_vector(vector, vector, ir.Constant(INTS, order)))
        one = Vector(b, vector)
        vector = (one + moved if join == "add" else one.maximum(moved)).value
    return b.extract_element(vector, ir.Constant(INT, 0))


# --- cells


def _lstm(i: Vector, f: Vector, g: Vector, o: Vector, c: Vector) -> Sequence[Vector]:
    c = f.sigmoid().times_plus(c, i.sigmoid() * g.tanh())
    return c, o.sigmoid() * c.tanh()


def _gru(x_r: Vector, x_z: Vector, x_n: Vector, h_r: Vector, h_z: Vector, h_n: Vector, h: Vector) -> Sequence[Vector]:
    keep = (x_z + h_z).sigmoid()
    candidate = (x_r + h_r).sigmoid().times_plus(h_n, x_n).tanh()
    return (keep.times_plus(h, (keep.of(1) - keep) * candidate),)


def _mingru(z: Vector, n: Vector, h: Vector) -> Sequence[Vector]:
    update = z.sigmoid()
    return ((update.of(1) - update).times_plus(h, update * n.positive()),)


def _minlstm(i: Vector, f: Vector, n: Vector, h: Vector) -> Sequence[Vector]:
    write, keep = (-i).minimum(86).exp() + 1, (-f).minimum(86).exp() + 1
    share = write / (write + keep)  # sigmoid(f) / (sigmoid(f) + sigmoid(i))
    return (share.times_plus(h, (share.of(1) - share) * n.positive()),)


def _rglru(r: Vector, i: Vector, v: Vector, decay: Vector, h: Vector) -> Sequence[Vector]:
    log_a = r.sigmoid() * decay
    scale = (log_a * 2).one_minus_exp().maximum(1e-8).call("sqrt")
    return (log_a.exp().times_plus(h, scale * i.sigmoid() * v),)


lstm = each(_lstm, 5, (4, 5))
gru = each(_gru, 7, (6,))
elman_tanh = each(lambda sums: (sums.tanh(),), 1, (1,))
elman_relu = each(lambda sums: (sums.maximum(0),), 1, (1,))
mingru = each(_mingru, 3, (2,))
minlstm = each(_minlstm, 4, (3,))
rglru = each(_rglru, 5, (4,))

# --- activations


def _gelu_tanh(x: Vector) -> Sequence[Vector]:
    inner = (x * x * x).times_plus(0.044715, x) * 0.7978845608028654
    return (x * (inner * 2).sigmoid(),)


gelu = each(lambda x: (x * 0.5 * ((x * 0.7071067811865476).erf() + 1),), 1, (1,))
gelu_tanh = each(_gelu_tanh, 1, (1,))
relu = each(lambda x: (x.maximum(0),), 1, (1,))
relu_squared = each(lambda x: (x.maximum(0) * x.maximum(0),), 1, (1,))
swiglu = each(lambda gate, up: (gate * gate.sigmoid() * up,), 2, (2,))
copy = each(lambda x: (x,), 1, (1,))
add = each(lambda x, y: (x + y,), 2, (1,))
sum_of = each(lambda x, y: (x + y,), 2, (2,))
multiply_accumulate = each(lambda x, weight, total: (x.times_plus(weight, total),), 3, (2,))


@intrinsic
def normalize(context: Any, count: Any, x: Any, weight: Any, bias: Any, out: Any, mean: Any, scale: Any) -> Any:
    """out = (x - mean) * scale * weight + bias, of vectors at addresses."""

    def generate(context: Any, b: ir.IRBuilder, signature: Any, args: Sequence[Any]) -> Any:
        count, x, weight, bias, out, mean, scale = args
        shift, factor = (Vector(b, splat(b, one)) for one in (mean, scale))

        def step(number: Any, _: list[Any]) -> list[Any]:
            places = [address(b, place, (number, 4 * LANES)) for place in (x, weight, bias, out)]
            one, w, c = (Vector(b, load(b, FLOATS, place)) for place in places[:3])
            store(b, ((one - shift) * factor).times_plus(w, c).value, places[3])
            return []

        loop(b, count, [], step)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 5, types.float32, types.float32), generate


@intrinsic
def round_block(context: Any, x: Any, into: Any, inverse: Any) -> Any:
    """Round 32 floats times `inverse` to int8 at an address; their sum."""

    def generate(context: Any, b: ir.IRBuilder, signature: Any, args: Sequence[Any]) -> Any:
        x, into, inverse = args
        factor, small, sums = splat(b, inverse), ir.VectorType(BYTE, LANES), ir.Constant(INTS, [0] * LANES)
        for half in range(BLOCK // LANES):
            place = address(b, x, (constant(half), 4 * LANES))
            rounded = Vector(b, b.fmul(load(b, FLOATS, place), factor)).call("rint")
            whole = b.fptosi(rounded.value, INTS)
            sums = b.add(sums, whole)
            store(b, b.trunc(whole, small), address(b, into, (constant(half), LANES)))
        reduce = external(b, "llvm.vector.reduce.add.v16i32", INT, [INTS])
        return b.call(reduce, [sums])

    return types.int32(types.intp, types.intp, types.float32), generate


# --- sums and maxima

total = fold(lambda x, _: x, "add", 0.0)
squares = fold(lambda x, mean: (x - mean) * (x - mean), "add", 0.0)
largest = fold(lambda x, _: x, "max", float("-inf"))
magnitude = fold(lambda x, _: x.call("fabs"), "max", 0.0)
divided = fold(lambda x, by: x / by, "max", float("-inf"), keep=True)
weights = fold(lambda x, most: x.where(">", -3e38, (x - most).exp(), 0), "add", 0.0, keep=True)
exponentials = fold(lambda x, most: (x - most).exp(), "add", 0.0)
