"""Many sequences against one, through the same masks: differences of their bounds, which can be ranked.

The bound of every sequence is drawn with the same shares masked, and with the same letters masked where it has the
letters of the reference. So what is noise in one difference is the same noise in the others, the reference is asked
once for all, and none of it depends on which others are asked for.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float64, Int
from torch import Tensor

from seqdiff.diffusion.denoise import Denoise, symbols
from seqdiff.diffusion.likelihood.design import Design, Draw, measured
from seqdiff.diffusion.likelihood.ratio import shared
from seqdiff.streams import Streams


class Differences(NamedTuple):
    """Of each alternate, on the CPU, in nats."""

    nats: Float64[Tensor, "N"]
    """log p(alternate) - log p(reference), the difference of their bounds."""
    per_letter: Float64[Tensor, "N"]
    """log p(alternate) / its known letters - log p(reference) / its own: what a letter costs."""
    se: Float64[Tensor, "N"]
    """Standard error of `nats` by the masks drawn; 0 where all masks are taken, NaN of a single replicate."""
    calls: int
    """Network passes, all rows together."""


def alternates(
    denoise: Denoise,
    reference: Int[Tensor, " L"],
    others: Sequence[Int[Tensor, "_"]],
    rng: Streams,
    *,
    strata: int = 8,
    replicates: int = 4,
    batch_size: int = 32,
) -> Differences:
    """Sequences of any lengths against the reference. Unknown letters stay masked and are not scored.

    `rng` has a stream for the reference, which must be the same wherever its differences are compared, and one for
    each alternate. An alternate is matched with the reference at their common beginning and end and, between these,
    letter by letter as far as both reach. A difference of two bounds is no bound; it is exact on average where the
    network's conditionals agree with one another.
    """
    assert len(rng) == 1 + len(others), "a stream for the reference, and one for each alternate"
    mask = symbols(denoise, reference[None])
    sequences = [reference.cpu(), *(other.cpu() for other in others)]
    tokens = torch.full((len(sequences), max(map(len, sequences))), mask + 1)
    for row, sequence in zip(tokens, sequences, strict=True):
        row[: len(sequence)] = sequence
    scored = tokens < mask
    letters = [row[which].tolist() for row, which in zip(tokens, scored, strict=True)]
    design = Design.of(denoise, strata, replicates)
    common = rng.select([0])
    u = common.rand(replicates, design.units)[0]
    keys = common.rand(replicates, design.units, len(letters[0]))[0]

    def draws() -> Iterator[Draw]:
        yield from design.draws(0, scored[0], u, keys)
        for row in range(1, len(sequences)):
            first, before, after, last = shared(letters[0], letters[row])
            both = first + min(before, after)
            own = rng.select([row]).rand(replicates, design.units, max(0, after - before))[0]
            end = keys[..., keys.shape[-1] - last :]
            yield from design.draws(row, scored[row], u, torch.cat([keys[..., :both], own, end], dim=-1))

    constant, terms, calls = measured(denoise, tokens, scored, draws(), design, batch_size, reference.device)
    exact = [design.takes_all(len(each)) for each in letters]
    found = [design.estimate(each - terms[0])[:2] for each in terms[1:]]
    bounds = constant + torch.tensor([design.estimate(each)[0] for each in terms], dtype=torch.float64)
    drawn, se = torch.tensor(found, dtype=torch.float64).reshape(-1, 2).unbind(1)
    same = torch.tensor([each == letters[0] for each in letters[1:]])
    se = torch.where(same | (torch.tensor(exact[1:]) & exact[0]), 0, se)
    sizes = torch.tensor([max(1, len(each)) for each in letters])
    costs = bounds / sizes
    return Differences(constant[0] - constant[1:] - drawn, costs[0] - costs[1:], se, int(calls.sum()))
