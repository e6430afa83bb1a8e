"""Whole sequences, each a record of a file, held out record by record: what proteins and documents have in common."""

import hashlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64, Integer, UInt8
from pydantic import Field, model_validator

from seqdiff.config import Config
from seqdiff.data.buckets import Buckets
from seqdiff.data.classes import Classes
from seqdiff.data.collection import Collection
from seqdiff.data.lengths import counted
from seqdiff.data.sequences import Sequences

log = logging.getLogger("seqdiff")

SPLITS = ("train", "valid", "test")


class Shares(Config):
    """What is held out, in shares: of proteins or their clusters, and of documents, those that their letters choose, so
    that adding others moves none; of running text its end, validation, then test, as text8's 90M, 5M and 5M."""

    valid: float = Field(0.05, gt=0, lt=1)
    test: float = Field(0.05, gt=0, lt=1)

    @model_validator(mode="after")
    def _some_left(self) -> "Shares":
        if self.valid + self.test >= 1:
            raise ValueError("shares leave something to train on: valid + test < 1")
        return self


def held_out(
    shares: Shares,
    keys: Int64[np.ndarray, "N"],
    left: Iterable[tuple[str, Bool[np.ndarray, "N"]]],
    collection: Collection,
    noun: str,
) -> UInt8[np.ndarray, "N"]:
    """The place in `SPLITS` of each record, by its key; beyond them where it is left out, for the first reason of
    `left` that holds. Says how many those are."""
    point = keys.astype(np.uint64) / 2.0**64
    places = np.where(point < shares.test, 2, np.where(point < shares.test + shares.valid, 1, 0)).astype(np.uint8)
    said = []
    for why, which in left:
        which = which & (places < len(SPLITS))
        places[which] = len(SPLITS)
        if number := int(which.sum()):
            said.append(f"{number:,} {why}")
    if said:
        log.info("%s: of %s %s, left out %s", collection.path, f"{len(collection):,}", noun, ", ".join(said))
    return places


@dataclass(frozen=True)
class Whole:
    """Opened records (see `seqdiff.modalities.opened`): whole ones, padded, by split."""

    config: Any
    collection: Collection
    places: UInt8[np.ndarray, "N"]
    """Of each record, its place in `SPLITS`, or beyond them where it is left out."""
    cluster: Int64[np.ndarray, "N"] | None = None
    """Of each record, what it shares with those that it resembles."""
    classes: Classes | None = None
    """Of each record, the class that the network is told."""

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
        digest = hashlib.blake2b(self.collection.checksum.encode(), digest_size=16)
        digest.update(self.places)
        return digest.hexdigest()

    @property
    def facts(self) -> dict[str, Any]:
        """How many sequences of each length there are to train on."""
        return {"lengths": counted(self.collection.lengths_of(self.records("train")))}

    @property
    def both_strands(self) -> bool:
        return False

    def loader(self, seed: int, batch_size: int) -> Buckets:
        records = self.records("train")
        return Buckets(
            self.collection, records, self.config.context, batch_size, seed, self.weights(records), self.classes
        )

    def text(self, split: str) -> Iterator[Integer[np.ndarray, "_"]]:
        for record in self.records(split):
            yield self.collection.tokens(int(record))

    def weights(self, records: Int64[np.ndarray, "R"]) -> Float64[np.ndarray, "R"] | None:
        """How often each is shown, in proportion; None where all are alike, as here."""
        return None

    def amount(self, noun: str) -> str:
        """How much there is to train on: `3,101 proteins of 1,210,468 residues`, and how many of them are cropped."""
        lengths, context = self.collection.lengths_of(self.records("train")), self.config.context
        longer = int((lengths > context).sum())
        cropped = f" ({longer:,} longer than the context of {context:,}: cropped at random)" if longer else ""
        return f"{len(lengths):,} {noun} of {lengths.sum():,} {self.config.alphabet.unit}s{cropped}"

    def _sequences(self, split: str) -> Sequences:
        records = self.records(split)
        cluster = None if self.cluster is None else self.cluster[records]
        return Sequences(self.collection, records, self.config.context, cluster, self.classes)
