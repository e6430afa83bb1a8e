"""Division of work in order: runs of neighbours, of which the largest is as small as it can be."""

import numpy as np
from jaxtyping import Int64


def partition(work: Int64[np.ndarray, " n"], parts: int) -> list[int]:
    """Where each of `parts` runs of items begins, and after them the number of items.

    The work of the largest run is the least possible (the linear partition problem, by bisection of that work). No run
    is empty where there are as many items as runs; else the last ones are.

    >>> partition(np.array([5, 1, 1, 1, 2]), 3)
    [0, 1, 4, 5]
    """
    until = np.concatenate([[0], np.cumsum(work)])
    low, high = int(work.max(initial=0)), int(until[-1])
    while low < high:
        middle = (low + high) // 2
        if _cuts(until, parts, middle)[-1] == len(work):
            high = middle
        else:
            low = middle + 1
    return _cuts(until, parts, low)


def _cuts(until: Int64[np.ndarray, " m"], parts: int, most: int) -> list[int]:
    """Runs of at most so much work, each as long as it may be and leaves an item for each that follows."""
    cuts, items = [0], len(until) - 1
    for left in range(parts - 1, -1, -1):
        first = cuts[-1]
        end = int(np.searchsorted(until, until[first] + most, "right")) - 1
        cuts.append(max(min(end, items - left), min(first + 1, end)))
    return cuts
