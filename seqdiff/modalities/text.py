"""Text: running text in passages, or documents."""

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from jaxtyping import Integer, UInt8
from pydantic import Field, model_validator

from seqdiff.data import characters, documents, text
from seqdiff.data.characters import BYTES, TEXT8, UNREAD, Characters
from seqdiff.data.documents import Documents
from seqdiff.data.passages import PassageLoader, Passages
from seqdiff.data.text import RunningText
from seqdiff.errors import ConfigError, DataError
from seqdiff.modalities.modality import Modality
from seqdiff.modalities.whole import SPLITS, Shares, Whole, held_out

log = logging.getLogger("seqdiff")

PIECE = 2**23
"""Longest piece of a text that is handed out at once, in characters."""


class Text(Modality):
    """A text file, plain or gzip: running text, or documents, one a line or one a row of a table.

    `coding` says what a symbol is: one of text8's 27 letters, a byte, or a character of the file. Characters are
    learned from the file, those that stand there at least `min_count` times, at most the `max_symbols` most frequent;
    they are kept with the run, which can then be used without the file. All others are unknown.
    """

    kind: Literal["text"] = "text"
    file: Path | None = None
    mode: Literal["stream", "documents"] = "stream"
    """A stream goes on from line to line and is cut into passages; documents stand by themselves."""
    column: str | None = None
    """Documents are the cells of this column of a table (comma, tab or semicolon); without, the lines of a file."""
    coding: Literal["text8", "bytes", "characters"] = "characters"
    characters: str | None = None
    """The alphabet of coding `characters`; none: it is learned from the file."""
    min_count: Annotated[int, Field(ge=1)] = 1
    max_symbols: Annotated[int, Field(ge=2)] | None = None
    context: int = Field(ge=8)
    """Characters the network looks at together."""
    splits: Shares = Shares()

    @model_validator(mode="after")
    def _consistent(self) -> "Text":
        if self.column is not None and self.mode != "documents":
            raise ValueError("column is for mode documents")
        if self.coding != "characters":
            for setting in ("characters", "min_count", "max_symbols"):
                if getattr(self, setting) != type(self).model_fields[setting].default:
                    raise ValueError(f"{setting} is for coding characters; {self.coding} has its own symbols")
        elif self.characters is not None:
            if len(self.characters) < 2:
                raise ValueError(f"characters: {self.characters!r} leaves nothing to tell apart; give two or more")
            Characters.of(self.characters)
        return self

    @property
    def alphabet(self) -> Characters:
        match self.coding:
            case "text8":
                return TEXT8
            case "bytes":
                return BYTES
        return UNREAD if self.characters is None else Characters.of(self.characters)

    def resolved(self) -> "Text":
        """With the characters of the file, where they are to be learned. Raises DataError as `open` does."""
        if self.coding != "characters" or self.characters is not None:
            return self
        log.info("%s: learning its characters", self._path)
        stream = self.mode == "stream"
        counted = text.counted(self._path) if stream else documents.counted(self._path, self.column)
        found = characters.learned(counted, self.min_count, self.max_symbols)
        if len(found) < 2:
            raise DataError(
                f"{self._path} has {len(found)} characters of the kind that is asked for (data.min_count, "
                "data.max_symbols): there is nothing to tell apart"
            )
        return self.model_copy(update={"characters": found})

    @property
    def _path(self) -> Path:
        if self.file is None:
            raise ConfigError("data.file: give a text file: --set data.file=FILE")
        return self.file.expanduser()

    def open(self) -> "RunningData | DocumentData":
        """The data, encoded if need be.

        Raises DataError: no such file or column, not UTF-8, a split without a known character.
        """
        config = self.resolved()
        if config.mode == "stream":
            data = RunningData(config, RunningText.open(self._path, config.alphabet))
        else:
            opened = Documents.open(self._path, config.alphabet, config.column)
            data = DocumentData(config, opened, _places(config.splits, opened))
        total, unknown = data.size
        if unknown:
            log.warning(
                "%s: %s of %s %ss (%.2g %%) are none of the %d symbols: they are unknown, and not scored",
                self._path, f"{unknown:,}", f"{total:,}", config.alphabet.unit, 100 * unknown / total,
                config.alphabet.size,
            )  # fmt: skip
        for split in SPLITS:
            examples = getattr(data, split)
            if not len(examples) or (isinstance(examples, Passages) and len(data.train.tokens) < self.context):
                raise DataError(
                    f"{self._path} is too short: {split!r} has {examples.letters:,} known characters of it; lower "
                    f"data.context ({self.context:,}), or give more text"
                )
        return data


