"""Schedules: how fast letters are masked. alpha(t) is the share still visible, m(t) = 1 - alpha(t) the share masked.

Time t runs from 0 (clean) to 1 (all masked). Every schedule from alpha = 1 to alpha = 0 gives the same bound on
-log p; it only decides which mask rates are visited how often, in training and in sampling.
"""

import math
from abc import ABC, abstractmethod
from typing import Annotated, Literal

import torch
from jaxtyping import Float64
from pydantic import Field
from torch import Tensor

from seqdiff.config import Config


class Curve(Config, ABC):
    """One monotone schedule. Times and shares are float64 tensors of any shape."""

    @abstractmethod
    def masked(self, t: Float64[Tensor, "*shape"]) -> Float64[Tensor, "*shape"]:
        """m(t), the share masked: the primitive, since 1 - alpha(t) would lose digits near t = 0."""

    @abstractmethod
    def rate(self, t: Float64[Tensor, "*shape"]) -> Float64[Tensor, "*shape"]:
        """-alpha'(t) / (1 - alpha(t)) >= 0, the weight of the cross-entropy in continuous time; infinite at t = 0."""

    @abstractmethod
    def inverse(self, masked: Float64[Tensor, "*shape"]) -> Float64[Tensor, "*shape"]:
        """The time t at which the share `masked` is masked."""

    def alpha(self, t: Float64[Tensor, "*shape"]) -> Float64[Tensor, "*shape"]:
        """The share still visible."""
        return 1 - self.masked(t)

    def grid(self, steps: int) -> Float64[Tensor, "{steps}+1"]:
        """Masked shares m(i / steps), i = 0..steps: strictly increasing, first exactly 0 and last exactly 1.

        >>> Linear().grid(4).tolist()
        [0.0, 0.25, 0.5, 0.75, 1.0]
        """
        shares = self.masked(torch.arange(steps + 1, dtype=torch.float64) / steps)
        shares[0], shares[-1] = 0.0, 1.0
        return shares

    def end_nats(self, symbols: int) -> float:
        """Nats a position that a bound integrated over t in [0, 1] lacks where the schedule stops short of its ends.

        (1 - alpha(0)) ln K for reconstructing what is masked at t = 0 with a uniform guess, plus alpha(1) ln K
        for the divergence of q(x_1) from the prior (1 - alpha(1)) mask + alpha(1) uniform. Without both the number
        is no bound (Shi et al. 2024, arXiv:2406.04329, count the first). Exactly 0 for all but `geometric`.
        """
        ends = self.masked(torch.tensor([0.0, 1.0], dtype=torch.float64))
        return float(ends[0] + (1 - ends[1])) * math.log(symbols)


class Linear(Curve):
    """alpha(t) = 1 - t.

    >>> Linear().alpha(torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64)).tolist()
    [1.0, 0.75, 0.0]
    """

    kind: Literal["linear"] = "linear"

    def masked(self, t: Float64[Tensor, "*shape"]) -> Float64[Tensor, "*shape"]:
        return t.clone()

    def rate(self, t: Float64[Tensor, "*shape"]) -> Float64[Tensor, "*shape"]:
        return 1 / t

    def inverse(self, masked: Float64[Tensor, "*shape"]) -> Float64[Tensor, "*shape"]:
        return masked.clone()


class Cosine(Curve):
    """alpha(t) = 1 - cos(pi/2 (1 - t)), that is m(t) = sin(pi t / 2) (Shi et al. 2024, arXiv:2406.04329).

    Papers of the MDLM line call another curve by this name: m(t) = 1 - cos(pi t / 2).
    """

    kind: Literal["cosine"] = "cosine"

    def masked(self, t: Float64[Tensor, "*shape"]) -> Float64[Tensor, "*shape"]:
        return torch.sin(math.pi / 2 * t)

    def rate(self, t: Float64[Tensor, "*shape"]) -> Float64[Tensor, "*shape"]:
        return math.pi / 2 / torch.tan(math.pi / 2 * t)

    def inverse(self, masked: Float64[Tensor, "*shape"]) -> Float64[Tensor, "*shape"]:
        return 2 / math.pi * torch.asin(masked)


class Polynomial(Curve):
    """alpha(t) = 1 - t^power (Shi et al. 2024, arXiv:2406.04329)."""

    kind: Literal["polynomial"] = "polynomial"
    power: Annotated[float, Field(ge=0.1, le=10)]

    def masked(self, t: Float64[Tensor, "*shape"]) -> Float64[Tensor, "*shape"]:
        return t**self.power

    def rate(self, t: Float64[Tensor, "*shape"]) -> Float64[Tensor, "*shape"]:
        return self.power / t

    def inverse(self, masked: Float64[Tensor, "*shape"]) -> Float64[Tensor, "*shape"]:
        return masked ** (1 / self.power)


class Geometric(Curve):
    """alpha(t) = exp(-sigma(t)), sigma(t) = sigma_min^(1-t) sigma_max^t (Lou et al. 2023, arXiv:2310.16834).

    The one schedule that does not quite reach its ends: see `end_nats`. `grid` has the exact ends nevertheless.
    """

    kind: Literal["geometric"] = "geometric"
    sigma_min: Annotated[float, Field(gt=0, le=0.01)] = 1e-4
    sigma_max: Annotated[float, Field(ge=10, le=30)] = 20.0

    def _sigma(self, t: Float64[Tensor, "*shape"]) -> Float64[Tensor, "*shape"]:
        return torch.exp((1 - t) * math.log(self.sigma_min) + t * math.log(self.sigma_max))

    def masked(self, t: Float64[Tensor, "*shape"]) -> Float64[Tensor, "*shape"]:
        return -torch.expm1(-self._sigma(t))

    def rate(self, t: Float64[Tensor, "*shape"]) -> Float64[Tensor, "*shape"]:
        sigma = self._sigma(t)
        return sigma * math.log(self.sigma_max / self.sigma_min) / torch.expm1(sigma)

    def inverse(self, masked: Float64[Tensor, "*shape"]) -> Float64[Tensor, "*shape"]:
        sigma = -torch.log1p(-masked)
        return torch.log(sigma / self.sigma_min) / math.log(self.sigma_max / self.sigma_min)


Schedule = Annotated[Linear | Cosine | Polynomial | Geometric, Field(discriminator="kind")]
