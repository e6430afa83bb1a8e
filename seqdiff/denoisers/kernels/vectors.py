"""The words in which the CPU kernels are written: vectors of float32, as wide as the machine has them.

A function marked `@inlined` is written over `Row`s, places in memory, and `Vector`s, values in registers. It runs
once, while numba compiles the loop that calls it, and each operation puts one instruction into the compiled code;
its Python loops are therefore unrolled and its lists are registers. Nothing is left for a compiler's vectoriser
to guess. The arithmetic is what is written: operations may be contracted to fused multiply-adds and ignore the
sign of zero, and are never reordered.
"""

import inspect
import math
from collections.abc import Callable, Sequence

import numpy as np
from llvmlite import ir

from seqdiff.denoisers.kernels.compiled import Operation
from seqdiff.denoisers.kernels.machine import FEATURES

_AVX512 = FEATURES.get("avx512f", False)
LANES = 16 if _AVX512 else 8 if FEATURES.get("avx2") else 4
"""Floats a vector: 16 with AVX-512, 8 with AVX2, else 4 (SSE, NEON)."""

FLOAT = 4
"""Bytes a float."""

_FLOAT, _INT, _LONG = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_VECTOR, _INTEGERS = ir.VectorType(_FLOAT, LANES), ir.VectorType(_INT, LANES)
_FLAGS = ("contract", "nsz", "arcp")
_LOG2_E = math.log2(math.e)


class Vector:
    """LANES floats in a register."""

    def __init__(self, builder: ir.IRBuilder, value: ir.Value):
        self.builder, self.value = builder, value

    def __add__(self, other: "Vector | float") -> "Vector":
        return self._two("fadd", other)

    def __sub__(self, other: "Vector | float") -> "Vector":
        return self._two("fsub", other)

    def __mul__(self, other: "Vector | float") -> "Vector":
        return self._two("fmul", other)

    def __truediv__(self, other: "Vector | float") -> "Vector":
        return self._two("fdiv", other)

    def __neg__(self) -> "Vector":
        return Vector(self.builder, self.builder.fneg(self.value))

    def same(self, number: float) -> "Vector":
        """The number in every lane."""
        return Vector(self.builder, ir.Constant(_VECTOR, [float(np.float32(number))] * LANES))

    def call(self, name: str, *others: "Vector") -> "Vector":
        """An intrinsic of LLVM over vectors."""
        kind = ir.FunctionType(_VECTOR, [_VECTOR] * (1 + len(others)))
        function = _declared(self.builder, f"llvm.{name}.v{LANES}f32", kind)
        return Vector(self.builder, self.builder.call(function, [v.value for v in (self, *others)]))

    def within(self, low: float, high: float = math.inf) -> "Vector":
        """No less than `low`, no more than `high`; NaN stays."""
        value = self.value
        for bound, outside in ((low, ">"), (high, "<")):
            if math.isfinite(bound):
                limit = self.same(bound).value
                value = self.builder.select(self.builder.fcmp_ordered(outside, limit, value), limit, value)
        return Vector(self.builder, value)

    def where_negative(self, yes: "Vector", no: "Vector") -> "Vector":
        """`yes` in the lanes in which this is below zero, `no` in the others."""
        negative = self.builder.fcmp_ordered("<", self.value, self.same(0).value)
        return Vector(self.builder, self.builder.select(negative, yes.value, no.value))

    def shuffled(self, other: "Vector", lanes: Sequence[int]) -> "Vector":
        """Lanes picked from this vector (0..LANES-1) and the other (LANES..)."""
        picked = ir.Constant(_INTEGERS, list(lanes))
        return Vector(self.builder, self.builder.shuffle_vector(self.value, other.value, picked))

    def _two(self, operation: str, other: "Vector | float") -> "Vector":
        if not isinstance(other, Vector):
            other = self.same(other)
        return Vector(self.builder, getattr(self.builder, operation)(self.value, other.value, flags=_FLAGS))


