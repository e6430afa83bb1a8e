"""Score entropy with masks (SEDD absorb; Lou et al. 2024, arXiv:2310.16834).

The network gives scores s_v at every mask, estimates of p_t(letter v there) / p_t(mask there). The true score given x
is r = (1 - m) / m at v = x and 0 elsewhere, with m(t) the share that is masked; and

    f = m'(t) / (1 - m) * (sum_v s_v - r log s_x + r (log r - 1))      at masked positions, 0 elsewhere.

With scores that add up to r, s = r mu, this is the weighted cross-entropy of `masked`: their sum is what there is to
learn besides, the price of the parameterisation.
"""

import math
from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from seqdiff.diffusion.denoise import precise
from seqdiff.diffusion.processes.path import Path


class Score(Path):
    """Log-linear noise, m(t) = (1 - e) t. The ends, which published figures leave out, are those of `masked`: what is
    masked before t1 by a uniform guess, what is visible at 1 against a uniform prior."""

    kind: Literal["score"] = "score"
    last_visible: Annotated[float, Field(gt=0, lt=1)] = 1e-3
    """e, the share that is still visible at t = 1."""
    first_time: Annotated[float, Field(gt=0, lt=1)] = 1e-3
    """t1, where the integral begins."""
    scale_prior: bool = True
    """Whether the network's output is taken relative to log(r / K), so that scores begin near their sum r."""

    @property
    def interval(self) -> tuple[float, float]:
        return self.first_time, 1.0

    def masked(self, t: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        """m(t)."""
        return (1 - self.last_visible) * t

    def left(self, t: Float[Tensor, "*B"], symbols: int) -> Float[Tensor, "*B"]:
        return (1 - self.masked(t)) * math.log(symbols)

    def corrupt(
        self,
        tokens: Int[Tensor, "B L"],
        known: Bool[Tensor, "B L"],
        t: Float[Tensor, "B"],
        keys: Float[Tensor, "B L 2"],
        symbols: int,
    ) -> Int[Tensor, "B L"]:
        return tokens.masked_fill(known & (keys[..., 0] < self.masked(t)[:, None]), symbols)

    def log_scores(self, logits: Float[Tensor, "B L K"], t: Float[Tensor, "B"]) -> Float[Tensor, "B L K"]:
        """log s from the network's output."""
        if not self.scale_prior:
            return precise(logits)
        share = self.masked(t)
        scale = torch.log1p(-share) - share.log() - math.log(logits.shape[-1])
        return precise(logits) + scale[:, None, None]

    def density(
        self, logits: Float[Tensor, "B L K"], tokens: Int[Tensor, "B L"], z: Int[Tensor, "B L"], t: Float[Tensor, "B"]
    ) -> Float[Tensor, "B L"]:
        share = self.masked(t)[:, None]
        ratio = (1 - share) / share
        log_s = self.log_scores(logits, t)
        of_letter = log_s.gather(-1, tokens[..., None])[..., 0]
        entropy = log_s.exp().sum(-1) - ratio * of_letter + ratio * (ratio.log() - 1)
        return torch.where(z == logits.shape[-1], (1 - self.last_visible) / (1 - share) * entropy, 0)
