"""Families of proteins: the rows of an alignment over the columns of a query, gaps as a 21st symbol.

alignment -> columns of the query -> neighbours at 80 % identity -> weights; groups of relatives -> splits
"""

import hashlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float64, Int64, UInt8
from pydantic import Field, model_validator

from seqdiff.alphabet import ALIGNED, PROTEIN, Alphabet
from seqdiff.data.alignment import GAP, Alignment, read_alignment
from seqdiff.data.identity import Relatives, relatives
from seqdiff.data.rows import RowLoader, Rows
from seqdiff.errors import ConfigError, DataError
from seqdiff.modalities.modality import Modality
from seqdiff.streams import seed_of

log = logging.getLogger("seqdiff")

MANY = 30_000
"""Sequences that take more than some seconds to compare, so that it is said first."""
STRICTER = (0.9, 0.95, 0.99, 1.0)
"""Identities at which relatives are told apart where all sequences are relatives at `identity`."""


class Family(Modality):
    """An aligned family: a2m, a3m, Stockholm or aligned FASTA (`seqdiff.data.alignment`).

    Sequences are drawn in proportion to their weights. Held out are whole groups of relatives, so that no held-out
    sequence has a neighbour in training; the query is always trained on.
    """

    kind: Literal["family"] = "family"
    alignment: Path | None = None
    """The file."""
    query: str | None = None
    """The name of the sequence whose columns are kept; default: the first."""
    identity: float = Field(0.8, gt=0, le=1)
    """Share of identical letters from which on two sequences are neighbours."""
    max_gaps: float = Field(0.5, ge=0, le=1)
    """Sequences with a greater share of gaps are left out; the query's columns never are."""
    valid: float = Field(0.05, gt=0, lt=1)
    test: float = Field(0.05, gt=0, lt=1)
    """Shares of the effective number of sequences that are held out."""
    context: int | None = Field(None, ge=1)
    """Columns of the alignment, which the file says."""

    @model_validator(mode="after")
    def _something_left(self) -> "Family":
        if self.valid + self.test >= 1:
            raise ValueError("valid and test leave something to train on: their sum is below 1")
        return self

    @property
    def alphabet(self) -> Alphabet:
        return ALIGNED

    def resolved(self) -> "Family":
        """With the number of columns. Raises ConfigError without a file or for another number, DataError as `open`."""
        columns = self._read().rows.shape[1]
        if self.context not in (None, columns):
            raise ConfigError(
                f"data.context is {self.context:,}, but the query of {self.alignment} has {columns:,} columns: leave "
                "data.context out, or give the alignment that it is of"
            )
        return self.model_copy(update={"context": columns})

    def open(self) -> "FamilyData":
        """The family, weighted and split.

        Raises ConfigError without a file; DataError: no alignment (`read_alignment`), too few sequences.
        """
        alignment = self._read()
        gaps = (alignment.rows == GAP).mean(1)
        kept = gaps <= self.max_gaps
        kept[alignment.query] = True
        if left_out := int((~kept).sum()):
            log.info(
                "%s: left out %s of %s sequences with more than %.0f %% gaps (data.max_gaps)",
                alignment.path, f"{left_out:,}", f"{len(alignment):,}", 100 * self.max_gaps,
            )  # fmt: skip
        rows, query = alignment.rows[kept], int(kept[: alignment.query].sum())
        threads = torch.get_num_threads()
        progress = None
        if len(rows) > MANY:
            log.info("%s: comparing all pairs of %s sequences", alignment.path, f"{len(rows):,}")
            progress = _Compared(len(rows))
        found = relatives(rows, PROTEIN.size, self.identity, threads=threads, progress=progress)
        columns = rows.shape[1]
        log.info(
            "%s: %s, %s sequences over the %s columns of %s; Neff %s at %.0f %% identity, %.2f a column%s",
            alignment.path, alignment.format, f"{len(rows):,}", f"{columns:,}", alignment.names[alignment.query],
            f"{found.effective:,.0f}", 100 * self.identity, found.effective / columns,
            f"; {alignment.insertions:,} columns without a letter of it left out" if alignment.insertions else "",
        )  # fmt: skip
        if found.effective < columns:
            log.warning(
                "%s: fewer effective sequences (%s) than columns (%s): couplings will be poorly known; search a larger "
                "database, or with a weaker threshold", alignment.path, f"{found.effective:,.0f}", f"{columns:,}",
            )  # fmt: skip
        groups = found.groups
        for identity in (None, *STRICTER):
            if identity is not None:
                groups = relatives(rows, PROTEIN.size, identity, threads=threads).groups
            held_out = _hold_out(rows, groups, found.weights, query, (self.valid, self.test))
            if all(len(items) for items in held_out):
                break
        else:
            raise DataError(
                f"{alignment.path}: too few different sequences ({len(rows):,}) to hold some out for validation and "
                "test: a family needs many (search a larger database)"
            )
        if identity is not None:
            log.warning(
                "%s: all sequences are relatives at %.0f %% identity, so what is held out is only less than %.0f %% "
                "identical to what is trained on", alignment.path, 100 * self.identity, 100 * identity,
            )  # fmt: skip
        return FamilyData(self.resolved(), alignment, rows, query, found, held_out)

    def _read(self) -> Alignment:
        if self.alignment is None:
            raise ConfigError("data.alignment: give an aligned family: --set data.alignment=FILE (a2m, a3m, Stockholm)")
        path = self.alignment.expanduser()
        if str(path) == "-":
            raise ConfigError("data.alignment: give a file: training has to find its data again")
        stamp = (path.stat().st_size, path.stat().st_mtime_ns) if path.is_file() else None
        return _read(str(path), self.query, stamp)


