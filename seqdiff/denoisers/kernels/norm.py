"""Residual addition and RMSNorm, and their gradients, fused.

    r = x + residual        y = r s weight,  s = 1 / sqrt(mean of r^2 + eps)

(Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4). Memory is ordered (rows, width). A task is SLAB rows, taken LANES at
a time so that their sums over the width are made together.
"""

from seqdiff.denoisers.kernels.compiled import arguments, kernel, taken
from seqdiff.denoisers.kernels.vectors import FLOAT, LANES, Row, fma, inlined, sums

SLAB = 256
VECTOR = FLOAT * LANES


@inlined
def _zero(to: Row):
    to[0] = to[0].same(0)


@inlined
def _add(r: Row, x: Row, residual: Row, both: int, squares: Row, count: int):
    total = x.first(count) + residual.first(both)
    r.set_first(count, total)
    squares[0] = fma(total, total, squares[0])


@inlined
def _inverse_root(scale: Row, squares: Row, width: Row, eps: Row):
    """s of LANES rows, from their squares, which stand in LANES vectors."""
    mean = sums([squares[i * LANES] for i in range(LANES)]) / width.spread(0)
    scale[0] = mean.same(1) / (mean + eps.spread(0)).call("sqrt")


@inlined
def _scale(y: Row, r: Row, scale: Row, weight: Row, count: int):
    y.set_first(count, r.first(count) * scale.spread(0) * weight.first(count))


@inlined
def _project(along: Row, dy: Row, r: Row, weight: Row, count: int):
    along[0] = fma(dy.first(count) * weight.first(count), r.first(count), along[0])


@inlined
def _means(along: Row, width: Row, scale: Row, line: Row):
    """s^3 mean(dy weight r) of LANES rows."""
    s = scale[0]
    line[0] = sums([along[i * LANES] for i in range(LANES)]) / width.spread(0) * (s * s * s)


@inlined
def _back(dr: Row, dy: Row, r: Row, weight: Row, scale: Row, mean: Row, dsum: Row, dweight: Row, count: int):
    s, g, x = scale.spread(0), dy.first(count), r.first(count)
    through = g * weight.first(count) * s - x * mean.spread(0)
    dr.set_first(count, through + dsum.first(count))
    dweight[0] = fma(g * s, x, dweight[0])


@kernel
def forward(shared):
    (tasks, scratch, scratch_size, rows, width, both, numbers, x, residual, weight, r, y, scales) = arguments(
        shared, 13
    )
    squares = scratch + taken(shared, 1) * scratch_size
    while True:
        task = taken(shared, 0)
        if task >= tasks:
            return
        for first in range(task * SLAB, min((task + 1) * SLAB, rows), LANES):
            here = min(LANES, rows - first)
            for i in range(LANES):
                _zero(squares + i * VECTOR)
            for i in range(here):
                for c in range(0, width, LANES):
                    o = FLOAT * ((first + i) * width + c)
                    _add(r + o, x + o, residual + o, both * (width - c), squares + i * VECTOR, width - c)
            _inverse_root(scales + FLOAT * first, squares, numbers, numbers + FLOAT)
            for i in range(here):
                for c in range(0, width, LANES):
                    o = FLOAT * ((first + i) * width + c)
                    _scale(y + o, r + o, scales + FLOAT * (first + i), weight + FLOAT * c, width - c)


@kernel
def backward(shared):
    (tasks, scratch, scratch_size, rows, width, numbers, r, weight, scales, dy, dsum, dr, dweight) = arguments(
        shared, 13
    )
    along = scratch + taken(shared, 1) * scratch_size
    line = along + LANES * VECTOR
    padded = -(-width // LANES) * VECTOR
    while True:
        task = taken(shared, 0)
        if task >= tasks:
            return
        mine = dweight + task * padded
        for o in range(0, padded, VECTOR):
            _zero(mine + o)
        for first in range(task * SLAB, min((task + 1) * SLAB, rows), LANES):
            here = min(LANES, rows - first)
            for i in range(LANES):
                _zero(along + i * VECTOR)
            for i in range(here):
                for c in range(0, width, LANES):
                    o = FLOAT * ((first + i) * width + c)
                    _project(along + i * VECTOR, dy + o, r + o, weight + FLOAT * c, width - c)
            _means(along, numbers, scales + FLOAT * first, line)
            for i in range(here):
                for c in range(0, width, LANES):
                    o = FLOAT * ((first + i) * width + c)
                    _back(dr + o, dy + o, r + o, weight + FLOAT * c, scales + FLOAT * (first + i), line + FLOAT * i,
                          dsum + o, mine + FLOAT * c, width - c)  # fmt: skip


def scratch() -> int:
    """Bytes a worker needs."""
    return (LANES + 1) * VECTOR
