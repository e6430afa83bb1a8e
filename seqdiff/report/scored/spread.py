"""How scores are spread: counts in narrow bins, from which histograms and medians come, and exact means."""

import math

import numpy as np
from jaxtyping import Float64, Int64

WIDTH = 0.05
"""Nats."""
REACH = 100.0
"""Scores further from 0 are counted in the bins at the ends."""
BINS = round(2 * REACH / WIDTH)


class Spread:
    """Scores of several classes, counted class by class."""

    def __init__(self, classes: int):
        self.counts = np.zeros((classes, BINS), np.int64)
        self.sums = np.zeros(classes)
        self.squares = np.zeros(classes)
        self.below = np.zeros(classes, np.int64)
        """How many are less than 0: less probable than what was."""
        self.low = np.full(classes, np.inf)
        self.high = np.full(classes, -np.inf)

    def add(self, classes: Int64[np.ndarray, "n"], llr: Float64[np.ndarray, "n"]) -> None:
        """Finite scores, nats."""
        if not len(llr):
            return
        number = len(self.sums)
        place = np.clip(((llr + REACH) / WIDTH).astype(np.int64), 0, BINS - 1)
        flat = np.bincount(classes * BINS + place, minlength=number * BINS)
        self.counts += flat.reshape(number, BINS)
        self.sums += np.bincount(classes, llr, number)
        self.squares += np.bincount(classes, llr * llr, number)
        self.below += np.bincount(classes[llr < 0], minlength=number)
        np.minimum.at(self.low, classes, llr)
        np.maximum.at(self.high, classes, llr)

    def number(self, one: int) -> int:
        """Scores of a class."""
        return int(self.counts[one].sum())

    def mean(self, one: int) -> float:
        return float(self.sums[one]) / self.number(one)

    def deviation(self, one: int) -> float:
        """The standard deviation, NaN for a single score."""
        number = self.number(one)
        if number < 2:
            return math.nan
        return math.sqrt(max(0.0, (float(self.squares[one]) - float(self.sums[one]) ** 2 / number) / (number - 1)))

    def quantile(self, one: int, share: float) -> float:
        """A quantile, interpolated in its bin of `WIDTH`, and never beyond all scores."""
        rank, reached = max(1, math.ceil(share * self.number(one))), np.cumsum(self.counts[one])
        place = int(np.searchsorted(reached, rank))
        inside = int(self.counts[one, place])
        middle = (place + (rank - (int(reached[place]) - inside) - 0.5) / inside) * WIDTH - REACH
        return min(max(middle, float(self.low[one])), float(self.high[one]))

    def histogram(self, most: int = 60) -> tuple[Float64[np.ndarray, "b+1"], Int64[np.ndarray, "c b"], int]:
        """Edges of at most so many bars, the counts of each class, and how many scores lie beyond the edges.

        The edges hold all but half a percent of the scores, if these would make the bars much wider.
        """
        total = self.counts.sum(0)
        there = np.flatnonzero(total)
        if not len(there):
            return np.array([-1.0, 0.0]), np.zeros((len(self.sums), 1), np.int64), 0
        low, high = int(there[0]), int(there[-1]) + 1
        reached = np.cumsum(total) / total.sum()
        inner = int(np.searchsorted(reached, 0.0025)), int(np.searchsorted(reached, 0.9975)) + 1
        if high - low > 2 * (inner[1] - inner[0]):
            low, high = inner
        step = next(size for size in (1, 2, 4, 5, 10, 20, 40, 100, 200) if (high - low) / size <= most - 2)
        low, high = low // step * step, -(-high // step) * step
        counts = self.counts[:, low:high].reshape(len(self.sums), -1, step).sum(-1)
        edges = np.arange(low, high + 1, step) * WIDTH - REACH
        return edges, counts, int(total.sum() - counts.sum())
