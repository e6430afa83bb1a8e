"""Which numbers of letters are hidden, how often, and what the answers add up to.

Numbers of masks are spread over strata: the draws of a stratum differ little from one another, and how much they do
says how large the error is. The mean cost of k letters varies as 1/sqrt(k), so strata of few masks are narrow: the
edges are (j / strata)^2 of the way, close to Neyman's allocation. (Neyman 1934, JRSS 97:558.)

A hollow network answers for all letters in every pass, whatever their number; its strata are evenly wide, and its
draws are best made in pairs, U and the letters that are not in U: the k first of a permutation and the n - k first of
its reverse. What one of a pair has too little of, the other has too much of.
"""

import itertools
import math
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float64, Int, Int64
from torch import Tensor

from seqdiff.diffusion.categorical import exact_count, lowest
from seqdiff.diffusion.denoise import Denoise, is_hollow, symbols, widest
from seqdiff.diffusion.likelihood.passes import masked_nats
from seqdiff.diffusion.likelihood.score import stratified


class Draw(NamedTuple):
    """A pass that hides the `count` of a row's scored letters with the lowest `keys`."""

    row: int
    place: tuple[int, int] | None
    """Replicate and stratum; None for a mask that is one of all, not drawn."""
    count: int
    keys: Float64[Tensor, "L"]
    weight: float
    """Of the mean cost of a letter that is read."""


class Design(NamedTuple):
    """`strata` masks a replicate, in complementary pairs where `antithetic`, `replicates` times."""

    strata: int
    replicates: int
    antithetic: bool
    hollow: bool

    @classmethod
    def of(cls, denoise: Denoise, strata: int, replicates: int, antithetic: bool | None = None) -> "Design":
        """By default in pairs where the network is hollow."""
        hollow = is_hollow(denoise)
        return cls(strata, replicates, hollow if antithetic is None else antithetic, hollow)

    @property
    def units(self) -> int:
        """Independent draws a replicate: strata, or pairs of strata (and the middle one where their number is odd)."""
        return (self.strata + 1) // 2 if self.antithetic else self.strata

    @property
    def edges(self) -> Float64[Tensor, "S_1"]:
        """Where strata begin and end on the way from no mask to all."""
        return (torch.arange(self.strata + 1).double() / self.strata) ** (1 if self.hollow or self.antithetic else 2)

    def spread(self, u: Float64[Tensor, "*B R U"]) -> Float64[Tensor, "*B R U"]:
        """Uniforms as points of the units' (first) strata."""
        low, high = self.edges[: self.units], self.edges[1 : self.units + 1]
        return low + u * (high - low)

    def partner(self, unit: int) -> int | None:
        """The stratum of a unit's second draw."""
        other = self.strata - 1 - unit
        return other if self.antithetic and other != unit else None

    def estimate(self, terms: Float64[Tensor, "R S"]) -> tuple[float, float, float]:
        """Mean over the way from no mask to all, standard error and degrees of freedom."""
        shares = self.edges.diff()
        if self.antithetic:
            shares = (shares + shares.flip(0)) / torch.where(torch.arange(self.strata) * 2 + 1 == self.strata, 2, 1)
            terms = (terms + terms.flip(1)) / 2
        return stratified(terms[:, : self.units].tolist(), shares[: self.units].tolist())

    def takes_all(self, n: int) -> bool:
        """Whether the masks of n letters are so few that all of them are taken, and nothing is drawn."""
        return n < 2 or 2**n - 1 <= self.strata * self.replicates

    def draws(
        self, row: int, scored: Bool[Tensor, "L"], u: Float64[Tensor, "R U"], keys: Float64[Tensor, "R U n"]
    ) -> Iterator[Draw]:
        """The passes of a row from its uniforms and the keys of its scored letters."""
        n, blank = int(scored.sum()), torch.zeros(scored.shape, dtype=torch.float64)
        if self.takes_all(n):
            for count in range(1, n + 1):
                for chosen in itertools.combinations(range(n), count):
                    first = torch.ones(n, dtype=torch.float64)
                    first[list(chosen)] = 0
                    yield Draw(row, None, count, blank.masked_scatter(scored, first), 1 / math.comb(n, count))
            return
        if not self.hollow:
            yield Draw(row, None, n, blank, 1)
        weight, way = n - 1 + self.hollow, self.spread(u)
        counts = (way * (n + 1)).long().clamp(max=n) if self.hollow else exact_count(way, torch.tensor(n - 1))
        for replicate, unit in itertools.product(range(self.replicates), range(self.units)):
            count, ranks = int(counts[replicate, unit]), blank.masked_scatter(scored, keys[replicate, unit])
            yield Draw(row, (replicate, unit), count, ranks, weight)
            if (partner := self.partner(unit)) is not None:
                yield Draw(row, (replicate, partner), n - count, -ranks, weight)


def measured(
    denoise: Denoise,
    tokens: Int[Tensor, "B L"],
    scored: Bool[Tensor, "B L"],
    draws: Iterator[Draw],
    design: Design,
    batch_size: int,
    device: torch.device,
) -> tuple[Float64[Tensor, "B"], Float64[Tensor, "B R S"], Int64[Tensor, "B"]]:
    """What each row's bound is made of, bound = constant + E[mean of the terms], and the network passes it took."""
    mask = symbols(denoise, tokens)
    constant = torch.zeros(len(tokens), dtype=torch.float64)
    terms = torch.zeros(len(tokens), design.replicates, design.strata, dtype=torch.float64)
    calls = torch.zeros(len(tokens), dtype=torch.int64)
    while block := list(islice(draws, batch_size)):
        rows, places, counts, keys, weights = zip(*block, strict=True)
        rows, weights = torch.tensor(rows), torch.tensor(weights, dtype=torch.float64)
        drawn = torch.tensor([place is not None for place in places])
        where = (torch.tensor(counts), scored[rows], torch.stack(keys).to(widest(device)))
        masked = lowest(*(part.to(device) for part in where)).cpu()
        read = torch.where(drawn[:, None] & design.hollow, scored[rows], masked)
        nats = masked_nats(denoise, tokens[rows], masked, read, mask, device) / read.sum(1) * weights
        for row, place, value in zip(rows.tolist(), places, nats.tolist(), strict=True):
            calls[row] += 1
            if place is None:
                constant[row] += value
            else:
                terms[row, *place] = value
    return constant, terms, calls