class Row:
    """Floats in memory, from an address on; an index counts floats."""

    def __init__(self, builder: ir.IRBuilder, address: ir.Value):
        self.builder, self.address = builder, address

    def __getitem__(self, index: int) -> Vector:
        place = self._place(index, _VECTOR)
        return Vector(self.builder, self.builder.load(place, align=4))

    def __setitem__(self, index: int, vector: Vector) -> None:
        self.builder.store(vector.value, self._place(index, _VECTOR), align=4)

    def spread(self, index: int) -> Vector:
        """One float, in every lane."""
        one = self.one(index)
        blank = ir.Constant(_VECTOR, ir.Undefined)
        first = self.builder.insert_element(blank, one, ir.Constant(_INT, 0))
        return Vector(self.builder, self.builder.shuffle_vector(first, blank, ir.Constant(_INTEGERS, [0] * LANES)))

    def one(self, index: int) -> ir.Value:
        """One float."""
        return self.builder.load(self._place(index, _FLOAT), align=4)

    def set_one(self, index: int, number: ir.Value) -> None:
        """Store one float."""
        self.builder.store(number, self._place(index, _FLOAT), align=4)

    def first(self, count: ir.Value, index: int = 0) -> Vector:
        """The vector at `index`, with zero in the lanes from `count - index` on, whose memory is not touched."""
        pointer = _VECTOR.as_pointer()
        kind = ir.FunctionType(_VECTOR, [pointer, _INT, ir.VectorType(ir.IntType(1), LANES), _VECTOR])
        load = self._masked("load", kind)
        zero = ir.Constant(_VECTOR, [0.0] * LANES)
        arguments = [self._place(index, _VECTOR), ir.Constant(_INT, 4), self._below(count, index), zero]
        return Vector(self.builder, self.builder.call(load, arguments))

    def set_first(self, count: ir.Value, vector: Vector, index: int = 0) -> None:
        """Store the lanes below `count - index`."""
        pointer = _VECTOR.as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [_VECTOR, pointer, _INT, ir.VectorType(ir.IntType(1), LANES)])
        store = self._masked("store", kind)
        self.builder.call(
            store, [vector.value, self._place(index, _VECTOR), ir.Constant(_INT, 4), self._below(count, index)]
        )

    def down(self, stride: ir.Value, rows: int) -> "Row":
        """The place `rows` rows of `stride` bytes further on."""
        return Row(self.builder, self.builder.add(self.address, self.builder.mul(stride, ir.Constant(_LONG, rows))))

    def prefetch(self) -> None:
        """Ask for the cache line at this address; any address will do."""
        pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, _INT, _INT, _INT])
        function = _declared(self.builder, "llvm.prefetch.p0", kind)
        read, keep, data = (ir.Constant(_INT, number) for number in (0, 3, 1))
        self.builder.call(function, [self.builder.inttoptr(self.address, pointer), read, keep, data])

    def _masked(self, name: str, kind: ir.FunctionType) -> ir.Function:
        return _declared(self.builder, f"llvm.masked.{name}.v{LANES}f32.p0", kind)

    def _below(self, count: ir.Value, index: int) -> ir.Value:
        short = self.builder.trunc(count, _INT)
        first = self.builder.insert_element(ir.Constant(_INTEGERS, ir.Undefined), short, ir.Constant(_INT, 0))
        counts = self.builder.shuffle_vector(
            first, ir.Constant(_INTEGERS, ir.Undefined), ir.Constant(_INTEGERS, [0] * LANES)
        )
        lanes = ir.Constant(_INTEGERS, [index + lane for lane in range(LANES)])
        return self.builder.icmp_signed("<", lanes, counts)

    def _place(self, index: int, kind: ir.Type) -> ir.Value:
        address = self.builder.add(self.address, ir.Constant(_LONG, 4 * index)) if index else self.address
        return self.builder.inttoptr(address, kind.as_pointer())


def _declared(builder: ir.IRBuilder, name: str, kind: ir.FunctionType) -> ir.Function:
    return builder.module.globals.get(name) or ir.Function(builder.module, kind, name)


def fma(a: Vector, b: Vector, c: Vector) -> Vector:
    """a b + c, rounded once where the machine can."""
    return a.call("fmuladd", b, c)


def exp2(powers: Sequence[Vector]) -> list[Vector]:
    """2^x for each x, to 1.7e-7 relative and exact where x is whole. Long chains run side by side.

    x = k + f with |f| <= 1/2; 2^f is a polynomial of degree 5 (minimax, relative, 1 at 0), k is added to the
    exponent. Without AVX-512, whose instruction for that knows all exponents, results below 2^-126 are 2^-126.
    """
    if not _AVX512:
        powers = [x.within(-126.0, 128.0) for x in powers]
    whole = [x.call("rint") for x in powers]
    rest = [x - k for x, k in zip(powers, whole)]
    result = [x.same(_EXP2[0]) for x in powers]
    for coefficient in _EXP2[1:]:
        result = [fma(p, f, f.same(coefficient)) for p, f in zip(result, rest)]
    return [_times_power(p, k) for p, k in zip(result, whole)]


_EXP2 = (0.0013264727271464186, 0.009671512756078582, 0.05550733744143529, 0.24022242083583992, 0.6931469775980263, 1.0)


