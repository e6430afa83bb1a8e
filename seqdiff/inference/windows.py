"""Where a network looks when a record is longer than its context.

Filling: each window holds up to half a context of letters to fill, with known letters on both sides.
A window that can see letters an earlier one fills is filled after it: a window's `level` is the round it is filled
in, and all windows of a round see the record as it was before the round. The plan depends on the record alone, so
results never depend on what else is in the batch.
"""

from bisect import bisect_right
from typing import NamedTuple

import numpy as np


class FillWindow(NamedTuple):
    """The network sees [start, end) of a record and fills the targets in [first, last)."""

    start: int
    end: int
    first: int
    last: int
    level: int


def plan(targets: np.ndarray, context: int) -> list[FillWindow]:
    """Windows that together fill every True of `targets` (L,) bool, left to right.

    A record that fits the context is one window. In a longer one the letters to fill stand in the middle
    half of their window, a quarter of the context on each side being flank (shifted inwards at the ends of
    the record). A gap longer than half a context is filled from left to right, each window resting on what
    the one before has filled: semi-autoregressive (math.md 5.8).

    >>> plan(np.array([False, True, False, True]), context=8)
    [FillWindow(start=0, end=4, first=1, last=4, level=0)]
    """
    length = len(targets)
    places = np.flatnonzero(targets)
    if not places.size:
        return []
    if length <= context:
        return [FillWindow(0, length, int(places[0]), int(places[-1]) + 1, 0)]
    core = max(1, context // 2)
    windows: list[FillWindow] = []
    next_place = 0
    while next_place < places.size:
        first = int(places[next_place])
        after = bisect_right(places, first + core - 1, lo=next_place)
        last = int(places[after - 1]) + 1
        middle = (first + last) // 2
        start = min(max(0, middle - context // 2), length - context)
        windows.append(FillWindow(start, start + context, first, last, _level(windows, start)))
        next_place = after
    return windows


def _level(earlier: list[FillWindow], start: int) -> int:
    """One round after the last window whose filled letters can be seen from `start` on."""
    level = 0
    for window in reversed(earlier):
        if window.last <= start:
            break
        level = max(level, window.level + 1)
    return level
