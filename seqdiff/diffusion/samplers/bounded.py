"""As many positions a network pass as the model's own entropies say may be drawn apart from each other.

Masks are sorted by the entropy H of mu, and the longest run W from the surest with sum_W H - max_W H <= `bound` is
revealed: that difference is at least the total correlation of the letters in W, which drawing them independently
neglects (Ben-Hamu et al. 2025, arXiv:2505.24857, EB-Sampler). So for a model with consistent conditionals p and
without evidence KL(p || law) <= bound * E[passes], and a bound of 0 is one position at a time, which is exact, or
several where all but one are certain.

The bound says nothing of what is lost below it. In sequences whose letters depend on their neighbours the surest masks
are neighbours of known letters and of each other, so that the same number of positions at random (`ancestral`) is
mostly as good or better: `evaluate samplers` tells.
"""

from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float, Float64, Int
from pydantic import Field
from torch import Tensor

from seqdiff.diffusion import categorical
from seqdiff.diffusion.denoise import Denoise, widest
from seqdiff.diffusion.samplers.confident import LARGE, doubt
from seqdiff.diffusion.samplers.filling import Filled, Filling, Sampler, uniforms
from seqdiff.streams import Streams


class Bounded(Sampler):
    """Fills the positions of lowest entropy first, by the model's own mu (before temperature and top_p)."""

    kind: Literal["bounded"] = "bounded"
    bound: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 2.0
    """Nats of dependence that one pass may neglect, at most. An unpredictable letter of DNA has 1.4, of a protein 3."""

    def __call__(
        self,
        denoise: Denoise,
        tokens: Int[Tensor, "B L"],
        evidence: Bool[Tensor, "B L K"] | Float[Tensor, "B L K"] | None = None,
        *,
        rng: Streams,
    ) -> Filled:
        filling = Filling(self, denoise, tokens, evidence)
        (once,) = uniforms(rng, filling.unfilled, 1)
        while len(rows := filling.unfilled.any(1).nonzero()[:, 0]):
            logits, left = filling.look(rows), filling.unfilled[rows]
            here = logits.device
            mu = torch.softmax(logits[left.to(here)].to(widest(here)), dim=-1)
            chosen = within(self.bound, left, filling.freedom[rows], doubt(mu, "entropy").cpu().double())
            filling.accept(rows, chosen, filling.propose(rows, chosen, logits, once[rows]))
        return filling.filled()


def within(
    bound: float,
    left: Bool[Tensor, "R L"],
    freedom: Int[Tensor, "R L"],
    entropies: Float64[Tensor, "N"],
) -> Bool[Tensor, "R L"]:
    """The positions of one pass among those `left` (N of them): the most restricted, then the surest, as far as the
    bound goes and at least one a row.

    >>> left, freedom = torch.ones(1, 4, dtype=torch.bool), torch.full((1, 4), 4)
    >>> within(1.0, left, freedom, torch.tensor([0.9, 0.1, 1.3, 0.5], dtype=torch.float64)).tolist()
    [[True, True, False, True]]
    """
    entropy = torch.zeros(left.shape, dtype=torch.float64).masked_scatter(left, entropies)
    keys = entropy + LARGE * freedom
    order = keys.masked_fill(~left, torch.inf).argsort(dim=1, stable=True)
    in_order = entropy.gather(1, order)
    neglected = in_order.cumsum(1) - in_order.cummax(1).values
    count = ((neglected <= bound) & left.gather(1, order)).sum(1).clamp(min=1)
    return categorical.lowest(count, left, keys)
