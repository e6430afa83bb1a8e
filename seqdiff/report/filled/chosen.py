"""The gaps that a page shows: the first, the longest, the surest and the least sure, chosen while a table is read."""

import bisect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64, UInt8

from seqdiff.report.filled.gaps import ClosedGaps

SHORTEST = 5
"""Letters: of shorter gaps none is called sure or unsure where there are longer ones."""
FEW = 12
"""Gaps: where there are no more, all are shown in their order."""
SHOWN_SAMPLES = 8
"""Fillings of one gap that are shown below one another."""


@dataclass
class Shown:
    """A gap with what a picture of it needs."""

    name: str
    base: str
    """The record's name without the number of the sample."""
    start: int
    length: int
    confidence: float
    """Mean probability of the filled letters."""
    bits: float
    """Mean entropy."""
    before: int
    after: int
    letters: UInt8[np.ndarray, "h"]
    probabilities: Float64[np.ndarray, "h K"]
    others: dict[int, UInt8[np.ndarray, "h"]] = field(default_factory=dict)
    """The same letters in other samples, by the sample's number."""

    def add_sample(self, number: int, positions: np.ndarray, letters: UInt8[np.ndarray, "n"]) -> None:
        """What of another filling lies in the part of this gap that is shown; positions ascend."""
        if number > SHOWN_SAMPLES:
            return
        low, high = np.searchsorted(positions, (self.start, self.start + len(self.letters))).tolist()
        if low < high:
            other = self.others.setdefault(number, np.full(len(self.letters), ord("."), np.uint8))
            other[positions[low:high] - self.start] = letters[low:high]


class Best:
    """The gaps of the highest scores, of equal ones the first."""

    def __init__(self, number: int, score: Callable[[ClosedGaps, int], Float64[np.ndarray, "g"]]):
        self._number, self._score = number, score
        self._kept: list[tuple[float, int, Shown]] = []

    def offer(self, gaps: ClosedGaps, allowed: np.ndarray, order: int, make: Callable[[int], Shown]) -> None:
        """`order` is how many gaps came before; `make` gives the gap of a number."""
        scores = np.where(allowed, self._score(gaps, order), -np.inf)
        least = -self._kept[-1][0] if len(self._kept) == self._number else -np.inf
        better = np.flatnonzero(scores > least)
        for gap in better[np.argsort(-scores[better], kind="stable")][: self._number].tolist():
            bisect.insort(self._kept, (-float(scores[gap]), order + gap, make(gap)), key=lambda kept: kept[:2])
        del self._kept[self._number :]

    def __iter__(self) -> Iterator[Shown]:
        return (shown for *_, shown in self._kept)


class Chosen:
    """All choices of a page, `number` gaps each."""

    def __init__(self, number: int):
        self._number, self._order = number, 0
        self.offered = 0
        """Gaps among which was chosen: those of the first filling of each record."""
        self._bests = {
            "first": Best(max(number, FEW), lambda gaps, order: -(order + np.arange(len(gaps))).astype(np.float64)),
            "longest": Best(number, lambda gaps, _: gaps.lengths.astype(np.float64)),
            "surest": Best(number, lambda gaps, _: np.where(gaps.lengths >= SHORTEST, -_bits(gaps), -np.inf)),
            "least sure": Best(number, lambda gaps, _: np.where(gaps.lengths >= SHORTEST, _bits(gaps), -np.inf)),
            "surest, short": Best(number, lambda gaps, _: -_bits(gaps)),
            "least sure, short": Best(number, lambda gaps, _: _bits(gaps)),
        }

    def offer(self, gaps: ClosedGaps, allowed: np.ndarray, base_of: Callable[[str], str]) -> None:
        made: dict[int, Shown] = {}

        def make(gap: int) -> Shown:
            if gap not in made:
                letters, probabilities = gaps.head(gap)
                name, length = gaps.names[gap], int(gaps.lengths[gap])
                means = (float(gaps.confidence[gap]) / length, float(gaps.bits[gap]) / length)
                places = int(gaps.before[gap]), int(gaps.after[gap])
                made[gap] = Shown(
                    name, base_of(name), int(gaps.starts[gap]), length, *means, *places, letters, probabilities
                )
            return made[gap]

        for best in self._bests.values():
            best.offer(gaps, allowed, self._order, make)
        self._order += len(gaps)
        self.offered += int(allowed.sum())

    def of_record(self, base: str) -> list[Shown]:
        """What is chosen of one record so far."""
        found = {id(shown): shown for best in self._bests.values() for shown in best if shown.base == base}
        return list(found.values())

    def groups(self) -> dict[str, list[Shown]]:
        """By why they are shown; a gap that is chosen twice stands where it is first."""
        if self.offered <= FEW:
            return {"all": list(self._bests["first"])}
        long = any(True for _ in self._bests["surest"])
        seen: set[int] = set()
        groups = {}
        for why in ("surest", "least sure", "longest", "first"):
            best = self._bests[why if long or why not in ("surest", "least sure") else f"{why}, short"]
            best = list(best)[: self._number]
            groups[why] = [shown for shown in best if id(shown) not in seen]
            seen.update(map(id, best))
        return groups


def _bits(gaps: ClosedGaps) -> Float64[np.ndarray, "g"]:
    """Mean entropy of a letter."""
    return gaps.bits / gaps.lengths
