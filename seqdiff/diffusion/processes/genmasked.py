"""Masked diffusion in which each symbol has a schedule of its own, learned with the network (GenMD4).

Symbol v stays visible until t with probability alpha_v(t) = 1 - (1 - e) t^(w_v), w_v > 0 learned (Shi et al. 2024,
arXiv:2406.04329, sec. 5). That a letter is masked says something of which it is, so the posterior of a masked letter
depends on the time, and the network must be told it. With mu the network's distribution at a masked position,

    bound = integral over t in (t1, 1) of E f(z, t) + ends
    f(z, t) = sum over masked i of  (w_x / t) (-log mu(x) - 1) + sum_v (w_v / t) mu(v)          >= 0

and the ends, exact: reconstruction at t1 by a posterior that knows the schedules alone, and the divergence of what is
left visible at t = 1 from the prior. All powers equal, f is the cross-entropy of `masked`.

The gradient of the powers has a second part, since the masks are drawn by them: of two masks of the same row at the
same time, f1 - f2 against the difference of their log-probabilities (REINFORCE with leave-one-out, Kool et al. 2019).
Without it the powers fall to 0.
"""

import math
from functools import partial
from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from seqdiff.data.batches import Batch
from seqdiff.diffusion.denoise import (
    Denoise,
    learned,
    masked_share,
    precise,
    symbols,
    widest,
)
from seqdiff.diffusion.likelihood.integral import Integrand, integral
from seqdiff.diffusion.processes.process import Bound, Loss, Process
from seqdiff.diffusion.samplers import Sampler
from seqdiff.diffusion.samplers.proposals import Steps, Thinning
from seqdiff.streams import Streams

LOWEST, HIGHEST = 0.05, 20.0
"""Powers are kept between these."""


class Powers(nn.Module):
    """w_v > 0 of each symbol, learned: (K,). They start at `initial`, where 1 is the linear schedule for all."""

    def __init__(self, symbols: int, initial: float):
        super().__init__()
        self.raw = nn.Parameter(torch.full((symbols,), initial).expm1().log())

    def forward(self) -> Float[Tensor, "K"]:
        free = F.softplus(self.raw)
        # Kept in between with the gradient of what is free: one that has gone too far still finds its way back.
        return free + (free.clamp(LOWEST, HIGHEST) - free).detach()


class Untilted:
    """The network as one that is told no time, for masks that were not drawn by the process.

    It is told the time at which, of letters that are all equally frequent, as many are masked as here. What it answers
    then takes into account that v is masked with a probability that goes as t^(w_v). Masks that somebody chose say
    nothing of their letters: that factor is divided out, which makes an exact posterior that of `masked`, of one mask
    or of masks that are independent given what is visible.
    """

    takes_time = False

    def __init__(self, module: Denoise, process: "GenMasked"):
        self.module, self._process = module, process

    def __call__(self, tokens: Int[Tensor, "B L"], time: None = None) -> Float[Tensor, "B L K"]:
        powers = learned(self.module)().detach().to(tokens.device)
        t = self._process.time_of(masked_share(tokens, len(powers)), powers)
        logits = self.module(tokens, t.float())
        return logits - (powers * t.log()[:, None]).to(logits)[:, None]


