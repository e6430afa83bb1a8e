"""How a genome is laid out in its encoded file: codes that know lower case, and the edges of unknown stretches.

The words are where stretches of unknown letters begin and end, alternately, in positions of the whole genome; the
footer has the contigs with their lengths.
"""

import json
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Int64

from seqdiff.alphabet import INVALID, Alphabet
from seqdiff.data.encoded import digest_of
from seqdiff.data.fasta import first_word, invalid_letter, pieces
from seqdiff.data.output import Output
from seqdiff.data.source import BLANKS, Source, bytes_of, shown
from seqdiff.errors import DataError

SOFT_MASKED = 0x80
"""The bit of a code that says: lower-case in the source. The other seven bits are the token."""


def code_table(alphabet: Alphabet) -> bytes:
    """Byte -> code for `bytes.translate`; INVALID for what is no letter.

    >>> from seqdiff.alphabet import DNA
    >>> [hex(code) for code in b"AaN!".translate(code_table(DNA))]
    ['0x0', '0x80', '0x4', '0xff']
    """
    table = alphabet.codes.copy()
    assert alphabet.pad < SOFT_MASKED - 1, "seven bits hold every token"
    table[ord("a") : ord("z") + 1] |= SOFT_MASKED
    return table.tobytes()


@dataclass(frozen=True)
class Contigs:
    """The layout of a genome."""

    alphabet: Alphabet
    content = "genome"
    suffix = ".seqdiff"

    def table(self) -> bytes:
        return code_table(self.alphabet)

    def encode(self, source: Source, out: Output, words: BinaryIO) -> dict[str, Any]:
        """Raises DataError: letters that the alphabet lacks, contigs of one name, whatever `fasta.pieces` raises."""
        table, checksum, edges = self.table(), digest_of(), _Edges(self.alphabet, words)
        lengths: dict[str, int] = {}
        lines: dict[str, int] = {}
        name, bases = "", 0
        for header, text, line in pieces(source):
            if header is not None:
                name = first_word(header)
                if name in lengths:
                    raise DataError(
                        f"{source.name}, line {line:,}: the name {shown(bytes_of(name))} was taken by the contig "
                        f"at line {lines[name]:,}: contigs of a genome need names of their own"
                    )
                lengths[name], lines[name] = 0, line
                continue
            codes = text.translate(table, BLANKS)
            if (wrong := codes.find(INVALID)) >= 0:
                letter = text.translate(None, BLANKS)[wrong : wrong + 1]
                raise DataError(invalid_letter(source.name, name, lengths[name] + wrong, letter, self.alphabet))
            edges.add(codes, bases)
            checksum.update(codes)
            out.write(codes)
            lengths[name] += len(codes)
            bases += len(codes)
        edges.close(bases)
        contigs = list(lengths.items())
        checksum.update(json.dumps(contigs).encode())
        return {
            "letters": bases,
            "words": edges.count,
            "contigs": contigs,
            "checksum": checksum.hexdigest(),
        }


class _Edges:
    """Finds where stretches of unknown letters begin and end, block after block."""

    def __init__(self, alphabet: Alphabet, file: BinaryIO):
        self.count = 0
        self._mask = alphabet.mask
        self._file = file
        self._inside = False

    def add(self, codes: bytes, offset: int) -> None:
        if not codes:
            return
        if self._mask in codes or self._mask | SOFT_MASKED in codes:
            unknown = (np.frombuffer(codes, np.uint8) & ~np.uint8(SOFT_MASKED)) == self._mask
            edges = np.flatnonzero(np.diff(unknown, prepend=self._inside)) + offset
            self._inside = bool(unknown[-1])
            self._put(edges)
        elif self._inside:
            self.close(offset)

    def close(self, offset: int) -> None:
        if self._inside:
            self._put(np.array([offset]))
            self._inside = False

    def _put(self, edges: Int64[np.ndarray, " edges"]) -> None:
        self.count += edges.size
        self._file.write(edges.astype("<i8").tobytes())
