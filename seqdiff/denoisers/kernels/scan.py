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

from typing import NamedTuple

from seqdiff.denoisers.kernels.compiled import arguments, kernel, loop, taken
from seqdiff.denoisers.kernels.steps import (
    BLOCK,
    CHANNELS,
    TOGETHER,
    VECTOR,
    add_loaded,
    add_product,
    advance,
    advance_again,
    copy_block,
    drive_block,
    gradients,
    load_block,
    low_rank_back,
    move,
    ones_block,
    prefetch,
    skip_input,
    softplus_slope,
    step_back,
    store_block,
    sum_lanes,
    zero_block,
    zero_vector,
)
from seqdiff.denoisers.kernels.vectors import FLOAT, LANES

STEPS = 48
"""Steps a chunk: its states, (STEPS, states, CHANNELS) twice, should not leave the cache."""

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
        copy_block(to + i * BLOCK, start + i * BLOCK)


@loop
def _zero_rows(to, rows):
    for i in range(rows):
        zero_block(to + i * BLOCK)


@loop
def _pack(s, bc, row, start, steps, way):
    """B and C of a chunk, each padded to all states: what lies beyond stays as it was."""
    wide = FLOAT * 2 * s.all_states
    for i in range(steps):
        t, here = start + way * i, bc + i * wide
        for n in range(s.states):
            move(here + FLOAT * n, s.b + FLOAT * (row * s.b_row + t * s.b_step + n))
            move(here + FLOAT * (s.all_states + n), s.c + FLOAT * (row * s.c_row + t * s.c_step + n))


@loop
def _prepare(s, work, wide, row, q, start, steps, way):
    """What of a block does not depend on the state: d, d u, u, and the slope of the softplus."""
    at, count = q * BLOCK, s.channels - q * CHANNELS
    for i in range(steps):
        t, here = start + way * i, work + i * wide
        delta = s.delta + FLOAT * (row * s.delta_row + t * s.delta_step)
        copy_block(here + STEP, s.bias + at)
        if s.rank == 0:
            add_loaded(here + STEP, delta + at, count)
        for r in range(s.rank):
            add_product(here + STEP, s.w + (q * s.rank + r) * BLOCK, delta + FLOAT * r)
        if s.soft:
            softplus_slope(here + STEP, here + SLOPE)
        else:
            ones_block(here + SLOPE)
        drive_block(here + STEP, here + DRIVE, here + INPUT, s.u + FLOAT * (row * s.u_row + t * s.u_step) + at, count)