def _times_power(x: Vector, exponent: Vector) -> Vector:
    """x 2^exponent, for a whole exponent."""
    builder = x.builder
    if _AVX512:
        mask, rounding = ir.IntType(16), ir.Constant(_INT, 4)
        kind = ir.FunctionType(_VECTOR, [_VECTOR, _VECTOR, _VECTOR, mask, _INT])
        scale = _declared(builder, "llvm.x86.avx512.mask.scalef.ps.512", kind)
        arguments = [x.value, exponent.value, x.value, ir.Constant(mask, -1), rounding]
        return Vector(builder, builder.call(scale, arguments))
    bits = builder.shl(builder.fptosi(exponent.value, _INTEGERS), ir.Constant(_INTEGERS, [23] * LANES))
    return Vector(builder, builder.bitcast(builder.add(builder.bitcast(x.value, _INTEGERS), bits), _VECTOR))


def sigmoid(x: Vector) -> Vector:
    """1 / (1 + e^-x)."""
    e = _exp_minus_abs(x)
    one = x.same(1.0) / (e + 1.0)
    return x.where_negative(e * one, one)


def softplus(x: Vector) -> tuple[Vector, Vector]:
    """ln(1 + e^x), to 1.2e-7 absolute, and its derivative, the sigmoid."""
    e = _exp_minus_abs(x)
    one = x.same(1.0) / (e + 1.0)
    tail = x.same(_LOG1P[0])
    for coefficient in _LOG1P[1:]:
        tail = fma(tail, e, x.same(coefficient))
    return fma(tail, e, x.within(0.0)), x.where_negative(e * one, one)


# ln(1 + e) / e on [0, 1].
_LOG1P = (
    0.005232695024460554,
    -0.02950524352490902,
    0.07822596281766891,
    -0.13663247227668762,
    0.19106008112430573,
    -0.2484298199415207,
    0.3331909775733948,
    -0.4999949336051941,
    0.9999999403953552,
)


def _exp_minus_abs(x: Vector) -> Vector:
    return exp2([-(x.call("fabs")) * _LOG2_E])[0]


def sums(vectors: Sequence[Vector]) -> Vector:
    """Lane i is the sum over the lanes of vector i, of LANES vectors: a transposition that adds as it goes."""
    quarters = [_sums_of_four(vectors[i : i + 4]) for i in range(0, LANES, 4)]
    while len(quarters) > 1:
        quarters = [_pairs_of_quads(a, b) for a, b in zip(quarters[::2], quarters[1::2])]
    return quarters[0]


def _sums_of_four(v: Sequence[Vector]) -> Vector:
    """In each four lanes, the sums over those four lanes of the four vectors."""
    low = [lane for quad in range(0, LANES, 4) for lane in (quad, quad + LANES, quad + 1, quad + 1 + LANES)]
    high = [lane + 2 for lane in low]
    x, y = (a.shuffled(b, low) + a.shuffled(b, high) for a, b in (v[:2], v[2:]))
    low = [lane for quad in range(0, LANES, 4) for lane in (quad, quad + 1, quad + LANES, quad + 1 + LANES)]
    high = [lane + 2 for lane in low]
    return x.shuffled(y, low) + x.shuffled(y, high)


def _pairs_of_quads(a: Vector, b: Vector) -> Vector:
    """Neighbouring fours of lanes added, those of a and then those of b."""
    even = [lane for quad in range(0, 2 * LANES, 8) for lane in range(quad, quad + 4)]
    return a.shuffled(b, even) + a.shuffled(b, [lane + 4 for lane in even])


def inlined(body: Callable[..., None]) -> Operation:
    """Make a function over rows one that a kernel can call; parameters annotated `int` are numbers.

    The kernel gives addresses (int64, in bytes) where the body has rows.
    """
    parameters = list(inspect.signature(body).parameters.values())
    numbers = [parameter.annotation in (int, "int") for parameter in parameters]

    def define():
        from numba import types
        from numba.extending import intrinsic

        def typed(context, *arguments):
            def write(context, builder, signature, values):
                body(*(v if number else Row(builder, v) for v, number in zip(values, numbers)))
                return context.get_dummy_value()

            return types.void(*[types.int64] * len(parameters)), write

        plain = [p.replace(kind=inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=p.empty) for p in parameters]
        typed.__signature__ = inspect.Signature([plain[0].replace(name="context"), *plain])
        typed.__name__, typed.__doc__ = body.__name__, body.__doc__
        return intrinsic(typed)

    return Operation(define)
