"""One position a network pass, in uniformly random order: the model's own law without any discretisation.

The first-hitting sampler of Zheng et al. 2024 (arXiv:2409.02908). Its unmasking times only matter to a network that
takes time; without one it is any-order autoregression in random order (Uria et al. 2014, arXiv:1310.1757).
"""

from typing import Literal

from jaxtyping import Bool, Float, Int
from torch import Tensor

from seqdiff.diffusion.denoise import Denoise
from seqdiff.diffusion.samplers.filling import Filled, Filling, Sampler, positions_in_turn, uniforms
from seqdiff.streams import Streams


class Exact(Sampler):
    """Fills one position a pass. Rows may have different numbers of masks; a finished row costs nothing."""

    kind: Literal["exact"] = "exact"

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
        return filling.follow(positions_in_turn(filling.unfilled, filling.freedom, when), what)
