"""Masked diffusion: letters are hidden at random, the network guesses them from the rest.

With mu the network's distribution at a masked position and S(U) = sum over a set U of masks of -log mu_i(x_i), the
bound on -log p(x) of a sequence with n letters is (Shi et al. 2024, arXiv:2406.04329; Sahoo et al. 2024,
arXiv:2406.07524)

    integral over t in (0, 1) of rate(t) E[S(U)], every letter masked with probability m(t)
    = sum over k = 1..n of (1/k) E[S(U)], U a uniformly random set of exactly k letters

the second form being that of any-order autoregression (Uria et al. 2014, arXiv:1310.1757; Ou et al. 2024,
arXiv:2406.03736).
"""

from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from pydantic import model_validator
from torch import Tensor
from torch.nn import functional as F

from seqdiff.data.batches import Batch
from seqdiff.diffusion.categorical import exact_count, lowest
from seqdiff.diffusion.denoise import Denoise, precise, symbols, widest
from seqdiff.diffusion.processes.process import IGNORED, Loss, Process
from seqdiff.diffusion.schedule import Linear, Schedule
from seqdiff.streams import Streams


class Masked(Process):
    """One draw of the bound for each row, by one of three estimators, all unbiased and without a clamp.

    `exact-count`: k = 1 + floor(n u), exactly k of the row's n letters masked, weight n/k. Smallest variance, never
    larger than n times the largest -log mu, ln K exactly for a constant network. The default.
    `hollow`: for networks whose output at a position does not see its own letter. k uniform in 0..n letters masked and
    every letter scored, masked or not, with weight 1: a visible one is guessed as if it were the k+1st mask. With l(k)
    the mean cost of a letter among k masks the expectation, sum over k of (k/n l(k) + (n-k)/n l(k+1)) / (n+1), is
    sum l(k) / n: the same bound at a fraction of the variance (Zhao et al. 2024, arXiv:2407.21243, average two terms).
    `bernoulli`: t in (0, 1), each letter masked with probability m(t), weight rate(t), which is unbounded near t = 0
    (infinite variance in theory). Includes both end terms of a schedule that stops short of 0 or 1 (`end_nats`).
    In T steps it is a process of its own, `discrete`.

    The uniform u of each row comes from the strata of `rng`, spread over the global batch.
    """

    kind: Literal["masked"] = "masked"
    estimator: Literal["exact-count", "hollow", "bernoulli"] = "exact-count"
    schedule: Schedule | None = None
    """Of `bernoulli` (default linear). The others have none."""

    @model_validator(mode="before")
    @classmethod
    def _in_steps(cls, values: Any) -> Any:
        """Recipes of runs say `steps: null`, from when it was an estimator here."""
        if not isinstance(values, dict):
            return values
        values = dict(values)
        steps = values.pop("steps", None)
        if steps is not None or values.get("estimator") == "discrete":
            raise ValueError(
                "masked diffusion in T steps is a process of its own: "
                f"process={{kind: discrete, steps: {'T' if steps is None else steps}}}"
            )
        return values

    @model_validator(mode="after")
    def _consistent(self) -> "Masked":
        if self.estimator != "bernoulli" and self.schedule is not None:
            raise ValueError(f"estimator {self.estimator} has no schedule: remove it, or choose bernoulli")
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
        share, factor = self._curve.masked(u), self._curve.rate(u)
        masked = known & (keys < share[:, None])
        # A row without masks has no cross-entropy; rate(0) is infinite and would make it 0 * inf.
        return masked, torch.where(masked.any(1), factor, 0)

    @property
    def _curve(self) -> Schedule:
        return self.schedule or Linear()
