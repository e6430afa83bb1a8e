"""Exact conditioning on evidence: a population of fillings that are weighted and resampled as they grow.

Drawing from mu restricted to the evidence, position after position, is only approximate (`evidence.py`). Sequential
Monte Carlo corrects it: N particles are filled side by side, each weighted by the product of its Z; since Z depends on
the letters before it alone, particles are resampled before a value is drawn, the fully adapted auxiliary filter of
Pitt & Shephard 1999 (doi:10.1080/01621459.1999.10474153), here for masked diffusion (math.md 5.11). The mean weight is
an unbiased estimate of the probability of the evidence for every N, and the law of a particle chosen by weight goes to
the exact conditional as N grows.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from seqdiff.diffusion import categorical
from seqdiff.diffusion.constraints import Guide
from seqdiff.diffusion.denoise import Denoise, symbols
from seqdiff.diffusion.evidence import Evidence
from seqdiff.diffusion.samplers.exact import Exact
from seqdiff.diffusion.samplers.filling import Filled, Sampler, positions_in_turn, uniforms
from seqdiff.diffusion.samplers.population import Population
from seqdiff.diffusion.samplers.steered import steered
from seqdiff.streams import Streams


class Particles(Sampler):
    """Fills positions with evidence in N particles, one a pass, the most restricted first; then one particle is chosen
    by weight, and `finish` fills what is left, of which nothing is known.

    The order looks at the evidence alone, so it is common to all particles. `log_weight` is log P_hat(evidence), given
    the letters that are known or the only ones possible. Particles that hold the same letters share a network pass.
    """

    kind: Literal["particles"] = "particles"
    weighs: ClassVar[bool] = True
    particles: Annotated[int, Field(ge=1)] = 32
    finish: "Finish" = Exact()
    """The sampler of the positions without evidence, at the temperature and top_p given here."""

    @model_validator(mode="after")
    def _consistent(self) -> "Particles":
        if (self.finish.temperature, self.finish.top_p) != (1, 1):
            raise ValueError("temperature and top_p are those of the particles sampler: finish takes them from there")
        return self

    def __call__(
        self,
        denoise: Denoise,
        tokens: Int[Tensor, "B L"],
        evidence: Bool[Tensor, "B L K"] | Float[Tensor, "B L K"] | None = None,
        *,
        rng: Streams,
        guides: Sequence[Guide] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Filled:
        """With `guides`, one a row, all positions are filled from left to right under its constraints (`steered`), and
        nothing is left to `finish`; `progress` gets the number of letters filled."""
        if guides is not None:
            how = self.particles, self.temperature, self.top_p
            return steered(denoise, tokens, evidence, guides, rng, *how, progress=progress)
        known = Evidence.of(tokens.cpu(), None if evidence is None else evidence.cpu(), symbols(denoise, tokens))
        population = Population(known.tokens, self.particles)
        (keys,) = uniforms(rng, known.constrained, 1)
        turns = positions_in_turn(known.constrained, known.freedom, keys)
        for turn in range(int(known.constrained.sum(1).max()) if len(tokens) else 0):
            rows = (turns == turn).any(1).nonzero()[:, 0]
            sites = (turns[rows] == turn).int().argmax(1)
            logits = population.look(denoise, tokens.device, rows, sites)
            log_mu, log_z = categorical.log_probabilities(
                logits.flatten(0, 1),
                temperature=self.temperature,
                top_p=self.top_p,
                evidence=known.likelihood[rows, sites].repeat_interleave(self.particles, 0),
            )
            population.weigh(rows, sites, log_z.view(logits.shape[:2]))
            fresh = rng.select(rows.tolist()).rand(self.particles + 1)
            ancestors = population.resample(rows, fresh[:, -1])
            log_mu = log_mu.view(logits.shape).gather(1, ancestors[..., None].expand(logits.shape))
            population.draw(rows, sites, log_mu, fresh[:, :-1])
        return self._finished(population, denoise, tokens, evidence, rng)

    def _finished(
        self,
        population: Population,
        denoise: Denoise,
        tokens: Int[Tensor, "B L"],
        evidence: Bool[Tensor, "B L K"] | Float[Tensor, "B L K"] | None,
        rng: Streams,
    ) -> Filled:
        """One particle of each row, and what it leaves filled by `finish`."""
        rows = torch.arange(len(tokens))
        chosen = population.choose(rng.rand(1)[:, 0])
        finish = self.finish.model_copy(update={"temperature": self.temperature, "top_p": self.top_p})
        rest = finish(denoise, population.tokens[rows, chosen].to(tokens.device), evidence, rng=rng)
        return Filled(
            tokens=rest.tokens,
            log_prob=population.log_prob[rows, chosen] + rest.log_prob,
            log_weight=population.evidence(),
            calls=population.calls + rest.calls,
            impossible=population.impossible,
            ess=population.ess,
        )
