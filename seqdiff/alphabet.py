"""Letters and numbers: an `Alphabet` turns sequence text into tokens and back.

The K symbols are 0..K-1. Two further ids are inputs only and are never predicted: `mask` = K, an
unknown letter, and `pad` = K+1, a place past the end of a sequence. A mask *is* an unknown letter:
`N` (DNA) and `X` (protein) encode to it, and so do the ambiguity codes, whose meaning `allowed` keeps.

For DNA the symbols are ordered so that the complement of i is K-1-i. The reverse complement of tokens
is then `where(x < K, K-1-x, x).flip(-1)` and that of logits is `logits.flip(-1, -2)`: no tables.
"""

import io
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

INVALID = 255
"""What `Alphabet.codes` holds for a byte that is no letter of the alphabet."""


@dataclass(frozen=True)
class Alphabet:
    """An immutable set of symbols with their ambiguity codes.

    >>> DNA.decode(DNA.encode(b"acgtN"))
    b'ACGTN'
    >>> DNA.allowed(b"RA").tolist()
    [[True, False, True, False], [True, False, False, False]]
    >>> DNA.decode(DNA.reverse_complement(DNA.encode(b"AACGN")))
    b'NCGTT'
    """

    name: str
    symbols: str
    unknown: str
    ambiguity: tuple[tuple[str, str], ...]
    """Letters that stand for a set of symbols, `("R", "AG")`. An ambiguous letter encodes to `mask`."""
    aliases: tuple[tuple[str, str], ...] = ()
    """Letters read as another symbol, `("U", "T")`."""
    complementary: bool = False
    """Whether symbol K-1-i is the complement of symbol i."""
    unit: str = "symbol"
    """What one position is called in results: base, residue, character."""

    def __getstate__(self) -> dict[str, object]:
        """What is pickled: the definition, not the tables made from it."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def size(self) -> int:
        """K, the number of symbols that can be predicted."""
        return len(self.symbols)

    @property
    def names(self) -> tuple[str, ...]:
        """What each symbol is called in results."""
        return tuple(self.symbols)

    @property
    def mask(self) -> int:
        """The input id of an unknown letter."""
        return self.size

    @property
    def pad(self) -> int:
        """The input id of a place past the end."""
        return self.size + 1

    @cached_property
    def codes(self) -> np.ndarray:
        """Byte -> token, (256,) uint8, both cases; `INVALID` for a byte that is no letter."""
        table = np.full(256, INVALID, np.uint8)
        letters = {letter: i for i, letter in enumerate(self.symbols)}
        letters |= {letter: self.mask for letter in (self.unknown, *dict(self.ambiguity))}
        letters |= {letter: letters[same] for letter, same in self.aliases}
        for letter, token in letters.items():
            table[ord(letter)] = table[ord(letter.lower())] = token
        table.flags.writeable = False
        return table

    @cached_property
    def _translation(self) -> bytes:
        return self.codes.tobytes()

    @cached_property
    def _letters(self) -> np.ndarray:
        return np.frombuffer((self.symbols + self.unknown).encode(), np.uint8)

    @cached_property
    def _allowed(self) -> np.ndarray:
        table = np.zeros((256, self.size), bool)
        sets = {letter: letter for letter in self.symbols} | {self.unknown: self.symbols} | dict(self.ambiguity)
        sets |= {letter: sets[same] for letter, same in self.aliases}
        for letter, members in sets.items():
            for case in (letter, letter.lower()):
                table[ord(case), [self.symbols.index(m) for m in members]] = True
        return table

    def encode(self, text: bytes) -> np.ndarray:
        """Tokens of a text, (L,) uint8. Raises ValueError at the first byte that is no letter.

        Readers check records first and name the file and record: see `first_invalid`.
        """
        if (where := self.first_invalid(text)) is not None:
            raise ValueError(f"{chr(text[where])!r} at position {where + 1:,} is no letter of {self.name}")
        # Bytes by bytes: numpy's indexing would make eight bytes of each letter of a chromosome.
        return np.frombuffer(bytearray(text).translate(self._translation), np.uint8)

    def decode(self, tokens: np.ndarray) -> bytes:
        """Upper-case text of tokens; a mask becomes the unknown letter. Pads must be cut off before."""
        return self._letters[np.asarray(tokens)].tobytes()

    def blanks(self, text: bytes, tokens: np.ndarray) -> np.ndarray:
        """Which letters of a text and its tokens are left open, to be filled in: (L,) bool."""
        return tokens == self.mask

    def fill(self, text: bytes, positions: np.ndarray, tokens: np.ndarray) -> bytes:
        """The text with tokens (n,) at `positions` (n,), in the case of the letters they replace, U in RNA.

        >>> DNA.fill(b"acnuN", np.array([2, 4]), np.array([3, 3]))
        b'acuuU'
        """
        letters = np.frombuffer(self.decode(tokens), np.uint8).copy()
        for alias, symbol in self.aliases:
            both = (alias + alias.lower()).encode(), (symbol + symbol.lower()).encode()
            if any(c in text for c in both[0]) and not any(c in text for c in both[1]):
                letters[letters == ord(symbol)] = ord(alias)
        held = io.BytesIO(text)  # whose value is handed out without another copy of a chromosome
        with held.getbuffer() as buffer:
            sequence = np.frombuffer(buffer, np.uint8)
            replaced = sequence[positions]
            lower = (replaced >= ord("a")) & (replaced <= ord("z"))
            sequence[positions] = np.where(lower, letters | 0x20, letters)
            del sequence
        return held.getvalue()

    def allowed(self, text: bytes) -> np.ndarray:
        """Which symbols each letter may stand for, (L, K) bool; a plain letter allows itself alone."""
        return self._allowed[np.frombuffer(text, np.uint8)]

    def first_invalid(self, text: bytes) -> int | None:
        """0-based position of the first byte that is no letter, or None.

        >>> DNA.first_invalid(b"ACGT*A")
        4
        """
        wrong = text.translate(None, self._valid)
        return text.index(wrong[:1]) if wrong else None

    @cached_property
    def _valid(self) -> bytes:
        return np.flatnonzero(self.codes != INVALID).astype(np.uint8).tobytes()

    def reverse_complement(self, tokens: np.ndarray) -> np.ndarray:
        """Tokens (..., L) of the other strand; masks and pads stay what they are."""
        if not self.complementary:
            raise ValueError(f"{self.name} has no complement")
        return np.where(tokens < self.size, self.size - 1 - tokens, tokens)[..., ::-1].astype(tokens.dtype)


DNA = Alphabet(
    name="DNA",
    symbols="ACGT",
    unknown="N",
    ambiguity=tuple(
        {"R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC",
         "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG"}.items()
    ),
    aliases=(("U", "T"),),
    complementary=True,
    unit="base",
)  # fmt: skip

PROTEIN = Alphabet(
    name="protein",
    symbols="ACDEFGHIKLMNPQRSTVWY",
    unknown="X",
    ambiguity=(
        ("B", "DN"),
        ("Z", "EQ"),
        ("J", "IL"),
        ("U", "ACDEFGHIKLMNPQRSTVWY"),
        ("O", "ACDEFGHIKLMNPQRSTVWY"),
    ),
    unit="residue",
)

ALIGNED = Alphabet(
    name="aligned protein",
    symbols=PROTEIN.symbols + "-",
    unknown="X",
    ambiguity=PROTEIN.ambiguity,
    aliases=((".", "-"), ("~", "-")),
    unit="column",
)
"""A row of a protein alignment: a gap is a symbol like the letters, so X stands for any of them or for a gap."""