class GenMasked(Process):
    """One draw of the bound and of its gradient for each row: one time, two masks, two network passes."""

    samplers: ClassVar[tuple[type[Sampler], ...]] = (Steps, Thinning)

    kind: Literal["genmasked"] = "genmasked"
    initial_power: Annotated[float, Field(ge=LOWEST, le=HIGHEST)] = 1.0
    last_visible: Annotated[float, Field(gt=0, lt=1)] = 1e-4
    """e, the share of letters that is still visible at t = 1."""
    first_time: Annotated[float, Field(gt=0, lt=1)] = 1e-3
    """t1, where the integral begins."""

    @property
    def time(self) -> Literal["needed"]:
        return "needed"

    def learned(self, symbols: int) -> Powers:
        """What the process learns itself; it is kept with the network."""
        return Powers(symbols, self.initial_power)

    def sampler(self) -> Sampler:
        return Steps()

    def logged(self, network: Denoise) -> dict[str, list[float]]:
        return {"powers": [round(power, 6) for power in learned(network)().tolist()]}

    def filling(self, network: Denoise) -> Denoise:
        return Untilted(network, self)

    def time_of(self, share: Float[Tensor, "B"], powers: Float[Tensor, "K"]) -> Float[Tensor, "B"]:
        """The time t at which the mean over the symbols of how probable they are to be masked is `share`; not before
        t1, where the network has never been told it is. For equal powers 1 that is the share itself, but for e.

        By bisection in log t, between what it would be if all powers were the largest or the smallest.
        """
        wanted = (share.to(powers) / (1 - self.last_visible)).clamp(max=1).log()
        low, high = wanted / powers.min(), wanted / powers.max()
        for _ in range(40):
            middle = (low + high) / 2
            above = (middle[:, None] * powers).logsumexp(-1) - math.log(len(powers)) > wanted
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        return high.exp().clamp(min=self.first_time)

    def bound(self, network: Denoise, *, strata: int, replicates: int) -> Bound:
        return partial(integral, self.integrand(network), strata=strata, replicates=replicates)

    def integrand(self, network: Denoise) -> Integrand:
        """The integral with the network in it and what was learned with it."""
        powers = learned(network)().detach().cpu().double()
        size = len(powers)
        blind = powers * (math.log(size) - 1) + powers.mean()  # f t of a network that holds all letters alike

        def corrupt(
            tokens: Int[Tensor, "N L"], scored: Bool[Tensor, "N L"], t: Float[Tensor, "N"], keys: Float[Tensor, "N L 2"]
        ) -> Int[Tensor, "N L"]:
            return tokens.masked_fill(scored & (keys[..., 0] < self.masked(t, tokens, powers.to(t))), size)

        def density(tokens: Int[Tensor, "N L"], z: Int[Tensor, "N L"], t: Float[Tensor, "N"]) -> Float[Tensor, "N L"]:
            return self.density(network(z, t.float()), tokens, z == size, t, powers.to(t))

        def crude(tokens: Int[Tensor, "N L"], z: Int[Tensor, "N L"], t: Float[Tensor, "N"]) -> Float[Tensor, "N L"]:
            return torch.where(z == size, blind.to(t)[tokens.clamp(max=size - 1)] / t[:, None], 0)

        def crude_until(t: Float[Tensor, "N"]) -> Float[Tensor, "N K"]:
            letters = torch.arange(size, device=t.device).expand(len(t), -1)
            both = (torch.full_like(t, self.first_time), t)
            first, last = (self.masked(each, letters, powers.to(t)) for each in both)
            return (blind / powers).to(t) * (last - first)

        return Integrand(size, (self.first_time, 1.0), corrupt, density, crude, crude_until, self.ends(powers))

    def loss(self, network: Denoise, batch: Batch, rng: Streams) -> Loss:
        """With the gradient of network and powers."""
        tokens, weight = batch.tokens, batch.weight
        mask, wide = symbols(network, tokens), widest(tokens.device)
        known = tokens < mask
        powers = learned(network)().to(wide)
        u, keys = rng.strata().to(tokens.device, wide), rng.rand(tokens.shape[1], 2).to(tokens.device, wide)
        t = self.first_time + (1 - self.first_time) * u
        share = self.masked(t, tokens, powers)
        hidden = [known & (keys[..., j] < share.detach()) for j in (0, 1)]
        both = torch.cat([tokens.masked_fill(h, mask) for h in hidden])
        logits = network(both, torch.cat([t, t]).to(torch.float32))
        first, second = (
            (self.density(part, tokens, h, t, powers) * weight).sum(1)
            for part, h in zip(logits.chunk(2), hidden, strict=True)
        )
        drawn = [_log_probability(share, known, h) for h in hidden]
        value = (first + second) / 2
        score = (first - second).detach() / 2 * (drawn[0] - drawn[1])  # its gradient counts, its value does not
        ends = (torch.where(known, self.ends(powers)[tokens.clamp(max=mask - 1)], 0) * weight).sum(1)
        nats = (1 - self.first_time) * (value + score - score.detach()) + ends
        return Loss(nats.sum(), weight.sum(dtype=wide))

    def masked(
        self, t: Float[Tensor, "B"], tokens: Int[Tensor, "B L"], powers: Float[Tensor, "K"]
    ) -> Float[Tensor, "B L"]:
        """How probable each letter is to be masked at t; of what is no letter, nothing is meant."""
        of_letter = powers[tokens.clamp(max=len(powers) - 1)]
        return (1 - self.last_visible) * t[:, None] ** of_letter

    def density(
        self,
        logits: Float[Tensor, "B L K"],
        tokens: Int[Tensor, "B L"],
        hidden: Bool[Tensor, "B L"],
        t: Float[Tensor, "B"],
        powers: Float[Tensor, "K"],
    ) -> Float[Tensor, "B L"]:
        """f of each position, nats a unit of time; 0 where nothing was hidden. All K probabilities enter it."""
        log_mu = torch.log_softmax(precise(logits).to(powers.dtype), -1)
        letter = tokens.clamp(max=len(powers) - 1)
        of_letter, log_letter = powers[letter], log_mu.gather(-1, letter[..., None])[..., 0]
        rates = of_letter * (-log_letter - 1) + (log_mu.exp() * powers).sum(-1)
        return torch.where(hidden, rates / t[:, None], 0)

    def ends(self, powers: Float[Tensor, "K"]) -> Float[Tensor, "K"]:
        """What the integral leaves out of each symbol: letters masked before t1, and letters visible at 1."""
        each = powers * math.log(self.first_time)  # log of how probable it is to be masked at t1, but for a constant
        cost = (1 - self.last_visible) * each.exp() * (each.logsumexp(0) - each)
        return cost + self.last_visible * math.log(len(powers))


def _log_probability(
    share: Float[Tensor, "B L"], known: Bool[Tensor, "B L"], hidden: Bool[Tensor, "B L"]
) -> Float[Tensor, "B"]:
    """log q of the masks of each row."""
    return torch.where(known, torch.where(hidden, share.log(), torch.log1p(-share)), 0).sum(1)
