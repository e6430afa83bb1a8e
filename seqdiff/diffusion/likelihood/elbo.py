"""How probable a sequence is: a bound on -log p, with its standard error.

The any-order bound (see `processes/masked.py`) with its last term, all n letters masked, split off and computed
once, exactly:

    bound = S(all) / n + (n - 1) E over k uniform in 1..n-1, U a random set of k letters, of S(U) / k

and k drawn from strata of 1..n-1. It holds for the letters `scored` given the others that are known; letters that
are neither stay masked throughout and are summed over. No clamp, no step size.

A hollow network, whose output at a letter does not see it, answers for every letter in each pass, masked or not.
Then the bound is n times the mean over k uniform in 0..n of the mean cost of all n letters (`processes/masked.py`):
the same number from a fraction of the passes.

`antithetic` draws go in pairs, U and the letters that are not in U: the k first of a permutation and the n - k first
of its reverse. A pair hides every letter once, so what is left of its error is not which letters it asked for.
"""

import math
from collections.abc import Iterator
from itertools import islice, product
from typing import Annotated, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float64, Int, Int64
from pydantic import Field
from torch import Tensor

from seqdiff.config import Config
from seqdiff.diffusion.categorical import lowest, not_a_number
from seqdiff.diffusion.denoise import Denoise, is_hollow, symbols, widest
from seqdiff.diffusion.likelihood.passes import masked_nats
from seqdiff.diffusion.likelihood.score import Score, stratified
from seqdiff.diffusion.processes.masked import exact_count
from seqdiff.streams import Streams


class Elbo(Config):
    """The bound from `replicates` independent repeats of `strata` masks, each one network pass a row."""

    kind: Literal["elbo"] = "elbo"
    strata: Annotated[int, Field(ge=1)] = 16
    replicates: Annotated[int, Field(ge=1)] = 4
    antithetic: bool = True
    """Masks in complementary pairs."""

    def __call__(
        self,
        denoise: Denoise,
        tokens: Int[Tensor, "B L"],
        scored: Bool[Tensor, "B L"],
        rng: Streams,
        *,
        batch_size: int = 32,
    ) -> Score:
        """See `elbo`. Raises SeqdiffError if the logits are not numbers; training judges that for itself."""
        score = elbo(
            denoise,
            tokens,
            scored,
            rng,
            strata=self.strata,
            replicates=self.replicates,
            antithetic=self.antithetic,
            batch_size=batch_size,
        )
        if score.nats.isnan().any():
            raise not_a_number()
        return score


def elbo(
    denoise: Denoise,
    tokens: Int[Tensor, "B L"],
    scored: Bool[Tensor, "B L"],
    rng: Streams,
    *,
    strata: int = 16,
    replicates: int = 4,
    antithetic: bool = True,
    batch_size: int = 32,
) -> Score:
    """Bound on -log p(scored letters | other known letters), nats, for each row; unknown letters are not scored.

    The masks are drawn from the row's stream, so two networks (or a sequence with other neighbours, padding or
    `batch_size`) are compared on the same masks. `batch_size` rows at most go through the network at once; a row
    takes 1 + strata * replicates passes (hollow: strata * replicates), with one scored letter 1, with none 0.
    """
    assert len(rng) == len(tokens), "one stream a row"
    mask, hollow = symbols(denoise, tokens), is_hollow(denoise)
    known = tokens.cpu()
    scored = scored.cpu() & (known < mask)
    n = scored.sum(1)
    design = Design(strata, replicates, antithetic)

    def draws() -> Iterator[Draw]:
        for row, size in enumerate(n.tolist()):
            stream = rng.select([row])
            u, keys = stream.rand(replicates, design.units)[0], stream.rand(replicates, design.units, size)[0]
            yield from design.draws(row, scored[row], u, keys, hollow)

    constant, terms, calls = measured(denoise, known, scored, draws(), design, batch_size, tokens.device)
    found = [design.estimate(row) if size > 1 else (0.0, 0.0, math.inf) for row, size in zip(terms, n.tolist())]
    nats, se, df = torch.tensor(found, dtype=torch.float64).reshape(-1, 3).unbind(1)
    return Score(constant + nats, se, df, n, calls)


class Draw(NamedTuple):
    """A pass that hides the `count` of a row's scored letters with the lowest `keys`."""

    row: int
    place: tuple[int, int] | None
    """Replicate and stratum; None for what is asked once."""
    count: int
    keys: Float64[Tensor, "L"]


class Design(NamedTuple):
    """Which numbers of masks are drawn: `strata` of them spread evenly over all that there are, `replicates` times."""

    strata: int
    replicates: int
    antithetic: bool

    @property
    def units(self) -> int:
        """Independent draws a replicate: strata, or pairs of strata (and the middle one where their number is odd)."""
        return (self.strata + 1) // 2 if self.antithetic else self.strata

    def draws(
        self,
        row: int,
        scored: Bool[Tensor, "L"],
        u: Float64[Tensor, "R U"],
        keys: Float64[Tensor, "R U n"],
        hollow: bool,
    ) -> Iterator[Draw]:
        """The passes of a row from its uniforms `u` (R, U) and the `keys` (R, U, n) of its scored letters."""
        n, spread = int(scored.sum()), torch.zeros(scored.shape, dtype=torch.float64)
        if n == 1 or (n and not hollow):
            yield Draw(row, None, n, spread)
        if n < 2:
            return
        share = (torch.arange(self.units) + u) / self.strata
        counts = (share * (n + 1)).long().clamp(max=n) if hollow else exact_count(share, torch.tensor(n - 1))
        for replicate, unit in product(range(self.replicates), range(self.units)):
            count, ranks = int(counts[replicate, unit]), spread.masked_scatter(scored, keys[replicate, unit])
            yield Draw(row, (replicate, unit), count, ranks)
            partner = self.strata - 1 - unit
            if self.antithetic and partner != unit:
                yield Draw(row, (replicate, partner), n - count, -ranks)

    def estimate(self, terms: Float64[Tensor, "R S"]) -> tuple[float, float, float]:
        """Mean, standard error and degrees of freedom."""
        if not self.antithetic:
            return stratified(terms.tolist(), [1 / self.strata] * self.strata)
        pairs = (terms + terms.flip(1))[:, : self.units] / 2
        shares = [2 / self.strata] * self.units
        shares[-1] /= 1 + self.strata % 2
        return stratified(pairs.tolist(), shares)


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
    mask, hollow = symbols(denoise, tokens), is_hollow(denoise)
    constant = torch.zeros(len(tokens), dtype=torch.float64)
    terms = torch.zeros(len(tokens), design.replicates, design.strata, dtype=torch.float64)
    calls = torch.zeros(len(tokens), dtype=torch.int64)
    while block := list(islice(draws, batch_size)):
        rows, places, counts, keys = zip(*block, strict=True)
        rows, counts = torch.tensor(rows), torch.tensor(counts)
        where = (counts, scored[rows], torch.stack(keys).to(widest(device)))
        masked = lowest(*(part.to(device) for part in where)).cpu()
        read = scored[rows] if hollow else masked
        nats = masked_nats(denoise, tokens[rows], masked, read, mask, device) / read.sum(1)
        scale = scored[rows].sum(1) - 1 + hollow
        for row, place, value, times in zip(rows.tolist(), places, nats.tolist(), scale.tolist(), strict=True):
            calls[row] += 1
            if place is None:
                constant[row] = value
            else:
                terms[row, *place] = value * times
    return constant, terms, calls
