"""What of a filled sequence a picture shows: its gaps, each with the known letters beside it."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from seqdiff.report.logo import LONGEST_ROW

FLANK = 14
"""Known letters shown on either side."""
MOST_ROWS = 60
"""Of a picture: about twenty thousand dots high."""


def every_gap(
    sequence: str, positions: np.ndarray, marginals: np.ndarray, symbols: str, flank: int = FLANK
) -> Iterator[dict[str, Any]]:
    """The unbroken gaps of a filled sequence in their order, as `logo_figure` draws them.

    `positions` (n,) are the 0-based places that were filled, in order, and `marginals` (n, K) what was said there.
    A flank ends where another gap begins: what is shown as known was known.

    >>> found = every_gap("ACGTA", np.array([1, 3]), np.full((2, 4), 0.25), "ACGT")
    >>> [(gap["left"], gap["filled"], gap["right"], gap["start"]) for gap in found]
    [('A', 'C', 'G', 2), ('G', 'T', 'A', 4)]
    """
    before = 0
    for run in _runs(positions):
        first, last = int(positions[run.start]), int(positions[run.stop - 1]) + 1
        after = int(positions[run.stop]) if run.stop < len(positions) else len(sequence)
        yield {
            "left": sequence[max(before, first - flank) : first],
            "right": sequence[last : min(after, last + flank)],
            "filled": sequence[first:last],
            "probabilities": marginals[run],
            "symbols": symbols,
            "start": first + 1,
        }
        before = last


def longest_gap(
    sequence: str, positions: np.ndarray, marginals: np.ndarray, symbols: str, flank: int = FLANK
) -> dict[str, Any]:
    """The longest unbroken gap of a filled sequence, at most two rows of it."""
    longest = max(every_gap(sequence, positions, marginals, symbols, flank), key=lambda gap: len(gap["filled"]))
    return that_fit([longest], rows=2)[0][0]


def that_fit(gaps: Iterable[Mapping[str, Any]], rows: int = MOST_ROWS) -> tuple[list[dict[str, Any]], int]:
    """The first gaps that fill this many rows of a picture, and how many filled letters are left out for it.

    A gap that is longer than what room is left is cut, and then has no right flank.
    """
    shown, left_out = [], 0
    for gap in gaps:
        length, left, right = (len(gap[part]) for part in ("filled", "left", "right"))
        fits = length if left + length + right <= rows * LONGEST_ROW else max(0, rows * LONGEST_ROW - left)
        left_out += length - min(fits, length)
        if not fits:
            continue
        if fits < length:
            gap = dict(gap) | {what: gap[what][:fits] for what in ("filled", "probabilities")} | {"right": ""}
        shown.append(dict(gap))
        rows -= -(-(left + min(fits, length) + len(gap["right"])) // LONGEST_ROW)
    return shown, left_out


def _runs(positions: np.ndarray) -> Iterator[slice]:
    """Stretches of successive positions, as slices of `positions`."""
    breaks = np.flatnonzero(np.diff(positions) != 1) + 1
    edges = [0, *breaks.tolist(), len(positions)]
    return (slice(first, last) for first, last in itertools.pairwise(edges) if first < last)
