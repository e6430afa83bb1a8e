"""DNA of several species: windows of several genomes, each of which is a class that the network may be told.

genomes, each with its splits -> windows of each -> one stream of rows, each species as often as it should be
"""

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Int, Int64, UInt8
from pydantic import Field, model_validator

from seqdiff.alphabet import DNA, Alphabet
from seqdiff.config import Config
from seqdiff.data.batches import Batch, Shuffled
from seqdiff.data.classes import DROPOUT, told
from seqdiff.data.windows import Windows
from seqdiff.errors import DataError
from seqdiff.modalities.dna import Dna, DnaData, Splits
from seqdiff.modalities.modality import Modality
from seqdiff.streams import seed_of

log = logging.getLogger("seqdiff")

CYCLE = 1024
"""Rows in which every species comes exactly as often as its share says, rounded."""


class Source(Config):
    """Where the DNA of one species comes from; see `Dna`."""

    genome: str | None = None
    fasta: Path | None = None
    splits: Splits | None = None


class Species(Modality):
    """DNA of several species (as in Species10 of Schiff et al. 2024, arXiv:2412.10193), told apart by name.

    >>> data = Species(genomes={"human": {"genome": "human-chr20"}, "same": {"genome": "human-chr20"}}, context=512)
    >>> data.labels, len(data.open().test)
    (('human', 'same'), 776)
    """

    kind: Literal["species"] = "species"
    genomes: dict[str, Source] = Field(min_length=2)
    """By the name of the species: `genome` or `fasta`, and `splits`."""
    context: int = Field(ge=8)
    """Bases a window."""
    power: float = Field(0.0, ge=0, le=1)
    """A species of n windows is shown as often as n to this power says: 0 all alike, 1 as long as their genomes are."""
    label_dropout: float = Field(DROPOUT, ge=0, lt=1)
    """Share of the rows whose species training does not tell, so that the network also learns to do without."""
    max_unknown: float = Field(0.1, ge=0, le=1)
    """Windows of which a greater share is unknown are left out."""
    repeat_weight: float = Field(1.0, ge=0)
    """What a soft-masked base weighs in training; in evaluation all known bases weigh 1."""
    reverse_complement: bool = True
    """Whether training reads half of the windows from the other strand."""

    @model_validator(mode="after")
    def _sources(self) -> "Species":
        for name, source in self.genomes.items():
            if source.genome is None and source.fasta is None:
                raise ValueError(f"{name}: give genome (a name that `seqdiff genomes list` shows) or fasta (a file)")
        return self

    @property
    def alphabet(self) -> Alphabet:
        return DNA

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self.genomes)

    def resolved(self) -> "Species":
        """With the paths of its files as they are found from any folder."""
        found = {
            name: source if source.fasta is None else source.model_copy(
                update={"fasta": source.fasta.expanduser().absolute()}
            )
            for name, source in self.genomes.items()
        }  # fmt: skip
        return self.model_copy(update={"genomes": found})

    def open(self) -> "SpeciesData":
        """The genomes, encoded if need be. Raises DataError as `Dna.open` does, naming the species."""
        parts = []
        for name, source in self.genomes.items():
            shared = self.model_dump(include={"context", "max_unknown", "repeat_weight", "reverse_complement"})
            try:
                parts.append(Dna(**source.model_dump(exclude_none=True), **shared).open())
            except DataError as error:
                raise DataError(f"data.genomes.{name}: {error}") from error
        return SpeciesData(self, tuple(parts))


@dataclass(frozen=True)
class SpeciesData:
    """An opened `Species` (see `seqdiff.modalities.opened`)."""

    config: Species
    parts: tuple[DnaData, ...]

    @cached_property
    def train(self) -> "Joined":
        return Joined(tuple(part.train for part in self.parts))

    @cached_property
    def valid(self) -> "Joined":
        return Joined(tuple(part.valid for part in self.parts))

    @cached_property
    def test(self) -> "Joined":
        return Joined(tuple(part.test for part in self.parts))

    @property
    def checksum(self) -> str:
        """Of the sequences, of what is held out and of what the species are called."""
        digest = hashlib.blake2b(digest_size=16)
        for name, part in zip(self.config.genomes, self.parts, strict=True):
            digest.update(f"{name} {part.checksum}\n".encode())
        return digest.hexdigest()

    @property
    def source(self) -> str:
        each = (f"{name}: {part.source}" for name, part in zip(self.config.genomes, self.parts, strict=True))
        return "; ".join(each)

    @property
    def contents(self) -> str:
        return f"{len(self.train):,} windows of {self.config.context:,} bases of {len(self.parts)} species"

    @property
    def facts(self) -> dict[str, Any]:
        return {}

    @property
    def both_strands(self) -> bool:
        return self.config.reverse_complement

    def loader(self, seed: int, batch_size: int) -> "SpeciesLoader":
        windows = tuple(part.train for part in self.parts)
        return SpeciesLoader(windows, self.config, batch_size, seed)

    def text(self, split: str) -> Iterator[UInt8[np.ndarray, "_"]]:
        for part in self.parts:
            yield from part.text(split)


