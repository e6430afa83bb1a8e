"""The selective scan and its gradients, fused: no (B, L, D, N) tensor ever exists.

    h_t = exp(d_t A) h_{t-1} + d_t u_t B_t        y_t = sum over states of C_t h_t + D u_t
    d_t = softplus(bias + delta_t), where delta_t is given or is W low_t

(Gu & Dao 2023, arXiv:2312.00752, eqs. 2a, 2b and 4). Memory is ordered (rows, L, channels). A task is one row and
one group of blocks of CHANNELS channels; the groups depend on shapes alone, so that sums are the same on any number
of threads. Time is taken in chunks of STEPS, each in three passes: what does not depend on the state, the recurrence,
what is left. The forward pass keeps the state before each chunk. The backward pass computes the chunk again, in the
cache, and walks it from its end with g_t, the gradient of h_t:

    g_t = C_t dy_t + exp(d_{t+1} A) g_{t+1}

Parameters come in blocks, padded with zeros: A log2(e) as (blocks, states, CHANNELS), W as (blocks, rank, CHANNELS),
bias and D as (blocks, CHANNELS); states are a multiple of TOGETHER.
"""

import math

from seqdiff.denoisers.kernels.compiled import arguments, kernel, taken
from seqdiff.denoisers.kernels.vectors import FLOAT, LANES, Row, exp2, fma, inlined, softplus, sums

VECTORS = 16 // LANES
CHANNELS = VECTORS * LANES
"""Channels a block."""
STEPS = 48
"""Steps a chunk: its states, (STEPS, states, CHANNELS) twice, should not leave the cache."""
TOGETHER = LANES // 2
"""States of which the sums over channels are taken together."""

LOG2_E = math.log2(math.e)
LN_2 = math.log(2)
BLOCK = FLOAT * CHANNELS
VECTOR = FLOAT * LANES


@inlined
def _zero(to: Row):
    zero = to[0].same(0)
    for j in range(0, CHANNELS, LANES):
        to[j] = zero


@inlined
def _zero_one(to: Row):
    to[0] = to[0].same(0)


@inlined
def _copy(to: Row, start: Row):
    for j in range(0, CHANNELS, LANES):
        to[j] = start[j]


@inlined
def _prefetch(place: Row):
    place.prefetch()


@inlined
def _move(to: Row, start: Row):
    to.set_one(0, start.one(0))


@inlined
def _add_product(to: Row, weight: Row, number: Row):
    for j in range(0, CHANNELS, LANES):
        to[j] = fma(weight[j], number.spread(0), to[j])


@inlined
def _load(to: Row, start: Row, count: int):
    for j in range(0, CHANNELS, LANES):
        to[j] = start.first(count, j)


@inlined
def _add_load(to: Row, start: Row, count: int):
    for j in range(0, CHANNELS, LANES):
        to[j] = to[j] + start.first(count, j)


@inlined
def _softplus(d: Row, slope: Row):
    for j in range(0, CHANNELS, LANES):
        d[j], slope[j] = softplus(d[j])


@inlined
def _one(to: Row):
    one = to[0].same(1)
    for j in range(0, CHANNELS, LANES):
        to[j] = one


@inlined
def _drive(d: Row, drive: Row, x: Row, u: Row, count: int):
    for j in range(0, CHANNELS, LANES):
        x[j] = u.first(count, j)
        drive[j] = d[j] * x[j]


@inlined
def _skip(y: Row, x: Row, skip: Row):
    for j in range(0, CHANNELS, LANES):
        y[j] = x[j] * skip[j]


@inlined
def _advance(d: Row, drive: Row, y: Row, rates: Row, state: Row, b: Row, c: Row):
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
def _again(d: Row, drive: Row, rates: Row, before: Row, after: Row, decays: Row, b: Row):
    """One step of TOGETHER states, everything kept for the way back."""
    for j in range(0, CHANNELS, LANES):
        step, x = d[j], drive[j]
        decay = exp2([step * rates[n * CHANNELS + j] for n in range(TOGETHER)])
        for n in range(TOGETHER):
            at = n * CHANNELS + j
            after[at] = fma(decay[n], before[at], x * b.spread(n))
            decays[at] = decay[n]