@dataclass(frozen=True)
class RunningData:
    """Opened running text (see `Opened`): its passages by split."""

    config: Text
    running: RunningText

    @cached_property
    def train(self) -> Passages:
        return self._passages("train")

    @cached_property
    def valid(self) -> Passages:
        return self._passages("valid")

    @cached_property
    def test(self) -> Passages:
        return self._passages("test")

    @property
    def size(self) -> tuple[int, int]:
        """Characters, and how many of them are unknown."""
        return len(self.running.tokens), self.running.unknown

    @property
    def checksum(self) -> str:
        """Of the encoded text and of what is held out: another one means other data."""
        held_out = repr((self.config.splits.valid, self.config.splits.test))
        return hashlib.blake2b((self.running.checksum + held_out).encode(), digest_size=16).hexdigest()

    @property
    def source(self) -> str:
        """For people: which file, how long, in which symbols."""
        alphabet = self.config.alphabet
        return f"{self.running.path.name}, {self.size[0]:,} {alphabet.unit}s of {alphabet.size} ({alphabet.name})"

    @property
    def contents(self) -> str:
        return f"{len(self.train):,} passages of {self.config.context:,} {self.config.alphabet.unit}s"

    @property
    def facts(self) -> dict[str, Any]:
        """None: a passage's length says nothing."""
        return {}

    @property
    def both_strands(self) -> bool:
        return False

    def loader(self, seed: int, batch_size: int) -> PassageLoader:
        return PassageLoader(self.train, batch_size, seed)

    def text(self, split: str) -> Iterator[Integer[np.ndarray, "_"]]:
        tokens = getattr(self, split).tokens
        for first in range(0, len(tokens), PIECE):
            yield tokens[first : first + PIECE]

    def _passages(self, split: str) -> Passages:
        length, shares = self.size[0], self.config.splits
        test, valid = round(length * shares.test), round(length * shares.valid)
        edges = [0, length - test - valid, length - test, length]
        place = SPLITS.index(split)
        tokens = self.running.tokens[edges[place] : edges[place + 1]]
        return Passages(tokens, self.config.context, self.config.alphabet.size)


@dataclass(frozen=True)
class DocumentData(Whole):
    """Opened documents (see `Opened`)."""

    config: Text
    collection: Documents

    @property
    def size(self) -> tuple[int, int]:
        """Characters, and how many of them are unknown."""
        total = int(self.collection.lengths.sum())
        return total, total - int(self.collection.known.sum())

    @property
    def source(self) -> str:
        """For people: which file, how many documents, in which symbols."""
        alphabet, column = self.config.alphabet, self.config.column
        where = f" ({column})" if column else ""
        total = f"{len(self.collection):,} documents of {self.size[0]:,} {alphabet.unit}s of {alphabet.size}"
        return f"{self.collection.path.name}{where}, {total} ({alphabet.name})"

    @property
    def contents(self) -> str:
        return self.amount("documents")


def _places(shares: Shares, opened: Documents) -> UInt8[np.ndarray, "N"]:
    """Which split each document is in; 3 where it is left out, and says how many those are."""
    left = (
        ("without a known character", opened.known == 0),
        ("that came before, letter for letter", opened.repeated()),
    )
    return held_out(shares, opened.keys("sequence"), left, opened, "documents")
