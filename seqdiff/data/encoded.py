"""The file that holds an encoded genome, and how it is made in one pass over the FASTA.

    codes, 1 byte a letter | padding to 8 | runs, int64 | footer, JSON | digest of both | length of footer | magic

Codes come first, so that position p of the whole genome is byte p of the file. The runs are where
stretches of unknown letters begin and end, alternately, in positions of the whole genome. The footer
(schema 1) says what was encoded, from which state of the source, with which alphabet.
"""

import hashlib
import json
import os
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Int64, UInt8

from seqdiff.alphabet import INVALID, Alphabet
from seqdiff.data.fasta import first_word, invalid_letter, pieces
from seqdiff.data.output import Output
from seqdiff.data.source import BLANKS, Source, bytes_of, shown
from seqdiff.errors import DataError
from seqdiff.files import explain

SOFT_MASKED = 0x80
"""The bit of a code that says: lower-case in the source. The other seven bits are the token."""

SCHEMA = 1
_MAGIC = b"seqdiff1"
_TAIL = struct.Struct("<16sQ8s")


class NotEncoded(Exception):
    """A file that does not hold the genome asked for; the message says why. Never reaches a user."""


def write(source_path: Path, target: Path, alphabet: Alphabet, progress: Callable[[int], None] | None) -> None:
    """Encodes a FASTA into `target`, which appears whole or not at all. Memory does not grow with the genome.

    Raises DataError: whatever `fasta.pieces` raises, letters that the alphabet lacks, contigs of one
    name, a source that changes meanwhile, a full disk.
    """
    with Source(source_path, progress=progress) as source, Output(target) as out:
        try:
            with tempfile.TemporaryFile(dir=target.parent) as runs:
                footer = _write_codes(source, alphabet, out, runs)
                digest = _digest()
                runs.seek(0)
                while block := runs.read(1 << 20):
                    digest.update(block)
                    out.write(block)
        except OSError as error:
            raise DataError(f"cannot write {target}: {explain(error)}") from error
        footer["source"] = state(source.status)
        if state(os.stat(source_path)) != footer["source"]:
            raise DataError(f"{source_path} changed while it was read; try again when it is complete")
        text = json.dumps(footer).encode()
        digest.update(text)
        out.write(text + _TAIL.pack(digest.digest(), len(text), _MAGIC))


def read(
    path: Path, alphabet: Alphabet, source: os.stat_result
) -> tuple[dict, UInt8[np.ndarray, " bases"], Int64[np.ndarray, " edges"]]:
    """Footer, codes and run edges, memory-mapped. Raises NotEncoded where they are not to be had."""
    try:
        data = np.memmap(path, np.uint8, "r").view(np.ndarray)
    except (OSError, ValueError) as error:
        raise NotEncoded("is empty or cannot be read") from error
    if data.size < _TAIL.size:
        raise NotEncoded("is cut short")
    digest, length, magic = _TAIL.unpack(data[-_TAIL.size :].tobytes())
    end = data.size - _TAIL.size
    if magic != _MAGIC or length > end:
        raise NotEncoded("is cut short or damaged")
    text = data[end - length : end].tobytes()
    try:
        footer = json.loads(text)
        bases = sum(length for _, length in footer["contigs"])
        edges, schema = footer["edges"], footer["schema"]
    except (ValueError, KeyError, TypeError) as error:
        raise NotEncoded("is damaged") from error
    begin = bases + -bases % 8
    if schema != SCHEMA:
        raise NotEncoded(f"has schema {schema}, this version reads {SCHEMA}")
    if begin + 8 * edges + length != end:
        raise NotEncoded("is cut short or damaged")
    runs = data[begin : begin + 8 * edges].view(np.int64)
    if _digest(runs.tobytes() + text).digest() != digest:
        raise NotEncoded("is damaged")
    if footer["alphabet"] != signature(alphabet):
        raise NotEncoded(f"holds another alphabet than {alphabet.name}")
    if footer["source"] != state(source):
        raise NotEncoded("is older than the file it was made from")
    return footer, data[:bases], runs


def state(status: os.stat_result) -> dict[str, int]:
    """What tells one state of a file from another."""
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns}


def signature(alphabet: Alphabet) -> list[str]:
    """An alphabet's name and what it makes of every byte."""
    return [alphabet.name, _digest(code_table(alphabet)).hexdigest()]


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


def _digest(data: bytes = b"") -> "hashlib.blake2b":
    return hashlib.blake2b(data, digest_size=16)


def _write_codes(source: Source, alphabet: Alphabet, out: Output, runs: BinaryIO) -> dict:
    """Codes and padding to `out`, run edges to `runs`; the footer, but for the state of the source."""
    table, checksum, edges = code_table(alphabet), _digest(), _Edges(alphabet, runs)
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
            raise DataError(invalid_letter(source.name, name, lengths[name] + wrong, letter, alphabet))
        edges.add(codes, bases)
        checksum.update(codes)
        out.write(codes)
        lengths[name] += len(codes)
        bases += len(codes)
    edges.close(bases)
    out.write(bytes(-bases % 8))
    contigs = list(lengths.items())
    checksum.update(json.dumps(contigs).encode())
    return {
        "schema": SCHEMA,
        "alphabet": signature(alphabet),
        "contigs": contigs,
        "edges": edges.count,
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
