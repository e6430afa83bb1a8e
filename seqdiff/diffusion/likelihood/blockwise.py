"""How probable a sequence is block after block: the sum of the any-order bounds of its blocks, each given the clean
blocks before it (Arriola et al. 2025, arXiv:2503.09573, eq. 5).

All blocks of a row are noised at once, each with masks of its own: a pass says something of every block. The masks of a
block are those of `elbo`: all of its letters once, then random ones of stratified counts; where so few letters have no
more masks than that, each of them once, and what that block costs is exact.
"""

import math
from itertools import islice

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float64, Int, Int64
from torch import Tensor

from seqdiff.diffusion.categorical import exact_count, lowest
from seqdiff.diffusion.denoise import Denoise, precise, symbols
from seqdiff.diffusion.likelihood.design import Design
from seqdiff.diffusion.likelihood.passes import scattered
from seqdiff.diffusion.likelihood.score import Score, combined
from seqdiff.streams import Streams


def in_blocks(values: Tensor, length: int, fill: float = 0) -> Tensor:
    """(B, L) -> (B, N, length), the last block filled up.

    >>> in_blocks(torch.tensor([[1, 2, 3]]), 2).tolist()
    [[[1, 2], [3, 0]]]
    """
    return F.pad(values, (0, -values.shape[1] % length), value=fill).unflatten(1, (-1, length))


def blockwise(
    network: Denoise,
    tokens: Int[Tensor, "B L"],
    scored: Bool[Tensor, "B L"],
    rng: Streams,
    *,
    length: int,
    strata: int = 16,
    replicates: int = 4,
    batch_size: int = 32,
) -> Score:
    """Bound on -log p(scored letters), nats, for each row: the sum over blocks of the bound on -log p of the block's
    scored letters, given its other known letters and the blocks before. Where all known letters are scored it is the
    bound on -log p of the row; letters that are known and not scored are no condition to blocks before theirs.

    Pads are on the right. Masks are drawn from the row's stream: no neighbour, padding or `batch_size` changes them. A
    row takes 1 + strata * replicates passes at most, fewer where all masks of all blocks are.
    """
    assert len(rng) == len(tokens), "one stream a row"
    known = tokens.cpu()
    mask = symbols(network, tokens)
    scored = scored.cpu() & (known < mask)
    plan = Plan(scored, rng, length, strata, replicates)
    costs = torch.zeros(len(known), plan.most, plan.sizes.shape[1], dtype=torch.float64)
    passes = iter((row, turn) for row, count in enumerate(plan.passes.tolist()) for turn in range(count))
    while some := list(islice(passes, batch_size)):
        rows, turns = torch.tensor(some).unbind(1)
        masked = plan.masked(rows, turns)
        costs[rows, turns] = _block_nats(network, known[rows], masked, mask, length, tokens.device)
    found = [plan.estimate(row, costs[row]) for row in range(len(known))]
    nats, se, df = torch.tensor(found, dtype=torch.float64).reshape(-1, 3).unbind(1)
    return Score(nats, se, df, scored.sum(1), plan.passes)


@torch.no_grad()
def _block_nats(
    network: Denoise,
    tokens: Int[Tensor, "P L"],
    masked: Bool[Tensor, "P L"],
    mask: int,
    length: int,
    device: torch.device,
) -> Float64[Tensor, "P N"]:
    """-log mu of the masked letters of each block, summed. One network pass."""
    logits = network(tokens.masked_fill(masked, mask).to(device), clean=tokens.to(device))
    chosen = torch.log_softmax(precise(logits[masked.to(logits.device)]), -1)
    nats = -chosen.gather(1, tokens[masked][:, None].to(logits.device))[:, 0].cpu().double()
    spread = torch.zeros(masked.shape, dtype=torch.float64).masked_scatter(masked, nats)
    return in_blocks(spread, length).sum(2)


class Plan:
    """Which letters are masked in which pass, and what that says of the row. A block whose masks are all done has none
    in the passes that are left."""

    def __init__(self, scored: Bool[Tensor, "B L"], rng: Streams, length: int, strata: int, replicates: int):
        self.design = Design(strata, replicates, antithetic=False, hollow=False)
        self.columns, self.scored = scored.shape[1], in_blocks(scored, length)
        self.sizes: Int64[Tensor, "B N"] = self.scored.sum(2)
        """Scored letters of each block."""
        # By their number: whether all masks are taken, and in how many passes.
        draws = strata * replicates
        self.whole = torch.tensor([self.design.takes_all(n) for n in range(length + 1)])
        self.count = torch.tensor([2**n - 1 if all_masks else 1 + draws for n, all_masks in enumerate(self.whole)])
        self.passes = self.count[self.sizes].sum(1) if not self.sizes.numel() else self.count[self.sizes].amax(1)
        """Of each row."""
        self.most = int(self.passes.max()) if len(scored) else 0
        # A row draws for the letters of its own blocks alone.
        drawn = ~self.whole[self.sizes]
        u = scattered(rng, drawn, draws).unflatten(1, (replicates, strata))
        low, high = (self.design.edges[edge, None] for edge in (slice(-1), slice(1, None)))
        counts = exact_count(low + u * (high - low), self.sizes[:, None, None] - 1)
        self.masks: Int64[Tensor, "B draws N"] = counts.flatten(1, 2)
        """How many letters each draw masks."""
        where = (self.scored & drawn[..., None]).flatten(1)[:, : self.columns]
        self.keys: Float64[Tensor, "B draws L"] = scattered(rng, where, draws)
        """Those of the lowest keys."""

    def masked(self, rows: Int64[Tensor, "P"], turns: Int64[Tensor, "P"]) -> Bool[Tensor, "P L"]:
        """What is masked in some passes of some rows."""
        scored, n = self.scored[rows], self.sizes[rows]
        # Mask number m, from 1, of a block that takes all: the letters that are the ones of m in binary.
        rank = (scored.cumsum(2) - 1).clamp(0, 62)
        written = scored & (((turns[:, None, None] + 1) >> rank) % 2 == 1)
        draw = (turns - 1).clamp(min=0)
        count = torch.where(turns[:, None] == 0, n, self.masks[rows, draw])
        keys = in_blocks(self.keys[rows, draw], scored.shape[2])
        drawn = lowest(count.flatten(), scored.flatten(0, 1), keys.flatten(0, 1)).view_as(scored)
        masked = torch.where(self.whole[n][..., None], written, drawn) & (turns[:, None] < self.count[n])[..., None]
        return masked.flatten(1)[:, : self.columns]

    def estimate(self, row: int, costs: Float64[Tensor, "passes N"]) -> tuple[float, float, float]:
        """Nats of a row, standard error and degrees of freedom, from what the masked letters of each block cost."""
        nats, errors = [], []
        for block, n in enumerate(self.sizes[row].tolist()):
            spent = costs[:, block].tolist()
            if self.whole[n]:
                sizes = [mask.bit_count() for mask in range(1, 2**n)]
                nats += [cost / (k * math.comb(n, k)) for cost, k in zip(spent, sizes, strict=False)]
                continue
            terms = [(n - 1) * cost / k for cost, k in zip(spent[1:], self.masks[row, :, block].tolist(), strict=False)]
            mean, se, df = self.design.estimate(torch.tensor(terms).double().view(-1, self.design.strata))
            nats += [spent[0] / n, mean]
            errors.append((se**2, df))
        return math.fsum(nats), *combined(errors)
