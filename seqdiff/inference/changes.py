"""How much more probable the genome with a change is than without: the network calls behind every variant score.

One substituted base: the masked marginal at its site, exact from one call a strand (math.md 6.5). Several: the chain
rule over them given the rest, over a few orders. Anything that moves what follows: the difference of the conditional
bounds of two stretches between the same flanks, through common masks, with a standard error. A model that reads left
to right needs no masks: log p of the window with the change and without, both exact. All are averaged over both
strands, unless the network answers alike for both.

A window stands with the change in its middle, and the rest of it is the genome: as much as the context allows, or as
the network sees. A hollow network answers for every
letter of a window at once, so sites share windows there, laid out on a fixed grid: what a site gets never depends on
which others are asked for.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int64
from pydantic import Field, field_validator
from torch import Tensor

from seqdiff.config import Config
from seqdiff.data.genome import SOFT_MASKED, Genome
from seqdiff.data.variants import Reason
from seqdiff.diffusion.categorical import not_a_number
from seqdiff.diffusion.denoise import Denoise, is_equivariant, is_hollow, precise, reach
from seqdiff.diffusion.likelihood.ratio import Ratio, joint, lengths, split, substitutions
from seqdiff.diffusion.processes import Bound
from seqdiff.inference.stretches import Changes, alike, matched, span, stacked
from seqdiff.streams import Streams

MARGIN = 16
"""Letters on each side of a change of length that are scored with it, given the rest of the window."""
READ = 0.75
"""Share of a shared window, around its middle, that is read: what is read has an eighth or more on either side."""
REPLICATES = 4
"""Independent repeats of the masks of a bound on a strand; its standard error is their spread."""
KEYS_AT_ONCE = 1 << 22
"""Letters of stretches, times draws, that are prepared together: each has a random key in memory."""

Method = Literal["marginal", "chain", "elbo", "exact"]


class VariantScorer(Config):
    """By which method variants are scored, and how much is drawn for it."""

    method: Literal["auto", "marginal", "chain", "elbo"] = "auto"
    """`marginal` for single substitutions, `chain` for all substitutions, `elbo` for everything; `auto`: the first
    of them that can."""
    orders: Annotated[int, Field(ge=2)] = 4
    """Random orders of the chain rule on each strand."""
    draws: Annotated[int, Field(ge=2 * REPLICATES)] = 16
    """Random masks of a bound, half of them on each strand."""

    @field_validator("draws")
    @classmethod
    def _whole_replicates(cls, draws: int) -> int:
        if draws % (2 * REPLICATES):
            raise ValueError(f"a multiple of {2 * REPLICATES}, like {draws - draws % (2 * REPLICATES)}")
        return draws


class Outcome(NamedTuple):
    """log p(changed) - log p(genome) in nats with its standard error, or the reason why there is none.

    `context` is the length of the window of the genome that was looked at.
    """

    llr: float | None = None
    se: float | None = None
    method: Method | None = None
    context: int | None = None
    reason: Reason | None = None


Found = Callable[[Changes, Outcome], None]


class ChangeScorer:
    """Scores changes of a genome, many at once; results do not depend on which others they are scored with."""

    def __init__(
        self,
        genome: Genome,
        denoise: Denoise,
        context: int,
        settings: VariantScorer,
        *,
        exact: Bound | None = None,
        seed: int = 0,
        batch_tokens: int = 16_384,
    ):
        """`exact` gives -log p of rows, where the network does not fill masks: then all changes are scored by it."""
        self.genome, self.denoise, self.context, self.settings = genome, denoise, context, settings
        self._exact = exact
        self.seed, self.batch_tokens = seed, batch_tokens
        self.hollow, self.reach = is_hollow(denoise), reach(denoise)
        alike = is_equivariant(denoise) or not genome.alphabet.complementary
        self.strands = ("+",) if alike else ("+", "-")
        self._number = {contig: number for number, contig in enumerate(genome.contigs)}
        self._lengths = list(genome.contigs.values())

    @property
    def longest(self) -> int:
        """The longest stretch that can change: half the context, so that as much of it is left to look at."""
        return self.context // 2

    def __call__(self, wanted: Sequence[Changes], progress: Callable[[int], None] | None = None) -> list[Outcome]:
        """Outcomes in the order of `wanted`; `progress` gets the number that is new."""
        copies: dict[Changes, int] = {}
        for changes in wanted:
            copies[changes] = copies.get(changes, 0) + 1
        outcomes: dict[Changes, Outcome] = {}

        def found(changes: Changes, outcome: Outcome) -> None:
            outcomes[changes] = outcome
            if progress:
                progress(copies[changes])

        by_method: dict[str, list[Changes]] = {}
        for changes in copies:
            by_method.setdefault(self._method(changes), []).append(changes)
        for method, same in by_method.items():
            match method:
                case "marginal":
                    self._marginals(same, found)
                case "chain":
                    self._ratios(method, substitutions, same, found)
                case "exact":
                    self._ratios(method, joint, same, found)
                case "elbo":
                    self._ratios(method, split, [changes for changes in same if _single(changes)], found)
                    self._ratios(method, lengths, [changes for changes in same if not _single(changes)], found)
                case reason:
                    for changes in same:
                        found(changes, Outcome(reason=reason))
        return [outcomes[changes] for changes in wanted]

    def _method(self, changes: Changes) -> Method | Reason:
        begin, end, grown = span(changes)
        if end - begin + max(0, grown) > self.longest:
            return "too_long"
        if self._exact is not None:
            return "exact"
        same_length = all(change.same_length for change in changes)
        can: dict[Method, bool] = {"marginal": _single(changes), "chain": same_length, "elbo": True}
        if self.settings.method == "auto":
            return next(method for method, able in can.items() if able)
        return self.settings.method if can[self.settings.method] else "other_method"

    def _marginals(self, wanted: Sequence[Changes], found: Found) -> None:
        """Single substitutions: each site once for all its alleles, sites of one window in one call a strand."""
        sites: dict[tuple[int, int], list[Changes]] = {}
        for changes in wanted:
            sites.setdefault((self._number[changes[0].contig], changes[0].start), []).append(changes)
        rows_of: dict[tuple, list[tuple[int, int]]] = {}
        for contig, position in sites:
            window = self._window(contig, position)
            # A window in which a site is masked is its own, though others may have the same place.
            rows_of.setdefault((*window, 0 if self.hollow else position), []).append((contig, position))
        codes = self.genome.alphabet.codes
        for batch in _batches(sorted(rows_of), self.batch_tokens):
            length = batch[0][0]
            read = [(row, site) for row, window in enumerate(batch) for site in rows_of[window]]
            rows, columns = np.array([(row, site[1] - batch[row][2]) for row, site in read]).T
            log_mu = self._log_mu([window[:3] for window in batch], torch.from_numpy(rows), torch.from_numpy(columns))
            for (_, site), values in zip(read, log_mu.tolist(), strict=True):
                for changes in sites[site]:
                    ref, alt = codes[changes[0].ref[0]], codes[changes[0].alt[0]]
                    found(changes, Outcome(values[alt] - values[ref], 0.0, "marginal", length))

    def _window(self, contig: int, position: int) -> tuple[int, int, int]:
        """Length, contig and start of the window in which a site is read.

        The site in the middle; in the windows of a hollow network, of the grid the one whose middle is nearest.
        """
        length, width = self._lengths[contig], self.context
        if not self.hollow and self.reach is not None:
            width = min(width, 2 * self.reach + 1)
        if length <= width:
            return length, contig, 0
        last, middle = length - width, width // 2
        if not self.hollow:
            return width, contig, min(max(0, position - middle), last)
        step = max(1, int(width * READ))
        tile = max(0, (position - middle + step // 2) // step) * step
        nearest = min((min(tile, last), last), key=lambda start: abs(start + middle - position))
        return width, contig, nearest

    @torch.no_grad()
    def _log_mu(
        self, windows: Sequence[tuple[int, int, int]], rows: Int64[Tensor, "N"], columns: Int64[Tensor, "N"]
    ) -> Float64[Tensor, "N K"]:
        """log mu of every base at places of windows of one length, the mean of the strands."""
        length, symbols = windows[0][0], self.genome.alphabet.size
        _, contigs, starts = np.array(windows).T
        tokens = torch.from_numpy(self.genome.gather(contigs, starts, length) & ~np.uint8(SOFT_MASKED)).long()
        if not self.hollow:
            tokens[rows, columns] = symbols
        total = torch.zeros(len(rows), symbols, dtype=torch.float64)
        for strand in self.strands:
            if strand == "+":
                log_mu = torch.log_softmax(precise(self.denoise(tokens)[rows, columns]), -1)
            else:
                other = torch.where(tokens < symbols, symbols - 1 - tokens, tokens).flip(1)
                log_mu = torch.log_softmax(precise(self.denoise(other)[rows, length - 1 - columns]), -1).flip(1)
            total += log_mu.cpu().double()
        if not total.isfinite().all():
            raise not_a_number()
        return total / len(self.strands)

    def _ratios(self, method: Method, estimate: Callable[..., Ratio], wanted: Sequence[Changes], found: Found) -> None:
        """Changes of several letters or of length: each on each strand in a window of its own."""
        settings, alphabet = self.settings, self.genome.alphabet
        size = max(1, self.batch_tokens // self.context)
        if method == "exact":
            estimate = partial(estimate, batch_size=size)
        elif method == "chain":
            estimate = partial(estimate, orders=settings.orders, batch_size=size)
        else:
            strata = settings.draws // len(self.strands) // REPLICATES
            estimate = partial(estimate, strata=strata, replicates=REPLICATES, batch_size=size)
        at_once = max(1, KEYS_AT_ONCE // (self.context * settings.draws))
        for first in range(0, len(wanted), at_once):
            part = wanted[first : first + at_once]
            # The bound of a substitution is that of its whole window, where no letter is left away.
            seen = None if estimate.func is split else self.reach
            pairs = [matched(changes, self.genome, self.context, MARGIN, seen) for changes in part]
            for same in alike(pairs):
                results = []
                for strand in self.strands:
                    alleles = [[pairs[i][allele] for i in same] for allele in (0, 1)]
                    if strand == "-":
                        alleles = [[each.other_strand(alphabet) for each in rows] for rows in alleles]
                    (before, scored), (after, scored_after) = map(stacked, alleles)
                    which = (scored, scored_after) if estimate.func is lengths else ()
                    rng = Streams.of(self.seed, [(*part[i], strand) for i in same])
                    results.append(estimate(self._exact or self.denoise, before, after, *which, rng))
                nats = torch.stack([result.nats for result in results]).mean(0).tolist()
                errors = torch.stack([result.se for result in results]).square().sum(0).sqrt() / len(results)
                for i, llr, se in zip(same, nats, errors.tolist(), strict=True):
                    if not math.isfinite(llr):
                        raise not_a_number()
                    found(part[i], Outcome(llr, se, method, len(pairs[i][0].tokens)))


def _single(changes: Changes) -> bool:
    """Whether one letter becomes another."""
    return len(changes) == 1 and len(changes[0].ref) == len(changes[0].alt) == 1


def _batches(windows: Sequence[tuple[int, ...]], tokens: int) -> Iterator[list[tuple[int, ...]]]:
    """Windows of one length, which comes first of what tells them apart, in order, up to so many tokens."""
    batch: list[tuple[int, ...]] = []
    for window in windows:
        if batch and (window[0] != batch[0][0] or (len(batch) + 1) * window[0] > tokens):
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch
