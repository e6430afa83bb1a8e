"""How probable a sequence is by the chain rule: letter after letter, each given those before it in some order.

    log p_sigma(x) = sum over j of log mu of letter sigma(j), letters sigma(0), ..., sigma(j - 1) visible

is exactly the log probability of x in the autoregressive model of order sigma. Where the network's conditionals belong
to one joint it is the same for every order; so its spread over orders says how far they do not. The mean over random
orders of -log p_sigma is the bound (Uria et al. 2014, arXiv:1310.1757), -log of the mean of p_sigma is a tighter one.
"""

import itertools
import math
from collections.abc import Iterator
from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Int, Int64
from pydantic import Field, model_validator
from torch import Tensor

from seqdiff.config import Config
from seqdiff.diffusion.denoise import Denoise, is_hollow, symbols
from seqdiff.diffusion.likelihood.passes import Pass, costs
from seqdiff.diffusion.likelihood.score import Score, stratified
from seqdiff.streams import Streams

ORDERS = 4


class Chain(Config):
    """-log p by the chain rule, in one given order or as the mean over random ones."""

    kind: Literal["chain"] = "chain"
    order: Literal["random", "left-to-right", "right-to-left"] = "random"
    orders: Annotated[int, Field(ge=1)] | None = None
    """How many random orders, by default 4; of the two others there is one."""

    @model_validator(mode="after")
    def _consistent(self) -> "Chain":
        if self.order != "random" and self.orders is not None:
            raise ValueError(f"orders belongs to order random: there is one order {self.order}")
        return self

    @property
    def count(self) -> int:
        """Number of orders."""
        return 1 if self.order != "random" else ORDERS if self.orders is None else self.orders

    def __call__(
        self,
        denoise: Denoise,
        tokens: Int[Tensor, "B L"],
        scored: Bool[Tensor, "B L"],
        rng: Streams,
        *,
        batch_size: int = 32,
    ) -> Score:
        """-log p(scored letters | other known letters), nats; unknown letters stay masked and are not scored.

        All contexts are known beforehand, so `batch_size` of them go through the network at once; an order of n
        letters takes n passes, of a hollow network, which answers at the last visible letter as well, half of them.
        The standard error is that of the mean over random orders, 0 in a given one. Raises SeqdiffError if the logits
        are not numbers.
        """
        assert len(rng) == len(tokens), "one stream a row"
        mask, hollow = symbols(denoise, tokens), is_hollow(denoise)
        known = tokens.cpu()
        scored = scored.cpu() & (known < mask)
        n = scored.sum(1)
        count = self.count
        nats = torch.zeros(len(known), count, dtype=torch.float64)
        calls = torch.zeros(len(known), dtype=torch.int64)
        passes = self._passes(scored, rng, count, hollow)
        for (row, number), cost in costs(denoise, known, passes, mask, batch_size, tokens.device):
            nats[row, number] += cost
            calls[row] += 1
        found = [
            (each[0], 0.0, math.inf) if size < 2 or self.order != "random" else stratified([[x] for x in each], [1.0])
            for each, size in zip(nats.tolist(), n.tolist(), strict=True)
        ]
        mean, se, df = torch.tensor(found, dtype=torch.float64).reshape(-1, 3).unbind(1)
        return Score(mean, se, df, n, calls, nats).checked()

    def _passes(self, scored: Bool[Tensor, "B L"], rng: Streams, count: int, hollow: bool) -> Iterator[Pass]:
        for row, which in enumerate(scored):
            n = int(which.sum())
            if self.order == "random":
                orders = random_orders(n, count, rng.select([row]))
            else:
                orders = torch.arange(n)[None] if self.order == "left-to-right" else torch.arange(n).flip(0)[None]
            for number, order in enumerate(orders):
                turns = torch.full(which.shape, -1).masked_scatter(which, order.argsort())
                for visible in range((n + 1) % 2, n, 2) if hollow else range(n):
                    read = (turns == visible) | (hollow and which & (turns == visible - 1))
                    yield Pass((row, number), row, turns >= visible, which & read)


def random_orders(n: int, count: int, rng: Streams) -> Int64[Tensor, "count n"]:
    """Orders of n things from the one stream of `rng`: of so few that they would come twice, all in turn."""
    keys = rng.rand(count, n)[0]
    if n > 4:
        return keys.argsort(dim=1)
    every = list(itertools.permutations(range(n)))
    turns = torch.cat([each.argsort() for each in rng.rand(-(-count // len(every)), len(every))[0]])[:count]
    return torch.tensor(every, dtype=torch.int64).reshape(len(every), n)[turns]
