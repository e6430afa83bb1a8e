"""The reverse process in steps, where the network says how many letters a step reveals and is told the time.

In the step from t to s each mask is revealed with a probability that the process takes from the network's answer
(`reveals`), its value drawn from mu; the last step reveals all that is left. Where every mask is revealed with the same
probability, (m_t - m_s) / m_t, these are the steps of `ancestral` (letter for letter from the same uniforms).

A row begins at the time at which on average as many of its letters are masked as there are, so that a row of nothing
but masks begins at 1, and takes a network pass for each step: no step can be left out, for what it reveals is only
known when the network was told its time.
"""

from typing import Annotated, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Float64, Int
from pydantic import Field
from torch import Tensor

from seqdiff.diffusion.categorical import lowest, not_a_number
from seqdiff.diffusion.denoise import Denoise, masked_share, process_of, symbols, takes_time
from seqdiff.diffusion.samplers.ancestral import STEPS
from seqdiff.diffusion.samplers.filling import Filled, Filling, Sampler, positions_in_turn, uniforms
from seqdiff.streams import Streams


@runtime_checkable
class Reversible(Protocol):
    """What such a process says of itself."""

    def filling(self, network: Denoise) -> Denoise: ...

    def time_at(self, share: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]: ...

    def reveals(
        self, logits: Float[Tensor, "R L S"], t: Float64[Tensor, "R"], s: Float64[Tensor, "R"]
    ) -> Float64[Tensor, "R L"]:
        """How probable it is that a mask at t is none at s, by the network's answer at t; on the CPU."""


class Reverse(Sampler):
    """Steps at even times. Temperature and top_p change the values, not how many are revealed."""

    steps: Annotated[int, Field(ge=1)] | None = None
    """None: as many as the row has masks, at most 128."""

    def process(self, network: Denoise) -> Reversible:
        """What the network was trained by. Raises ValueError where that is another process than that of the sampler."""
        process = process_of(network)
        if getattr(process, "kind", None) != self.of:
            raise ValueError(f"the sampler {self.kind} is of networks that were trained by process {self.of}")
        return process

    def most(self, process: Reversible) -> int:
        """Steps of a row with many masks, unless told otherwise."""
        return STEPS

    def marginals(self, denoise: Denoise, tokens: Int[Tensor, "B L"]) -> Float64[Tensor, "B L K"]:
        return self.process(denoise).filling(denoise)(tokens).double().softmax(-1)

    def __call__(
        self,
        denoise: Denoise,
        tokens: Int[Tensor, "B L"],
        evidence: Bool[Tensor, "B L K"] | Float[Tensor, "B L K"] | None = None,
        *,
        rng: Streams,
    ) -> Filled:
        process, size = self.process(denoise), symbols(denoise, tokens)
        filling = Filling(self, denoise, tokens, evidence)
        when, what = uniforms(rng, filling.unfilled, 2)
        when = restricted_first(filling, when)
        masks = filling.unfilled.sum(1)
        steps = masks.clamp(max=self.most(process)) if self.steps is None else torch.full_like(masks, self.steps)
        start = process.time_at(masked_share(filling.tokens, size).double())
        stay = torch.ones_like(when)  # how probable it was up to now that a mask is still one
        for turn in range(int(steps.max()) if len(steps) else 0):
            rows = filling.unfilled.any(1).nonzero()[:, 0]
            if not len(rows):
                break
            left, unfilled = steps[rows] - turn, filling.unfilled[rows]
            t, s = (start[rows] * count / steps[rows] for count in (left, left - 1))
            logits = filling.look(rows, time=t if takes_time(denoise) else None)
            revealed = torch.where((left == 1)[:, None], 1, process.reveals(logits, t, s))
            if revealed[unfilled].isnan().any():
                raise not_a_number()
            stay[rows] *= 1 - revealed
            due = unfilled & (when[rows] >= stay[rows])
            chosen = lowest(due.sum(1), unfilled, filling.freedom[rows] + (1 + stay[rows] - when[rows]) / 3)
            filling.accept(rows, chosen, filling.propose(rows, chosen, logits[..., :size], what[rows]))
        return filling.filled()


def restricted_first(filling: Filling, when: Float64[Tensor, "B L"]) -> Float64[Tensor, "B L"]:
    """The same uniforms, the highest of a row, which are due first, at its most restricted masks."""
    place = positions_in_turn(filling.unfilled, filling.freedom, 1 - when).clamp(min=0)
    return when.masked_fill(~filling.unfilled, -1.0).sort(dim=1, descending=True).values.gather(1, place)