@loop
def _ask(place, step, q, first, last, steps, ahead):
    """Prefetch from rows at `place`, `step` bytes apart, what the next block needs: here, or a chunk ahead."""
    side = (q + 1) * BLOCK if q + 1 < last else first * BLOCK + ahead * step
    for i in range(steps):
        prefetch(place + i * step + side)


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
            zero_vector(bc + i)
        for k in range(chunks):
            start, steps, way = _chunk(s, k)
            _pack(s, bc, row, start, steps, way)
            for q in range(first, last):
                h, at = state + (q - first) * square, q * BLOCK
                if kept != 0:
                    _copy_rows(kept + ((row * chunks + k) * blocks + q) * square, h, s.all_states)
                u = s.u + FLOAT * (row * s.u_row + start * s.u_step)
                _ask(u, FLOAT * way * s.u_step, q, first, last, steps, STEPS)
                _prepare(s, work, FORWARD_ROWS, row, q, start, steps, way)
                for i in range(steps):
                    here, lines = work + i * FORWARD_ROWS, bc + i * wide
                    skip_input(here + OUTPUT, here + INPUT, s.skip + at)
                    for n in range(0, s.all_states, TOGETHER):
                        advance(here + STEP, here + DRIVE, here + OUTPUT, s.rates + q * square + n * BLOCK,
                                h + n * BLOCK, lines + FLOAT * n, lines + FLOAT * (s.all_states + n))  # fmt: skip
                for i in range(steps):
                    to = y + FLOAT * (row * s.length + start + way * i) * s.channels + at
                    store_block(to, work + i * FORWARD_ROWS + OUTPUT, s.channels - q * CHANNELS)
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
            zero_vector(bc + i)
        for k in range(chunks - 1, -1, -1):
            start, steps, way = _chunk(s, k)
            _pack(s, bc, row, start, steps, way)
            for i in range(0, steps * wide, VECTOR):
                zero_vector(db_dc + i)
            for i in range(0, steps * low_wide, VECTOR):
                zero_vector(dlow + i)
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
                    prefetch(du + FLOAT * (row * s.length + t) * s.channels + at)
                    load_block(here + DY, dy + FLOAT * (row * dy_row + t * dy_step) + at, count)
                    zero_block(here + DINPUT)
                    zero_block(here + DSTEP)
                    for n in range(0, s.all_states, TOGETHER):
                        m = n * BLOCK
                        advance_again(here + STEP, here + DRIVE, rates + m, before + m, before + 2 * square + m,
                                      before + square + m, lines + FLOAT * n)  # fmt: skip
                for i in range(steps - 1, -1, -1):
                    here, lines, before = work + i * BACKWARD_ROWS, bc + i * wide, states + 2 * i * square
                    for n in range(0, s.all_states, TOGETHER):
                        m = n * BLOCK
                        step_back(here + STEP, here + DRIVE, here + DY, here + DINPUT, here + DSTEP, rates + m,
                                  before + m, before + 2 * square + m, before + square + m, back + m,
                                  drates + mine * square + m, lines + FLOAT * n, lines + FLOAT * (s.all_states + n),
                                  db_dc + i * wide + 2 * FLOAT * n)  # fmt: skip
                for i in range(steps):
                    here, t = work + i * BACKWARD_ROWS, start + way * i
                    gradients(here + STEP, here + INPUT, here + SLOPE, here + DY, here + DINPUT, here + DSTEP,
                               s.skip + at, dskip + mine * BLOCK, dbias + mine * BLOCK)  # fmt: skip
                    to = FLOAT * (row * s.length + t) * s.channels + at
                    store_block(du + to, here + DINPUT, count)
                    if s.rank == 0:
                        store_block(ddelta + to, here + DSTEP, count)
                    for r in range(s.rank):
                        low = s.delta + FLOAT * (row * s.delta_row + t * s.delta_step + r)
                        low_rank_back(dw + (mine * s.rank + r) * BLOCK, dlow + i * low_wide + r * VECTOR,
                                  s.w + (q * s.rank + r) * BLOCK, low, here + DSTEP)  # fmt: skip
            parts = task % s.groups * (tasks // s.groups) + row
            for i in range(steps):
                to = dlines + FLOAT * (s.rank + 2 * s.states) * (parts * s.length + start + way * i)
                _write_lines(s, to, dlow + i * low_wide, db_dc + i * wide, line)
        if dinitial != 0:
            _copy_rows(dinitial + place, carry, rows)


@loop
def _write_lines(s, to, dlow, db_dc, line):
    """The gradients of low, B and C at one position, as `low_rank_back` and `step_back` left them, in one row."""
    for p in range(0, s.rank, LANES):
        sum_lanes(line, dlow + p * VECTOR)
        for r in range(p, min(p + LANES, s.rank)):
            move(to + FLOAT * r, line + FLOAT * (r - p))
    for n in range(s.states):
        place = db_dc + FLOAT * (n + n // TOGETHER * TOGETHER)
        move(to + FLOAT * (s.rank + n), place)
        move(to + FLOAT * (s.rank + s.states + n), place + FLOAT * TOGETHER)


def backward_scratch(blocks: int, states: int, rank: int) -> int:
    """Bytes a worker needs for groups of `blocks` blocks."""
    low = -(-rank // LANES) * LANES * VECTOR
    return STEPS * (BACKWARD_ROWS + FLOAT * 4 * states + low) + VECTOR + (2 * STEPS + 1 + blocks) * states * BLOCK
