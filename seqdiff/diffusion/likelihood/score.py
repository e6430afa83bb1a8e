"""A score and its error: what every way to score a sequence answers with, and how independent errors add up."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from seqdiff.diffusion.categorical import not_a_number


@dataclass(frozen=True)
class Score:
    """Sums over each row's scored positions, on the CPU. Perplexity is exp(sum of nats / sum of positions)."""

    nats: Float64[Tensor, "B"]
    """Estimate of -log p of the row, or of the bound on it; of a pseudo-likelihood neither."""
    se: Float64[Tensor, "B"]
    """Its standard error in nats; 0 where it is exact, NaN with a single replicate or order."""
    df: Float64[Tensor, "B"]
    """Degrees of freedom of `se`: nats +- t(df) se is the interval. Infinite where se is 0, NaN where it is NaN."""
    positions: Int64[Tensor, "B"]
    calls: Int64[Tensor, "B"]
    """Network passes that the row took part in."""
    orders: Float64[Tensor, "B S"] | None = None
    """-log p of the row in each order, of a chain rule."""

    def checked(self) -> "Score":
        """This score. Raises SeqdiffError if it is not a number."""
        if self.nats.isnan().any():
            raise not_a_number()
        return self


def mixture(orders: Float64[Tensor, "*B S"]) -> Float64[Tensor, "*B"]:
    """-log of the mean of p over orders: the mixture of the orders' models, never above the mean of -log p.

    >>> round(mixture(-torch.tensor([0.5, 0.25], dtype=torch.float64).log()).exp().item(), 9)  # 1 / mean of p
    2.666666667
    """
    return math.log(orders.shape[-1]) - torch.logsumexp(-orders, dim=-1)


def stratified(values: Sequence[Sequence[float]], shares: Sequence[float]) -> tuple[float, float, float]:
    """Estimate sum_j shares_j E[values_j], its standard error and degrees of freedom, from replicates x strata.

    Strata are independent, so is every value: the variance is sum_j shares_j^2 s_j^2 / R, s_j^2 the variance over the
    R replicates within stratum j. NaN, NaN with one replicate.

    >>> stratified([[1.0, 5.0], [3.0, 5.0]], [0.5, 0.5])
    (3.5, 0.5, 1.0)
    """
    replicates = len(values)
    means = [math.fsum(column) / replicates for column in zip(*values, strict=True)]
    estimate = math.fsum(share * mean for share, mean in zip(shares, means, strict=True))
    if replicates == 1:
        return estimate, math.nan, math.nan
    variances = [
        share**2 * math.fsum((value - mean) ** 2 for value in column) / (replicates - 1) / replicates
        for share, mean, column in zip(shares, means, zip(*values, strict=True), strict=True)
    ]
    return estimate, *combined((variance, replicates - 1) for variance in variances)


def combined(parts: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """Standard error and degrees of freedom of a sum of independent estimates, from (variance, df) of each.

    df = (sum v)^2 / sum(v^2 / (df + 2)) - 2 (Welch 1947, Biometrika 34:28): Satterthwaite's with the bias of few
    degrees of freedom taken out; at most the sum of all. NaN spreads.

    >>> combined([(4.0, 3.0), (4.0, 3.0), (0.0, math.inf)])
    (2.8284271247461903, 6.0)
    """
    parts = [(variance, df) for variance, df in parts if variance != 0]
    if not parts:
        return 0.0, math.inf
    total = math.fsum(variance for variance, _ in parts)
    fourth = math.fsum(variance**2 / (df + 2) for variance, df in parts)
    return math.sqrt(total), min(total**2 / fourth - 2, math.fsum(df for _, df in parts))
