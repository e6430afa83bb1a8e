"""What kind of variant an allele is, and what a Markov chain says of it."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Integer

from seqdiff.data.genome import Genome
from seqdiff.data.intervals import Interval
from seqdiff.data.variants import Change
from seqdiff.evaluate.markov import MarkovModel

KINDS = ("SNV", "CpG transition", "other transition", "transversion", "MNV", "insertion", "deletion")
AT_ONCE = 2**17
"""Letters that are scored together."""


def kinds(change: Change, genome: Genome) -> tuple[str, ...]:
    """The classes a change belongs to. Substitutions and changes of length at once go by the length.

    A CpG transition is C>T before G, or G>A after C: the mutation of methylated CpG, some ten times as frequent as any
    other, so that it tells rare from common by its own.
    """
    if not change.same_length:
        return ("insertion",) if len(change.alt) > len(change.ref) else ("deletion",)
    if len(change.ref) > 1:
        return ("MNV",)
    if frozenset(change.ref + change.alt) not in (frozenset(b"AG"), frozenset(b"CT")):
        return "SNV", "transversion"
    near = _around(genome, change.contig, change.start - 1, change.start + 2)
    pair = {b"CT": near[1:], b"GA": near[:2]}.get(change.ref + change.alt)
    is_cpg = pair is not None and genome.alphabet.decode(pair) == b"CG"
    return "SNV", "CpG transition" if is_cpg else "other transition"


def markov_llr(changes: Sequence[Change], genome: Genome, chain: MarkovModel, order: int) -> Float64[np.ndarray, "N"]:
    """log p(alternate) - log p(reference) in nats given both flanks, under the order-`order` table of `chain`.

    The ratio of the products of all conditionals that hold a letter of the change: for a substitution that of the
    exact posterior of `bridge`.
    """
    strings = []
    for change in changes:
        left = _around(genome, change.contig, change.start - order, change.start)
        right = _around(genome, change.contig, change.end, change.end + order)
        for allele in (change.ref, change.alt):
            strings.append(np.concatenate([left, genome.alphabet.encode(allele), right]))
    nats = _log_prob(strings, chain, order)
    return nats[1::2] - nats[::2]


def _log_prob(strings: Sequence[Integer[np.ndarray, "_"]], chain: MarkovModel, order: int) -> Float64[np.ndarray, "N"]:
    """Nats of all letters but the first `order` of each string."""
    nats = np.empty(len(strings))
    lengths = np.array([len(string) for string in strings])
    for length in np.unique(lengths):
        same = np.flatnonzero(lengths == length)
        rows = max(1, AT_ONCE // int(length))
        for first in range(0, len(same), rows):
            part = same[first : first + rows]
            nats[part] = chain.log_prob(np.stack([strings[i] for i in part]))[order, :, order:].sum(-1)
    return nats


def _around(genome: Genome, contig: str, start: int, end: int) -> Integer[np.ndarray, "_"]:
    """Tokens from `start` to `end`, unknown past the ends of the contig."""
    low, high = max(0, start), min(end, genome.contigs[contig])
    tokens = genome.tokens(Interval(contig, low, high))
    return np.pad(tokens, (low - start, end - high), constant_values=genome.alphabet.mask)
