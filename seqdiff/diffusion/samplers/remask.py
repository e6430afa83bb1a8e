"""The reverse process with second thoughts: letters that were drawn may become masks again and be drawn anew.

In the step from visible share a_t to a_s > a_t a visible letter is masked again with probability sigma and a mask is
revealed with (a_s - (1 - sigma) a_t) / (1 - a_t), which leaves the visible share as it would be without; sigma may be
at most (1 - a_s) / a_t (ReMDM; Wang et al. 2025, arXiv:2503.00307). It repairs errors of a network and of positions
drawn together; an exact model it helps no more than further steps of `ancestral` would.
"""

from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Float64, Int, Int64
from pydantic import Field, model_validator
from torch import Tensor

from seqdiff.diffusion import categorical
from seqdiff.diffusion.denoise import Denoise
from seqdiff.diffusion.samplers.ancestral import STEPS, Ancestral
from seqdiff.diffusion.samplers.filling import Filled, Filling, Sampler, uniforms
from seqdiff.streams import Streams

ETA = {"cap": 0.008, "rescale": 0.015, "loop": 0.02}
"""Defaults of the authors' code, for as many steps as letters."""


class Remask(Sampler):
    """`ancestral` that takes letters back. Given letters, and those with a single possible symbol, stay.

    sigma is `eta` where allowed (`cap`), `eta` times what is allowed (`rescale`), that much in a loop at constant
    visible share (`loop`), or what is allowed shared out over the letters by softmax(-probability that each was drawn
    with) (`confidence`: about one letter a step at most; its masks are revealed as if none were taken back). In the
    last step sigma is 0, so no mask is left. `log_weight` is no importance weight.
    """

    kind: Literal["remask"] = "remask"
    revisits: ClassVar[bool] = True
    strategy: Literal["cap", "rescale", "confidence", "loop"] = "cap"
    eta: Annotated[float, Field(ge=0, le=1)] | None = None
    """None: 0.008 for cap, 0.015 for rescale, 0.02 for loop. `confidence` has none."""
    steps: Annotated[int, Field(ge=1)] | None = None
    """Network passes a row, at most. None: as many as the row has masks, at most 128."""
    grid: Literal["uniform", "cosine"] = "uniform"
    loop_from: Annotated[float, Field(gt=0, lt=1)] = 0.55
    """`loop` starts when this share of the steps (on the uniform grid) is left ..."""
    loop_until: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """... and ends when this share is left."""
    loop_visible: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """Visible share of the letters during the loop."""

    @model_validator(mode="after")
    def _consistent(self) -> "Remask":
        if self.strategy == "confidence" and self.eta is not None:
            raise ValueError("eta is for cap, rescale and loop: confidence takes back as many letters as is allowed")
        for name in ("loop_from", "loop_until", "loop_visible"):
            if self.strategy != "loop" and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name}: only the strategy loop has such a setting")
        if self.loop_until >= self.loop_from:
            raise ValueError("loop_until must be less than loop_from: time runs from 1 to 0")
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
        masks = filling.targets.sum(1)
        steps = masks.clamp(max=STEPS) if self.steps is None else torch.where(masks > 0, self.steps, 0)
        last = int(steps.max()) if len(steps) else 0
        remask, reveal = torch.zeros(2, len(steps), last, dtype=torch.float64)
        for count in steps[steps > 0].unique().tolist():
            remask[steps == count, :count], reveal[steps == count, :count] = self.rates(count)
        for step in range(last):
            rows = (steps > step).nonzero()[:, 0]
            self._step(filling, rows, remask[rows, step], reveal[rows, step], rng.select(rows.tolist()))
        return filling.filled()

    def _step(
        self,
        filling: Filling,
        rows: Int64[Tensor, "R"],
        remask: Float64[Tensor, "R"],
        reveal: Float64[Tensor, "R"],
        rng: Streams,
    ) -> None:
        """One step of some rows. A row that reveals nothing needs no network pass."""
        targets, left = filling.targets[rows], filling.unfilled[rows]
        when, what, again = uniforms(rng, targets, 3)
        visible = targets & ~left
        taken_back = visible & (again < self.sigma(remask, visible, filling.log_prob[rows].exp()))
        count = (left & (when < reveal[:, None])).sum(1)
        busy = count > 0
        if busy.any():
            chosen = categorical.lowest(count, left, when + filling.freedom[rows])[busy]
            logits = filling.look(rows[busy])
            filling.accept(rows[busy], chosen, filling.propose(rows[busy], chosen, logits, what[busy]))
        filling.remask(rows, taken_back)

    def rates(self, steps: int) -> tuple[Float64[Tensor, "{steps}"], Float64[Tensor, "{steps}"]]:
        """In each step, first to last: sigma (for `confidence` its sum over the letters) and the probability that a
        mask is revealed.

        >>> remask, reveal = Remask(eta=0.1).rates(4)
        >>> [round(p, 3) for p in remask.tolist()], [round(p, 3) for p in reveal.tolist()]
        ([0.1, 0.1, 0.1, 0.0], [0.25, 0.367, 0.6, 1.0])
        """
        time = Ancestral(grid=self.grid).shares(steps).flip(0)
        alpha = self.visible(time)
        before, after = alpha[:-1], alpha[1:]
        allowed = ((1 - after) / before.clamp(min=torch.finfo(before.dtype).tiny)).clamp(max=1)
        if self.strategy == "confidence":
            return allowed, (after - before) / (1 - before)
        eta = ETA[self.strategy] if self.eta is None else self.eta
        sigma = eta * allowed if self.strategy == "rescale" else allowed.clamp(max=eta)
        if self.strategy == "loop":
            sigma = sigma.masked_fill((time[:-1] > self.loop_from) | (time[:-1] <= self.loop_until), 0.0)
        return sigma, (after - (1 - sigma) * before) / (1 - before)

    def visible(self, time: Float64[Tensor, "N"]) -> Float64[Tensor, "N"]:
        """alpha(t): 1 - t, or up to `loop_visible`, level during the loop, and from there to 1."""
        if self.strategy != "loop":
            return 1 - time
        rising = (1 - time) * self.loop_visible / (1 - self.loop_from)
        ending = 1 - time * (1 - self.loop_visible) / self.loop_until
        return rising.clamp(max=self.loop_visible).maximum(ending)

    def sigma(
        self, remask: Float64[Tensor, "R"], visible: Bool[Tensor, "R L"], drawn_with: Float64[Tensor, "R L"]
    ) -> Float64[Tensor, "R L"]:
        """The probability of each visible letter to be masked again, by that of the step; 0 elsewhere."""
        if self.strategy != "confidence":
            return torch.where(visible, remask[:, None], 0.0)
        weight = torch.where(visible, torch.exp(-drawn_with), 0.0)
        return remask[:, None] * weight / weight.sum(1, keepdim=True).clamp(min=torch.finfo(torch.float64).tiny)
