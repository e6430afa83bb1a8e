"""Means with honest standard errors: the windows are the sample, not the bases in them."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Num


class Estimate(NamedTuple):
    """A value and its standard error; the error is None where a single window leaves it unknown.

    >>> str(Estimate(1.91234, 0.00321))
    '1.9123 ± 0.0032'
    """

    value: float
    se: float | None

    def __str__(self) -> str:
        return self.format()

    def format(self, digits: int = 4, sign: bool = False) -> str:
        value = f"{self.value:{'+' if sign else ''}.{digits}f}"
        return value if self.se is None else f"{value} ± {self.se:.{digits}f}"

    def of(self, name: str) -> dict[str, float | None]:
        """As JSON: {name: value, "se": error}."""
        return {name: self.value, "se": self.se}


def ratio(totals: Num[np.ndarray, "N"], counts: Num[np.ndarray, "N"]) -> Estimate:
    """sum totals / sum counts over N windows, with the standard error of the ratio estimator.

    se^2 = N/(N-1) sum (total_i - R count_i)^2 / (sum counts)^2 (Cochran 1977, Sampling Techniques, ch. 6):
    letters of one window are not independent, so a window is the unit. Windows without letters are left out.

    >>> ratio(np.array([2.0, 4.0]), np.array([1.0, 1.0]))
    Estimate(value=3.0, se=1.0)
    """
    totals, counts = np.asarray(totals, np.float64), np.asarray(counts, np.float64)
    totals, counts = totals[counts > 0], counts[counts > 0]
    windows, count = len(counts), counts.sum()
    assert windows, "no window to take a mean over"
    value = float(totals.sum() / count)
    if windows == 1:
        return Estimate(value, None)
    spread = np.square(totals - value * counts).sum() * windows / (windows - 1)
    return Estimate(value, float(np.sqrt(spread) / count))
