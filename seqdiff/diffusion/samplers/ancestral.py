"""The reverse process in a fixed number of steps: many positions a network pass.

In the step from masked share m_t to m_s < m_t every mask is revealed with probability (m_t - m_s) / m_t, its value
drawn from mu (Shi et al. 2024, arXiv:2406.04329; Sahoo et al. 2024, arXiv:2406.07524). That is to give each
position one uniform u and to reveal it in the step with m_s <= u < m_t. Positions revealed in one step are drawn
independently of each other: the error is O(1/steps), and log weights refer to the law of the sampler with these
steps.

Steps in which a row reveals nothing leave it as it is and need no network pass (the cache of Sahoo et al. 2024,
kept for each row): n masks cost steps (1 - (1 - 1/steps)^n) passes on average on the uniform grid, never above
min(steps, n).
"""

from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float, Float64, Int, Int64
from pydantic import Field
from torch import Tensor

from seqdiff.diffusion.denoise import Denoise
from seqdiff.diffusion.samplers.filling import Filled, Filling, Sampler, positions_in_turn, uniforms
from seqdiff.diffusion.schedule import Cosine, Linear
from seqdiff.streams import Streams

STEPS = 128
"""Steps of a row with at least as many masks, unless told otherwise."""


class Ancestral(Sampler):
    """Fills in `steps` steps on the uniform or the cosine grid; the last step reveals all that is left."""

    kind: Literal["ancestral"] = "ancestral"
    steps: Annotated[int, Field(ge=1)] | None = None
    """None: as many as the row has masks, at most 128."""
    grid: Literal["uniform", "cosine"] = "uniform"

    def __call__(
        self,
        denoise: Denoise,
        tokens: Int[Tensor, "B L"],
        evidence: Bool[Tensor, "B L K"] | Float[Tensor, "B L K"] | None = None,
        *,
        rng: Streams,
    ) -> Filled:
        filling = Filling(self, denoise, tokens, evidence)
        when, what = uniforms(rng, filling.unfilled, 2)
        return filling.follow(self.turns(filling.unfilled, filling.freedom, when), what)

    def shares(self, steps: int) -> Float64[Tensor, "{steps}+1"]:
        """Masked shares between the steps, 0 to 1."""
        return (Cosine() if self.grid == "cosine" else Linear()).grid(steps)

    def turns(
        self, unfilled: Bool[Tensor, "B L"], freedom: Int[Tensor, "B L"], when: Float64[Tensor, "B L"]
    ) -> Int64[Tensor, "B L"]:
        """The network pass in which each position is revealed, by its uniform `when`; -1 where not unfilled.

        Steps that reveal nothing are left out. Restricted positions come first: the steps decide how many are
        revealed at once, `positions_in_turn` decides which.
        """
        masks = unfilled.sum(1)
        steps = masks.clamp(max=STEPS) if self.steps is None else torch.full_like(masks, self.steps)
        passes = torch.full_like(unfilled, -1, dtype=torch.int64)
        for count in steps[masks > 0].unique().tolist():
            rows = (steps == count) & (masks > 0)
            passes[rows] = count - torch.searchsorted(self.shares(count), when[rows].contiguous(), right=True)
        in_turn = passes.masked_fill(~unfilled, torch.iinfo(torch.int64).max).sort(dim=1).values
        new = torch.zeros_like(in_turn)
        new[:, 1:] = in_turn[:, 1:] != in_turn[:, :-1]
        place = positions_in_turn(unfilled, freedom, 1 - when)
        return new.cumsum(1).gather(1, place.clamp(min=0)).masked_fill(~unfilled, -1)
