"""Proteins: whole sequences of a FASTA file, split into training, validation and test.

a FASTA file -> Proteome -> without duplicates -> by the hash of a sequence, or of its cluster -> Sequences
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64, UInt8
from pydantic import Field, model_validator

from seqdiff.alphabet import PROTEIN, Alphabet
from seqdiff.data import headers, proteins
from seqdiff.data.classes import DROPOUT, Classes, common, read_table
from seqdiff.data.clusters import read_clusters
from seqdiff.data.fasta import read_records
from seqdiff.data.proteome import Proteome, key_of
from seqdiff.errors import ConfigError, DataError
from seqdiff.modalities.modality import Modality
from seqdiff.modalities.whole import SPLITS, Shares, Whole, held_out

log = logging.getLogger("seqdiff")


class Protein(Modality):
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

    conditional: Literal["organism"] | Path | None = None
    """Whether the network is told the class of a protein: the organism that its header names, or what a table of two
    columns says of its name, such as its family."""
    least: int | None = Field(None, ge=1)
    """Classes of fewer proteins are not told. Default: 20."""
    label_dropout: float | None = Field(None, ge=0, lt=1)
    """Share of the training rows whose class is not told, so that the network can do without. Default: 0.1."""
    classes: tuple[str, ...] | None = None
    """The names of the classes, which the data say."""

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
        if self.conditional is None and (self.least, self.label_dropout, self.classes) != (None, None, None):
            raise ValueError("least, label_dropout and classes belong to conditional: organism, or a table")
        return self

    @property
    def alphabet(self) -> Alphabet:
        return PROTEIN

    @property
    def labels(self) -> tuple[str, ...]:
        return self.classes or ()

    def resolved(self) -> "Protein":
        """With the names of the classes, the largest first. Raises ConfigError where the data say fewer than two, or
        others than are given; DataError as `open`."""
        if self.conditional is None:
            return self
        path = self._files()[0].expanduser()
        names = classes_of(path, self.conditional)
        least = 20 if self.least is None else self.least
        found = common(names, least)
        if len(found) < 2:
            what = "the headers name" if self.conditional == "organism" else f"{self.conditional} names"
            raise ConfigError(
                f"data.conditional: {what} {len(found)} classes of at least {least} proteins of {path}: two are "
                "needed; lower data.least, or leave data.conditional out"
            )
        if self.classes not in (None, found):
            raise ConfigError(f"data.classes: {path} has {len(found)} others: leave data.classes out")
        return self.model_copy(update={"classes": found})

    def open(self) -> "ProteinData":
        """The data, encoded if need be.

        Raises DataError: no such file or table, proteins that the table does not have, a split without a protein.
        ConfigError for a model whose proteins nobody knows.
        """
        fasta, clusters = self._files()
        proteome = Proteome.open(fasta.expanduser())
        _doubt(proteome)
        cluster = None if clusters is None else read_clusters(clusters.expanduser()).of(proteome)
        data = ProteinData(self, proteome, _places(self, proteome, cluster), cluster, self._classes(proteome))
        for split in SPLITS:
            if not len(data.records(split)):
                what = "proteins" if cluster is None else "clusters"
                raise DataError(
                    f"{proteome.path}: no protein falls to {split!r}: too few {what} for shares of "
                    f"{self.splits.valid:g} and {self.splits.test:g}; give more, or larger shares (data.splits)"
                )
        return data

    def _files(self) -> tuple[Path, Path | None]:
        """The proteins and their clusters."""
        if self.proteins is not None:
            entry = proteins.Registry.load()[self.proteins]
            return entry.path, self.clusters or entry.clusters_path
        if self.fasta is None:
            raise ConfigError(
                "data.fasta: no file of proteins is named: train with --set data.fasta=FILE, import with --fasta FILE"
            )
        return self.fasta, self.clusters

    def _classes(self, proteome: Proteome) -> Classes | None:
        if self.classes is None:
            return None
        number = {name: place for place, name in enumerate(self.classes)}
        of = [number.get(name, len(number)) for name in classes_of(proteome.path, self.conditional)]
        dropout = DROPOUT if self.label_dropout is None else self.label_dropout
        return Classes(self.classes, np.array(of, np.int64), dropout)


def classes_of(path: Path, conditional: Path | str) -> Iterator[str]:
    """The class of each record of a FASTA file, empty where nothing says it: the organism of its header, or what a
    table says of its name."""
    table = None if conditional == "organism" else read_table(Path(conditional).expanduser())
    for record in read_records(path, duplicates="keep"):
        said = headers.parse(record.header.encode("utf-8", "surrogateescape"))
        if table is None:
            yield said.organism.decode("utf-8", "surrogateescape")
        else:
            yield table.get(key_of(said.identifier), "")


@dataclass(frozen=True)
class ProteinData(Whole):
    """An opened `Protein` (see `seqdiff.modalities.opened`)."""

    config: Protein
    collection: Proteome

    @property
    def proteome(self) -> Proteome:
        return self.collection

    @property
    def source(self) -> str:
        """For people: which file, how many proteins."""
        name = f"{self.config.proteins}, " if self.config.proteins else ""
        return f"{name}{self.proteome.path.name}, {len(self.proteome):,} proteins"

    @property
    def contents(self) -> str:
        by = "by sequence" if self.cluster is None else "by clusters"
        return (
            f"{self.amount('proteins')}; {len(self.records('valid')):,} for validation and "
            f"{len(self.records('test')):,} for test, held out {by},"
        )

    def weights(self, records: Int64[np.ndarray, "R"]) -> Float64[np.ndarray, "R"] | None:
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
    lengths = proteome.lengths
    left = (
        ("empty", lengths == 0),
        ("without a known residue", proteome.known == 0),
        (f"shorter than data.min_length ({config.min_length})", lengths < config.min_length),
        ("that came before, letter for letter", proteome.repeated()),
    )
    keys = proteome.keys("sequence") if cluster is None else cluster
    places = held_out(config.splits, keys, left, proteome, "proteins")
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
