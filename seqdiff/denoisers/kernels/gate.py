"""What is left of a bidirectional layer after both scans: out = (y_1 + y_2) silu(z), and its gradients, fused.

Memory is ordered (rows, channels); a task is SLAB rows.
"""

from seqdiff.denoisers.kernels.compiled import arguments, kernel, taken
from seqdiff.denoisers.kernels.vectors import FLOAT, LANES, Row, fma, inlined, sigmoid

SLAB = 64


@inlined
def _gate(out: Row, first: Row, second: Row, both: int, z: Row, count: int):
    """`first` becomes the sum, if `both` is 1."""
    x = z.first(count)
    total = first.first(count) + second.first(both)
    first.set_first(count, total)
    out.set_first(count, total * (x * sigmoid(x)))


@inlined
def _back(dy: Row, dz: Row, dout: Row, y: Row, z: Row, count: int):
    x, g = z.first(count), dout.first(count)
    s = sigmoid(x)
    silu = x * s
    dy.set_first(count, g * silu)
    dz.set_first(count, g * y.first(count) * fma(silu, s.same(1) - s, s))


@kernel
def forward(shared):
    (tasks, rows, channels, first, second, both, z, z_row, out) = arguments(shared, 9)
    while True:
        task = taken(shared, 0)
        if task >= tasks:
            return
        for r in range(task * SLAB, min((task + 1) * SLAB, rows)):
            at = FLOAT * r * channels
            for c in range(0, channels, LANES):
                o, count = at + FLOAT * c, channels - c
                _gate(out + o, first + o, second + o, count * both, z + FLOAT * (r * z_row + c), count)


@kernel
def backward(shared):
    (tasks, rows, channels, dout, dout_row, y, z, z_row, dy, dz, dz_row) = arguments(shared, 11)
    while True:
        task = taken(shared, 0)
        if task >= tasks:
            return
        for r in range(task * SLAB, min((task + 1) * SLAB, rows)):
            for c in range(0, channels, LANES):
                o = FLOAT * (r * channels + c)
                _back(dy + o, dz + FLOAT * (r * dz_row + c), dout + FLOAT * (r * dout_row + c), y + o,
                      z + FLOAT * (r * z_row + c), channels - c)  # fmt: skip
