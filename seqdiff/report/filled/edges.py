"""How sure a model is of a letter, by its distance to the nearest known one."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64, Int64

REACH = 256
"""Letters from an edge of a gap: what lies further in is counted together."""
BINS = tuple(2**power for power in range(9))
"""The largest distance of each bin: 1, 2, 4, ..., 256; beyond them is one more."""


class Edges:
    """Sums by distance: 1 is a letter beside a known one. Gaps may go on from block to block."""

    def __init__(self) -> None:
        self.count = np.zeros(len(BINS) + 1, np.int64)
        self.confidence = np.zeros(len(BINS) + 1)
        self.bits = np.zeros(len(BINS) + 1)
        self._held: tuple[np.ndarray, ...] = _nothing()

    def add(
        self,
        firsts: Int64[np.ndarray, "p"],
        goes_on: bool,
        confidence: Float64[np.ndarray, "n"],
        bits: Float64[np.ndarray, "n"],
    ) -> None:
        """A block whose pieces of gaps begin at `firsts`; `goes_on`: the first of them is more of the last gap."""
        if not goes_on:
            self.finish()
        lengths = np.diff(firsts, append=len(confidence))
        left = np.arange(1, len(confidence) + 1) - np.repeat(firsts, lengths)
        right = np.repeat(lengths, lengths) - left + 1
        if goes_on:
            began = self._held[0][-1]
            left[: lengths[0]] += began
        held, self._held = self._held, _nothing()
        columns = [np.concatenate([old, new]) for old, new in zip(held, (left, confidence, bits), strict=True)]
        behind = len(held[0])
        whole = np.concatenate([lengths[0] + np.arange(behind, 0, -1), right]) if behind else right
        # Of the last gap the right end is not known yet: what is further from its end than REACH is so for good.
        last = np.arange(len(whole)) >= (firsts[-1] + behind if len(firsts) > 1 else 0)
        waits = last & (np.arange(len(whole)) >= len(whole) - REACH)
        whole[last] = REACH + 1
        self._held = tuple(column[waits] for column in columns)
        self._count(np.minimum(columns[0], whole)[~waits], columns[1][~waits], columns[2][~waits])

    def finish(self) -> None:
        """The last gap has ended."""
        left, confidence, bits = self._held
        self._held = _nothing()
        self._count(np.minimum(left, np.arange(len(left), 0, -1)), confidence, bits)

    def rows(self) -> Iterator[tuple[str, int, float, float]]:
        """Distance, letters, their mean probability and entropy (bits), of those that there are."""
        for i, count in enumerate(self.count.tolist()):
            if count:
                low, high = (BINS[i - 1] + 1 if i else 1), (BINS[i] if i < len(BINS) else None)
                name = f"over {REACH:,}" if high is None else f"{high:,}" if low == high else f"{low:,} to {high:,}"
                yield name, count, self.confidence[i] / count, self.bits[i] / count

    def _count(
        self, distance: Int64[np.ndarray, "m"], confidence: Float64[np.ndarray, "m"], bits: Float64[np.ndarray, "m"]
    ) -> None:
        place, size = np.searchsorted(BINS, distance), len(BINS) + 1
        self.count += np.bincount(place, minlength=size)
        self.confidence += np.bincount(place, confidence, size)
        self.bits += np.bincount(place, bits, size)


def _nothing() -> tuple[np.ndarray, ...]:
    return np.zeros(0, np.int64), np.zeros(0), np.zeros(0)
