"""Uniform noise: letters are replaced by random letters, never by a mask.

At time t a letter is what it was with probability a(t) + (1 - a) / K, else any other symbol, all alike. Either network
prediction makes the bound exact, each with its own formula, and they must not be mixed:

`leave-one-out`: mu_i = P(x_i | all of z but z_i). In continuous time (Schiff et al. 2024, arXiv:2412.10193), with
xb_j = K a [j = x] + 1 - a, and m_j the same with mu in the place of x,

    f = -a' / (K a) * (K / m_z - K / xb_z + sum_j xb_j / xb_z (log m_z - log m_j + log xb_j - log xb_z))

`posterior`: pi_i = P(x_i | z). The model's rates are the mean of the true ones over pi (Austin et al. 2021,
arXiv:2107.03006), so with R_j(v) = xb_j / xb_z of letter v and s_j = sum_v pi_v R_j(v)

    f = -a' / (K a) * sum over j != z of (s_j - R_j(x) log s_j + R_j(x) (log R_j(x) - 1))

which is what the first formula comes to with s_j = m_j / m_z. With a trained network the first lacks nothing; of an
exact posterior put into it, it asks 1.9 nats too much of 3.7 on the four letters of the tests.
"""

import math
from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from seqdiff.diffusion.denoise import precise, widest
from seqdiff.diffusion.processes.path import Path


class Uniform(Path):
    """Continuous time, a(t) = 1 - t, up to `last_time`, short of where the formula is 0 / 0. Nothing is left out at
    t = 0; beyond `last_time` it is the divergence of what is left of x from the uniform prior, which the ends count."""

    kind: Literal["uniform"] = "uniform"
    prediction: Literal["leave-one-out", "posterior"] = "leave-one-out"
    last_time: Annotated[float, Field(gt=0, lt=1)] = 1 - 1e-4

    @property
    def interval(self) -> tuple[float, float]:
        return 0.0, self.last_time

    def changed(self, t: Float[Tensor, "*B"], symbols: int) -> Float[Tensor, "*B"]:
        return t * (symbols - 1) / symbols

    def corrupt(
        self,
        tokens: Int[Tensor, "B L"],
        known: Bool[Tensor, "B L"],
        t: Float[Tensor, "B"],
        keys: Float[Tensor, "B L 2"],
        symbols: int,
    ) -> Int[Tensor, "B L"]:
        drawn = (keys[..., 1] * symbols).long().clamp(max=symbols - 1)
        return torch.where(known & (keys[..., 0] < t[:, None]), drawn, tokens)

    def density(
        self, logits: Float[Tensor, "B L K"], tokens: Int[Tensor, "B L"], z: Int[Tensor, "B L"], t: Float[Tensor, "B"]
    ) -> Float[Tensor, "B L"]:
        wide = widest(logits.device)  # at late times the terms all but cancel
        size, t = logits.shape[-1], t.to(wide)
        mu = precise(logits).to(wide).softmax(-1)
        now = z.clamp(max=size - 1)[..., None]
        keep = (1 - t)[:, None, None]
        letter = torch.zeros_like(mu).scatter(-1, tokens[..., None], 1.0)
        true = self._rates(letter, now, keep)
        if self.prediction == "leave-one-out":
            model = self._rates(mu, now, keep)
        else:
            each = torch.eye(size).to(mu).expand(*mu.shape, size)
            model = torch.einsum("blv,blvj->blj", mu, self._rates(each, now[..., None, :], keep[..., None]))
        entropy = model - true * model.log() + true * (true.log() - 1)
        others = entropy.scatter(-1, now, 0.0).sum(-1)
        return others / (size * (1 - t)[:, None])

    def ends(self, symbols: int) -> float:
        keep = 1 - self.last_time
        same, other = keep + (1 - keep) / symbols, (1 - keep) / symbols
        return same * math.log(symbols * same) + (symbols - 1) * other * math.log(symbols * other)

    @staticmethod
    def _rates(
        letter: Float[Tensor, "*B K"], now: Int[Tensor, "*C 1"], keep: Float[Tensor, "*D"]
    ) -> Float[Tensor, "*B K"]:
        """How probable each symbol is now, relative to the one that stands there, when `letter` says what it was."""
        share = letter.shape[-1] * keep * letter + 1 - keep
        return share / share.gather(-1, now.expand(*share.shape[:-1], 1))
