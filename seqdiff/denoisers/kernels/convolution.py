"""The causal depthwise convolutions of both directions with SiLU, and their gradients, fused.

Of at most TAPS taps; from the left, and from the right:

    p_t = bias + sum over k of w_k x_{t - 3 + k}        p'_t = bias' + sum over k of w'_k x_{t + 3 - k}
    y_t = silu(p_t)                                      y'_t = silu(p'_t)

with x zero beyond both ends, and read once for the two. Memory is ordered (rows, L, channels). A task is one row and
one piece of SLAB positions. Weights are (TAPS, channels), shorter kernels with zeros in front.
"""

from seqdiff.denoisers.kernels.compiled import arguments, kernel, loop, taken
from seqdiff.denoisers.kernels.vectors import FLOAT, LANES, Row, fma, inlined, sigmoid

TAPS = 4
SLAB = 64
"""Positions a task; two slabs of gradients (SLAB, channels) should stay in the cache."""
VECTOR = FLOAT * LANES


@inlined
def _zero(to: Row):
    to[0] = to[0].same(0)


@inlined
def _convolve(y: Row, x0: Row, x1: Row, x2: Row, x3: Row, weight: Row, wide: int, bias: Row, count: int):
    p = _weighted((x0, x1, x2, x3), weight, wide, bias, count)
    y.set_first(count, p * sigmoid(p))


@inlined
def _slope(g: Row, x0: Row, x1: Row, x2: Row, x3: Row, weight: Row, wide: int, bias: Row, dy: Row, count: int):
    """The gradient of p, from that of y."""
    p = _weighted((x0, x1, x2, x3), weight, wide, bias, count)
    s = sigmoid(p)
    g[0] = dy.first(count) * fma(p * s, p.same(1) - s, s)


def _weighted(taps, weight, wide, bias, count):
    total = bias.first(count)
    for k in range(TAPS):
        total = fma(taps[k].first(count), weight.down(wide, k).first(count), total)
    return total


@inlined
def _gather(dweight: Row, wide: int, dbias: Row, x0: Row, x1: Row, x2: Row, x3: Row, g: Row, count: int):
    """Add what one position gives to the gradients of weight and bias."""
    gradient = g[0]
    for k, x in enumerate((x0, x1, x2, x3)):
        row = dweight.down(wide, k)
        row[0] = fma(gradient, x.first(count), row[0])
    dbias[0] = dbias[0] + gradient


@inlined
def _spread_back(dx: Row, g: Row, weight: Row, other: Row, other_weight: Row, padded: int, wide: int, count: int):
    """The gradient of x_t: those of p_t, p_{t+1}, ... and of p'_t, p'_{t-1}, ... through the taps."""
    total = dx[0].same(0)
    for k in range(TAPS):
        total = fma(g.down(padded, TAPS - 1 - k)[0], weight.down(wide, k).first(count), total)
        total = fma(other.down(padded, k + 1 - TAPS)[0], other_weight.down(wide, k).first(count), total)
    dx.set_first(count, total)


@loop
def _neighbours(here, step, t, length, nothing):
    """Where the three positions before t and the three after it stand; beyond the ends there is `nothing`, zeros."""
    return (
        here - 3 * step if t >= 3 else nothing,
        here - 2 * step if t >= 2 else nothing,
        here - step if t >= 1 else nothing,
        here + step if t + 1 < length else nothing,
        here + 2 * step if t + 2 < length else nothing,
        here + 3 * step if t + 3 < length else nothing,
    )


