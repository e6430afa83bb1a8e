"""Gaps out of filled letters: unbroken runs of positions, across the blocks in which a table is read."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from seqdiff.data.filled_table import FilledLetters

HEAD = 144
"""Letters of a gap that are kept for its picture, from its first on."""


@dataclass(frozen=True)
class Open:
    """The last gap of what has been read: more of it may come."""

    name: str
    start: int
    end: int
    confidence: float
    bits: float
    before: int
    letters: UInt8[np.ndarray, "h"]
    probabilities: Float64[np.ndarray, "h K"]


@dataclass(frozen=True)
class ClosedGaps:
    """Gaps that have ended, column by column.

    `starts` count from 0; `confidence` is the sum of the probabilities of the filled letters, `bits` that of the
    entropies. A gap's known letters reach from `before`, where the gap before it ends (0: none), to `after`, where the
    next one begins (-1: none).
    """

    names: list[str]
    starts: Int64[np.ndarray, "g"]
    lengths: Int64[np.ndarray, "g"]
    confidence: Float64[np.ndarray, "g"]
    bits: Float64[np.ndarray, "g"]
    before: Int64[np.ndarray, "g"]
    after: Int64[np.ndarray, "g"]
    heads: list[tuple[UInt8[np.ndarray, "h"], Float64[np.ndarray, "h K"]]] | None
    """Of the first gap alone, where it began in an earlier block."""
    block: FilledLetters | None
    firsts: Int64[np.ndarray, "g"]
    """Where each gap begins in `block`."""

    def __len__(self) -> int:
        return len(self.starts)

    def head(self, gap: int) -> tuple[UInt8[np.ndarray, "h"], Float64[np.ndarray, "h K"]]:
        """Its first letters and their probabilities, at most `HEAD`."""
        if self.heads is not None and gap == 0:
            return self.heads[0]
        part = slice(int(self.firsts[gap]), int(self.firsts[gap] + min(self.lengths[gap], HEAD)))
        return self.block.letters[part].copy(), self.block.probabilities[part].copy()


class Gaps:
    """Takes letters block by block and gives the gaps that have ended."""

    def __init__(self) -> None:
        self._open: Open | None = None

    def add(
        self, block: FilledLetters, confidence: Float64[np.ndarray, "n"], bits: Float64[np.ndarray, "n"]
    ) -> ClosedGaps:
        """The gaps that ended in this block or at the end of the one before."""
        positions, was = block.positions, self._open
        record = np.repeat(np.arange(len(block.names)), np.diff(block.firsts, append=len(positions)))
        begins = np.ones(len(positions), bool)
        begins[1:] = (np.diff(positions) != 1) | (np.diff(record) != 0)
        firsts = np.flatnonzero(begins)
        lasts = np.append(firsts[1:], len(positions))
        names = [block.names[i] for i in record[firsts].tolist()]
        starts, ends = positions[firsts], positions[lasts - 1] + 1
        sums = np.add.reduceat(confidence, firsts), np.add.reduceat(bits, firsts)
        same = np.append(False, np.diff(record[firsts]) == 0)
        before = np.where(same, np.roll(ends, 1), 0)
        after = np.where(np.append(same[1:], False), np.roll(starts, -1), -1)
        heads = None
        columns = (starts, ends, *sums, before, after, firsts)
        beside = was is not None and was.name == names[0] and was.end <= starts[0]
        if beside and was.end == starts[0]:
            starts[0], before[0] = was.start, was.before
            sums[0][0] += was.confidence
            sums[1][0] += was.bits
            more = slice(0, min(int(lasts[0]), HEAD - len(was.letters)))
            heads = [(
                np.concatenate([was.letters, block.letters[more]]),
                np.concatenate([was.probabilities, block.probabilities[more]]),
            )]  # fmt: skip
        elif was is not None:
            before[0] = was.end if beside else 0
            ended = (was.start, was.end, was.confidence, was.bits, was.before, starts[0] if beside else -1, 0)
            columns = tuple(np.append(np.array([one], column.dtype), column) for one, column in zip(ended, columns))
            names, heads = [was.name, *names], [(was.letters, was.probabilities)]
        starts, ends, *sums, before, after, firsts = columns
        whole = ClosedGaps(names, starts, ends - starts, *sums, before, after, heads, block, firsts)
        last = len(whole) - 1
        self._open = Open(
            names[last], int(starts[last]), int(ends[last]), float(sums[0][last]), float(sums[1][last]),
            int(before[last]), *whole.head(last),
        )  # fmt: skip
        return _all_but_last(whole)

    def finish(self) -> ClosedGaps | None:
        """The gap with which the table ends; None where it has none."""
        if self._open is None:
            return None
        was, self._open = self._open, None
        numbers = [np.array([number]) for number in (was.start, was.end - was.start)]
        sums = [np.array([number]) for number in (was.confidence, was.bits)]
        ends = [np.array([number]) for number in (was.before, -1)]
        return ClosedGaps(
            [was.name], *numbers, *sums, *ends, [(was.letters, was.probabilities)], None, np.zeros(1, np.int64)
        )


def _all_but_last(gaps: ClosedGaps) -> ClosedGaps:
    columns = ("names", "starts", "lengths", "confidence", "bits", "before", "after", "firsts")
    return replace(gaps, **{name: getattr(gaps, name)[:-1] for name in columns})
