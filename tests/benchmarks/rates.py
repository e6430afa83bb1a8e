"""What this machine can do, and how fast a training step of Caduceus could be if it did nothing else.

The bound counts two things, which no implementation of this network gets around, at the rates measured here:

1. The matrix products, at the rate of one large product. A token of one strand in one layer, with width d, E = 2d
   channels, N states and rank R, takes 2 (2dE) FLOPs for in_proj, 2 (Ed) for out_proj, and in each of two directions
   2 E (R + 2N) for x_proj and 2 RE for dt_proj. Backward is twice as much, for inputs and for weights.
2. The scan, at the rate of fused multiply-adds (FMA) of the cores' vector units. Only multiplications, divisions and
   FMAs count, each as one: additions, comparisons, rounding, shifts and moves may run on units beside them, loads and
   stores too. exp is one multiplication and a polynomial of degree 5. For every token, direction, channel and *state*:

     forward    delta A  1,  exp2  5,  (delta u) B  1,  h = e h + ..  1,  y += C h  1                            9
     backward   e and h again, which are too many to keep  8
                g += C dy  1,  dC += dy h  1,  dB += g (delta u)  1,  s += g B  1,  q = g e  1,  x = q h'  1,
                dA += x delta  1,  r += x A  1                                                                  16

   and for every token, direction and *channel*, where log1p is a polynomial of degree 8 and delta and y are kept:

     forward    softplus  6 + 8,  delta u  1,  D u  1,  silu(z)  6 + 2,  gate  1                                25
     backward   sigmoid(delta)  6 + 1,  delta u  1,  silu(z) and its derivative  6 + 4,  dy  1,  dz  2,
                dD  1,  ddelta from s and r  2,  du from s and dy  2                                            26

Convolution, norms, head, optimizer and all traffic to memory count nothing: the bound is out of reach by their time.
"""

import threading
import time
from typing import NamedTuple

import numpy as np
import torch
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

OPERATIONS_A_STATE, OPERATIONS_A_CHANNEL = 9 + 16, 25 + 26
LANES, CHAINS = 16, 12
"""Floats a vector (one register of AVX-512, two of AVX2), and independent sums: enough to hide an FMA's latency."""
STEPS = 4_000_000


class Rates(NamedTuple):
    """FLOPs a second of matrix products; FMAs a second, counted in single floats."""

    product: float
    fma: float


class Work(NamedTuple):
    """What a token costs, forward and backward: FLOPs of matrix products; the scan's operations, in single floats."""

    product: float
    fma: float

    def seconds(self, rates: Rates) -> float:
        """The bound."""
        return self.product / rates.product + self.fma / rates.fma


def caduceus_ps(width: int, depth: int, states: int = 16, expansion: int = 2) -> Work:
    """A token of Caduceus PS: two strands, each read both ways in every layer.

    >>> work = caduceus_ps(width=128, depth=8)
    >>> round(work.product / 1e6, 1), round(work.fma / 1e6, 2)
    (11.8, 3.69)
    """
    inner, rank = expansion * width, -(-width // 16)
    both_ways = 2 * (2 * inner * (rank + 2 * states) + 2 * rank * inner)
    product = 2 * width * 2 * inner + both_ways + 2 * inner * width
    fma = 2 * inner * (states * OPERATIONS_A_STATE + OPERATIONS_A_CHANNEL)
    return Work(product=2 * depth * 3 * product, fma=2 * depth * fma)


def measure(threads: int, size: int = 2048) -> Rates:
    """Both rates on this many threads, each the best of a few tries of some ten milliseconds."""
    a, b = torch.rand(size, size), torch.rand(size, size)
    product = min(_seconds(lambda: a @ b) for _ in range(4))
    fma = min(_seconds(lambda: _on_threads(threads)) for _ in range(4))
    return Rates(2 * size**3 / product, threads * STEPS * CHAINS * LANES / fma)


def _seconds(call) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def _on_threads(threads: int) -> None:
    crew = [threading.Thread(target=_multiply_and_add, args=(np.int64(STEPS),)) for _ in range(threads)]
    for one in crew:
        one.start()
    for one in crew:
        one.join()


@intrinsic
def _chains(typing, steps):
    """`steps` times x = x m + c in `CHAINS` vectors that live in registers; some float of what comes out."""
    single, long = ir.FloatType(), ir.IntType(64)
    vector = ir.VectorType(single, LANES)

    def emit(context, builder, signature, arguments):
        (count,) = arguments
        fma = ir.Function(builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fma.v{LANES}f32")
        # From the argument, so that the compiler cannot know the values and fold the loop.
        start = builder.sitofp(count, single)
        spread = builder.insert_element(ir.Constant(vector, None), start, long(0))
        c = builder.shuffle_vector(spread, spread, ir.Constant(ir.VectorType(ir.IntType(32), LANES), None))
        m = builder.fdiv(c, builder.fadd(c, ir.Constant(vector, [1.0] * LANES)))
        before = builder.block
        loop, after = builder.append_basic_block("loop"), builder.append_basic_block("after")
        firsts = [builder.fadd(c, ir.Constant(vector, [float(k)] * LANES)) for k in range(CHAINS)]
        builder.branch(loop)
        builder.position_at_end(loop)
        step = builder.phi(long)
        sums = [builder.phi(vector) for _ in firsts]
        nexts = [builder.call(fma, [one, m, c]) for one in sums]
        following = builder.add(step, long(1))
        for phi, first, then in zip([step, *sums], [long(0), *firsts], [following, *nexts], strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(then, loop)
        builder.cbranch(builder.icmp_signed("<", following, count), loop, after)
        builder.position_at_end(after)
        total = nexts[0]
        for one in nexts[1:]:
            total = builder.fadd(total, one)
        return builder.extract_element(total, long(0))

    return types.float32(types.int64), emit


@njit("float32(int64)", nogil=True)
def _multiply_and_add(steps):
    return _chains(steps)
