"""Matched windows: a stretch of the genome with changes and without, between the same flanks, as two rows of tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int64, UInt8
from torch import Tensor

from seqdiff.alphabet import Alphabet
from seqdiff.data.genome import Genome
from seqdiff.data.intervals import Interval
from seqdiff.data.variants import Change

Changes = tuple[Change, ...]
"""Changes of one contig, in order, none touching the letters of another: a variant, or a haplotype."""


@dataclass(frozen=True)
class Stretch:
    """Letters of a window on one strand, and which of them are scored given the others."""

    tokens: UInt8[np.ndarray, " L"]
    scored: Bool[np.ndarray, " L"]

    def other_strand(self, alphabet: Alphabet) -> "Stretch":
        return Stretch(alphabet.reverse_complement(self.tokens), self.scored[::-1].copy())


def span(changes: Changes) -> tuple[int, int, int]:
    """Where the changes begin and end in the genome, and how much longer they make what is between."""
    grown = sum(len(change.alt) - len(change.ref) for change in changes)
    return changes[0].start, changes[-1].end + changes[-1].slack, grown


def matched(
    changes: Changes, genome: Genome, context: int, margin: int, reach: int | None = None
) -> tuple[Stretch, Stretch]:
    """The genome around the changes, and the same with them; the longer of the two is `context` long, or the contig.

    The changes stand in the middle, as far as the contig allows. Scored are the letters from the first change to the
    last, all places a repeat allows among them, and `margin` letters on each side. Letters further than `reach` from
    those are left away: they change nothing.
    """
    begin, end, grown = span(changes)
    contig = changes[0].contig
    length = genome.contigs[contig]
    room = context - (end - begin) - max(0, grown)
    room = room if reach is None else min(room, 2 * (margin + reach))
    left = min(room // 2, begin)
    right = min(room - left, length - end)
    left = min(room - right, begin)
    tokens = genome.tokens(Interval(contig, begin - left, end + right))
    scored = np.zeros(len(tokens), bool)
    scored[max(0, left - margin) : left + end - begin + margin] = True
    return Stretch(tokens, scored), _changed(Stretch(tokens, scored), changes, begin - left, genome.alphabet)


def _changed(stretch: Stretch, changes: Changes, offset: int, alphabet: Alphabet) -> Stretch:
    tokens: list[np.ndarray] = []
    scored: list[np.ndarray] = []
    at = 0
    for change in changes:
        first, last = change.start - offset, change.end - offset
        tokens += [stretch.tokens[at:first], alphabet.encode(change.alt)]
        scored += [stretch.scored[at:first], np.ones(len(change.alt), bool)]
        at = last
    return Stretch(np.concatenate([*tokens, stretch.tokens[at:]]), np.concatenate([*scored, stretch.scored[at:]]))


def alike(pairs: Sequence[tuple[Stretch, Stretch]]) -> list[list[int]]:
    """Which pairs have the same two lengths, so that nothing need be padded."""
    groups: dict[tuple[int, int], list[int]] = {}
    for i, (one, other) in enumerate(pairs):
        groups.setdefault((len(one.tokens), len(other.tokens)), []).append(i)
    return list(groups.values())


def stacked(stretches: Sequence[Stretch]) -> tuple[Int64[Tensor, "B L"], Bool[Tensor, "B L"]]:
    """Tokens and scored letters of stretches of one length."""
    tokens = torch.from_numpy(np.stack([stretch.tokens for stretch in stretches])).long()
    return tokens, torch.from_numpy(np.stack([stretch.scored for stretch in stretches]))
