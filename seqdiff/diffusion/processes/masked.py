"""Masked diffusion: letters are hidden at random, the network guesses them from the rest.

With mu the network's distribution at a masked position and S(U) = sum over a set U of masks of -log mu_i(x_i), the
bound on -log p(x) of a sequence with n letters is (Shi et al. 2024, arXiv:2406.04329; Sahoo et al. 2024,
arXiv:2406.07524)

    integral over t in (0, 1) of rate(t) E[S(U)], every letter masked with probability m(t)
    = sum over k = 1..n of (1/k) E[S(U)], U a uniformly random set of exactly k letters

the second form being that of any-order autoregression (Uria et al. 2014, arXiv:1310.1757; Ou et al. 2024,
arXiv:2406.03736).
"""

from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional as F

from seqdiff.data.batches import Batch
from seqdiff.diffusion.categorical import exact_count, lowest
from seqdiff.diffusion.denoise import Denoise, precise, symbols, widest
from seqdiff.diffusion.processes.process import IGNORED, Loss, Process
from seqdiff.diffusion.schedule import Linear, Schedule
from seqdiff.streams import Streams


class Masked(Process):
    """One draw of the bound for each row, by one of four estimators, all unbiased and without a clamp.

    `exact-count`: k = 1 + floor(n u), exactly k of the row's n letters masked, weight n/k. Smallest variance, never
    larger than n times the largest -log mu, ln K exactly for a constant network. The default.
    `hollow`: for networks whose output at a position does not see its own letter. k uniform in 0..n letters masked and
    every letter scored, masked or not, with weight 1: a visible one is guessed as if it were the k+1st mask. With l(k)
    the mean cost of a letter among k masks the expectation, sum over k of (k/n l(k) + (n-k)/n l(k+1)) / (n+1), is
    sum l(k) / n: the same bound at a fraction of the variance (Zhao et al. 2024, arXiv:2407.21243, average two terms).
    `bernoulli`: t in (0, 1), each letter masked with probability m(t), weight rate(t), which is unbounded near t = 0
    (infinite variance in theory). Includes both end terms of a schedule that stops short of 0 or 1 (`end_nats`).
    `discrete`: the same with T steps, t = i/T and weight T (m(t) - m(t - 1/T)) / m(t) (Austin et al. 2021,
    arXiv:2107.03006): the bound of the sampler that takes these steps, above the continuous one by O(1/T).

    The uniform u of each row comes from the strata of `rng`, spread over the global batch.
    """

    kind: Literal["masked"] = "masked"
    estimator: Literal["exact-count", "hollow", "bernoulli", "discrete"] = "exact-count"
    schedule: Schedule | None = None
    """Of `bernoulli` and `discrete` (default linear). The exact count has none."""
    steps: Annotated[int, Field(ge=1)] | None = None
    """T, of `discrete`."""

    @model_validator(mode="after")
    def _consistent(self) -> "Masked":
        if self.estimator in ("exact-count", "hollow") and self.schedule is not None:
            raise ValueError(f"estimator {self.estimator} has no schedule: remove it, or choose bernoulli or discrete")
        if (self.estimator == "discrete") != (self.steps is not None):
            raise ValueError("steps belongs to estimator discrete, which needs it")
        return self

    @property
    def time(self) -> Literal["none", "optional"]:
        """The posterior of a masked letter does not depend on the time. A network that is told it all the same is told
        the share of the row that is masked."""
        return "none" if self.needs_hollow else "optional"

    @property
    def needs_hollow(self) -> bool:
        return self.estimator == "hollow"

    def loss(self, network: Denoise, batch: Batch, rng: Streams) -> Loss:
        denoise = self.filling(network)
        mask = symbols(denoise, batch.tokens)
        known = batch.tokens < mask
        masked, factor = self.corrupt(known, rng)
        logits = denoise(batch.tokens.masked_fill(masked, mask))
        targets = batch.tokens.masked_fill(~(known if self.needs_hollow else masked), IGNORED)
        nats = F.cross_entropy(
            precise(logits).flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none"
        ).view_as(targets)
        wide = widest(batch.tokens.device)
        count = batch.weight.sum(dtype=wide)
        total = (nats * (batch.weight * factor[:, None]).to(nats.dtype)).sum()
        if self.estimator == "bernoulli":
            total = total + (count * self._curve.end_nats(mask)).to(total.dtype)
        return Loss(total, count)

    def corrupt(self, known: Bool[Tensor, "B L"], rng: Streams) -> tuple[Bool[Tensor, "B L"], Float[Tensor, "B"]]:
        """Which of the known letters are masked, and the factor of their cross-entropy. float64."""
        device, wide = known.device, widest(known.device)
        u, keys = rng.strata().to(device, wide), rng.rand(known.shape[1]).to(device, wide)
        if self.estimator == "exact-count":
            n = known.sum(1)
            k = exact_count(u, n)
            return lowest(k, known, keys), n.to(wide) / k
        if self.estimator == "hollow":
            n = known.sum(1)
            return lowest((u * (n + 1)).long().minimum(n), known, keys), torch.ones_like(u)
        if self.estimator == "bernoulli":
            share, factor = self._curve.masked(u), self._curve.rate(u)
        else:
            shares = self._curve.grid(self.steps).to(device, wide)
            step = 1 + (u * self.steps).long().clamp(max=self.steps - 1)
            share = shares[step]
            factor = self.steps * (share - shares[step - 1]) / share
        masked = known & (keys < share[:, None])
        # A row without masks has no cross-entropy; rate(0) is infinite and would make it 0 * inf.
        return masked, torch.where(masked.any(1), factor, 0)

    @property
    def _curve(self) -> Schedule:
        return self.schedule or Linear()
