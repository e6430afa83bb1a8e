"""Proteins: whole sequences of a FASTA file, split into training, validation and test.

a FASTA file -> Proteome -> without duplicates -> by the hash of a sequence, or of its cluster -> Sequences
"""

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64, Int, Int64, UInt8
from pydantic import Field, model_validator

from seqdiff.alphabet import PROTEIN, Alphabet
from seqdiff.config import Config
from seqdiff.data import proteins
from seqdiff.data.buckets import Buckets
from seqdiff.data.clusters import read_clusters
from seqdiff.data.lengths import counted
from seqdiff.data.proteome import Proteome
from seqdiff.data.sequences import Sequences
from seqdiff.errors import ConfigError, DataError

log = logging.getLogger("seqdiff")

SPLITS = ("train", "valid", "test")


class Shares(Config):
    """What is held out, in shares of the sequences, or of the clusters."""

    valid: float = Field(0.05, gt=0, lt=1)
    test: float = Field(0.05, gt=0, lt=1)

    @model_validator(mode="after")
    def _some_left(self) -> "Shares":
        if self.valid + self.test >= 1:
            raise ValueError("shares leave something to train on: valid + test < 1")
        return self


class Protein(Config):
    """Proteins from a set that ships with seqdiff, or from a FASTA file.

    Which split a protein is in depends on its letters alone, or on the name of its cluster's representative: adding
    others moves none. Duplicates count once.

    >>> data = Protein(proteins="swissprot-sample", context=512).open()
    >>> len(data.test), data.test.letters
    (146, 38664)
    """

    kind: Literal["protein"] = "protein"
    proteins: str | None = None
    """A set that `seqdiff genomes list` shows; it brings its clusters along."""
    fasta: Path | None = None
    context: int = Field(1024, ge=8)
    """Residues the network looks at together."""
    splits: Shares = Shares()
    clusters: Path | None = None
    """A table of representative and member, as `mmseqs easy-cluster` writes: a cluster is on one side of the splits."""
    balance: Literal["organism", "gene", "cluster"] | None = None
    """What is shown alike often in training, whatever the number of its proteins."""
    balance_power: float | None = Field(None, ge=0, lt=1)
    """A group of n proteins is shown as often as n to this power says: 0 all groups alike. Default 0.5."""
    min_length: int = Field(1, ge=1)
    """Shorter proteins are left out."""

    @model_validator(mode="after")
    def _consistent(self) -> "Protein":
        if self.proteins is not None and self.fasta is not None:
            raise ValueError(
                "give proteins (a set that ships) or fasta (a file of your own), not both: for your own file, "
                "--set data.proteins=null as well"
            )
        if self.balance_power is not None and self.balance is None:
            raise ValueError("balance_power belongs to balance: organism, gene or cluster")
        if self.balance == "cluster" and self.clusters is None and self.proteins is None:
            raise ValueError("balance: cluster needs clusters, a table")
        return self

    @property
    def alphabet(self) -> Alphabet:
        return PROTEIN

    def resolved(self) -> "Protein":
        """Itself: nothing of it is said by the file alone."""
        return self

    def open(self) -> "ProteinData":
        """The data, encoded if need be.

        Raises DataError: no such file or table, proteins that the table does not have, a split without a protein.
        ConfigError for a model whose proteins nobody knows.
        """
        fasta, clusters = self.fasta, self.clusters
        if self.proteins is not None:
            entry = proteins.Registry.load()[self.proteins]
            fasta, clusters = entry.path, clusters or entry.clusters_path
        if fasta is None:
            raise ConfigError(
                "data.fasta: no file of proteins is named: train with --set data.fasta=FILE, import with --fasta FILE"
            )
        proteome = Proteome.open(fasta.expanduser())
        _doubt(proteome)
        cluster = None if clusters is None else read_clusters(clusters.expanduser()).of(proteome)
        data = ProteinData(self, proteome, _places(self, proteome, cluster), cluster)
        for split in SPLITS:
            if not len(data.records(split)):
                what = "proteins" if cluster is None else "clusters"
                raise DataError(
                    f"{proteome.path}: no protein falls to {split!r}: too few {what} for shares of "
                    f"{self.splits.valid:g} and {self.splits.test:g}; give more, or larger shares (data.splits)"
                )
        return data


