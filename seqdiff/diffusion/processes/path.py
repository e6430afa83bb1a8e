"""Processes in continuous time whose bound is an integral over t, told the time: one draw of t a row.

    bound = integral over t in (t1, t2) of E over z of sum_i f_i(x, z, t)   + ends

f is the divergence of the model's rates of change from the true ones, given x (a path divergence, never negative);
the ends are what the interval leaves out. A process says how z is drawn, what f is and what the ends are.
"""

from abc import abstractmethod
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from seqdiff.data.batches import Batch
from seqdiff.diffusion.denoise import Denoise, symbols, widest
from seqdiff.diffusion.likelihood.integral import Integrand, integral
from seqdiff.diffusion.likelihood.score import Score
from seqdiff.diffusion.processes.process import Bound, Loss, Process
from seqdiff.streams import Streams


class Path(Process):
    """A process whose network must be told t, and whose loss is one draw of the bound for each row."""

    @property
    def time(self) -> Literal["optional", "needed"]:
        return "needed"

    @property
    @abstractmethod
    def interval(self) -> tuple[float, float]:
        """t1 and t2, between which times are drawn."""

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
    def changed(self, t: Float[Tensor, "*B"], symbols: int) -> Float[Tensor, "*B"]:
        """How probable it is that at t a letter is not what it was."""

    @abstractmethod
    def ends(self, symbols: int) -> float:
        """Nats a letter that the interval leaves out."""

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

        def density(tokens: Tensor, z: Tensor, t: Tensor) -> Tensor:
            return self.density(network(z, t.float()), tokens.where(tokens < size, 0), z, t)

        def crude(tokens: Tensor, z: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
            return (z != tokens) / t[:, None], (self.changed(t, size) / t)[:, None].expand(tokens.shape)

        return Integrand(
            symbols=size,
            interval=self.interval,
            corrupt=lambda tokens, scored, t, keys: self.corrupt(tokens, scored, t, keys, size),
            density=density,
            crude=crude,
            ends=lambda tokens: torch.full(tokens.shape, self.ends(size), dtype=widest(tokens.device)),
        )

    def loss(self, network: Denoise, batch: Batch, rng: Streams) -> Loss:
        tokens = batch.tokens
        mask, wide = symbols(network, tokens), widest(tokens.device)
        known = tokens < mask
        u, keys = rng.strata().to(tokens.device, wide), rng.rand(tokens.shape[1], 2).to(tokens.device, wide)
        first, last = self.interval
        t = first + (last - first) * u
        z = self.corrupt(tokens, known, t, keys, mask)
        density = self.density(network(z, t.float()), tokens.where(known, torch.zeros_like(tokens)), z, t)
        count = batch.weight.sum(dtype=wide)
        nats = torch.where(known, density, 0) * batch.weight
        return Loss((last - first) * nats.sum() + count * self.ends(mask), count)
