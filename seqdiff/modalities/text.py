"""Text: running text in passages, or documents."""

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from jaxtyping import Integer
from pydantic import Field, model_validator

from seqdiff.config import Config
from seqdiff.data import characters
from seqdiff.data.characters import BYTES, TEXT8, UNREAD, Characters
from seqdiff.data.passages import PassageLoader, Passages
from seqdiff.data.text import RunningText, counted
from seqdiff.errors import ConfigError, DataError

log = logging.getLogger("seqdiff")

PIECE = 2**23
"""Longest piece of a text that is handed out at once, in characters."""

Share = Annotated[float, Field(gt=0, lt=1)]


class Shares(Config):
    """What is held out. Of running text the end: validation, then test, as text8's 90M, 5M and 5M."""

    valid: Share = 0.05
    test: Share = 0.05

    @model_validator(mode="after")
    def _something_is_left(self) -> "Shares":
        if self.valid + self.test >= 1:
            raise ValueError("leave something to train on: valid + test < 1")
        return self


class Text(Config):
    """A text file, plain or gzip.

    `coding` says what a symbol is: one of text8's 27 letters, a byte, or a character of the file. Characters are
    learned from the file, those that stand there at least `min_count` times, at most the `max_symbols` most frequent;
    they are kept with the run, which can then be used without the file. All others are unknown.
    """

    kind: Literal["text"] = "text"
    file: Path | None = None
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
        found = characters.learned(counted(self._path), self.min_count, self.max_symbols)
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

    def open(self) -> "TextData":
        """The data, encoded if need be.

        Raises DataError: no such file, not UTF-8, a split without a known character.
        """
        data = TextData(self.resolved(), RunningText.open(self._path, self.resolved().alphabet))
        if data.text_file.unknown:
            share = data.text_file.unknown / len(data.text_file.tokens)
            log.warning(
                "%s: %s of %s %ss (%.2g %%) are none of the %d symbols: they are unknown, and not scored",
                self._path, f"{data.text_file.unknown:,}", f"{len(data.text_file.tokens):,}", data.config.alphabet.unit,
                100 * share, data.config.alphabet.size,
            )  # fmt: skip
        for split in ("train", "valid", "test"):
            examples = getattr(data, split)
            if not len(examples) or (split == "train" and len(examples.tokens) < self.context):
                raise DataError(
                    f"{self._path} is too short: {split!r} has {len(examples.tokens):,} characters of it, "
                    f"{examples.letters:,} of them known; lower data.context ({self.context:,}), or give more text"
                )
        return data


@dataclass(frozen=True)
class TextData:
    """Opened running text (see `Opened`): its passages by split."""

    config: Text
    text_file: RunningText

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
    def checksum(self) -> str:
        """Of the encoded text and of what is held out: another one means other data."""
        held_out = repr((self.config.splits.valid, self.config.splits.test))
        return hashlib.blake2b((self.text_file.checksum + held_out).encode(), digest_size=16).hexdigest()

    @property
    def source(self) -> str:
        """For people: which file, how long, in which symbols."""
        alphabet = self.config.alphabet
        return (
            f"{self.text_file.path.name}, {len(self.text_file.tokens):,} {alphabet.unit}s of {alphabet.size} "
            f"({alphabet.name})"
        )

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
        length, shares = len(self.text_file.tokens), self.config.splits
        test, valid = round(length * shares.test), round(length * shares.valid)
        low, high = {
            "train": (0, length - test - valid),
            "valid": (length - test - valid, length - test),
            "test": (length - test, length),
        }[split]
        return Passages(self.text_file.tokens[low:high], self.config.context, self.config.alphabet.size)
