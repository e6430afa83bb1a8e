"""How probable a sequence is: a bound on -log p, with its standard error.

The any-order bound (see `processes/masked.py`) with its last term, all n letters masked, split off and computed
once, exactly:

    bound = S(all) / n + (n - 1) E over k uniform in 1..n-1, U a random set of k letters, of S(U) / k

and k drawn from strata of 1..n-1. It holds for the letters `scored` given the others that are known; letters that
are neither stay masked throughout and are summed over. No clamp, no step size.

A hollow network, whose output at a letter does not see it, answers for every letter in each pass, masked or not.
Then the bound is n times the mean over k uniform in 0..n of the mean cost of all n letters (`processes/masked.py`):
the same number from a fraction of the passes.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, product
from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float64, Int, Int64
from pydantic import Field
from torch import Tensor

from seqdiff.config import Config
from seqdiff.diffusion.categorical import lowest, not_a_number
from seqdiff.diffusion.denoise import Denoise, is_hollow, precise, symbols, widest
from seqdiff.diffusion.processes.masked import exact_count
from seqdiff.streams import Streams


@dataclass(frozen=True)
class Score:
    """Sums over each row's scored positions, on the CPU. Perplexity is exp(sum of nats / sum of positions)."""

    nats: Float64[Tensor, "B"]
    """Estimate of the bound on -log p of the row."""
    se: Float64[Tensor, "B"]
    """Its standard error in nats; 0 where it is exact (0 or 1 position), NaN with a single replicate."""
    positions: Int64[Tensor, "B"]


class Elbo(Config):
    """The bound from `replicates` independent repeats of `strata` masks, each one network pass a row."""

    kind: Literal["elbo"] = "elbo"
    strata: Annotated[int, Field(ge=1)] = 16
    replicates: Annotated[int, Field(ge=1)] = 4

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
            batch_size=batch_size,
        )
        if score.nats.isnan().any():
            raise not_a_number()
        return score


ScorerConfig = Elbo
"""A union told apart by `kind` as soon as there is a second scorer."""


def elbo(
    denoise: Denoise,
    tokens: Int[Tensor, "B L"],
    scored: Bool[Tensor, "B L"],
    rng: Streams,
    *,
    strata: int = 16,
    replicates: int = 4,
    batch_size: int = 32,
) -> Score:
    """Bound on -log p(scored letters | other known letters), nats, for each row; unknown letters are not scored.

    The masks are drawn from the row's stream, so two networks (or a sequence with other neighbours, padding or
    `batch_size`) are compared on the same masks. `batch_size` rows at most go through the network at once; a row
    takes 1 + strata * replicates passes, with one scored letter 1, with none 0. (Hollow: strata * replicates, or 0.)
    """
    assert len(rng) == len(tokens), "one stream a row"
    mask, hollow = symbols(denoise, tokens), is_hollow(denoise)
    known = tokens.cpu()
    scored = scored.cpu() & (known < mask)
    n = scored.sum(1)
    whole = torch.zeros(len(known), dtype=torch.float64)
    draws = torch.zeros(len(known), replicates, strata, dtype=torch.float64)
    passes = _passes(scored, rng, strata, replicates, hollow)
    while block := list(islice(passes, batch_size)):
        rows, places, counts, keys = zip(*block, strict=True)
        counts, rows = torch.tensor(counts), torch.tensor(rows)
        where = (counts, scored[rows], torch.stack(keys).to(widest(tokens.device)))
        masked = lowest(*(part.to(tokens.device) for part in where)).cpu()
        read = scored[rows] if hollow else masked
        nats = masked_nats(denoise, known[rows], masked, read, mask, tokens.device) / read.sum(1)
        for row, place, value in zip(rows.tolist(), places, nats, strict=True):
            if place is None:
                whole[row] = value
            else:
                draws[row, *place] = value
    repeats = [
        (size - 1 + hollow) * torch.tensor([math.fsum(draw) / strata for draw in row], dtype=torch.float64)
        for size, row in zip(n.clamp(min=1).tolist(), draws.tolist(), strict=True)
    ]
    nats = torch.tensor([math.fsum(row.tolist()) / replicates for row in repeats], dtype=torch.float64)
    spread = [float(row.std()) if replicates > 1 else math.nan for row in repeats]
    se = torch.tensor(spread, dtype=torch.float64) / math.sqrt(replicates)
    return Score(whole + nats, torch.where(n > 1, se, 0), n)


@torch.no_grad()
def masked_nats(
    denoise: Denoise,
    tokens: Int[Tensor, "B L"],
    masked: Bool[Tensor, "B L"],
    read: Bool[Tensor, "B L"],
    mask: int,
    device: torch.device,
) -> Float64[Tensor, "B"]:
    """-log mu of the true letters given what is not `masked`, summed over the positions `read`. One network pass."""
    # From the rows' own positions alone and in their order, so that padding does not change the last bit.
    row = read.nonzero()[:, 0]
    where = read.to(device)
    logits = denoise(tokens.masked_fill(masked, mask).to(device))
    chosen = torch.log_softmax(precise(logits[where]), dim=-1)
    nats = -chosen.gather(1, tokens[read][:, None].to(device))[:, 0].cpu().double()
    return torch.zeros(len(tokens), dtype=torch.float64).index_add_(0, row, nats)


def _passes(
    scored: Bool[Tensor, "B L"], rng: Streams, strata: int, replicates: int, hollow: bool
) -> Iterator[tuple[int, tuple[int, int] | None, int, Float64[Tensor, "L"]]]:
    """The passes to make: row, (replicate, stratum) or None for all letters masked, number of masks, random keys."""
    for row, n in enumerate(scored.sum(1).tolist()):
        keys = torch.zeros(scored.shape[1], dtype=torch.float64)
        if n and not hollow:
            yield row, None, n, keys
        if n > 1 or (n and hollow):
            stream = rng.select([row])
            u = (torch.arange(strata) + stream.rand(replicates, strata)[0]) / strata
            counts = (u * (n + 1)).long().clamp(max=n) if hollow else exact_count(u, torch.tensor(n - 1))
            for place in product(range(replicates), range(strata)):
                count = int(counts[place])
                yield row, place, count, keys.masked_scatter(scored[row], stream.rand(n)[0])
