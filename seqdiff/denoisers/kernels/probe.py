"""Whether the kernels work here: a small one is run and its numbers are looked at."""

import math
from array import array

from seqdiff.denoisers.kernels.compiled import arguments, kernel, taken
from seqdiff.denoisers.kernels.vectors import FLOAT, LANES, Row, inlined, softplus
from seqdiff.errors import SeqdiffError

VECTOR = FLOAT * LANES


@inlined
def _softplus(y: Row, slope: Row, x: Row):
    y[0], slope[0] = softplus(x[0])


@kernel
def forward(shared):
    (tasks, x, y, slope) = arguments(shared, 4)
    while True:
        task = taken(shared, 0)
        if task >= tasks:
            return
        o = task * VECTOR
        _softplus(y + o, slope + o, x + o)


def check() -> None:
    """Raises SeqdiffError when a softplus and its slope are not what they should be."""
    tasks = 4
    numbers = [20 * i / (tasks * LANES) - 10 for i in range(tasks * LANES)]
    x, y, slope = array("f", numbers), array("f", numbers), array("f", numbers)
    forward(tasks, *(part.buffer_info()[0] for part in (x, y, slope)))
    for number, value, derivative in zip(numbers, y, slope):
        right = math.log1p(math.exp(number)), 1 / (1 + math.exp(-number))
        if not all(math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-6) for a, b in zip((value, derivative), right)):
            raise SeqdiffError(f"softplus and its slope at {number} are {right}, computed were {value}, {derivative}")
