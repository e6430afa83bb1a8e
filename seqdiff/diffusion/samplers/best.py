"""The most probable letter at each position: no draw, but the best guess, letter by letter.

The argmax of mu(v) l(v) at every position, all given what was known before anything was filled, in one network pass.
For calibrated probabilities no other choice gets more letters right on average. Letters that depend on each other are
judged one by one, so together they may be improbable, and all rows with the same context are filled alike: it is no
sample.
"""

from typing import ClassVar, Literal

from jaxtyping import Bool, Float, Int
from pydantic import model_validator
from torch import Tensor

from seqdiff.diffusion.denoise import Denoise
from seqdiff.diffusion.samplers.filling import Filled, Filling, Sampler
from seqdiff.streams import Streams


class Best(Sampler):
    """Fills every position with its most probable symbol, times the evidence. Draws nothing."""

    draws: ClassVar[bool] = False

    kind: Literal["best"] = "best"

    @model_validator(mode="after")
    def _untempered(self) -> "Best":
        if (self.temperature, self.top_p) != (1, 1):
            raise ValueError("temperature and top_p change nothing about which letter is the most probable")
        return self

    def __call__(
        self,
        denoise: Denoise,
        tokens: Int[Tensor, "B L"],
        evidence: Bool[Tensor, "B L K"] | Float[Tensor, "B L K"] | None = None,
        *,
        rng: Streams,
    ) -> Filled:
        filling = Filling(self, denoise, tokens, evidence)
        rows = filling.unfilled.any(1).nonzero()[:, 0]
        if len(rows):
            chosen = filling.unfilled[rows]
            filling.accept(rows, chosen, filling.likeliest(rows, chosen, filling.look(rows)))
        return filling.filled()
