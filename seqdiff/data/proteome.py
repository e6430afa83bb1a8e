"""The proteins of a FASTA file, encoded once and memory-mapped from then on.

    uniref50.fa(.gz) -> one pass -> uniref50.fa.proteins.seqdiff (1 byte a residue, 56 a record) -> np.memmap

A row of the table says where a record ends, how many of its letters are known, what its letters hash to, and the
hashes of its identifier, organism and gene (`seqdiff.data.headers`): numbers all of them, so that sixty million
records are no objects in memory. Lower case reads as upper, and a `*` at the end (a translated stop) is no letter.
"""

import functools
import hashlib
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Int64

from seqdiff.alphabet import INVALID, PROTEIN, Alphabet
from seqdiff.data import headers
from seqdiff.data.collection import Collection
from seqdiff.data.encoded import digest_of, encoded
from seqdiff.data.fasta import first_word, invalid_letter, pieces, read_records
from seqdiff.data.output import Output
from seqdiff.data.source import BLANKS, Source
from seqdiff.errors import DataError

COLUMNS = (*Collection.columns, "identifier", "organism", "gene")
_ROW = struct.Struct("<qq16sqqq")
_BLOCK = 1 << 20
_UPPER = bytes(range(256)).upper()


class Proteome(Collection):
    """The records of a protein FASTA file as codes, any of them at once; all arrays have one value a record.

    `known` letters are one residue: no X, B, Z, J, U or O. `keys` are `key_of` of each record's identifier, organism or
    gene (0: the header does not say), or of its sequence; letters are compared but for case.

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name) / "small.fa"
    >>> _ = path.write_text(">sp|P1|A_HUMAN OS=Homo sapiens GN=A\\nMKxV*\\n>b\\nMK\\n")
    >>> proteome = Proteome.open(path)
    >>> proteome.lengths.tolist(), proteome.known.tolist()
    ([4, 2], [3, 2])
    >>> PROTEIN.decode(proteome.tokens(0))
    b'MKXV'
    >>> folder.cleanup()
    """

    columns = COLUMNS

    def __init__(self, path: Path, alphabet: Alphabet, footer: dict, codes: np.ndarray, words: np.ndarray):
        super().__init__(path, alphabet, footer["checksum"], codes, words)
        self.composition = np.array(footer["composition"], np.int64)
        """How often each token occurs."""

    @classmethod
    def open(
        cls, path: str | Path, alphabet: Alphabet = PROTEIN, *, progress: Callable[[int], None] | None = None
    ) -> "Proteome":
        """The proteins in a FASTA file; encodes it where that was not done before (`seqdiff.data.encoded`).

        Raises DataError: no such file, damage, letters the alphabet lacks, a stop codon inside, no room.
        """
        return cls(Path(path), alphabet, *encoded(path, Records(alphabet), progress))

    def name(self, record: int) -> str:
        """The name of a record, for messages: looked up in the FASTA file, which may take a while."""
        return next(islice(read_records(self.path, duplicates="keep"), record, None)).name

    def __reduce__(self) -> tuple:
        return Proteome.open, (self.path, self.alphabet)


@dataclass(frozen=True)
class Records:
    """The layout of proteins in their encoded file: a row of `COLUMNS` a record."""

    alphabet: Alphabet
    content = "proteins"
    suffix = ".proteins.seqdiff"

    def table(self) -> bytes:
        return self.alphabet.codes.tobytes()

    def encode(self, source: Source, out: Output, words: BinaryIO) -> dict[str, Any]:
        """Raises DataError: letters that the alphabet lacks, a stop codon inside, whatever `fasta.pieces` raises."""
        table, checksum = self.table(), digest_of()
        composition = np.zeros(256, np.int64)
        codes, rows, letters, records = bytearray(), bytearray(), 0, 0
        for header, text in _whole(source):
            sequence = text.translate(_UPPER, BLANKS).rstrip(b"*")
            tokens = sequence.translate(table)
            if (wrong := tokens.find(INVALID)) >= 0:
                letter = sequence[wrong : wrong + 1]
                raise DataError(invalid_letter(source.name, first_word(header), wrong, letter, self.alphabet))
            digest = digest_of(sequence).digest()
            checksum.update(digest)
            said = headers.parse(header)
            letters += len(tokens)
            known = len(tokens) - tokens.count(self.alphabet.mask)
            rows += _ROW.pack(letters, known, digest, key_of(said.identifier), _group(said.organism), _group(said.gene))
            codes += tokens
            records += 1
            if len(codes) >= _BLOCK or len(rows) >= _BLOCK:
                composition += _flush(codes, out)
                words.write(rows)
                rows.clear()
        composition += _flush(codes, out)
        words.write(rows)
        return {
            "letters": letters,
            "words": records * len(COLUMNS),
            "records": records,
            "composition": composition[: self.alphabet.size + 1].tolist(),
            "checksum": checksum.hexdigest(),
        }


def key_of(name: bytes) -> int:
    """A signed 64-bit hash of a name; of sixty million names, two share one once in ten thousand files."""
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little", signed=True)


@functools.lru_cache(1 << 16)
def _group(name: bytes) -> int:
    """The key of an organism or gene; 0 where there is none."""
    return key_of(name) if name else 0


def _flush(codes: bytearray, out: Output) -> Int64[np.ndarray, "256"]:
    counts = np.bincount(np.frombuffer(codes, np.uint8), minlength=256)
    out.write(bytes(codes))
    codes.clear()
    return counts


def _whole(source: Source) -> Iterator[tuple[bytes, bytes]]:
    """Header and text of each record."""
    header, parts = b"", []
    for new, text, _ in chain(pieces(source), [(b"", b"", 0)]):
        if new is None:
            parts.append(text)
            continue
        if header:
            yield header, b"".join(parts)
        header, parts = new, []
