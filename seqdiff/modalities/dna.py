"""DNA: windows of a genome, split into training, validation and test.

a genome of the registry or a FASTA file -> Genome -> intervals of each split -> Windows
"""

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8
from pydantic import Field, model_validator

from seqdiff.alphabet import DNA, Alphabet
from seqdiff.config import Config
from seqdiff.data import genomes
from seqdiff.data.genome import Genome
from seqdiff.data.intervals import Interval, merge, parse_region, read_bed, subtract
from seqdiff.data.windows import WindowLoader, Windows
from seqdiff.errors import DataError
from seqdiff.modalities.modality import Modality

log = logging.getLogger("seqdiff")

PIECE = 2**23
"""Longest piece of a genome that is held as tokens at once, in bases."""

Places = list[str] | str
"""Regions (`chr8`, `chr9:1-1,000,000`: 1-based inclusive), or the path of a BED file."""


class Splits(Config):
    """What is held out: shares of the whole, or places.

    As shares, the file is taken as one line in its own order: its last part is `test`, what lies before
    that `valid`. Training has what `train` says (everything, if nothing) without valid and test.
    """

    valid: float | Places = 0.05
    test: float | Places = 0.05
    train: Places | None = None

    @model_validator(mode="after")
    def _alike(self) -> "Splits":
        shares = [part for part in (self.valid, self.test) if isinstance(part, float)]
        if len(shares) == 1:
            raise ValueError("give valid and test both as shares or both as places")
        if shares and (min(shares) <= 0 or sum(shares) >= 1):
            raise ValueError("shares are above 0 and leave something to train on: valid + test < 1")
        return self


class Dna(Modality):
    """DNA from a genome that the registry knows by name, or from a FASTA file.

    Give `genome` or `fasta`. With both, `fasta` is your own copy of that genome, which then gives the
    splits and is checked to have its chromosomes.

    >>> data = Dna(genome="human-chr20", context=512).open()
    >>> data.test.letters, len(data.valid)
    (198656, 194)
    """

    kind: Literal["dna"] = "dna"
    genome: str | None = None
    fasta: Path | None = None
    context: int = Field(ge=8)
    """Bases a window."""
    splits: Splits | None = None
    """Default: the registry's for a genome, 5 % and 5 % for a file."""
    max_unknown: float = Field(0.1, ge=0, le=1)
    """Windows of which a greater share is unknown are left out."""
    repeat_weight: float = Field(1.0, ge=0)
    """What a soft-masked base weighs in training; in evaluation all known bases weigh 1."""
    reverse_complement: bool = True
    """Whether training reads half of the windows from the other strand."""

    @model_validator(mode="after")
    def _some_source(self) -> "Dna":
        if self.genome is None and self.fasta is None:
            raise ValueError("give genome (a name that `seqdiff genomes list` shows) or fasta (a file of your own)")
        return self

    @property
    def alphabet(self) -> Alphabet:
        return DNA

    def open(self) -> "DnaData":
        """The data, encoded if need be.

        Raises DataError: no such genome or file, a copy of another genome, places that are not in it, a
        split without a window.
        """
        entry = genomes.Registry.load()[self.genome] if self.genome else None
        path = self.fasta.expanduser() if self.fasta else genomes.resolve(self.genome)
        genome = Genome.open(path, DNA)
        if entry:
            _check_copy(genome, self.genome, entry)
        data = DnaData(self, genome, _intervals(genome, self.splits, entry))
        for split in ("train", "valid", "test"):
            if not len(getattr(data, split)):
                longest = max((i.length for i in data.intervals[split]), default=0)
                raise DataError(
                    f"{path}: no window of {self.context:,} bases for {split!r} is at least "
                    f"{1 - self.max_unknown:.0%} known (its longest interval has {longest:,}): lower "
                    f"data.context, or give it more with data.splits"
                )
        longest = max(i.length for i in data.intervals["train"])
        if longest < self.context:
            log.warning(
                "%s: the longest training interval has %s bases, less than data.context (%s): every window is padded",
                path, f"{longest:,}", f"{self.context:,}",
            )  # fmt: skip
        return data


