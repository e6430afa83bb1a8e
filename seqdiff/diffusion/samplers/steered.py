"""Filling under constraints: particles that grow from left to right, steered by what each letter leaves possible.

Twisted sequential Monte Carlo (Whiteley & Lee 2014, doi:10.1214/13-AOS1167). With beta from `constraints.Guide` a
letter is drawn from q(v), proportional to mu_i(v) l_i(v) beta_{i+1}(delta(s, v)), and Z, the sum of these, is weighed
before the draw; a particle's weight is the product of Z_i / beta_{i+1}(s_{i+1}). No particle ever violates a
constraint, whatever mu says; the mean weight is an unbiased estimate of P(evidence and constraints).
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from seqdiff.diffusion import categorical
from seqdiff.diffusion.constraints import Guide
from seqdiff.diffusion.denoise import Denoise
from seqdiff.diffusion.samplers.filling import Filled
from seqdiff.diffusion.samplers.population import Population
from seqdiff.streams import Streams

FARTHEST = 600.0
"""Nats by which beta of letters that are possible may differ: its exponential is still above 0."""


def steered(
    denoise: Denoise,
    tokens: Int[Tensor, "B L"],
    evidence: Bool[Tensor, "B L K"] | Float[Tensor, "B L K"],
    guides: Sequence[Guide],
    rng: Streams,
    particles: int,
    temperature: float,
    top_p: float,
    *,
    progress: Callable[[int], None] | None = None,
) -> Filled:
    """Fills the targets of each guide (places of the row) from left to right. Where beta at the end of a row is not 1,
    as at the end of a window, `log_weight` is that of the chosen particle without it: weights of windows multiply.

    Each guide ends where the chosen particle does.
    """
    population = Population(tokens.cpu(), particles)
    likelihood = evidence.cpu().double()
    places = [torch.from_numpy(guide.places) for guide in guides]
    state = np.array([[guide.state] * particles for guide in guides]).reshape(len(guides), particles)
    count = np.array([[guide.count] * particles for guide in guides]).reshape(len(guides), particles)
    beta = torch.zeros(len(guides), particles, dtype=torch.float64)
    for turn in range(max((len(there) for there in places), default=0)):
        rows = torch.tensor([row for row, there in enumerate(places) if turn < len(there)])
        sites = torch.stack([places[row][turn] for row in rows.tolist()])
        logits = population.look(denoise, tokens.device, rows, sites)
        ahead = torch.stack(
            [torch.from_numpy(guides[row].ahead(turn, state[row], count[row])) for row in rows.tolist()]
        )
        ahead = ahead.maximum((ahead.amax(2, keepdim=True) - FARTHEST).where(ahead > -torch.inf, ahead))
        log_mu, log_z = _weighed(logits, likelihood[rows, sites], ahead, temperature, top_p)
        population.weigh(rows, sites, log_z - beta[rows])
        fresh = rng.select(rows.tolist()).rand(particles + 1)
        ancestors = population.resample(rows, fresh[:, -1])
        log_mu, ahead = (each.gather(1, ancestors[..., None].expand_as(each)) for each in (log_mu, ahead))
        drawn = population.draw(rows, sites, log_mu, fresh[:, :-1])
        beta[rows] = ahead.gather(2, drawn[..., None])[..., 0]
        for row, parents, letters in zip(rows.tolist(), ancestors.numpy(), drawn.numpy(), strict=True):
            state[row], count[row] = guides[row].advance(turn, state[row][parents], count[row][parents], letters)
        if progress:
            progress(len(rows))
    every = torch.arange(len(guides))
    chosen = population.choose(rng.rand(1)[:, 0])
    for row, (guide, one) in enumerate(zip(guides, chosen.tolist(), strict=True)):
        guide.state, guide.count = int(state[row, one]), int(count[row, one])
    return Filled(
        tokens=population.tokens[every, chosen].to(tokens.device),
        log_prob=population.log_prob[every, chosen],
        log_weight=population.evidence() - beta[every, chosen],
        calls=population.calls,
        impossible=population.impossible,
        ess=population.ess,
    )


def _weighed(
    logits: Float[Tensor, "R N K"],
    likelihood: Float[Tensor, "R K"],
    ahead: Float[Tensor, "R N K"],
    temperature: float,
    top_p: float,
) -> tuple[Float[Tensor, "R N K"], Float[Tensor, "R N"]]:
    """log q and log Z: mu times the likelihood times beta."""
    most = ahead.amax(2, keepdim=True)
    twisted = (ahead - most).exp()
    log_q, log_z = categorical.log_probabilities(
        logits.flatten(0, 1), temperature=temperature, top_p=top_p,
        evidence=(likelihood[:, None] * twisted).flatten(0, 1),
    )  # fmt: skip
    return log_q.view(ahead.shape), log_z.view(ahead.shape[:2]) + most[..., 0]
