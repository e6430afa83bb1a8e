"""Masked diffusion in T steps (D3PM absorbing; Austin et al. 2021, arXiv:2107.03006), with what MDLM left out of it.

At step i letters are masked with probability m_i = m(i / T). Going back from t = i to s = i - 1 a mask is revealed with
probability rho = (m_t - m_s) / m_t, and becomes x. With mu the network's distribution, over the symbols and, unless
`zero_masking`, over the mask as well, the model's step is the same with mu in the place of x (eq. 4 there):

    p(v | mask) = (m_t - m_s) mu_v / (m_t + (1 - m_t) mu_M)        p(mask | mask) = the rest

and the bound on -log p(x) is the sum over the steps of the divergence at every mask,

    rho (log(1 + (1 - m_t) mu_M / m_t) - log mu_x)
    + (1 - rho) (log(1 + (1 - m_t) mu_M / m_t) - log(1 + (1 - m_s) mu_M / m_s))        the second line only of i > 1

which for mu_M = 0 is rho times the cross-entropy: above the continuous bound of `masked` by O(1 / T). What a letter
that is visible was, the steps know without the network: itself. Only the last look, at x with nothing masked, asks it:
without `carry_over` every letter costs -log mu_x there as well. Both are what Sahoo et al. 2024 (arXiv:2406.07524, the
ablations) add to D3PM; the network trained with neither is theirs "without".
"""

import math
from dataclasses import replace
from functools import partial
from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Float64, Int
from pydantic import Field
from torch import Tensor

from seqdiff.diffusion.denoise import Denoise, precise, symbols, widest
from seqdiff.diffusion.likelihood.passes import nats_of
from seqdiff.diffusion.likelihood.score import Score
from seqdiff.diffusion.processes.path import Path
from seqdiff.diffusion.processes.process import Bound
from seqdiff.diffusion.samplers.ancestral import STEPS, Ancestral
from seqdiff.diffusion.samplers.filling import Sampler
from seqdiff.diffusion.samplers.reverse import Reverse
from seqdiff.diffusion.schedule import Linear, Schedule
from seqdiff.streams import Streams


class D3pm(Reverse):
    """The model's own reverse steps, with what it says of the mask: a mask that it holds for one stays longer.

    Without mask mass these are the steps of `ancestral`, which leaves out those that reveal nothing. Letters that were
    drawn are kept, also where the network is one without carry-over, which would read all of them off anew at the end.
    """

    kind: Literal["d3pm"] = "d3pm"
    of: ClassVar[str] = "discrete"
    steps: Annotated[int, Field(ge=1)] | None = None
    """None: as many as the row has masks, at most 128, and at most the T that the network was trained with."""

    def most(self, process: "Discrete") -> int:
        return min(super().most(process), process.steps)


