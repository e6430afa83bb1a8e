"""Masked diffusion in which each symbol has a schedule of its own, learned with the network (GenMD4).

Symbol v stays visible until t with probability alpha_v(t) = 1 - (1 - e) t^(w_v), w_v > 0 learned (Shi et al. 2024,
arXiv:2406.04329, sec. 5). What is masked says something of what it was, so the posterior of a masked letter depends on
the time and the network must be told it. With mu the network's distribution at a masked position,

    bound = integral over t in (t1, 1) of E f(z, t) + ends
    f(z, t) = sum over masked i of  (w_x / t) (-log mu(x) - 1) + sum_v (w_v / t) mu(v)          >= 0

and the ends, exact: reconstruction at t1 by a posterior that knows the schedules alone, and the divergence of what is
left visible at t = 1 from the prior. All powers equal, f is the cross-entropy of `masked`.

The gradient of the powers has a second part, since the masks are drawn by them: of two masks of the same row at the
same time, f1 - f2 against the difference of their log-probabilities (REINFORCE with leave-one-out, Kool et al. 2019).
Without it the powers fall to 0.
"""

from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from seqdiff.config import Config
from seqdiff.data.batches import Batch
from seqdiff.diffusion.denoise import Denoise, learned, precise, symbols, widest
from seqdiff.diffusion.processes.masked import Loss
from seqdiff.streams import Streams

LOWEST, HIGHEST = 0.05, 20.0
"""Powers are kept between these."""


class Powers(nn.Module):
    """w_v > 0 of each symbol, learned: (K,). They start at `initial`, where 1 is the linear schedule for all."""

    def __init__(self, symbols: int, initial: float):
        super().__init__()
        self.raw = nn.Parameter(torch.full((symbols,), initial).expm1().log())

    def forward(self) -> Float[Tensor, "K"]:
        return F.softplus(self.raw).clamp(LOWEST, HIGHEST)


class GenMasked(Config):
    """One draw of the bound and of its gradient for each row: one time, two masks, two network passes."""

    kind: Literal["genmasked"] = "genmasked"
    initial_power: Annotated[float, Field(ge=LOWEST, le=HIGHEST)] = 1.0
    last_visible: Annotated[float, Field(gt=0, lt=1)] = 1e-4
    """e, the share of letters that is still visible at t = 1."""
    first_time: Annotated[float, Field(gt=0, lt=1)] = 1e-3
    """t1, where the integral begins."""

    @property
    def needs_time(self) -> bool:
        """Whether the network must be told t."""
        return True

    @property
    def needs_hollow(self) -> bool:
        """Any network that takes the time will do."""
        return False

    @property
    def bounds_likelihood(self) -> bool:
        """Whether the loss is, on average, an upper bound on -log p."""
        return True

    def learned(self, symbols: int) -> Powers:
        """What the process learns itself; it is kept with the network."""
        return Powers(symbols, self.initial_power)

    def loss(self, denoise: Denoise, batch: Batch, rng: Streams) -> Loss:
        """Nats and weight summed over the batch, with the gradient of network and powers. Masks and pads of the source
        are never scored or changed; letters of weight 0 are masked like all others."""
        tokens, weight = batch.tokens, batch.weight
        mask, wide = symbols(denoise, tokens), widest(tokens.device)
        known = tokens < mask
        powers = learned(denoise)().to(wide)
        u, keys = rng.strata().to(tokens.device, wide), rng.rand(tokens.shape[1], 2).to(tokens.device, wide)
        t = self.first_time + (1 - self.first_time) * u
        share = self.masked(t, tokens, powers)
        hidden = [known & (keys[..., j] < share.detach()) for j in (0, 1)]
        both = torch.cat([tokens.masked_fill(h, mask) for h in hidden])
        logits = denoise(both, torch.cat([t, t]).to(torch.float32))
        first, second = (
            (self.density(part, tokens, h, t, powers) * weight).sum(1)
            for part, h in zip(logits.chunk(2), hidden, strict=True)
        )
        drawn = [_log_probability(share, known, h) for h in hidden]
        value = (first + second) / 2
        score = (first - second).detach() / 2 * (drawn[0] - drawn[1])  # its gradient counts, its value does not
        ends = (self.ends(tokens, known, powers) * weight).sum(1)
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

    def ends(
        self, tokens: Int[Tensor, "B L"], known: Bool[Tensor, "B L"], powers: Float[Tensor, "K"]
    ) -> Float[Tensor, "B L"]:
        """What the integral leaves out of each letter: letters masked before t1, and letters visible at 1."""
        log_t = torch.log(torch.tensor(self.first_time, dtype=powers.dtype, device=powers.device))
        each = powers * log_t  # log of how probable a symbol is to be masked at t1, up to the same constant for all
        cost = (1 - self.last_visible) * each.exp() * (each.logsumexp(0) - each)
        prior = self.last_visible * torch.log(torch.tensor(float(len(powers)), dtype=powers.dtype))
        return torch.where(known, cost[tokens.clamp(max=len(powers) - 1)] + prior, 0)


def _log_probability(
    share: Float[Tensor, "B L"], known: Bool[Tensor, "B L"], hidden: Bool[Tensor, "B L"]
) -> Float[Tensor, "B"]:
    """log q of the masks of each row."""
    return torch.where(known, torch.where(hidden, share.log(), torch.log1p(-share)), 0).sum(1)