@dataclass(frozen=True)
class DnaData:
    """An opened `Dna` (see `Opened`): the windows of each split, and what they are made of."""

    config: Dna
    genome: Genome
    intervals: dict[str, list[Interval]]
    """By split; those of different splits never overlap."""

    @cached_property
    def train(self) -> Windows:
        return self._windows("train")

    @cached_property
    def valid(self) -> Windows:
        return self._windows("valid")

    @cached_property
    def test(self) -> Windows:
        return self._windows("test")

    @property
    def checksum(self) -> str:
        """Of the encoded sequences and of what is held out: another one means other data."""
        digest = hashlib.blake2b(self.genome.checksum.encode(), digest_size=16)
        for split in ("train", "valid", "test"):
            digest.update(repr((split, [tuple(i) for i in self.intervals[split]])).encode())
        return digest.hexdigest()

    @property
    def source(self) -> str:
        """For people: which genome, from which file, how long."""
        name = f"{self.config.genome}, " if self.config.genome else ""
        return f"{name}{self.genome.path.name}, {sum(self.genome.contigs.values()):,} bases"

    @property
    def contents(self) -> str:
        return f"{len(self.train):,} windows of {self.config.context:,} bases"

    @property
    def facts(self) -> dict[str, Any]:
        """None: a window's length says nothing."""
        return {}

    @property
    def both_strands(self) -> bool:
        return self.config.reverse_complement

    def loader(self, seed: int, batch_size: int) -> WindowLoader:
        return WindowLoader(self.train, batch_size, seed, self.config.reverse_complement)

    def text(self, split: str) -> Iterator[UInt8[np.ndarray, "_"]]:
        for contig, start, end in self.intervals[split]:
            for low in range(start, end, PIECE):
                yield self.genome.tokens(Interval(contig, low, min(low + PIECE, end)))

    def _windows(self, split: str) -> Windows:
        return Windows(
            self.genome,
            self.intervals[split],
            self.config.context,
            max_unknown=self.config.max_unknown,
            repeat_weight=self.config.repeat_weight,
        )


def _check_copy(genome: Genome, name: str, entry: genomes.Entry) -> None:
    for chromosome, length in entry.chromosomes.items():
        if (found := genome.contigs.get(chromosome)) != length:
            what = f"it has {found:,} bases there" if found else "there is no such record"
            raise DataError(
                f"{genome.path} is not {name}, in which {chromosome} has {length:,} bases: {what}. "
                f"For another genome, assembly or names: --set data.genome=null --set data.fasta=FILE"
            )


def _intervals(genome: Genome, splits: Splits | None, entry: genomes.Entry | None) -> dict[str, list[Interval]]:
    """The intervals of each split."""
    primary = entry.chromosomes if entry else genome.contigs
    everything = [Interval(contig, 0, length) for contig, length in primary.items()]
    if splits is None:
        splits = Splits(**entry.splits.model_dump()) if entry else Splits()
    if splits.train is not None:
        everything = _places(splits.train, genome)
    if isinstance(splits.valid, float):
        bases = sum(i.length for i in everything)
        held_out = {"test": round(bases * splits.test)}
        held_out["valid"] = round(bases * splits.valid)
        end, parts = bases, {}
        for name, size in held_out.items():
            parts[name] = _cut(everything, end - size, end)
            end -= size
    else:
        parts = {name: _places(getattr(splits, name), genome) for name in ("valid", "test")}
    both = subtract(parts["valid"], subtract(parts["valid"], parts["test"]))
    if both:
        contig, start, end = both[0]
        raise DataError(f"data.splits: {contig}:{start + 1:,}-{end:,} is in both valid and test")
    return parts | {"train": subtract(everything, parts["valid"] + parts["test"])}


def _places(places: Places, genome: Genome) -> list[Interval]:
    """Regions or the intervals of a BED file, merged."""
    if isinstance(places, str) and places.removesuffix(".gz").endswith(".bed"):
        return merge(read_bed(places, genome.contigs))
    regions = [places] if isinstance(places, str) else places
    return merge([parse_region(region, genome.contigs) for region in regions])


def _cut(intervals: list[Interval], start: int, end: int) -> list[Interval]:
    """Bases `start` to `end` of the intervals laid end to end."""
    pieces, before = [], 0
    for contig, low, high in intervals:
        first, last = max(start - before, 0), min(end - before, high - low)
        if first < last:
            pieces.append(Interval(contig, low + first, low + last))
        before += high - low
    return pieces
