"""How many unknown letters stand between two stretches of a sequence: log p(left, right | gap) of each length of a gap.

The letters of the gap stay masked in every pass, so that they are summed over, exactly. The known letters cost what
the bound says (`elbo.py`), one side after the other, in both orders, of which the mean is taken:

    log p(left, right | gap) = log p(left | gap) + log p(right | left, gap), or the same with the sides exchanged

log p(left | gap) and log p(right | gap) say how well a side suits the length of the whole. Where the sequence goes on
beyond what is looked at it has no such length, and they are left away.

Only differences between lengths are of use. All lengths hide the same letters in the same passes (common random
numbers), so what they have in common has no error. With m(v) the mean cost of a hidden letter where v of the n letters
of a side are visible, chosen at random, a bound is the sum of m(0) to m(n - 1). What a side knows of the other one
may be all in m(0), its first letter, so that is a term of its own without an error; the other v are drawn from strata
that are narrow at both ends, where a mean is over few letters or few say where the rest belong.

A hollow network answers for all n letters, visible or not: then a bound is n / (n + 1) times the sum of m(0) to m(n),
the first and the last of them exact, the others drawn in pairs, some letters and all the others.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64, Int
from torch import Tensor

from seqdiff.diffusion.categorical import not_a_number
from seqdiff.diffusion.denoise import Denoise, is_hollow, symbols
from seqdiff.diffusion.likelihood.passes import Pass, costs
from seqdiff.diffusion.likelihood.score import combined, stratified
from seqdiff.streams import Streams

REPLICATES = 2
"""Masks (of a hollow network pairs) that are drawn from each stratum."""


@dataclass(frozen=True)
class Spacing:
    """What gaps of C lengths make of the letters around them."""

    nats: Float64[Tensor, "C"]
    """log p(left, right | gap), up to a number that is the same for all lengths."""
    calls: int
    """Network passes, of all lengths together."""
    terms: tuple[tuple[Float64[Tensor, "C _ _"], list[float]], ...]
    """Of each bound: what was drawn, and the share of each stratum."""

    def error(self, one: int, other: int) -> float:
        """Standard error in nats of the difference between two of the lengths, by their numbers in `nats`."""
        found = [stratified((terms[one] - terms[other]).tolist(), shares) for terms, shares in self.terms]
        return combined((error**2, df) for _, error, df in found)[0]


def spacing(
    denoise: Denoise,
    left: Int[Tensor, "A"],
    right: Int[Tensor, "B"],
    gaps: Sequence[int],
    rng: Streams,
    *,
    scored: tuple[Bool[Tensor, "A"], Bool[Tensor, "B"]] | None = None,
    whole: bool = False,
    draws: int = 32,
    batch_size: int = 32,
) -> Spacing:
    """Compares gaps of some lengths between two stretches, in which unknown letters are masks.

    Letters that are not `scored` are given; without `scored` all known ones are scored. `whole`: the stretches with
    the gap are a whole sequence. `draws` masks a length are spread over its two bounds (of a whole sequence four).
    Raises SeqdiffError if the logits are not numbers.
    """
    assert len(rng) == 1, "one stream"
    device, sides = left.device, (left.cpu(), right.cpu())
    mask, hollow = symbols(denoise, torch.cat([left, right])[None]), is_hollow(denoise)
    counted = [(side < mask) & (which.cpu() if scored else True) for side, which in zip(sides, scored or sides)]
    bounds = [(side, given) for given in (True, False) if given or whole for side in (0, 1) if counted[side].any()]
    nats, calls, drawn = torch.zeros(len(gaps), dtype=torch.float64), 0, []
    for side, given in bounds:
        shown = [each if given or number == side else torch.full_like(each, mask) for number, each in enumerate(sides)]
        asked = [each & (number == side) for number, each in enumerate(counted)]
        tokens, which = rows_of(*shown, gaps, mask, mask + 1), rows_of(*asked, gaps, False, False)
        n = int(counted[side].sum())
        edges = strata(n, draws // len(bounds), hollow)
        terms = torch.zeros(len(gaps), REPLICATES, len(edges), 2, dtype=torch.float64)
        passes = _passes(which, edges, hollow, rng)
        for (place, read), cost in costs(denoise, tokens, passes, mask, batch_size, device):
            terms[place] = cost / read
            calls += 1
        weight = n / (n + hollow) / 2
        shares = (edges.diff() * weight).tolist()
        values = terms[:, :, 1:].mean(-1) if hollow else terms[:, :, 1:, 0]
        nats -= weight * terms[:, 0, 0].sum(-1)
        nats -= torch.tensor([stratified(each.tolist(), shares)[0] for each in values], dtype=torch.float64)
        drawn.append((values, shares))
    if nats.isnan().any():
        raise not_a_number()
    return Spacing(nats, calls, tuple(drawn))


def strata(n: int, draws: int, hollow: bool) -> Float64[Tensor, "S_1"]:
    """Edges of strata of the way from one visible letter, 0, to all but one, n - 1; of pairs half the way is all.

    >>> strata(101, 8, hollow=False).round().tolist()
    [0.0, 15.0, 50.0, 85.0, 100.0]
    """
    number = max(1, draws // REPLICATES // (1 + hollow))
    way = torch.linspace(0, math.pi / 2, number + 1, dtype=torch.float64)
    return (n - 1) * (1 - way.cos() if hollow else way.sin() ** 2)


def _passes(scored: Bool[Tensor, "C L"], edges: Float64[Tensor, "S_1"], hollow: bool, rng: Streams) -> Iterator[Pass]:
    """The same masks for every row, each with its place (row, replicate, stratum, one of a pair) and letters read."""
    n, drawn = int(scored[0].sum()), (REPLICATES, len(edges) - 1)
    way = edges[:-1] + rng.rand(*drawn)[0] * edges.diff()
    visible = 1 + (way / (1 + hollow)).long().clamp(max=n - 2)
    ranks = rng.rand(*drawn, n)[0].argsort(-1).argsort(-1)
    for row, which in enumerate(scored):
        yield Pass(((row, 0, 0, 0), n), row, which, which)
        if hollow:
            yield Pass(((row, 0, 0, 1), n), row, torch.zeros_like(which), which)
        for place in itertools.product(range(drawn[0]), range(drawn[1])) if n > 1 else ():
            hidden = ranks[place] >= visible[place]
            for one, each in enumerate((hidden, ~hidden) if hollow else (hidden,)):
                masked = torch.zeros_like(which).masked_scatter(which, each)
                read = which if hollow else masked
                yield Pass(((row, place[0], 1 + place[1], one), int(read.sum())), row, masked, read)


def rows_of(
    left: Tensor, right: Tensor, gaps: Sequence[int], between: int, after: int
) -> Int[Tensor, "C L"] | Bool[Tensor, "C L"]:
    """A row for each gap: left, the gap, right, and what stands after the end of the shorter ones.

    >>> rows_of(torch.tensor([1]), torch.tensor([2, 3]), (0, 2), between=4, after=5).tolist()
    [[1, 2, 3, 5, 5], [1, 4, 4, 2, 3]]
    """
    rows = torch.full((len(gaps), len(left) + max(gaps) + len(right)), after, dtype=left.dtype)
    for row, gap in zip(rows, gaps, strict=True):
        row[: len(left)] = left
        row[len(left) : len(left) + gap] = between
        row[len(left) + gap : len(left) + gap + len(right)] = right
    return rows
