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

        def density(tokens: Int[Tensor, "N L"], z: Int[Tensor, "N L"], t: Float[Tensor, "N"]) -> Float[Tensor, "N L"]:
            return self.density(network(z, t.float()), tokens.where(tokens < size, 0), z, t)

        def crude(tokens: Int[Tensor, "N L"], z: Int[Tensor, "N L"], t: Float[Tensor, "N"]) -> Float[Tensor, "N L"]:
            same, other = self.crude(t, size)
            return torch.where(z == tokens, same[:, None], other[:, None])

        def crude_mean(t: Float[Tensor, "N"]) -> Float[Tensor, "N K"]:
            (same, other), changed = self.crude(t, size), self.changed(t, size)
            return ((1 - changed) * same + changed * other)[:, None].expand(-1, size)

        return Integrand(
            symbols=size,
            interval=self.interval,
            corrupt=lambda tokens, scored, t, keys: self.corrupt(tokens, scored, t, keys, size),
            density=density,
            crude=crude,
            crude_mean=crude_mean,
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
