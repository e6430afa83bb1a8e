"""Blanks in a text, as people leave them: `{{?12}}`, twelve characters that are to be found, or as many `____`.

A single underscore is itself. All else of a text is taken byte for byte, and comes back so.
"""

import re
from dataclasses import dataclass

from seqdiff.data.source import shown
from seqdiff.errors import DataError

MARKS = {"both": rb"\{\{\?(?P<number>\d*)(?P<end>\}\})?|__+", "braces": rb"\{\{\?(?P<number>\d*)(?P<end>\}\})?",
         "underscores": rb"__+"}  # fmt: skip
"""Regular expressions of what is a blank, or begins as one."""
LONGEST = 1_000_000
"""Characters of a blank; more is a slip of the pen."""


@dataclass(frozen=True)
class Blanks:
    """A text cut at its blanks: one piece more than there are blanks, and the size of each.

    >>> found = Blanks.of(b"To {{?2}}, or ___ to be", "a.txt")
    >>> found.pieces, found.sizes
    ([b'To ', b', or ', b' to be'], [2, 3])
    >>> found.filled([b"be", b"not"])
    b'To be, or not to be'
    """

    pieces: list[bytes]
    sizes: list[int]

    @classmethod
    def of(cls, text: bytes, name: str, marks: str = "both", line: int = 1) -> "Blanks":
        """The blanks of a text from file `name` whose first line is number `line`.

        Raises DataError, with the line, for a blank of no or very many characters, and for an opened one that does
        not end.
        """
        pieces, sizes, at = [], [], 0
        for found in re.finditer(MARKS[marks], text):
            try:
                sizes.append(_size(found))
            except ValueError as error:
                line += text[: found.start()].count(b"\n")
                raise DataError(f"{name}, line {line:,}: {shown(text[found.start() :], 16)}: {error}") from error
            pieces.append(text[at : found.start()])
            at = found.end()
        return cls([*pieces, text[at:]], sizes)

    def filled(self, letters: list[bytes]) -> bytes:
        """The text with something in place of every blank."""
        parts = [part for pair in zip(self.pieces, letters, strict=False) for part in pair]
        return b"".join([*parts, self.pieces[-1]])


def _size(found: "re.Match[bytes]") -> int:
    """Characters of a blank. Raises ValueError for one that does not end, or is of no or very many characters."""
    if found[0].startswith(b"_"):
        size = len(found[0])
    elif not (found["number"] and found["end"]):
        raise ValueError(
            "a blank is {{?12}}, with the number of its characters (or mark blanks by underscores alone: "
            "--blanks underscores)"
        )
    else:
        size = int(found["number"][:12])
    if not 1 <= size <= LONGEST:
        raise ValueError(f"a blank of {size:,} characters: give 1 to {LONGEST:,}")
    return size
