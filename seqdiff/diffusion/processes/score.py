"""Score entropy with masks (SEDD absorb; Lou et al. 2024, arXiv:2310.16834).

The network gives scores s_v at every mask, estimates of p_t(letter v there) / p_t(mask there). The true score given x
is r = (1 - m) / m at v = x and 0 elsewhere, with m(t) the share that is masked. With q = s / r, which for exact scores
is the posterior mu of masked diffusion, the score entropy at the rate m' / (1 - m) is

    f = m'(t) / m(t) * (sum_v q_v - log q_x - 1)      at masked positions, 0 elsewhere.

Where q adds up to 1 this is the weighted cross-entropy of `masked`; what it adds up to is what there is to learn
besides, the price of the parameterisation: at its best 1, and anything else costs more.
"""

import math
from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Float64, Int
from pydantic import Field
from torch import Tensor

from seqdiff.diffusion.denoise import precise
from seqdiff.diffusion.processes.path import Path
from seqdiff.diffusion.samplers.filling import Sampler
from seqdiff.diffusion.samplers.reverse import Reverse


class Tweedie(Reverse):
    """Tweedie's tau-leaping (Lou et al. 2024, sec. 4): in the step from t to s a mask becomes v with probability
    (m_t - m_s) / m_t q_v, as if no other position had moved in between, and all are letters after the last.

    Scores may add up to too much: then the letter is certain to come, by its share of them. Where they are exact these
    are the steps of `ancestral`.
    """

    kind: Literal["tweedie"] = "tweedie"
    of: ClassVar[str] = "score"


class Score(Path):
    """Log-linear noise, m(t) = (1 - e) t. The ends, which published figures leave out, are those of `masked`: what is
    masked before t1 by a uniform guess, what is visible at 1 against a uniform prior."""

    samplers: ClassVar[tuple[type[Sampler], ...]] = (Tweedie,)

    kind: Literal["score"] = "score"
    last_visible: Annotated[float, Field(gt=0, lt=1)] = 1e-3
    """e, the share that is still visible at t = 1."""
    first_time: Annotated[float, Field(gt=0, lt=1)] = 1e-3
    """t1, where the integral begins; the network is told no time before it."""
    scale_prior: bool = True
    """Whether the network's output is log q + log K, so that a fresh network's q adds up to 1, and not log s, which
    near t = 1 is a thousand times too much."""

    @property
    def interval(self) -> tuple[float, float]:
        return self.first_time, 1.0

    def masked(self, t: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        """m(t)."""
        return (1 - self.last_visible) * t

    def time_at(self, share: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        return (share / (1 - self.last_visible)).clamp(self.first_time, 1)

    def left(self, t: Float[Tensor, "*B"], symbols: int) -> Float[Tensor, "*B"]:
        return (1 - self.masked(t)) * math.log(symbols)

    def crude(self, t: Float[Tensor, "N"], size: int) -> tuple[Float[Tensor, "N"], Float[Tensor, "N"]]:
        return torch.zeros_like(t), math.log(size) / t  # of scores that add up to r

    def ignorance(self, symbols: int) -> float:
        if self.scale_prior:
            return math.log(symbols)

        def until(m: float) -> float:  # the integral of K q - log q - 1, q = m / (1 - m), where all scores are 1
            visible = math.log(1 - m)
            return -symbols * (m + visible) - m * math.log(m) - (1 - m) * visible - m

        first, last = ((1 - self.last_visible) * t for t in self.interval)
        return until(last) - until(first) + self.ends(symbols)

    def corrupt(
        self,
        tokens: Int[Tensor, "B L"],
        known: Bool[Tensor, "B L"],
        t: Float[Tensor, "B"],
        keys: Float[Tensor, "B L 2"],
        symbols: int,
    ) -> Int[Tensor, "B L"]:
        return tokens.masked_fill(known & (keys[..., 0] < self.masked(t)[:, None]), symbols)

    def log_q(self, logits: Float[Tensor, "B L K"], t: Float[Tensor, "B"]) -> Float[Tensor, "B L K"]:
        """log (s / r) from the network's output."""
        if self.scale_prior:
            return precise(logits) - math.log(logits.shape[-1])
        share = self.masked(t)
        return precise(logits) - (torch.log1p(-share) - share.log())[:, None, None]

    def density(
        self, logits: Float[Tensor, "B L K"], tokens: Int[Tensor, "B L"], z: Int[Tensor, "B L"], t: Float[Tensor, "B"]
    ) -> Float[Tensor, "B L"]:
        log_q = self.log_q(logits, t)
        entropy = log_q.exp().sum(-1) - log_q.gather(-1, tokens[..., None])[..., 0] - 1
        return torch.where(z == logits.shape[-1], entropy / t[:, None], 0)

    def reveals(
        self, logits: Float[Tensor, "R L K"], t: Float64[Tensor, "R"], s: Float64[Tensor, "R"]
    ) -> Float64[Tensor, "R L"]:
        total = self.log_q(logits.cpu().double(), t).exp().sum(-1)
        return ((1 - s / t)[:, None] * total).clamp(max=1)

    def sampler(self) -> Tweedie:
        return Tweedie()
