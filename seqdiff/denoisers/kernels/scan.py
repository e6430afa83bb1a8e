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
from typing import NamedTuple

from seqdiff.denoisers.kernels.compiled import arguments, kernel, loop, taken
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


# One step of one block in the work of a task: these rows of CHANNELS, in bytes from its start.
STEP, DRIVE, INPUT, SLOPE = 0, BLOCK, 2 * BLOCK, 3 * BLOCK
OUTPUT, FORWARD_ROWS = 4 * BLOCK, 5 * BLOCK
DY, DINPUT, DSTEP, BACKWARD_ROWS = 4 * BLOCK, 5 * BLOCK, 6 * BLOCK, 7 * BLOCK


class Scan(NamedTuple):
    """What both passes are given. `_row` and `_step` say how many floats lie between rows and between positions."""

    groups: int
    length: int
    channels: int
    states: int
    all_states: int
    """States padded to a multiple of TOGETHER."""
    rank: int
    """Columns of low and W; 0 where delta is given."""
    soft: int
    backwards: int
    u: int
    u_row: int
    u_step: int
    delta: int
    """Or low."""
    delta_row: int
    delta_step: int
    b: int
    b_row: int
    b_step: int
    c: int
    c_row: int
    c_step: int
    rates: int
    w: int
    bias: int
    skip: int


