"""Scores along contigs: every one while there are few, then what lies in bins that grow with the contig."""

import itertools
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64, Int64

POINTS = 4000
"""Scores that are drawn one by one."""
BINS = 256
"""Of a contig, at most."""
LINES = 3000
"""Bins that are drawn, of all contigs together."""
CONTIGS = 200
"""Contigs that are drawn, from the first on; others are counted."""


@dataclass
class Contig:
    """Scores in `BINS` bins of `width` bases each, which doubles whenever a position lies beyond them."""

    width: int = 1
    begin: int = -1
    """The first position with a score; -1: none yet."""
    end: int = 0
    """Behind the last one."""
    count: Int64[np.ndarray, "b"] = field(default_factory=lambda: np.zeros(BINS, np.int64))
    total: Float64[np.ndarray, "b"] = field(default_factory=lambda: np.zeros(BINS))
    low: Float64[np.ndarray, "b"] = field(default_factory=lambda: np.full(BINS, np.inf))
    high: Float64[np.ndarray, "b"] = field(default_factory=lambda: np.full(BINS, -np.inf))

    def add(self, positions: Int64[np.ndarray, "n"], llr: Float64[np.ndarray, "n"]) -> None:
        """Positions count from 0."""
        first, last = int(positions.min()), int(positions.max())
        self.begin = first if self.begin < 0 else min(self.begin, first)
        self.end = max(self.end, last + 1)
        while last >= self.width * BINS:
            self._widen()
        place = positions // self.width
        self.count += np.bincount(place, minlength=BINS)
        self.total += np.bincount(place, llr, BINS)
        np.minimum.at(self.low, place, llr)
        np.maximum.at(self.high, place, llr)

    def drawn(self, merged: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Middle, lowest, mean and highest of the bins that hold scores, so many of them (a power of two) as one."""
        shape = (-1, merged)
        count, total = self.count.reshape(shape).sum(1), self.total.reshape(shape).sum(1)
        there = np.flatnonzero(count)
        middle = np.clip((there + 0.5) * self.width * merged, self.begin, self.end - 1)
        low, high = self.low.reshape(shape).min(1), self.high.reshape(shape).max(1)
        return middle, low[there], total[there] / count[there], high[there]

    def _widen(self) -> None:
        self.width *= 2
        pairs = (-1, 2)
        for name, merged, empty in (
            ("count", self.count.reshape(pairs).sum(1), 0),
            ("total", self.total.reshape(pairs).sum(1), 0.0),
            ("low", self.low.reshape(pairs).min(1), np.inf),
            ("high", self.high.reshape(pairs).max(1), -np.inf),
        ):
            setattr(self, name, np.append(merged, np.full(BINS // 2, empty, merged.dtype)))


class Along:
    """Scores by contig, in the order in which contigs come."""

    def __init__(self) -> None:
        self.contigs: dict[str, Contig] = {}
        self.scores = self.elsewhere = 0
        """Scores in all, and of contigs that are not drawn."""
        self._points: list[tuple[str, np.ndarray, np.ndarray, np.ndarray]] = []

    def add(
        self,
        contigs: list[str],
        positions: Int64[np.ndarray, "n"],
        llr: Float64[np.ndarray, "n"],
        classes: Int64[np.ndarray, "n"],
    ) -> None:
        """Finite scores; positions count from 1."""
        edges = [0, *(i for i in range(1, len(contigs)) if contigs[i] != contigs[i - 1]), len(contigs)]
        for first, last in itertools.pairwise(edges):
            if first == last:
                continue
            name, part = contigs[first], slice(first, last)
            self.scores += last - first
            if name not in self.contigs and len(self.contigs) == CONTIGS:
                self.elsewhere += last - first
                continue
            places = np.maximum(positions[part] - 1, 0)
            self.contigs.setdefault(name, Contig()).add(places, llr[part])
            if self.scores <= POINTS:
                self._points.append((name, places, llr[part], classes[part]))
            else:
                self._points = []

    def bins(self) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """Of each contig what `Contig.drawn` gives, of so wide bins that there are at most `LINES` in all."""
        merged = 1
        while True:
            found = {name: contig.drawn(merged) for name, contig in self.contigs.items()}
            if merged == BINS or sum(len(middle) for middle, *_ in found.values()) <= LINES:
                return found
            merged *= 2

    @property
    def points(self) -> list[tuple[str, np.ndarray, np.ndarray, np.ndarray]] | None:
        """Contig, positions from 0, scores and classes, where there are few enough to draw each."""
        return self._points if self.scores <= POINTS else None
