"""How much more probable one sequence is than another: log p(alternate) - log p(reference), in nats.

Two sequences that differ at one letter j need one network pass: p(alt) / p(ref) = p(alt_j | rest) / p(ref_j | rest),
exactly, the rest being the same (`site_marginals`). At several letters the chain rule over them, given the rest, is
exact for a network whose conditionals agree with one another, and averaged over orders where they do not
(`substitutions`). Both read a letter in one context, all others visible. The bound on -log p reads it in all contexts:
`split` is the difference of the bounds of two sequences that differ at one letter, `lengths` of two stretches of any
lengths between the same flanks, both through common masks and with a standard error.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float64, Int, Int64
from torch import Tensor

from seqdiff.diffusion.categorical import lowest
from seqdiff.diffusion.denoise import Denoise, is_hollow, precise, symbols
from seqdiff.diffusion.likelihood.chain import random_orders
from seqdiff.diffusion.likelihood.design import Design, Draw, measured
from seqdiff.diffusion.likelihood.passes import masked_nats, nats_of, scattered
from seqdiff.diffusion.likelihood.score import Score, stratified
from seqdiff.streams import Streams


@dataclass(frozen=True)
class Ratio:
    """Of each row, on the CPU."""

    nats: Float64[Tensor, "B"]
    """log p(alternate) - log p(reference): negative where the alternate is less probable."""
    se: Float64[Tensor, "B"]
    """Standard error in nats of what was drawn: 0 where nothing is, NaN of a single replicate or order."""
    calls: Int64[Tensor, "B"]
    """Network passes that the row took part in."""


def joint(
    bound: Callable[..., Score],
    reference: Int[Tensor, "B L"],
    alternate: Int[Tensor, "B M"],
    rng: Streams,
    *,
    batch_size: int = 32,
) -> Ratio:
    """Of rows of any two lengths by what gives -log p of each exactly, as that of a left-to-right model does: the
    letters before the first that differs cost both the same, and are left out."""
    shorter = min(reference.shape[1], alternate.shape[1])
    first = (reference[:, :shorter] == alternate[:, :shorter]).cumprod(1).sum(1, keepdim=True)
    before, after = (
        bound(tokens, torch.arange(tokens.shape[1]) >= first, rng, batch_size=batch_size)
        for tokens in (reference, alternate)
    )
    return Ratio(before.nats - after.nats, (before.se.square() + after.se.square()).sqrt(), before.calls + after.calls)


@torch.no_grad()
def site_marginals(denoise: Denoise, tokens: Int[Tensor, "B L"], positions: Int[Tensor, "B"]) -> Float64[Tensor, "B K"]:
    """log mu of every symbol at one position of each row, that position masked, all else as it is. One call a row.

    The difference of two columns is log p(alt) - log p(ref) of the sequences that have these letters there.
    """
    rows, positions = torch.arange(len(tokens), device=tokens.device), positions.to(tokens.device)
    hidden = tokens.clone()
    hidden[rows, positions] = symbols(denoise, tokens)
    return torch.log_softmax(precise(denoise(hidden)[rows, positions]).cpu().double(), dim=-1)


def substitutions(
    denoise: Denoise,
    reference: Int[Tensor, "B L"],
    alternate: Int[Tensor, "B L"],
    rng: Streams,
    *,
    orders: int = 4,
    batch_size: int = 32,
) -> Ratio:
    """Sequences of the same length that differ at any sites R, by the chain rule over R given all else.

    log p(alt_R | rest) - log p(ref_R | rest), both in the same order, averaged over `orders` random ones; over all
    |R|! of them, without an error, where these are no more. A context that comes again (the first of every order, R
    all masked, is also common to both alleles) is asked for once: at most 1 + 2 (|R| - 1) passes an order; a hollow
    network answers for two steps in each pass. Letters at differing sites must be known.
    """
    assert len(rng) == len(reference), "one stream a row"
    mask, hollow = symbols(denoise, reference), is_hollow(denoise)
    alleles = torch.stack([reference, alternate]).cpu()
    differ = alleles[0] != alleles[1]
    assert (alleles[:, differ] < mask).all(), "the letters that differ are known"
    taken = [orders_of(where.nonzero()[:, 0].tolist(), rng.select([row]), orders) for row, where in enumerate(differ)]
    steps = [
        (row, number, order, step)
        for row, each in enumerate(taken)
        for number, order in enumerate(each)
        for step in range(len(order))
    ]

    def context(row: int, order: tuple[int, ...], step: int, allele: int) -> Context:
        """What answers for a step. A hollow network also does at the last letter that it sees."""
        seen = step + (hollow and (step + len(order)) % 2 == 0)
        return Context(row, allele if seen else 0, frozenset(order[:seen]))

    contexts = list(dict.fromkeys(context(row, order, step, a) for row, _, order, step in steps for a in (0, 1)))
    log_mu = dict(_answered(denoise, alleles, differ, contexts, mask, batch_size, reference.device))
    nats = [[0.0] * len(each) for each in taken]
    for row, number, order, step in steps:
        for allele, sign in ((0, -1), (1, 1)):
            letter = int(alleles[allele, row, order[step]])
            nats[row][number] += sign * log_mu[context(row, order, step, allele)][order[step]][letter]
    found = [
        (math.fsum(each) / len(each), 0.0) if all_orders(r, orders) else stratified([[one] for one in each], [1.0])[:2]
        for each, r in zip(nats, differ.sum(1).tolist(), strict=True)
    ]
    calls = torch.tensor([each.row for each in contexts], dtype=torch.int64).bincount(minlength=len(reference))
    return Ratio(*torch.tensor(found, dtype=torch.float64).reshape(-1, 2).unbind(1), calls)


class Context(NamedTuple):
    """A pass over the allele of a row of which, out of the sites that differ, those `seen` are visible."""

    row: int
    allele: int
    seen: frozenset[int]


@torch.no_grad()
def _answered(
    denoise: Denoise,
    alleles: Int[Tensor, "2 B L"],
    differ: Bool[Tensor, "B L"],
    contexts: list[Context],
    mask: int,
    batch_size: int,
    device: torch.device,
) -> Iterator[tuple[Context, dict[int, list[float]]]]:
    """log mu at every differing site, by position, in each context."""
    for first in range(0, len(contexts), batch_size):
        block = contexts[first : first + batch_size]
        rows = [context.row for context in block]
        masked = differ[rows]
        for row, context in zip(masked, block, strict=True):
            row[list(context.seen)] = False
        tokens = alleles[[context.allele for context in block], rows].masked_fill(masked, mask)
        logits = denoise(tokens.to(device))[differ[rows].to(device)]
        log_mu = iter(torch.log_softmax(precise(logits).cpu().double(), dim=-1).tolist())
        for context in block:
            yield context, {site: next(log_mu) for site in differ[context.row].nonzero()[:, 0].tolist()}


def orders_of(places: Sequence[int], rng: Streams, orders: int) -> list[tuple[int, ...]]:
    """Orders in which to go through the places: all that there are if these are no more, else random ones, from the
    one stream of `rng`.
    """
    if all_orders(len(places), orders):
        return list(itertools.permutations(places))
    return [tuple(places[i] for i in order) for order in random_orders(len(places), orders, rng).tolist()]


def all_orders(sites: int, orders: int) -> bool:
    """Whether so many sites have no more orders than these."""
    return math.factorial(min(sites, 20)) <= orders


@torch.no_grad()
def split(
    denoise: Denoise,
    reference: Int[Tensor, "B L"],
    alternate: Int[Tensor, "B L"],
    rng: Streams,
    *,
    strata: int = 8,
    replicates: int = 4,
    batch_size: int = 32,
) -> Ratio:
    """The difference of the bounds of two sequences that differ at one letter j, split by whether j is masked.

    Where it is, the contexts are the same and all other letters cancel; where it is not, those masked say how well
    they fit either allele. With n known letters and U a random set of m of the others, it is

        E over m uniform in 0..n-1 of log mu_j(alt) - log mu_j(ref), j and U masked
        + (n - m) / m sum over i in U of log mu_i(x_i), U masked, alt at j, less the same with ref at j

    at 3 passes a draw. A hollow network is read at all letters but j, with the weight (n - m) / (n + 1), and at j in
    one of these passes: 2 a draw. `strata` of m, `replicates` times. 0 where no letter differs.
    """
    assert len(rng) == len(reference), "one stream a row"
    mask, hollow, device = symbols(denoise, reference), is_hollow(denoise), reference.device
    found = torch.zeros(len(reference), 2, dtype=torch.float64)
    calls = torch.zeros(len(reference), dtype=torch.int64)
    rows = (reference != alternate).any(1).cpu().nonzero()[:, 0]
    rng, reference, alternate = rng.select(rows.tolist()), reference.cpu()[rows], alternate.cpu()[rows]
    differ = reference != alternate
    assert (differ.sum(1) == 1).all(), "one letter that differs: substitutions() takes more"
    assert (torch.maximum(reference, alternate)[differ] < mask).all(), "the letters that differ are known"

    others = (reference < mask) & ~differ
    n = others.sum(1, keepdim=True) + 1
    design = Design.of(denoise, strata, replicates)
    units, way = design.units, design.spread(rng.rand(replicates, design.units))
    m = (way * n[:, :, None]).long().minimum(n[:, :, None] - 1)
    keys = scattered(rng, others, replicates * units).flatten(0, 1)
    first = lowest(m.flatten(), others.repeat_interleave(replicates * units, 0), keys)
    first = first.view(len(rows), replicates, units, others.shape[1])
    second = (others[:, None, None] & ~first)[:, :, : strata - units].flip(2)
    masked = torch.cat([first, second], 2).flatten(0, 2)
    m = masked.sum(1)
    owner = torch.arange(len(rows)).repeat_interleave(replicates * strata)
    weight = (n[owner, 0] - m) / (n[owner, 0] + 1 if hollow else m.clamp(min=1))

    at_site, fit = torch.zeros(2, len(owner), dtype=torch.float64)
    site = differ.int().argmax(1)
    letters = torch.stack([alternate, reference], dim=-1)[torch.arange(len(rows)), site]
    for part in torch.arange(len(owner)).split(batch_size):
        row = owner[part]
        z = masked[part] if hollow else masked[part] | differ[row]
        logits = denoise(reference[row].masked_fill(z, mask).to(device))
        log_mu = torch.log_softmax(precise(logits[torch.arange(len(row)), site[row]]).cpu().double(), dim=-1)
        at_site[part] = -log_mu.gather(1, letters[row]).diff(dim=1)[:, 0]
        if hollow:
            fit[part] = nats_of(logits, reference[row], others[row])
    for part in m.nonzero()[:, 0].split(batch_size) if not hollow else ():
        row = owner[part]
        fit[part] = masked_nats(denoise, reference[row], masked[part], masked[part], mask, device)
    for part in (torch.arange(len(owner)) if hollow else m.nonzero()[:, 0]).split(batch_size):
        row = owner[part]
        read = others[row] if hollow else masked[part]
        fit[part] -= masked_nats(denoise, alternate[row], masked[part], read, mask, device)
    values = (at_site + weight * fit).view(len(rows), replicates, strata)
    drawn = [design.estimate(each)[:2] for each in values]
    found[rows] = torch.tensor(drawn, dtype=torch.float64).reshape(-1, 2)
    asked = 2 * torch.ones_like(m) if hollow else 1 + 2 * (m > 0)
    calls[rows] = asked.view(len(rows), replicates * strata).sum(1)
    return Ratio(*found.unbind(1), calls)


def lengths(
    denoise: Denoise,
    reference: Int[Tensor, "B L1"],
    alternate: Int[Tensor, "B L2"],
    reference_scored: Bool[Tensor, "B L1"],
    alternate_scored: Bool[Tensor, "B L2"],
    rng: Streams,
    *,
    strata: int = 8,
    replicates: int = 4,
    batch_size: int = 32,
) -> Ratio:
    """Two stretches of any lengths between the same flanks: the difference of their bounds, given the flanks.

    log p(scored letters of the alternate | its other letters) - the same of the reference. Both bounds are drawn with
    the same shares masked, in the same order of the letters that they have in common: their longest common beginning
    and end. A difference of two bounds is no bound; it is exact on average where the network's conditionals agree.
    """
    assert len(rng) == len(reference) == len(alternate), "one stream a row"
    mask, rows = symbols(denoise, reference), len(reference)
    length = max(reference.shape[1], alternate.shape[1])
    tokens = torch.full((2 * rows, length), mask + 1)
    scored = torch.zeros(2 * rows, length, dtype=torch.bool)
    for first, (letters, which) in ((0, (reference, reference_scored)), (rows, (alternate, alternate_scored))):
        tokens[first : first + rows, : letters.shape[1]] = letters.cpu()
        scored[first : first + rows, : letters.shape[1]] = which.cpu() & (letters.cpu() < mask)
    design = Design.of(denoise, strata, replicates)

    def draws() -> Iterator[Draw]:
        for row in range(rows):
            pair = (row, rows + row)
            if all(torch.equal(*each[list(pair)]) for each in (tokens, scored)):
                continue
            first, *own, last = shared(*(tokens[each][scored[each]].tolist() for each in pair))
            stream = rng.select([row])
            u = stream.rand(replicates, design.units)[0]
            keys = stream.rand(replicates, design.units, first + sum(own) + last)[0]
            start, *middles, end = keys.split([first, *own, last], dim=-1)
            for each, middle in zip(pair, middles, strict=True):
                yield from design.draws(each, scored[each], u, torch.cat([start, middle, end], dim=-1))

    constant, terms, calls = measured(denoise, tokens, scored, draws(), design, batch_size, reference.device)
    found = [design.estimate(ours - theirs)[:2] for ours, theirs in zip(terms[:rows], terms[rows:], strict=True)]
    nats, se = torch.tensor(found, dtype=torch.float64).reshape(-1, 2).unbind(1)
    exact = torch.tensor([design.takes_all(n) for n in scored.sum(1).tolist()]).view(2, rows).all(0)
    se = torch.where(exact | (calls.view(2, rows).sum(0) == 0), 0, se)
    return Ratio(constant[:rows] - constant[rows:] + nats, se, calls.view(2, rows).sum(0))


def shared(reference: list[int], alternate: list[int]) -> tuple[int, int, int, int]:
    """Lengths of the common beginning, of what follows in either, and of the common end.

    >>> shared([0, 1, 1, 2], [0, 1, 1, 1, 2])
    (3, 0, 1, 1)
    """
    shortest = min(len(reference), len(alternate))
    first = next((i for i in range(shortest) if reference[i] != alternate[i]), shortest)
    last = next((i for i in range(shortest - first) if reference[-1 - i] != alternate[-1 - i]), shortest - first)
    return first, len(reference) - first - last, len(alternate) - first - last, last
