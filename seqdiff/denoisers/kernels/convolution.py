"""The causal depthwise convolution of up to TAPS taps with SiLU, and its gradients, fused.

    p_t = bias + sum over k of w_k x_{t - (TAPS - 1) + k}        y_t = silu(p_t)

with x zero before the start, read from the left or from the right. Memory is ordered (rows, L, channels). A task is
one row and one piece of SLAB positions. Weights are (TAPS, channels), shorter kernels with zeros in front.
"""

from seqdiff.denoisers.kernels.compiled import arguments, kernel, taken
from seqdiff.denoisers.kernels.vectors import FLOAT, LANES, Row, fma, inlined, sigmoid

TAPS = 4
SLAB = 128
"""Positions a task; a slab of gradients (SLAB, channels) should stay in the cache."""
VECTOR = FLOAT * LANES


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
def _spread_back(dx: Row, g0: Row, g1: Row, g2: Row, g3: Row, weight: Row, wide: int, add: int, count: int):
    """The gradient of x_t: that of p_t, p_{t+1}, ... through the taps, added to what is there if `add` is 1."""
    total = dx.first(add)
    for k, g in enumerate((g3, g2, g1, g0)):
        total = fma(g[0], weight.down(wide, k).first(count), total)
    dx.set_first(count, total)


@inlined
def _gather(dweight: Row, wide: int, dbias: Row, x0: Row, x1: Row, x2: Row, x3: Row, g: Row, count: int):
    gradient = g[0]
    for k, x in enumerate((x0, x1, x2, x3)):
        row = dweight.down(wide, k)
        row[0] = fma(gradient, x.first(count), row[0])
    dbias[0] = dbias[0] + gradient


@inlined
def _zero(to: Row):
    to[0] = to[0].same(0)


@kernel
def forward(shared):
    (tasks, scratch, scratch_size, length, channels, backwards, x, x_row, x_step, weight, bias, y) = arguments(
        shared, 12
    )
    nothing = scratch + taken(shared, 1) * scratch_size
    for c in range(0, channels, LANES):
        _zero(nothing + FLOAT * c)
    slabs, way = -(-length // SLAB), -1 if backwards else 1
    step, wide = FLOAT * x_step * way, FLOAT * channels
    while True:
        task = taken(shared, 0)
        if task >= tasks:
            return
        row, slab = task // slabs, task % slabs
        for i in range(slab * SLAB, min((slab + 1) * SLAB, length)):
            t = length - 1 - i if backwards else i
            x3 = x + FLOAT * (row * x_row + t * x_step)
            x2 = x3 - step if i >= 1 else nothing
            x1 = x3 - 2 * step if i >= 2 else nothing
            x0 = x3 - 3 * step if i >= 3 else nothing
            to = y + (row * length + t) * wide
            for c in range(0, channels, LANES):
                o = FLOAT * c
                _convolve(to + o, x0 + o, x1 + o, x2 + o, x3 + o, weight + o, wide, bias + o, channels - c)


@kernel
def backward(shared):
    (tasks, scratch, scratch_size, length, channels, backwards, x, x_row, x_step, weight, bias, dy, dy_row, dy_step,
     dx, dx_row, dx_step, add, dweight, dbias) = arguments(shared, 20)  # fmt: skip
    nothing = scratch + taken(shared, 1) * scratch_size
    padded = -(-channels // LANES) * VECTOR
    slope = nothing + padded
    for o in range(0, padded, VECTOR):
        _zero(nothing + o)
    slabs, way = -(-length // SLAB), -1 if backwards else 1
    step, wide = FLOAT * x_step * way, FLOAT * channels
    while True:
        task = taken(shared, 0)
        if task >= tasks:
            return
        row, slab = task // slabs, task % slabs
        start, stop = slab * SLAB, min((slab + 1) * SLAB, length)
        mine, mine_bias = dweight + task * TAPS * padded, dbias + task * padded
        for o in range(0, TAPS * padded, VECTOR):
            _zero(mine + o)
        for o in range(0, padded, VECTOR):
            _zero(mine_bias + o)
        for i in range(start, stop + TAPS - 1):
            here = slope + (i - start) * padded
            if i >= length:
                for o in range(0, padded, VECTOR):
                    _zero(here + o)
                continue
            t = length - 1 - i if backwards else i
            x3 = x + FLOAT * (row * x_row + t * x_step)
            x2 = x3 - step if i >= 1 else nothing
            x1 = x3 - 2 * step if i >= 2 else nothing
            x0 = x3 - 3 * step if i >= 3 else nothing
            from_ = dy + FLOAT * (row * dy_row + t * dy_step)
            for c in range(0, channels, LANES):
                o, count = FLOAT * c, channels - c
                _slope(here + o, x0 + o, x1 + o, x2 + o, x3 + o, weight + o, wide, bias + o, from_ + o, count)
                if i < stop:
                    _gather(mine + o, padded, mine_bias + o, x0 + o, x1 + o, x2 + o, x3 + o, here + o, count)
        for i in range(start, stop):
            t = length - 1 - i if backwards else i
            here = slope + (i - start) * padded
            to = dx + FLOAT * (row * dx_row + t * dx_step)
            for c in range(0, channels, LANES):
                o, count = FLOAT * c, channels - c
                _spread_back(to + o, here + o, here + padded + o, here + 2 * padded + o, here + 3 * padded + o,
                             weight + o, wide, count * add, count)  # fmt: skip


def padded(channels: int) -> int:
    """Channels in whole vectors."""
    return -(-channels // LANES) * LANES


def scratch(channels: int) -> int:
    """Bytes a worker needs."""
    return FLOAT * padded(channels) * (SLAB + TAPS)