@dataclass(frozen=True)
class ProteinData:
    """An opened `Protein` (see `seqdiff.modalities.opened`)."""

    config: Protein
    proteome: Proteome
    places: UInt8[np.ndarray, "N"]
    """Of each record, its place in `SPLITS`, or beyond them where it is left out."""
    cluster: Int64[np.ndarray, "N"] | None

    def records(self, split: str) -> Int64[np.ndarray, "R"]:
        """The records of a split, in the order of the file."""
        return np.flatnonzero(self.places == SPLITS.index(split))

    @cached_property
    def train(self) -> Sequences:
        return self._sequences("train")

    @cached_property
    def valid(self) -> Sequences:
        return self._sequences("valid")

    @cached_property
    def test(self) -> Sequences:
        return self._sequences("test")

    @property
    def checksum(self) -> str:
        """Of the sequences and of what is held out: another one means other data."""
        digest = hashlib.blake2b(self.proteome.checksum.encode(), digest_size=16)
        digest.update(self.places)
        return digest.hexdigest()

    @property
    def source(self) -> str:
        """For people: which file, how many proteins."""
        name = f"{self.config.proteins}, " if self.config.proteins else ""
        return f"{name}{self.proteome.path.name}, {len(self.proteome):,} proteins"

    @property
    def contents(self) -> str:
        train, context = self.records("train"), self.config.context
        lengths = self.proteome.lengths_of(train)
        longer = int((lengths > context).sum())
        cropped = f" ({longer:,} longer than the context of {context:,}: cropped at random)" if longer else ""
        held_out = "by sequence" if self.cluster is None else "by clusters"
        return (
            f"{len(train):,} proteins of {lengths.sum():,} residues{cropped}; {len(self.records('valid')):,} "
            f"for validation and {len(self.records('test')):,} for test, held out {held_out},"
        )

    @property
    def facts(self) -> dict[str, Any]:
        """How many proteins of each length there are to train on."""
        return {"lengths": counted(self.proteome.lengths_of(self.records("train")))}

    @property
    def both_strands(self) -> bool:
        return False

    def loader(self, seed: int, batch_size: int) -> Buckets:
        records = self.records("train")
        return Buckets(self.proteome, records, self.config.context, batch_size, seed, self._weights(records))

    def text(self, split: str) -> Iterator[UInt8[np.ndarray, "_"]]:
        for record in self.records(split):
            yield self.proteome.tokens(int(record))

    def _sequences(self, split: str) -> Sequences:
        records = self.records(split)
        cluster = None if self.cluster is None else self.cluster[records]
        return Sequences(self.proteome, records, self.config.context, cluster)

    def _weights(self, records: Int[np.ndarray, "R"]) -> Float64[np.ndarray, "R"] | None:
        """How often each is shown, in proportion; None where all are alike."""
        balance, power = self.config.balance, self.config.balance_power
        if balance is None:
            return None
        keys = self.cluster[records] if balance == "cluster" else self.proteome.keys(balance)[records]
        groups, which, sizes = np.unique(keys, return_inverse=True, return_counts=True)
        nameless = 0 if balance == "cluster" else int((keys == 0).sum())
        known = len(groups) - (nameless > 0)
        if known < 2:
            raise DataError(
                f"{self.proteome.path}: data.balance: {balance}: the headers name {known} {balance}s; "
                "write OS=... and GN=... as UniProt does, or leave balance out"
            )
        without = f"; {nameless:,} proteins without one are a group of their own" if nameless else ""
        log.info("balanced by %s: %s groups, the largest of %s proteins%s",
                 balance, f"{len(groups):,}", f"{sizes.max():,}", without)  # fmt: skip
        return sizes[which].astype(np.float64) ** ((0.5 if power is None else power) - 1)


def _places(config: Protein, proteome: Proteome, cluster: Int64[np.ndarray, "N"] | None) -> UInt8[np.ndarray, "N"]:
    """Which split each record is in; 3 where it is left out, and says how many those are."""
    lengths, known = proteome.lengths, proteome.known
    shares = config.splits
    key = proteome.keys("sequence") if cluster is None else cluster
    point = key.astype(np.uint64) / 2.0**64
    places = np.where(point < shares.test, 2, np.where(point < shares.test + shares.valid, 1, 0)).astype(np.uint8)
    left: list[tuple[str, np.ndarray]] = [
        ("empty", lengths == 0),
        ("without a known residue", known == 0),
        (f"shorter than data.min_length ({config.min_length})", lengths < config.min_length),
        ("that came before, letter for letter", proteome.repeated()),
    ]
    said = []
    for why, which in left:
        which = which & (places < len(SPLITS))
        places[which] = len(SPLITS)
        if number := int(which.sum()):
            said.append(f"{number:,} {why}")
    if said:
        log.info("%s: of %s proteins, left out %s", proteome.path, f"{len(proteome):,}", ", ".join(said))
    if cluster is None:
        log.info("%s: what is held out may resemble what is trained on; with clusters (--clusters) it does not",
                 proteome.path)  # fmt: skip
    return places


def _doubt(proteome: Proteome) -> None:
    """A warning where the proteins look like DNA."""
    alphabet = proteome.alphabet
    bases = sum(int(proteome.composition[alphabet.symbols.index(letter)]) for letter in "ACGT")
    known = int(proteome.composition[: alphabet.size].sum())
    if known and bases > 0.95 * known:
        log.warning(
            "%s: %.0f %% of the letters are A, C, G and T: is this DNA? A model of DNA has data.kind: dna",
            proteome.path, 100 * bases / known,
        )  # fmt: skip