@loop
def _blocks(s, task):
    """The row of a task, its first block and the one after its last."""
    blocks = -(-s.channels // CHANNELS)
    group = task % s.groups
    return task // s.groups, blocks * group // s.groups, blocks * (group + 1) // s.groups


@loop
def _chunk(s, k):
    """Where chunk k starts, how many steps it has, and the way from each to the next."""
    start = s.length - 1 - k * STEPS if s.backwards else k * STEPS
    return start, min(STEPS, s.length - k * STEPS), -1 if s.backwards else 1


@loop
def _copy_rows(to, start, rows):
    for i in range(rows):
        _copy(to + i * BLOCK, start + i * BLOCK)


@loop
def _zero_rows(to, rows):
    for i in range(rows):
        _zero(to + i * BLOCK)


@loop
def _pack(s, bc, row, start, steps, way):
    """B and C of a chunk, each padded to all states: what lies beyond stays as it was."""
    wide = FLOAT * 2 * s.all_states
    for i in range(steps):
        t, here = start + way * i, bc + i * wide
        for n in range(s.states):
            _move(here + FLOAT * n, s.b + FLOAT * (row * s.b_row + t * s.b_step + n))
            _move(here + FLOAT * (s.all_states + n), s.c + FLOAT * (row * s.c_row + t * s.c_step + n))


@loop
def _prepare(s, work, wide, row, q, start, steps, way):
    """What of a block does not depend on the state: d, d u, u, and the slope of the softplus."""
    at, count = q * BLOCK, s.channels - q * CHANNELS
    for i in range(steps):
        t, here = start + way * i, work + i * wide
        delta = s.delta + FLOAT * (row * s.delta_row + t * s.delta_step)
        _copy(here + STEP, s.bias + at)
        if s.rank == 0:
            _add_load(here + STEP, delta + at, count)
        for r in range(s.rank):
            _add_product(here + STEP, s.w + (q * s.rank + r) * BLOCK, delta + FLOAT * r)
        if s.soft:
            _softplus(here + STEP, here + SLOPE)
        else:
            _one(here + SLOPE)
        _drive(here + STEP, here + DRIVE, here + INPUT, s.u + FLOAT * (row * s.u_row + t * s.u_step) + at, count)


@loop
def _ask(place, step, q, first, last, steps, ahead):
    """Prefetch from rows at `place`, `step` bytes apart, what the next block needs: here, or a chunk ahead."""
    side = (q + 1) * BLOCK if q + 1 < last else first * BLOCK + ahead * step
    for i in range(steps):
        _prefetch(place + i * step + side)


@kernel
def forward(shared):
    """y (rows, L, channels); the last state and the state before each chunk where their addresses are not 0."""
    given = arguments(shared, 31)
    tasks, scratch, scratch_size = given[:3]
    s = Scan(*given[3:27])
    initial, y, last_state, kept = given[27:]
    blocks, chunks = -(-s.channels // CHANNELS), -(-s.length // STEPS)
    square, wide = s.all_states * BLOCK, FLOAT * 2 * s.all_states
    work = scratch + taken(shared, 1) * scratch_size
    bc = work + STEPS * FORWARD_ROWS
    state = bc + STEPS * wide
    while True:
        task = taken(shared, 0)
        if task >= tasks:
            return
        row, first, last = _blocks(s, task)
        rows, place = (last - first) * s.all_states, (row * blocks + first) * square
        if initial != 0:
            _copy_rows(state, initial + place, rows)
        else:
            _zero_rows(state, rows)
        for i in range(0, STEPS * wide, VECTOR):
            _zero_one(bc + i)
        for k in range(chunks):
            start, steps, way = _chunk(s, k)
            _pack(s, bc, row, start, steps, way)
            for q in range(first, last):
                h, at = state + (q - first) * square, q * BLOCK
                if kept != 0:
                    _copy_rows(kept + ((row * chunks + k) * blocks + q) * square, h, s.all_states)
                _ask(
                    s.u + FLOAT * (row * s.u_row + start * s.u_step),
                    FLOAT * way * s.u_step,
                    q,
                    first,
                    last,
                    steps,
                    STEPS,
                )
                _prepare(s, work, FORWARD_ROWS, row, q, start, steps, way)
                for i in range(steps):
                    here, lines = work + i * FORWARD_ROWS, bc + i * wide
                    _skip(here + OUTPUT, here + INPUT, s.skip + at)
                    for n in range(0, s.all_states, TOGETHER):
                        _advance(here + STEP, here + DRIVE, here + OUTPUT, s.rates + q * square + n * BLOCK,
                                 h + n * BLOCK, lines + FLOAT * n, lines + FLOAT * (s.all_states + n))  # fmt: skip
                for i in range(steps):
                    to = y + FLOAT * (row * s.length + start + way * i) * s.channels + at
                    _store(to, work + i * FORWARD_ROWS + OUTPUT, s.channels - q * CHANNELS)
        if last_state != 0:
            _copy_rows(last_state + place, state, rows)


def forward_scratch(blocks: int, states: int) -> int:
    """Bytes a worker needs for groups of `blocks` blocks."""
    return STEPS * (FORWARD_ROWS + FLOAT * 2 * states) + blocks * states * BLOCK


@kernel
def backward(shared):
    """Gradients: of u, and of delta where it is given, (rows, L, channels); of [low | B | C] for each group of blocks,
    (groups, rows, L, rank + 2 states); of A, W, D and bias for each row, in blocks; of the initial state."""
    given = arguments(shared, 40)
    tasks, scratch, scratch_size = given[:3]
    s = Scan(*given[3:27])
    kept, dy, dy_row, dy_step, dlast, du, ddelta, dlines, drates, dw, dskip, dbias, dinitial = given[27:]
    blocks, chunks = -(-s.channels // CHANNELS), -(-s.length // STEPS)
    square, wide = s.all_states * BLOCK, FLOAT * 2 * s.all_states
    low_wide = -(-s.rank // LANES) * LANES * VECTOR
    work = scratch + taken(shared, 1) * scratch_size
    bc = work + STEPS * BACKWARD_ROWS
    db_dc = bc + STEPS * wide
    dlow = db_dc + STEPS * wide
    line = dlow + STEPS * low_wide
    states = line + VECTOR
    """For each step the state before it, then exp(d A)."""
    carry = states + (2 * STEPS + 1) * square
    while True:
        task = taken(shared, 0)
        if task >= tasks:
            return
        row, first, last = _blocks(s, task)
        rows, place = (last - first) * s.all_states, (row * blocks + first) * square
        if dlast != 0:
            _copy_rows(carry, dlast + place, rows)
        else:
            _zero_rows(carry, rows)
        _zero_rows(drates + place, rows)
        _zero_rows(dw + (row * blocks + first) * s.rank * BLOCK, (last - first) * s.rank)
        _zero_rows(dskip + (row * blocks + first) * BLOCK, last - first)
        _zero_rows(dbias + (row * blocks + first) * BLOCK, last - first)
        for i in range(0, STEPS * wide, VECTOR):
            _zero_one(bc + i)
        for k in range(chunks - 1, -1, -1):
            start, steps, way = _chunk(s, k)
            _pack(s, bc, row, start, steps, way)
            for i in range(0, steps * wide, VECTOR):
                _zero_one(db_dc + i)
            for i in range(0, steps * low_wide, VECTOR):
                _zero_one(dlow + i)
            for q in range(first, last):
                at, count = q * BLOCK, s.channels - q * CHANNELS
                rates, back = s.rates + q * square, carry + (q - first) * square
                mine = row * blocks + q
                _copy_rows(states, kept + ((row * chunks + k) * blocks + q) * square, s.all_states)
                u_step, g_step = FLOAT * way * s.u_step, FLOAT * way * dy_step
                _ask(s.u + FLOAT * (row * s.u_row + start * s.u_step), u_step, q, first, last, steps, -STEPS)
                _ask(dy + FLOAT * (row * dy_row + start * dy_step), g_step, q, first, last, steps, -STEPS)
                _prepare(s, work, BACKWARD_ROWS, row, q, start, steps, way)
                for i in range(steps):
                    here, lines, before = work + i * BACKWARD_ROWS, bc + i * wide, states + 2 * i * square
                    t = start + way * i
                    _prefetch(du + FLOAT * (row * s.length + t) * s.channels + at)
                    _load(here + DY, dy + FLOAT * (row * dy_row + t * dy_step) + at, count)
                    _zero(here + DINPUT)
                    _zero(here + DSTEP)
                    for n in range(0, s.all_states, TOGETHER):
                        m = n * BLOCK
                        _again(here + STEP, here + DRIVE, rates + m, before + m, before + 2 * square + m,
                               before + square + m, lines + FLOAT * n)  # fmt: skip
                for i in range(steps - 1, -1, -1):
                    here, lines, before = work + i * BACKWARD_ROWS, bc + i * wide, states + 2 * i * square
                    for n in range(0, s.all_states, TOGETHER):
                        m = n * BLOCK
                        _back(here + STEP, here + DRIVE, here + DY, here + DINPUT, here + DSTEP, rates + m, before + m,
                              before + 2 * square + m, before + square + m, back + m, drates + mine * square + m,
                              lines + FLOAT * n, lines + FLOAT * (s.all_states + n),
                              db_dc + i * wide + 2 * FLOAT * n)  # fmt: skip
                for i in range(steps):
                    here, t = work + i * BACKWARD_ROWS, start + way * i
                    _gradients(here + STEP, here + INPUT, here + SLOPE, here + DY, here + DINPUT, here + DSTEP,
                               s.skip + at, dskip + mine * BLOCK, dbias + mine * BLOCK)  # fmt: skip
                    to = FLOAT * (row * s.length + t) * s.channels + at
                    _store(du + to, here + DINPUT, count)
                    if s.rank == 0:
                        _store(ddelta + to, here + DSTEP, count)
                    for r in range(s.rank):
                        low = s.delta + FLOAT * (row * s.delta_row + t * s.delta_step + r)
                        _low_rank(dw + (mine * s.rank + r) * BLOCK, dlow + i * low_wide + r * VECTOR,
                                  s.w + (q * s.rank + r) * BLOCK, low, here + DSTEP)  # fmt: skip
            parts = task % s.groups * (tasks // s.groups) + row
            for i in range(steps):
                to = dlines + FLOAT * (s.rank + 2 * s.states) * (parts * s.length + start + way * i)
                _write_lines(s, to, dlow + i * low_wide, db_dc + i * wide, line)
        if dinitial != 0:
            _copy_rows(dinitial + place, carry, rows)


@loop
def _write_lines(s, to, dlow, db_dc, line):
    """The gradients of low, B and C at one position, which stand as `_low_rank` and `_back` left them, in one row."""
    for p in range(0, s.rank, LANES):
        _sum_lanes(line, dlow + p * VECTOR)
        for r in range(p, min(p + LANES, s.rank)):
            _move(to + FLOAT * r, line + FLOAT * (r - p))
    for n in range(s.states):
        place = db_dc + FLOAT * (n + n // TOGETHER * TOGETHER)
        _move(to + FLOAT * (s.rank + n), place)
        _move(to + FLOAT * (s.rank + s.states + n), place + FLOAT * TOGETHER)


def backward_scratch(blocks: int, states: int, rank: int) -> int:
    """Bytes a worker needs for groups of `blocks` blocks."""
    low = -(-rank // LANES) * LANES * VECTOR
    return STEPS * (BACKWARD_ROWS + FLOAT * 4 * states + low) + VECTOR + (2 * STEPS + 1 + blocks) * states * BLOCK