@inlined
def _back(d: Row, drive: Row, dy: Row, dinput: Row, dstep: Row, rates: Row, before: Row, after: Row, decays: Row,
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
def _gradients(d: Row, x: Row, slope: Row, dy: Row, dinput: Row, dstep: Row, skip: Row, dskip: Row, dbias: Row):
    """In place: dinput becomes the gradient of u, dstep that of delta."""
    for j in range(0, CHANNELS, LANES):
        through_input = dinput[j]
        ddelta = fma(dstep[j], dstep[j].same(LN_2), through_input * x[j]) * slope[j]
        dinput[j] = fma(through_input, d[j], dy[j] * skip[j])
        dstep[j] = ddelta
        dskip[j] = fma(dy[j], x[j], dskip[j])
        dbias[j] = dbias[j] + ddelta


@inlined
def _store(to: Row, start: Row, count: int):
    for j in range(0, CHANNELS, LANES):
        to.set_first(count, start[j], j)


@inlined
def _low_rank(dw: Row, dlow: Row, w: Row, low: Row, ddelta: Row):
    """Gradients of W and, still one for each lane, of low."""
    total = dlow[0]
    for j in range(0, CHANNELS, LANES):
        dw[j] = fma(ddelta[j], low.spread(0), dw[j])
        total = fma(ddelta[j], w[j], total)
    dlow[0] = total


@inlined
def _sum_lanes(to: Row, start: Row):
    to[0] = sums([start[i * LANES] for i in range(LANES)])


@kernel
def forward(shared):
    (tasks, scratch, scratch_size, groups, length, channels, states, all_states, rank, soft, backwards,
     u, u_row, u_step, delta, delta_row, delta_step, b, b_row, b_step, c, c_row, c_step,
     rates, w, bias, skip, initial, y, last_state, kept) = arguments(shared, 31)  # fmt: skip
    blocks, chunks = -(-channels // CHANNELS), -(-length // STEPS)
    square, way = all_states * BLOCK, -1 if backwards else 1
    mine = scratch + taken(shared, 1) * scratch_size
    while True:
        task = taken(shared, 0)
        if task >= tasks:
            return
        row, group = task // groups, task % groups
        first, last = blocks * group // groups, blocks * (group + 1) // groups
        d = mine
        drive, x, sum_, slope = d + BLOCK, d + 2 * BLOCK, d + 3 * BLOCK, d + 4 * BLOCK
        bc = d + 5 * STEPS * BLOCK
        wide = FLOAT * 2 * all_states
        state = bc + STEPS * wide
        for i in range((last - first) * all_states):
            if initial != 0:
                _copy(state + i * BLOCK, initial + ((row * blocks + first) * all_states + i) * BLOCK)
            else:
                _zero(state + i * BLOCK)
        for i in range(0, STEPS * wide, VECTOR):
            _zero_one(bc + i)
        for k in range(chunks):
            start = length - 1 - k * STEPS if backwards else k * STEPS
            steps = min(STEPS, length - k * STEPS)
            for i in range(steps):
                t = start + way * i
                for n in range(states):
                    _move(bc + i * wide + FLOAT * n, b + FLOAT * (row * b_row + t * b_step + n))
                    _move(bc + i * wide + FLOAT * (all_states + n), c + FLOAT * (row * c_row + t * c_step + n))
            for q in range(first, last):
                at, count, h = q * BLOCK, channels - q * CHANNELS, state + (q - first) * square
                if kept != 0:
                    to = kept + ((row * chunks + k) * blocks + q) * square
                    for n in range(all_states):
                        _copy(to + n * BLOCK, h + n * BLOCK)
                for i in range(steps):
                    t, o = start + way * i, 5 * i * BLOCK
                    _copy(d + o, bias + at)
                    if rank == 0:
                        _add_load(d + o, delta + FLOAT * (row * delta_row + t * delta_step) + at, count)
                    for r in range(rank):
                        _add_product(d + o, w + (q * rank + r) * BLOCK,
                                     delta + FLOAT * (row * delta_row + t * delta_step + r))  # fmt: skip
                    if soft:
                        _softplus(d + o, slope + o)
                    _drive(d + o, drive + o, x + o, u + FLOAT * (row * u_row + t * u_step) + at, count)
                    _prefetch(
                        u
                        + FLOAT * (row * u_row + (t if q + 1 < last else t + way * STEPS) * u_step)
                        + (at + BLOCK if q + 1 < last else first * BLOCK)
                    )
                    _skip(sum_ + o, x + o, skip + at)
                for i in range(steps):
                    o, here = 5 * i * BLOCK, bc + i * wide
                    for n in range(0, all_states, TOGETHER):
                        _advance(d + o, drive + o, sum_ + o, rates + q * square + n * BLOCK, h + n * BLOCK,
                                 here + FLOAT * n, here + FLOAT * (all_states + n))  # fmt: skip
                for i in range(steps):
                    t = start + way * i
                    _store(y + FLOAT * (row * length + t) * channels + at, sum_ + 5 * i * BLOCK, count)
        if last_state != 0:
            for i in range((last - first) * all_states):
                _copy(last_state + ((row * blocks + first) * all_states + i) * BLOCK, state + i * BLOCK)


def forward_scratch(blocks: int, states: int) -> int:
    """Bytes a worker needs for groups of `blocks` blocks."""
    return 5 * STEPS * BLOCK + FLOAT * STEPS * 2 * states + blocks * states * BLOCK


@kernel
def backward(shared):
    (tasks, scratch, scratch_size, groups, length, channels, states, all_states, rank, soft, backwards,
     u, u_row, u_step, delta, delta_row, delta_step, b, b_row, b_step, c, c_row, c_step,
     rates, w, bias, skip, kept, dy, dy_row, dy_step, dlast,
     du, ddelta, drows, drates, dw, dskip, dbias, dinitial) = arguments(shared, 40)  # fmt: skip
    blocks, chunks = -(-channels // CHANNELS), -(-length // STEPS)
    square, way = all_states * BLOCK, -1 if backwards else 1
    mine = scratch + taken(shared, 1) * scratch_size
    rows = tasks // groups
    columns = rank + 2 * states
    all_rank = -(-rank // LANES) * LANES
    while True:
        task = taken(shared, 0)
        if task >= tasks:
            return
        row, group = task // groups, task % groups
        first, last = blocks * group // groups, blocks * (group + 1) // groups
        d = mine
        drive, x, slope = d + BLOCK, d + 2 * BLOCK, d + 3 * BLOCK
        grad, dinput, dstep = d + 4 * BLOCK, d + 5 * BLOCK, d + 6 * BLOCK
        bc = d + 7 * STEPS * BLOCK
        wide = FLOAT * 2 * all_states
        db_dc = bc + STEPS * wide
        dlow = db_dc + STEPS * wide
        low_wide = all_rank * VECTOR
        line = dlow + STEPS * low_wide
        h = line + VECTOR
        decays = h + square
        carry = h + (2 * STEPS + 1) * square
        mine_drates = drates + (row * blocks) * square
        mine_dw = dw + (row * blocks) * rank * BLOCK
        for i in range((last - first) * all_states):
            if dlast != 0:
                _copy(carry + i * BLOCK, dlast + ((row * blocks + first) * all_states + i) * BLOCK)
            else:
                _zero(carry + i * BLOCK)
            _zero(mine_drates + (first * all_states + i) * BLOCK)
        for i in range((last - first) * rank):
            _zero(mine_dw + (first * rank + i) * BLOCK)
        for q in range(first, last):
            _zero(dskip + (row * blocks + q) * BLOCK)
            _zero(dbias + (row * blocks + q) * BLOCK)
        for i in range(0, STEPS * wide, VECTOR):
            _zero_one(bc + i)
        for k in range(chunks - 1, -1, -1):
            start = length - 1 - k * STEPS if backwards else k * STEPS
            steps = min(STEPS, length - k * STEPS)
            for i in range(steps):
                t = start + way * i
                for n in range(states):
                    _move(bc + i * wide + FLOAT * n, b + FLOAT * (row * b_row + t * b_step + n))
                    _move(bc + i * wide + FLOAT * (all_states + n), c + FLOAT * (row * c_row + t * c_step + n))
                for n in range(0, wide, VECTOR):
                    _zero_one(db_dc + i * wide + n)
                for r in range(rank):
                    _zero_one(dlow + i * low_wide + r * VECTOR)
            for q in range(first, last):
                at, count = q * BLOCK, channels - q * CHANNELS
                back, mine_rates = carry + (q - first) * square, rates + q * square
                for n in range(all_states):
                    _copy(h + n * BLOCK, kept + ((row * chunks + k) * blocks + q) * square + n * BLOCK)
                for i in range(steps):
                    t, o = start + way * i, 7 * i * BLOCK
                    _copy(d + o, bias + at)
                    if rank == 0:
                        _add_load(d + o, delta + FLOAT * (row * delta_row + t * delta_step) + at, count)
                    for r in range(rank):
                        _add_product(d + o, w + (q * rank + r) * BLOCK,
                                     delta + FLOAT * (row * delta_row + t * delta_step + r))  # fmt: skip
                    if soft:
                        _softplus(d + o, slope + o)
                    else:
                        _one(slope + o)
                    _drive(d + o, drive + o, x + o, u + FLOAT * (row * u_row + t * u_step) + at, count)
                    _load(grad + o, dy + FLOAT * (row * dy_row + t * dy_step) + at, count)
                    _prefetch(du + FLOAT * (row * length + t) * channels + at)
                    n = t if q + 1 < last else t - way * STEPS
                    side = at + BLOCK if q + 1 < last else first * BLOCK
                    _prefetch(u + FLOAT * (row * u_row + n * u_step) + side)
                    _prefetch(dy + FLOAT * (row * dy_row + n * dy_step) + side)
                    _zero(dinput + o)
                    _zero(dstep + o)
                for i in range(steps):
                    o, here, before = 7 * i * BLOCK, bc + i * wide, h + 2 * i * square
                    for n in range(0, all_states, TOGETHER):
                        m = n * BLOCK
                        _again(d + o, drive + o, mine_rates + m, before + m, before + 2 * square + m,
                               before + square + m, here + FLOAT * n)  # fmt: skip
                for i in range(steps - 1, -1, -1):
                    o, here, before = 7 * i * BLOCK, bc + i * wide, h + 2 * i * square
                    for n in range(0, all_states, TOGETHER):
                        m = n * BLOCK
                        _back(d + o, drive + o, grad + o, dinput + o, dstep + o, mine_rates + m, before + m,
                              before + 2 * square + m, before + square + m, back + m, mine_drates + q * square + m,
                              here + FLOAT * n, here + FLOAT * (all_states + n),
                              db_dc + i * wide + 2 * FLOAT * n)  # fmt: skip
                for i in range(steps):
                    t, o = start + way * i, 7 * i * BLOCK
                    _gradients(d + o, x + o, slope + o, grad + o, dinput + o, dstep + o, skip + at,
                               dskip + (row * blocks + q) * BLOCK, dbias + (row * blocks + q) * BLOCK)  # fmt: skip
                    place = FLOAT * (row * length + t) * channels + at
                    _store(du + place, dinput + o, count)
                    if rank == 0:
                        _store(ddelta + place, dstep + o, count)
                    for r in range(rank):
                        p = (q * rank + r) * BLOCK
                        _low_rank(mine_dw + p, dlow + i * low_wide + r * VECTOR, w + p,
                                  delta + FLOAT * (row * delta_row + t * delta_step + r), dstep + o)  # fmt: skip
            for i in range(steps):
                to = drows + FLOAT * columns * ((group * rows + row) * length + start + way * i)
                for p in range(0, rank, LANES):
                    _sum_lanes(line, dlow + i * low_wide + p * VECTOR)
                    for r in range(p, min(p + LANES, rank)):
                        _move(to + FLOAT * r, line + FLOAT * (r - p))
                for n in range(states):
                    place = db_dc + i * wide + FLOAT * (n + n // TOGETHER * TOGETHER)
                    _move(to + FLOAT * (rank + n), place)
                    _move(to + FLOAT * (rank + states + n), place + FLOAT * TOGETHER)
        if dinitial != 0:
            for i in range((last - first) * all_states):
                _copy(dinitial + ((row * blocks + first) * all_states + i) * BLOCK, carry + i * BLOCK)


def backward_scratch(blocks: int, states: int, rank: int) -> int:
    """Bytes a worker needs for groups of `blocks` blocks."""
    rows = 7 * BLOCK + FLOAT * 4 * states + -(-rank // LANES) * LANES * VECTOR + 2 * states * BLOCK
    return STEPS * rows + VECTOR + (1 + blocks) * states * BLOCK