@kernel
def forward(shared):
    (tasks, scratch, scratch_size, length, channels, x, x_row, x_step, w, bias, other_w, other_bias, y,
     other_y) = arguments(shared, 14)  # fmt: skip
    nothing = scratch + taken(shared, 1) * scratch_size
    for c in range(0, channels, LANES):
        _zero(nothing + FLOAT * c)
    slabs = -(-length // SLAB)
    step, wide = FLOAT * x_step, FLOAT * channels
    while True:
        task = taken(shared, 0)
        if task >= tasks:
            return
        row, slab = task // slabs, task % slabs
        for t in range(slab * SLAB, min((slab + 1) * SLAB, length)):
            here = x + FLOAT * row * x_row + t * step
            l3, l2, l1, r1, r2, r3 = _neighbours(here, step, t, length, nothing)
            at = (row * length + t) * wide
            for c in range(0, channels, LANES):
                o, n = FLOAT * c, channels - c
                _convolve(y + at + o, l3 + o, l2 + o, l1 + o, here + o, w + o, wide, bias + o, n)
                _convolve(other_y + at + o, r3 + o, r2 + o, r1 + o, here + o, other_w + o, wide, other_bias + o, n)


@kernel
def backward(shared):
    (tasks, scratch, scratch_size, length, channels, x, x_row, x_step, w, bias, other_w, other_bias, dy, other_dy,
     dx, dx_row, dx_step, dw, other_dw, dbias, other_dbias) = arguments(shared, 21)  # fmt: skip
    nothing = scratch + taken(shared, 1) * scratch_size
    padded = -(-channels // LANES) * VECTOR
    # Slopes at t of a slab stand at row TAPS - 1 + t - start.
    slope = nothing + padded
    other = slope + (SLAB + 2 * TAPS) * padded
    for o in range(0, padded, VECTOR):
        _zero(nothing + o)
    slabs = -(-length // SLAB)
    step, wide = FLOAT * x_step, FLOAT * channels
    while True:
        task = taken(shared, 0)
        if task >= tasks:
            return
        row, slab = task // slabs, task % slabs
        start, stop = slab * SLAB, min((slab + 1) * SLAB, length)
        for o in range(0, TAPS * padded, VECTOR):
            _zero(dw + task * TAPS * padded + o)
            _zero(other_dw + task * TAPS * padded + o)
        for o in range(0, padded, VECTOR):
            _zero(dbias + task * padded + o)
            _zero(other_dbias + task * padded + o)
        for t in range(start - TAPS + 1, stop + TAPS - 1):
            g = slope + (TAPS - 1 + t - start) * padded
            q = other + (TAPS - 1 + t - start) * padded
            if t < 0 or t >= length:
                for o in range(0, padded, VECTOR):
                    _zero(g + o)
                    _zero(q + o)
                continue
            here = x + FLOAT * row * x_row + t * step
            l3, l2, l1, r1, r2, r3 = _neighbours(here, step, t, length, nothing)
            at = (row * length + t) * wide
            mine = start <= t < stop
            for c in range(0, channels, LANES):
                o, n = FLOAT * c, channels - c
                if t >= start:
                    _slope(g + o, l3 + o, l2 + o, l1 + o, here + o, w + o, wide, bias + o, dy + at + o, n)
                if t < stop:
                    _slope(q + o, r3 + o, r2 + o, r1 + o, here + o, other_w + o, wide, other_bias + o,
                           other_dy + at + o, n)  # fmt: skip
                if mine:
                    d = task * padded + o
                    _gather(dw + (TAPS - 1) * task * padded + d, padded, dbias + d, l3 + o, l2 + o, l1 + o, here + o,
                            g + o, n)  # fmt: skip
                    _gather(other_dw + (TAPS - 1) * task * padded + d, padded, other_dbias + d, r3 + o, r2 + o, r1 + o,
                            here + o, q + o, n)  # fmt: skip
        for t in range(start, stop):
            at = (TAPS - 1 + t - start) * padded
            to = dx + FLOAT * (row * dx_row + t * dx_step)
            for c in range(0, channels, LANES):
                o = FLOAT * c
                _spread_back(to + o, slope + at + o, w + o, other + at + o, other_w + o, padded, wide, channels - c)


def padded(channels: int) -> int:
    """Channels in whole vectors."""
    return -(-channels // LANES) * LANES


def scratch(channels: int) -> int:
    """Bytes a worker needs."""
    return FLOAT * padded(channels) * (1 + 2 * (SLAB + 2 * TAPS))
