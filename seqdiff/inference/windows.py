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


def plan(targets: np.ndarray, context: int, stride: int | None = None, in_order: bool = False) -> list[FillWindow]:
    """Windows that together fill every True of `targets` (L,) bool, left to right.

    A record that fits the context is one window. In a longer one each window fills targets of at most `stride`
    letters (1 to `context` - 1; half of the context, unless told otherwise), in its middle, so that half of the other
    letters are flank on each side (shifted inwards at the ends of the record). Letters to be filled later at the
    right end of a window are traded for more of what is on its left. So a gap longer than `stride` is filled from
    left to right, each window resting on the `context` - `stride` letters before it, which the one before has filled:
    semi-autoregressive (math.md 5.8; Sahoo et al. 2024, arXiv:2406.07524).

    Windows that do not see each other's targets share a level and are filled together; with `in_order` each is a level
    of its own, so that no window sees what is filled to the right of it.

    Raises ValueError for a stride that leaves no room for a flank.

    >>> plan(np.array([False, True, False, True]), context=8)
    [FillWindow(start=0, end=4, first=1, last=4, level=0)]
    """
    if stride is not None and not 1 <= stride < context:
        raise ValueError(
            f"a stride of {stride} letters does not suit a context of {context}: give 1 to {context - 1}, the letters "
            "that a window fills; it sees the others"
        )
    length = len(targets)
    places = np.flatnonzero(targets)
    if not places.size:
        return []
    if length <= context:
        return [FillWindow(0, length, int(places[0]), int(places[-1]) + 1, 0)]
    core = stride or max(1, context // 2)
    windows: list[FillWindow] = []
    next_place = 0
    while next_place < places.size:
        first = int(places[next_place])
        after = bisect_right(places, first + core - 1, lo=next_place)
        last = int(places[after - 1]) + 1
        start = _start(targets, first, last, context)
        level = len(windows) if in_order else _level(windows, start)
        windows.append(FillWindow(start, start + context, first, last, level))
        next_place = after
    return windows


def _start(targets: np.ndarray, first: int, last: int, context: int) -> int:
    """Where the window that fills [first, last) begins: around them, but never ending in letters that nobody knows."""
    end = min(max(context, (first + last) // 2 + context - context // 2), len(targets))
    known = np.flatnonzero(~targets[last:end])
    useful = last + int(known[-1]) + 1 if known.size else last
    return max(0, useful - context)


def _level(earlier: list[FillWindow], start: int) -> int:
    """One round after the last window whose filled letters can be seen from `start` on."""
    level = 0
    for window in reversed(earlier):
        if window.last <= start:
            break
        level = max(level, window.level + 1)
    return level
