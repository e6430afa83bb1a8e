"""Classifier-free guidance: one denoiser that leans from an unconditional one towards, or past, a conditional one.

mu_g = mu_u (mu_c / mu_u)^g / Z, that is softmax(g log mu_c + (1 - g) log mu_u) (Schiff et al. 2024, arXiv:2412.10193;
for continuous diffusion Ho and Salimans 2022, arXiv:2207.12598). Since mu_c / mu_u is proportional to p(y | z, x_i = v)
of the classifier that the two imply, g = 1 is the conditional model, 0 the unconditional one, and g > 1 sharpens. Other
weights than 0 and 1 do not sample p(x) p(y | x)^g / Z: each letter is tilted by itself.

The two may be two networks of one alphabet, such as a fine-tuned one and the one that it was tuned from, or one network
that takes a label, called with and without it.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqdiff.diffusion.denoise import Denoise, Reading, is_hollow, precise, reading


class Guided:
    """A `Denoise` made of two: what every sampler and likelihood takes. A call costs one of each, at weights 0 and 1
    one in all.

    `hollow` if both are; `symbols` are the conditional's. Raises ValueError for a weight that is negative or no number,
    and for two alphabets.

    >>> def fair(tokens):
    ...     return torch.zeros(*tokens.shape, 2)
    >>> def loaded(tokens):
    ...     return torch.tensor([0.8, 0.2]).log().expand(*tokens.shape, 2)
    >>> Guided(loaded, fair, weight=2.0)(torch.tensor([[2]])).softmax(-1)
    tensor([[[0.9412, 0.0588]]])
    """

    def __init__(self, conditional: Denoise, unconditional: Denoise, weight: float):
        if not 0 <= weight < math.inf:
            raise ValueError(f"a guidance weight is 0 (unconditional), 1 (conditional) or more, not {weight}")
        self.conditional, self.unconditional, self.weight = conditional, unconditional, float(weight)
        self.hollow = is_hollow(conditional) and is_hollow(unconditional)

    @property
    def symbols(self) -> int:
        return self.conditional.symbols

    def __call__(self, tokens: Int[Tensor, "B L"], time: Float[Tensor, "B"] | None = None) -> Float[Tensor, "B L K"]:
        inputs = (tokens,) if time is None else (tokens, time)
        if self.weight == 1:
            return self.conditional(*inputs)
        if self.weight == 0:
            return self.unconditional(*inputs)
        towards, away = (precise(network(*inputs)) for network in (self.conditional, self.unconditional))
        if towards.shape != away.shape:
            raise ValueError(
                f"the two networks have different alphabets: {towards.shape[-1]} and {away.shape[-1]} symbols"
            )
        return leaned(towards.log_softmax(-1), away.log_softmax(-1), self.weight)

    def reader(self, rows: int) -> Reading:
        """What reads so many rows from the left with both networks, or the one that counts."""
        if self.weight in (0, 1):
            return reading(self.conditional if self.weight else self.unconditional, rows)
        return GuidedReading(reading(self.conditional, rows), reading(self.unconditional, rows), self.weight)


class GuidedReading:
    """Two left-to-right networks that read the same letters, one leaning away from the other."""

    def __init__(self, towards: Reading, away: Reading, weight: float):
        self._both, self._weight = (towards, away), weight

    @property
    def logits(self) -> Float[Tensor, "B K"]:
        return self._leaned(*(each.logits for each in self._both))

    def read(self, letters: Int[Tensor, "B n"]) -> Float[Tensor, "B n K"]:
        return self._leaned(*(each.read(letters) for each in self._both))

    def take(self, rows: Int[Tensor, "N"]) -> None:
        for each in self._both:
            each.take(rows)

    def _leaned(self, towards: Float[Tensor, "*B K"], away: Float[Tensor, "*B K"]) -> Float[Tensor, "*B K"]:
        return leaned(precise(towards).log_softmax(-1), precise(away).log_softmax(-1), self._weight)


def leaned(towards: Float[Tensor, "*N K"], away: Float[Tensor, "*N K"], weight: float) -> Float[Tensor, "*N K"]:
    """weight log p_c + (1 - weight) log p_u, of log probabilities; to be normalised.

    >>> leaned(torch.tensor([0.8, 0.2]).log(), torch.tensor([0.5, 0.5]).log(), 2.0).softmax(-1)
    tensor([0.9412, 0.0588])
    """
    # A letter that the conditional rules out stays ruled out. One that the unconditional alone rules out weighs as
    # one that is only just possible: the ratio of the two would be infinite.
    away = away.clamp(min=math.log(torch.finfo(away.dtype).tiny))
    return (weight * towards + (1 - weight) * away).masked_fill(towards == -torch.inf, -torch.inf)