@dataclass(frozen=True)
class Joined:
    """The windows of one split of all species, one species after the other; `Examples`."""

    parts: tuple[Windows, ...]

    @cached_property
    def _ends(self) -> Int64[np.ndarray, "S"]:
        return np.cumsum([len(part) for part in self.parts])

    @property
    def sizes(self) -> Int[np.ndarray, "N"]:
        return np.concatenate([part.sizes for part in self.parts])

    @property
    def letters(self) -> int:
        return sum(part.letters for part in self.parts)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def batch(self, items: Int[np.ndarray, "B"]) -> Batch:
        """Some of them with their species."""
        items = np.asarray(items)
        which = np.searchsorted(self._ends, items, "right")
        first = self._ends - [len(part) for part in self.parts]
        return _gathered(which, lambda part, rows: self.parts[part].batch((items - first[which])[rows]))


@dataclass(frozen=True)
class SpeciesLoader:
    """Training on the windows of all species. Of every `CYCLE` rows each species has its share, in shuffled order, and
    the windows of each come in an order that is shuffled anew whenever all have been shown."""

    windows: tuple[Windows, ...]
    config: Species
    batch_size: int
    seed: int

    @property
    def letters(self) -> float:
        return float(sum(part.letters for part in self.windows))

    @cached_property
    def shares(self) -> Int64[np.ndarray, "S"]:
        """Rows of each species in a cycle; every one has a row."""
        sizes = np.array([len(part) for part in self.windows], np.float64) ** self.config.power
        counts = np.maximum(1, np.floor(sizes / sizes.sum() * CYCLE)).astype(np.int64)
        counts[counts.argmax()] += CYCLE - counts.sum()
        return counts

    def rows(self, step: int) -> int:
        return self.batch_size

    def batch(self, step: int, rows: range) -> Batch:
        positions = np.arange(rows.start, rows.stop) + (step - 1) * self.batch_size
        which, nth = self._places(positions)

        def part(number: int, rows: np.ndarray) -> Batch:
            windows = self.windows[number]
            order = self._orders[number]
            return windows.augmented(
                order.items(nth[rows]), positions[rows], seed=self.seed,
                reverse_complement=self.config.reverse_complement,
            )  # fmt: skip

        batch = _gathered(which, part)
        labels = told(which, len(self.windows), self.config.label_dropout, self.seed, positions)
        return Batch(batch.tokens, batch.weight, labels)

    @cached_property
    def _orders(self) -> list[Shuffled]:
        return [Shuffled(len(part), seed_of(self.seed, "windows", n)) for n, part in enumerate(self.windows)]

    @cached_property
    def _cycle(self) -> Shuffled:
        return Shuffled(CYCLE, seed_of(self.seed, "species"))

    def _places(self, positions: Int64[np.ndarray, "B"]) -> tuple[Int64[np.ndarray, "B"], Int64[np.ndarray, "B"]]:
        """The species of each row of the endless stream, and how many rows of it came before."""
        ends = np.cumsum(self.shares)
        which, nth = np.zeros((2, len(positions)), np.int64)
        for cycle in np.unique(positions // CYCLE):
            chosen = positions // CYCLE == cycle
            slots = self._cycle.items(np.arange(cycle * CYCLE, (cycle + 1) * CYCLE))
            species = np.searchsorted(ends, slots, "right")
            rank = np.zeros(CYCLE, np.int64)
            for number, count in enumerate(self.shares):
                rank[species == number] = np.arange(count) + cycle * count
            within = positions[chosen] % CYCLE
            which[chosen], nth[chosen] = species[within], rank[within]
        return which, nth


def _gathered(which: Int64[np.ndarray, "B"], part: Any) -> Batch:
    """Rows of several genomes as one batch, each with its species as its label."""
    numbers = np.unique(which)
    rows = [np.flatnonzero(which == number) for number in numbers]
    batches = [part(int(number), each) for number, each in zip(numbers, rows, strict=True)]
    back = torch.from_numpy(np.argsort(np.concatenate(rows), kind="stable"))
    tokens, weight = (torch.cat([getattr(b, name) for b in batches])[back] for name in ("tokens", "weight"))
    return Batch(tokens, weight, torch.from_numpy(which.astype(np.int64)))
