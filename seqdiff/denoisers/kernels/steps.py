"""What the selective scan does with one block of CHANNELS channels at one step; `scan` has the loops around it."""

import math

from seqdiff.denoisers.kernels.vectors import FLOAT, LANES, Row, exp2, fma, inlined, softplus, sums

CHANNELS = 16
"""Channels a block: one vector or several."""
TOGETHER = LANES // 2
"""States of which the sums over channels are taken together."""

LOG2_E = math.log2(math.e)
LN_2 = math.log(2)
BLOCK = FLOAT * CHANNELS
VECTOR = FLOAT * LANES


@inlined
def zero_block(to: Row):
    """Set a block to zero."""
    zero = to[0].same(0)
    for j in range(0, CHANNELS, LANES):
        to[j] = zero


@inlined
def zero_vector(to: Row):
    """Set a vector to zero."""
    to[0] = to[0].same(0)


@inlined
def copy_block(to: Row, start: Row):
    """Copy a block."""
    for j in range(0, CHANNELS, LANES):
        to[j] = start[j]


@inlined
def prefetch(place: Row):
    """Ask for a cache line."""
    place.prefetch()


@inlined
def move(to: Row, start: Row):
    """Copy one float."""
    to.set_one(0, start.one(0))


@inlined
def add_product(to: Row, weight: Row, number: Row):
    """Add a block times one number."""
    for j in range(0, CHANNELS, LANES):
        to[j] = fma(weight[j], number.spread(0), to[j])


@inlined
def load_block(to: Row, start: Row, count: int):
    """Read a block of which the first `count` channels are there; the others are zero."""
    for j in range(0, CHANNELS, LANES):
        to[j] = start.first(count, j)


@inlined
def add_loaded(to: Row, start: Row, count: int):
    """Add a block of which the first `count` channels are there."""
    for j in range(0, CHANNELS, LANES):
        to[j] = to[j] + start.first(count, j)


@inlined
def softplus_slope(d: Row, slope: Row):
    """d becomes softplus(d); its derivative is the slope."""
    for j in range(0, CHANNELS, LANES):
        d[j], slope[j] = softplus(d[j])


@inlined
def ones_block(to: Row):
    """Set a block to one."""
    one = to[0].same(1)
    for j in range(0, CHANNELS, LANES):
        to[j] = one


@inlined
def drive_block(d: Row, drive: Row, x: Row, u: Row, count: int):
    """Read u as x; the drive is d x."""
    for j in range(0, CHANNELS, LANES):
        x[j] = u.first(count, j)
        drive[j] = d[j] * x[j]


@inlined
def skip_input(y: Row, x: Row, skip: Row):
    """The output starts as D x."""
    for j in range(0, CHANNELS, LANES):
        y[j] = x[j] * skip[j]


@inlined
def advance(d: Row, drive: Row, y: Row, rates: Row, state: Row, b: Row, c: Row):
    """One step of TOGETHER states, in place."""
    for j in range(0, CHANNELS, LANES):
        step, x, total = d[j], drive[j], [y[j], y[j].same(0)]
        decay = exp2([step * rates[n * CHANNELS + j] for n in range(TOGETHER)])
        for n in range(TOGETHER):
            h = fma(decay[n], state[n * CHANNELS + j], x * b.spread(n))
            state[n * CHANNELS + j] = h
            total[n % 2] = fma(h, c.spread(n), total[n % 2])
        y[j] = total[0] + total[1]


@inlined
def advance_again(d: Row, drive: Row, rates: Row, before: Row, after: Row, decays: Row, b: Row):
    """One step of TOGETHER states, everything kept for the way back."""
    for j in range(0, CHANNELS, LANES):
        step, x = d[j], drive[j]
        decay = exp2([step * rates[n * CHANNELS + j] for n in range(TOGETHER)])
        for n in range(TOGETHER):
            at = n * CHANNELS + j
            after[at] = fma(decay[n], before[at], x * b.spread(n))
            decays[at] = decay[n]


@inlined
def step_back(d: Row, drive: Row, dy: Row, dinput: Row, dstep: Row, rates: Row, before: Row, after: Row, decays: Row,
          carry: Row, drates: Row, b: Row, c: Row, db_dc: Row):  # fmt: skip
    """One step back of TOGETHER states; `dstep` gathers the gradient of d log2(e) through the decay."""
    db, dc = [None] * TOGETHER, [None] * TOGETHER
    for j in range(0, CHANNELS, LANES):
        step, x, gradient = d[j], drive[j], dy[j]
        through_input, through_decay = dinput[j], dstep[j]
        for n in range(TOGETHER):
            at = n * CHANNELS + j
            g = fma(gradient, c.spread(n), carry[at])
            dc[n] = fma(gradient, after[at], dc[n]) if j else gradient * after[at]
            db[n] = fma(g, x, db[n]) if j else g * x
            through_input = fma(g, b.spread(n), through_input)
            kept = g * decays[at]
            carry[at] = kept
            exponent = kept * before[at]
            drates[at] = fma(exponent, step, drates[at])
            through_decay = fma(exponent, rates[at], through_decay)
        dinput[j], dstep[j] = through_input, through_decay
    db_dc[0] = db_dc[0] + sums(db + dc)


@inlined
def gradients(d: Row, x: Row, slope: Row, dy: Row, dinput: Row, dstep: Row, skip: Row, dskip: Row, dbias: Row):
    """In place: dinput becomes the gradient of u, dstep that of delta."""
    for j in range(0, CHANNELS, LANES):
        through_input = dinput[j]
        ddelta = fma(dstep[j], dstep[j].same(LN_2), through_input * x[j]) * slope[j]
        dinput[j] = fma(through_input, d[j], dy[j] * skip[j])
        dstep[j] = ddelta
        dskip[j] = fma(dy[j], x[j], dskip[j])
        dbias[j] = dbias[j] + ddelta


@inlined
def store_block(to: Row, start: Row, count: int):
    """Write the first `count` channels of a block."""
    for j in range(0, CHANNELS, LANES):
        to.set_first(count, start[j], j)


@inlined
def low_rank_back(dw: Row, dlow: Row, w: Row, low: Row, ddelta: Row):
    """Gradients of W and, still one for each lane, of low."""
    total = dlow[0]
    for j in range(0, CHANNELS, LANES):
        dw[j] = fma(ddelta[j], low.spread(0), dw[j])
        total = fma(ddelta[j], w[j], total)
    dlow[0] = total


@inlined
def sum_lanes(to: Row, start: Row):
    """Sums over the lanes of LANES vectors."""
    to[0] = sums([start[i * LANES] for i in range(LANES)])
