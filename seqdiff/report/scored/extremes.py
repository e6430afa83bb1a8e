"""The highest and the lowest scores, exactly, whatever the size of the file."""

import bisect
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64


class Extremes:
    """Keeps so many of the highest and as many of the lowest scores; of equal ones the first."""

    def __init__(self, number: int):
        self._number, self._seen = number, 0
        self._kept: dict[int, list[tuple[float, int, Any]]] = {1: [], -1: []}

    def add(self, llr: Float64[np.ndarray, "n"], chosen: Bool[np.ndarray, "n"], columns: tuple[Any, ...]) -> None:
        """Scores, which of them count, and what is kept of each: a value of every column."""
        places = np.flatnonzero(chosen)
        for sign, kept in self._kept.items():
            scores = -sign * llr[places]  # ascending: the best first
            least = kept[-1][0] if len(kept) == self._number else np.inf
            better = np.flatnonzero(scores < least)
            for place in better[np.argsort(scores[better], kind="stable")][: self._number].tolist():
                row = tuple(column[places[place]] for column in columns)
                bisect.insort(kept, (float(scores[place]), self._seen + place, row), key=lambda one: one[:2])
            del kept[self._number :]
        self._seen += len(places)

    @property
    def all(self) -> bool:
        """Whether everything that came is among the lowest."""
        return self._seen <= self._number

    @property
    def highest(self) -> list[Any]:
        """What was kept, from the highest score on."""
        return [row for *_, row in self._kept[1]]

    @property
    def lowest(self) -> list[Any]:
        """What was kept, from the lowest score on."""
        return [row for *_, row in self._kept[-1]]
