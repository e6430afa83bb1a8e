"""The alphabets of text: characters of UTF-8, or its bytes.

Text is UTF-8 bytes wherever a record holds it; a token is a character of it, or one of its bytes. The unknown letter
of every text is U+FFFD, Unicode's own sign for a character that nobody knows. A character that the alphabet lacks is
read as unknown as well: context that is not scored, and that stays as it is where a text is written back.
"""

import itertools
import string
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int, Integer

from seqdiff.alphabet import Alphabet
from seqdiff.errors import ConfigError

UNKNOWN = "\N{REPLACEMENT CHARACTER}"
CODE_POINTS = 0x110000
_MARK = np.frombuffer(UNKNOWN.encode(), np.uint8)


@dataclass(frozen=True)
class Characters(Alphabet):
    """Some of the characters of Unicode as symbols; all others are unknown.

    >>> greek = Characters.of("αβγ ")
    >>> greek.encode("αβ, γ".encode()).tolist()
    [0, 1, 4, 3, 2]
    >>> greek.decode(greek.encode("αβ, γ".encode())).decode()
    'αβ� γ'
    """

    @classmethod
    def of(cls, characters: str, name: str = "characters") -> "Characters":
        """An alphabet of given characters, in their order. Raises ValueError for one that comes twice or is none."""
        if twice := sorted({c for c in characters if characters.count(c) > 1}):
            raise ValueError(f"the character {twice[0]!r} comes twice")
        if wrong := [c for c in characters if c == UNKNOWN or "\ud800" <= c <= "\udfff"]:
            raise ValueError(f"{wrong[0]!r} is no character that a text could be of")
        return cls(name, characters, UNKNOWN, (), unit="character")

    @property
    def dtype(self) -> np.dtype:
        """The smallest type of numbers that holds all tokens."""
        smallest = np.uint8 if self.pad < 255 else np.int16 if self.pad < 2**15 else np.int32
        return np.dtype(smallest)

    @property
    def codes(self) -> np.ndarray:
        """Not for text: a character may be several bytes."""
        raise TypeError(f"{self.name} are no single bytes: use encode")

    @cached_property
    def _token_of(self) -> np.ndarray:
        """Code point -> token."""
        table = np.full(CODE_POINTS, self.mask, self.dtype)
        table[[ord(c) for c in self.symbols]] = np.arange(self.size)
        for other, symbol in self.aliases:
            table[ord(other)] = self.symbols.index(symbol)
        return table

    @cached_property
    def _point_of(self) -> np.ndarray:
        """Token -> code point."""
        return _points((self.symbols + self.unknown).encode())

    @cached_property
    def _allowed(self) -> np.ndarray:
        return np.concatenate([np.eye(self.size, dtype=bool), np.ones((1, self.size), bool)])

    def encode(self, text: bytes) -> Integer[np.ndarray, " L"]:
        """The token of each character. Raises ValueError for what is not UTF-8."""
        return self._token_of[_points(text)]

    def decode(self, tokens: np.ndarray) -> bytes:
        """UTF-8 text of tokens; a mask becomes U+FFFD. Pads must be cut off before."""
        return _text(self._point_of[np.asarray(tokens)])

    def allowed(self, text: bytes) -> Bool[np.ndarray, "L K"]:
        """Which symbols each character may stand for: itself, or any where it is unknown."""
        return self._allowed[self.encode(text)]

    def first_invalid(self, text: bytes) -> int | None:
        """0-based position of the first byte that is not UTF-8, or None: any character is either known or unknown."""
        try:
            text.decode()
        except UnicodeDecodeError as error:
            return error.start
        return None

    def blanks(self, text: bytes, tokens: Integer[np.ndarray, " L"]) -> Bool[np.ndarray, " L"]:
        """Where U+FFFD stands: a character that is merely not of the alphabet is nothing to be filled in."""
        return _points(text) == ord(UNKNOWN)

    def fill(self, text: bytes, positions: Int[np.ndarray, " n"], tokens: Integer[np.ndarray, " n"]) -> bytes:
        """The text with tokens at some positions (in characters) and all else as it was, known or not.

        >>> TEXT8.fill("Ça va�".encode(), np.array([5]), np.array([18])).decode()
        'Ça vas'
        """
        points = _points(text).copy()
        points[positions] = self._point_of[tokens]
        return _text(points)


