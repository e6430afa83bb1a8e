"""Processes whose bound is an integral over the time, in continuous time or in steps: one draw of t a row.

    bound = integral over t in (t1, t2) of E over z of sum_i f_i(x, z, t)   + ends

f is the divergence of the model's rates of change from the true ones, given x (a path divergence, never negative);
the ends are what the interval leaves out. A process says how z is drawn, what f is, and what is left of a letter at t.
In T steps f is T times the divergence of the step that t falls in, and the integral the sum over the steps.
"""

import math
from abc import abstractmethod
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from seqdiff.data.batches import Batch
from seqdiff.diffusion.denoise import Denoise, symbols, takes_time, widest
from seqdiff.diffusion.likelihood.integral import Integrand, integral
from seqdiff.diffusion.likelihood.score import Score
from seqdiff.diffusion.processes.process import Bound, Loss, Process
from seqdiff.streams import Streams


class Path(Process):
    """A process whose network is told t, and whose loss is one draw of the bound for each row."""

    @property
    def time(self) -> Literal["optional", "needed"]:
        return "needed"

    @property
    def number_of_steps(self) -> int | None:
        """T of a process in discrete time, whose f is T times the divergence of a step; None in continuous time."""
        return None

    @property
    def interval(self) -> tuple[float, float]:
        """t1 and t2, between which times are drawn."""
        return 0.0, 1.0

    def at(self, t: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        """The time that stands for t: t itself, or of a process in steps the end of its step. All else is told it."""
        count = self.number_of_steps
        return t if count is None else (t * count).ceil().clamp(min=1) / count

    @abstractmethod
    def corrupt(
        self,
        tokens: Int[Tensor, "B L"],
        known: Bool[Tensor, "B L"],
        t: Float[Tensor, "B"],
        keys: Float[Tensor, "B L 2"],
        symbols: int,
    ) -> Int[Tensor, "B L"]:
        """z at the times t from uniform keys; what is not known stays what it is."""

    @abstractmethod
    def density(
        self, logits: Float[Tensor, "B L K"], tokens: Int[Tensor, "B L"], z: Int[Tensor, "B L"], t: Float[Tensor, "B"]
    ) -> Float[Tensor, "B L"]:
        """f of each letter of x, nats a unit of time; what it says of what is no letter is not read."""

    @abstractmethod
    def left(self, t: Float[Tensor, "*B"], symbols: int) -> Float[Tensor, "*B"]:
        """Nats of a letter that are left at t: the divergence of what it may be then from what any letter may be.

        ln K at 0. In a stretch of time a network for which all letters are alike pays what is lost in it."""

    def ends(self, symbols: int) -> float:
        """Nats a letter that the interval leaves out: what makes it ln K in all to know nothing."""
        left = self.left(torch.tensor(self.interval, dtype=torch.float64), symbols)
        return math.log(symbols) - float(left[0] - left[1])

    def answer(self, network: Denoise, z: Int[Tensor, "B L"], t: Float[Tensor, "B"]) -> Float[Tensor, "B L S"]:
        """What the network says of z, told t if it must be or can be."""
        return network(z, t.float()) if self.time == "needed" or takes_time(network) else network(z)

    def bound(self, network: Denoise, *, strata: int, replicates: int) -> Bound:
        """The integral, from times of `strata` strata (`seqdiff.diffusion.likelihood.integral`)."""

        def of_rows(
            tokens: Int[Tensor, "B L"], scored: Bool[Tensor, "B L"], rng: Streams, *, batch_size: int = 32
        ) -> Score:
            integrand = self.integrand(network, symbols(network, tokens))
            return integral(integrand, tokens, scored, rng, strata=strata, replicates=replicates, batch_size=batch_size)

        return of_rows

    def integrand(self, network: Denoise, size: int) -> Integrand:
        """The integral with the network in it, of an alphabet of `size` letters."""

        def density(tokens: Int[Tensor, "N L"], z: Int[Tensor, "N L"], t: Float[Tensor, "N"]) -> Float[Tensor, "N L"]:
            t = self.at(t)
            return self.density(self.answer(network, z, t), tokens.where(tokens < size, 0), z, t)

        def crude(tokens: Int[Tensor, "N L"], z: Int[Tensor, "N L"], t: Float[Tensor, "N"]) -> Float[Tensor, "N L"]:
            same, other = self.crude(self.at(t), size)
            return torch.where(z == tokens, same[:, None], other[:, None])

        return Integrand(
            symbols=size,
            interval=self.interval,
            corrupt=lambda tokens, scored, t, keys: self.corrupt(tokens, scored, self.at(t), keys, size),
            density=density,
            crude=crude,
            crude_until=lambda t: self.crude_until(t, size)[:, None].expand(-1, size),
            ends=torch.full((size,), self.ends(size), dtype=torch.float64),
        )

    def crude(self, t: Float[Tensor, "N"], size: int) -> tuple[Float[Tensor, "N"], Float[Tensor, "N"]]:
        """f of a letter that is unchanged, and of a changed one, by a network for which all letters are alike."""
        letter = torch.zeros(len(t), 1, dtype=torch.int64, device=t.device)
        last = torch.tensor([0.0, 1 - 2**-20], dtype=t.dtype, device=t.device).expand(len(t), 1, 2)
        other = self.corrupt(letter, letter == 0, t, last, size)  # changed, of symbols to the last one
        logits = torch.zeros(len(t), 1, size, dtype=t.dtype, device=t.device)
        same, changed = (self.density(logits, letter, z, t)[:, 0] for z in (letter, other))
        return same, changed

    def crude_until(self, t: Float[Tensor, "N"], symbols: int) -> Float[Tensor, "N"]:
        """What such a network pays from t1 to t; within a step evenly."""
        begin = self.left(torch.full_like(t, self.interval[0]), symbols)
        if (count := self.number_of_steps) is None:
            return begin - self.left(t, symbols)
        last = self.at(t)
        first = (last * count - 1) / count
        share = (t - first) * count
        return begin - (1 - share) * self.left(first, symbols) - share * self.left(last, symbols)

    def loss(self, network: Denoise, batch: Batch, rng: Streams) -> Loss:
        tokens = batch.tokens
        mask, wide = symbols(network, tokens), widest(tokens.device)
        known = tokens < mask
        u, keys = rng.strata().to(tokens.device, wide), rng.rand(tokens.shape[1], 2).to(tokens.device, wide)
        t, width = self.times(u)
        t = self.at(t)
        z = self.corrupt(tokens, known, t, keys, mask)
        count = batch.weight.sum(dtype=wide)
        nats = torch.where(known, self.costs(network, tokens, z, t, mask), 0) * batch.weight * width[:, None]
        return Loss(nats.sum() + count * self.ends(mask), count)

    def times(self, u: Float[Tensor, "B"]) -> tuple[Float[Tensor, "B"], Float[Tensor, "B"]]:
        """The times that training is shown, from uniforms, and dt / du, which weighs them."""
        first, last = self.interval
        return first + (last - first) * u, torch.full_like(u, last - first)

    def costs(
        self,
        network: Denoise,
        tokens: Int[Tensor, "B L"],
        z: Int[Tensor, "B L"],
        t: Float[Tensor, "B"],
        symbols: int,
    ) -> Float[Tensor, "B L"]:
        """What each letter costs in training, of which the loss is the mean over t and z: f, by one network pass."""
        return self.density(self.answer(network, z, t), tokens.where(tokens < symbols, 0), z, t)
