"""Mean scores of substitutions by the letter that was and the letter that is."""

import numpy as np
from jaxtyping import Float64, Int64


class Exchange:
    """Counts and sums of K x K: a row for the letter that was, a column for the one that is."""

    def __init__(self, symbols: str):
        self.symbols = symbols
        self.count = np.zeros((len(symbols), len(symbols)), np.int64)
        self.total = np.zeros((len(symbols), len(symbols)))

    def add(self, before: Int64[np.ndarray, "n"], after: Int64[np.ndarray, "n"], llr: Float64[np.ndarray, "n"]) -> None:
        """Numbers of symbols, and scores."""
        size, cells = len(self.symbols), before * len(self.symbols) + after
        self.count += np.bincount(cells, minlength=size * size).reshape(size, size)
        self.total += np.bincount(cells, llr, size * size).reshape(size, size)

    @property
    def mean(self) -> Float64[np.ndarray, "K K"]:
        """NaN where there are none."""
        with np.errstate(invalid="ignore"):
            return np.where(self.count > 0, self.total / self.count, np.nan)