class Discrete(Path):
    """One step of T for each row, weighted T times; the steps are stratified over the global batch."""

    samplers: ClassVar[tuple[type[Sampler], ...]] = (D3pm,)

    kind: Literal["discrete"] = "discrete"
    steps: Annotated[int, Field(ge=1)] = 1000
    """T."""
    schedule: Schedule = Linear()
    carry_over: bool = True
    """Whether letters that are visible count as known; else the network has to copy them, and pays for it."""
    zero_masking: bool = True
    """Whether a letter is never predicted to be a mask; else the network has a logit for that, and learns it."""

    @property
    def time(self) -> Literal["optional"]:
        """The posterior of a masked letter does not depend on the time; with a logit for the mask it might."""
        return "optional"

    @property
    def number_of_steps(self) -> int:
        return self.steps

    @property
    def predicts_mask(self) -> bool:
        return not self.zero_masking

    @property
    def reads_visible(self) -> bool:
        return not self.carry_over

    def masked(self, t: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        """m at t = i / T."""
        return self.schedule.grid(self.steps).to(t)[(t * self.steps).round().long()]

    def time_at(self, share: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        return self.schedule.inverse(share.to(widest(share.device))).clamp(0, 1).to(share)

    def left(self, t: Float[Tensor, "*B"], symbols: int) -> Float[Tensor, "*B"]:
        return (1 - self.masked(t)) * math.log(symbols)

    def ignorance(self, symbols: int) -> float:
        size, last = symbols + self.predicts_mask, torch.arange(1, self.steps + 1, dtype=torch.float64) / self.steps
        logits = torch.zeros(self.steps, 1, size)
        letter = torch.zeros(self.steps, 1, dtype=torch.int64)
        each = self.density(logits, letter, torch.full_like(letter, symbols), last)[:, 0]
        return float((self.masked(last) * each).mean()) + (0.0 if self.carry_over else math.log(size))

    def corrupt(
        self,
        tokens: Int[Tensor, "B L"],
        known: Bool[Tensor, "B L"],
        t: Float[Tensor, "B"],
        keys: Float[Tensor, "B L 2"],
        symbols: int,
    ) -> Int[Tensor, "B L"]:
        return tokens.masked_fill(known & (keys[..., 0] < self.masked(t)[:, None]), symbols)

    def crude(self, t: Float[Tensor, "N"], size: int) -> tuple[Float[Tensor, "N"], Float[Tensor, "N"]]:
        m_t, m_s = self._around(t)
        return torch.zeros_like(t), self.steps * (m_t - m_s) / m_t * math.log(size)

    def density(
        self, logits: Float[Tensor, "B L S"], tokens: Int[Tensor, "B L"], z: Int[Tensor, "B L"], t: Float[Tensor, "B"]
    ) -> Float[Tensor, "B L"]:
        m_t, m_s = (share[:, None] for share in self._around(t))
        stays = m_s / m_t
        nats = -(1 - stays) * _log(logits, tokens)
        if self.predicts_mask:
            of_mask = precise(logits).softmax(-1)[..., -1]
            now, then = (torch.log1p((1 - m) / m * of_mask) for m in (m_t, m_s.where(m_s > 0, 1)))
            nats = nats + now - stays * then
        return torch.where(z == logits.shape[-1] - self.predicts_mask, self.steps * nats, 0)

    def costs(
        self,
        network: Denoise,
        tokens: Int[Tensor, "B L"],
        z: Int[Tensor, "B L"],
        t: Float[Tensor, "B"],
        symbols: int,
    ) -> Float[Tensor, "B L"]:
        if self.carry_over:
            return super().costs(network, tokens, z, t, symbols)
        both = self.answer(network, torch.cat([z, tokens]), torch.cat([t, torch.zeros_like(t)]))
        of_step, of_copy = both.chunk(2)
        letters = tokens.where(tokens < symbols, 0)
        return self.density(of_step, letters, z, t) - _log(of_copy, letters)

    def bound(self, network: Denoise, *, strata: int, replicates: int) -> Bound:
        """The sum over the steps, from `strata` of them; what it costs to copy is exact, in one pass more."""
        steps = super().bound(network, strata=strata, replicates=replicates)
        return steps if self.carry_over else partial(self._with_copies, network, steps)

    @torch.no_grad()
    def _with_copies(
        self,
        network: Denoise,
        steps: Bound,
        tokens: Int[Tensor, "B L"],
        scored: Bool[Tensor, "B L"],
        rng: Streams,
        *,
        batch_size: int = 32,
    ) -> Score:
        score = steps(tokens, scored, rng, batch_size=batch_size)
        read = scored & (tokens < symbols(network, tokens))
        nats = [
            nats_of(self.answer(network, rows, torch.zeros(len(rows), device=rows.device)), rows.cpu(), where.cpu())
            for rows, where in zip(tokens.split(batch_size), read.split(batch_size), strict=True)
        ]
        calls = score.calls + (score.positions > 0)
        return replace(score, nats=score.nats + torch.cat(nats), calls=calls)

    def reveals(
        self, logits: Float[Tensor, "R L S"], t: Float64[Tensor, "R"], s: Float64[Tensor, "R"]
    ) -> Float64[Tensor, "R L"]:
        m_t, m_s = (self._share(each)[:, None] for each in (t, s))
        if not self.predicts_mask:
            return ((m_t - m_s) / m_t).expand(logits.shape[:2])
        of_mask = logits.cpu().double().softmax(-1)[..., -1]
        return (m_t - m_s) * (1 - of_mask) / (m_t + (1 - m_t) * of_mask)

    def sampler(self) -> Sampler:
        """`ancestral` takes the same steps where the network does not predict the mask, in fewer passes."""
        return D3pm() if self.predicts_mask else Ancestral(steps=self.steps if self.steps < STEPS else None)

    def _around(self, t: Float[Tensor, "*B"]) -> tuple[Float[Tensor, "*B"], Float[Tensor, "*B"]]:
        """m at the end and at the beginning of the step that ends at t."""
        shares, step = self.schedule.grid(self.steps).to(t), (t * self.steps).round().long()
        return shares[step], shares[step - 1]

    def _share(self, t: Float64[Tensor, "*B"]) -> Float64[Tensor, "*B"]:
        """m at any t; exactly 0 and 1 at the ends, whatever the schedule."""
        return self.schedule.masked(t).where(t > 0, 0.0).where(t < 1, 1.0)


def _log(logits: Float[Tensor, "B L S"], letters: Int[Tensor, "B L"]) -> Float[Tensor, "B L"]:
    """log mu of the letters."""
    return precise(logits).log_softmax(-1).gather(-1, letters[..., None])[..., 0]