@dataclass(frozen=True)
class Bytes(Characters):
    """The 256 bytes; the three of U+FFFD together are one unknown byte.

    >>> BYTES.encode("é�".encode()).tolist()
    [195, 169, 256]
    """

    def encode(self, text: bytes) -> Integer[np.ndarray, " L"]:
        found = np.frombuffer(text, np.uint8)
        tokens = found.astype(self.dtype)
        if len(found) < len(_MARK):
            return tokens
        begins = np.ones(len(found) - 2, bool)
        for place, byte in enumerate(_MARK):
            begins &= found[place : place + len(begins)] == byte
        at = np.flatnonzero(begins)
        tokens[at] = self.mask
        return np.delete(tokens, np.concatenate([at + 1, at + 2])) if len(at) else tokens

    def decode(self, tokens: np.ndarray) -> bytes:
        tokens = np.asarray(tokens)
        edges = [-1, *np.flatnonzero(tokens == self.mask).tolist(), len(tokens)]
        known = (tokens[low + 1 : high].astype(np.uint8).tobytes() for low, high in itertools.pairwise(edges))
        return _MARK.tobytes().join(known)

    def first_invalid(self, text: bytes) -> int | None:
        return None

    def blanks(self, text: bytes, tokens: Integer[np.ndarray, " L"]) -> Bool[np.ndarray, " L"]:
        return tokens == self.mask

    def fill(self, text: bytes, positions: Int[np.ndarray, " n"], tokens: Integer[np.ndarray, " n"]) -> bytes:
        whole = self.encode(text)
        whole[positions] = tokens
        return self.decode(whole)


@dataclass(frozen=True)
class Unread(Characters):
    """The alphabet of a recipe whose file has not been looked at: how many characters it has is not known yet."""

    @property
    def size(self) -> int:
        raise ConfigError(
            "data.characters: learned from the file, which has not been read yet; `Recipe.resolved()` reads it"
        )


TEXT8 = Characters(
    name="text8",
    symbols=string.ascii_lowercase + " ",
    unknown=UNKNOWN,
    ambiguity=(),
    aliases=(*zip(string.ascii_uppercase, string.ascii_lowercase, strict=True), *((c, " ") for c in "\t\n\r")),
    unit="character",
)
"""The 27 letters of text8 (Mahoney 2006): a to z and space. Upper case reads as lower, a new line as a space."""

BYTES = Bytes(name="bytes", symbols="".join(map(chr, range(256))), unknown=UNKNOWN, ambiguity=(), unit="byte")

UNREAD = Unread(name="characters", symbols="", unknown=UNKNOWN, ambiguity=(), unit="character")


def counts(text: bytes) -> Int[np.ndarray, " points"]:
    """How often each code point stands in a text."""
    return np.bincount(_points(text), minlength=CODE_POINTS)


def learned(counted: Int[np.ndarray, " points"], min_count: int = 1, max_symbols: int | None = None) -> str:
    """The characters that stand at least `min_count` times, at most the `max_symbols` most frequent; by code point.

    >>> learned(counts(b"to be or not to be"), min_count=2, max_symbols=4)
    ' bot'
    """
    kept = np.flatnonzero(counted >= max(1, min_count))
    kept = kept[kept != ord(UNKNOWN)]
    if max_symbols is not None:
        kept = kept[np.argsort(-counted[kept], kind="stable")[:max_symbols]]
    return "".join(map(chr, sorted(kept.tolist())))


def _points(text: bytes) -> Integer[np.ndarray, " L"]:
    """The code point of each character."""
    return np.frombuffer(text.decode().encode("utf-32-le"), "<u4")


def _text(points: Integer[np.ndarray, " L"]) -> bytes:
    """UTF-8 of code points."""
    return points.astype("<u4").tobytes().decode("utf-32-le").encode()