@dataclass(frozen=True)
class FamilyData:
    """An opened `Family`."""

    config: Family
    alignment: Alignment
    """As it was read, sequences of many gaps included."""
    rows: UInt8[np.ndarray, "N L"]
    """Tokens of the sequences that are used."""
    query: int
    """The row of the query."""
    relatives: Relatives
    held_out: tuple[Int64[np.ndarray, "_"], Int64[np.ndarray, "_"]]
    """The rows of validation and of test."""

    @cached_property
    def train(self) -> Rows:
        return self._part(np.setdiff1d(np.arange(len(self.rows)), np.concatenate(self.held_out)))

    @cached_property
    def valid(self) -> Rows:
        return self._part(self.held_out[0])

    @cached_property
    def test(self) -> Rows:
        return self._part(self.held_out[1])

    @property
    def checksum(self) -> str:
        """Of the sequences and of what is held out: another one means other data."""
        digest = hashlib.blake2b(self.rows.tobytes(), digest_size=16)
        for part in (np.array([self.query]), *self.held_out):
            digest.update(part.astype(np.int64).tobytes())
        return digest.hexdigest()

    @property
    def source(self) -> str:
        """For people: which file, how much."""
        name = self.alignment.names[self.alignment.query]
        count, effective = len(self.rows), self.relatives.effective
        return f"the family of {name}, {Path(self.alignment.path).name}, {count:,} sequences (Neff {effective:,.0f})"

    @property
    def contents(self) -> str:
        """For people: what training reads."""
        return f"{len(self.train):,} sequences over {self.config.context:,} columns"

    @property
    def facts(self) -> dict[str, Any]:
        """The query, whose residues the columns are, and what the family was."""
        return {
            "query": {
                "name": self.alignment.names[self.alignment.query],
                "first": self.alignment.first,
                "sequence": self.alignment.sequence,
            },
            "family": {
                "sequences": len(self.rows),
                "neff": round(self.relatives.effective, 2),
                "identity": self.config.identity,
                "columns": self.config.context,
            },
        }

    @property
    def both_strands(self) -> bool:
        """A protein has one."""
        return False

    def loader(self, seed: int, batch_size: int) -> RowLoader:
        """Rows drawn in proportion to their weights."""
        return RowLoader(self.train, batch_size, seed)

    def text(self, split: str) -> Iterator[UInt8[np.ndarray, "_"]]:
        """The tokens of a split's rows."""
        yield from getattr(self, split).tokens

    def profile(self) -> Float64[np.ndarray, "L K"]:
        """The site-independent model of the training rows: the rival of all that know of more than one column.

        p_i(a) = (weighted count of a in column i + s q(a)) / (total + s), q the frequencies in all columns and s that
        of highest likelihood on the validation rows, of the powers of 2.
        """
        counts = np.stack([(self.train.tokens == symbol).T @ self.train.weights for symbol in range(ALIGNED.size)], 1)
        background = (counts.sum(0) + 1) / (counts.sum() + ALIGNED.size)
        found = []
        for pseudocounts in 2.0 ** np.arange(-6, 13):
            profile = counts + pseudocounts * background
            profile /= profile.sum(1, keepdims=True)
            column, symbol = np.tile(np.arange(len(counts)), len(self.valid)), self.valid.tokens.ravel()
            known = symbol < ALIGNED.size
            found.append((np.log(profile[column[known], symbol[known]]).sum(), pseudocounts, profile))
        return max(found, key=lambda entry: entry[:2])[2]

    def _part(self, items: Int64[np.ndarray, "n"]) -> Rows:
        return Rows(self.rows[items], self.relatives.weights[items], self.relatives.groups[items], ALIGNED)


def _hold_out(
    rows: UInt8[np.ndarray, "N L"],
    groups: Int64[np.ndarray, "N"],
    weights: Float64[np.ndarray, "N"],
    query: int,
    shares: tuple[float, float],
) -> tuple[Int64[np.ndarray, "_"], Int64[np.ndarray, "_"]]:
    """Whole groups for validation and test, until each has its share of the weights.

    In an order that the first sequence of each group decides. A group that is too large for the share stays in
    training, as that of the query does. Nothing is held out for a part that would have less than half of its share.
    """
    total = np.bincount(groups, weights)
    first = np.unique(groups, return_index=True)[1]
    order = np.argsort([seed_of(rows[row].tobytes()) for row in first])
    order = order[order != groups[query]]
    parts = []
    for share in shares:
        wanted = share * total.sum()
        fitting = order[total[order] <= max(wanted, 1.0)]
        reached = np.cumsum(total[fitting])
        count = int(np.searchsorted(reached, wanted)) + 1
        chosen = fitting[:count]
        enough = len(chosen) > 0 and total[chosen].sum() >= wanted / 2
        parts.append(np.flatnonzero(np.isin(groups, chosen)) if enough else np.empty(0, np.int64))
        order = order[~np.isin(order, chosen)]
    return parts[0], parts[1]


class _Compared:
    """Says from time to time how many pairs of rows have been compared, and how long the others will take."""

    EVERY = 20.0
    """Seconds."""

    def __init__(self, rows: int):
        self._rows, self._began = rows, time.monotonic()
        self._said = self._began

    def __call__(self, done: int) -> None:
        """`done` rows have been compared with all later ones."""
        now = time.monotonic()
        if now - self._said >= self.EVERY:
            self._said = now
            share = 1 - ((self._rows - done) / self._rows) ** 2
            left = (now - self._began) * (1 - share) / share
            log.info("compared %.0f %% of the pairs, about %s s left", 100 * share, f"{left:,.0f}")


@lru_cache(maxsize=1)
def _read(path: str, query: str | None, stamp: tuple[int, int] | None) -> Alignment:
    """The alignment, read once for a recipe and its data; `stamp` is another one when the file has changed."""
    return read_alignment(path, query)
