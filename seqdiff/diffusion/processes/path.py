"""Processes in continuous time whose bound is an integral over t, told the time: one draw of t a row.

    bound = integral over t in (t1, t2) of E over z of sum_i f_i(x, z, t)   + ends

f is the divergence of the model's rates of change from the true ones, given x (a path divergence, never negative);
the ends are what the interval leaves out. A process says how z is drawn, what f is and what the ends are.
"""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from seqdiff.config import Config
from seqdiff.data.batches import Batch
from seqdiff.diffusion.denoise import Denoise, symbols, widest
from seqdiff.diffusion.processes.masked import Loss
from seqdiff.streams import Streams


class Path(Config, ABC):
    """A process whose network must be told t, and whose loss is one draw of the bound for each row."""

    @property
    def needs_time(self) -> bool:
        """Whether the network must be told t."""
        return True

    @property
    def needs_hollow(self) -> bool:
        """Whether the network's output at a position must not depend on the letter there."""
        return False

    @property
    def bounds_likelihood(self) -> bool:
        """Whether the loss is, on average, an upper bound on -log p."""
        return True

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
    def ends(self, symbols: int) -> float:
        """Nats a letter that the interval leaves out."""

    def loss(self, denoise: Denoise, batch: Batch, rng: Streams) -> Loss:
        """Nats and weight summed over the batch. Letters of weight 0 are corrupted like all others, but not scored."""
        tokens = batch.tokens
        mask, wide = symbols(denoise, tokens), widest(tokens.device)
        known = tokens < mask
        u, keys = rng.strata().to(tokens.device, wide), rng.rand(tokens.shape[1], 2).to(tokens.device, wide)
        first, last = self.interval
        t = first + (last - first) * u
        z = self.corrupt(tokens, known, t, keys, mask)
        density = self.density(denoise(z, t.float()), tokens.where(known, torch.zeros_like(tokens)), z, t)
        count = batch.weight.sum(dtype=wide)
        nats = torch.where(known, density, 0) * batch.weight
        return Loss((last - first) * nats.sum() + count * self.ends(mask), count)
