"""A reference genome, encoded once and memory-mapped from then on.

    hg38.fa(.gz) -> one pass -> hg38.fa.seqdiff (1 byte a base) -> np.memmap -> windows of codes

A code is a token with the bit `SOFT_MASKED` where the letter was lower-case. The encoded file lies beside
the FASTA, or in a cache folder where that cannot be written; it is made again when the FASTA changes.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from seqdiff.alphabet import DNA, Alphabet
from seqdiff.data.contigs import SOFT_MASKED, Contigs
from seqdiff.data.encoded import encoded
from seqdiff.data.intervals import Interval, unknown_contig
from seqdiff.errors import DataError

__all__ = ["SOFT_MASKED", "Genome"]


class Genome:
    """The contigs of a FASTA file as codes, any stretch of them at once.

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name) / "small.fa"
    >>> _ = path.write_text(">chr1\\nACGT\\nacNN\\n>chr2\\nT\\n")
    >>> genome = Genome.open(path)
    >>> genome.contigs
    {'chr1': 8, 'chr2': 1}
    >>> DNA.decode(genome.tokens(Interval("chr1", 2, 8)))
    b'GTACNN'
    >>> (genome.codes(Interval("chr1", 2, 8)) >= SOFT_MASKED).tolist()
    [False, False, True, True, False, False]
    >>> folder.cleanup()
    """

    path: Path
    alphabet: Alphabet
    contigs: dict[str, int]
    """Name -> length, in the order of the file."""
    checksum: str
    """blake2b-128, hex, of all codes and of the names and lengths: line breaks and compression do not matter."""

    def __init__(self, path: Path, alphabet: Alphabet, footer: dict, codes: np.ndarray, runs: np.ndarray):
        self.path, self.alphabet, self.checksum = path, alphabet, footer["checksum"]
        self.contigs = {name: length for name, length in footer["contigs"]}
        self._codes = codes
        self._lengths = np.fromiter(self.contigs.values(), np.int64, len(self.contigs))
        self._offsets = np.cumsum(self._lengths) - self._lengths
        self._offset_of = dict(zip(self.contigs, self._offsets.tolist(), strict=True))
        # Each run edge, and how many unknown letters come before it.
        self._edges = np.concatenate([[0], runs])
        steps = np.diff(self._edges)
        steps[0::2] = 0
        self._unknown_before = np.concatenate([[0], np.cumsum(steps)])

    @classmethod
    def open(
        cls,
        path: str | Path,
        alphabet: Alphabet = DNA,
        *,
        progress: Callable[[int], None] | None = None,
    ) -> "Genome":
        """The genome in a FASTA file, plain, gzip or bgzip; encodes it where that was not done before.

        `progress` is called while encoding with the bytes of the file read so far (`source.size_of`: the
        total). Of several processes that open a genome at once, one encodes and the others wait.

        Raises DataError: no such file, damage, letters the alphabet lacks, contigs of one name, no room.
        """
        return cls(Path(path), alphabet, *encoded(path, Contigs(alphabet), progress))

    def __reduce__(self) -> tuple:
        return Genome.open, (self.path, self.alphabet)

    def __repr__(self) -> str:
        return f"Genome({str(self.path)!r}, {len(self.contigs)} contigs, {self._codes.size:,} letters)"

    def codes(self, interval: Interval) -> UInt8[np.ndarray, " length"]:
        """Token | SOFT_MASKED of each position, a view of the file. Raises DataError outside the contigs."""
        if interval.contig not in self.contigs:
            raise DataError(f"{self.path}: {unknown_contig(interval.contig, self.contigs)}")
        length = self.contigs[interval.contig]
        if not 0 <= interval.start <= interval.end <= length:
            raise DataError(f"{interval} is not within {interval.contig} ({length:,}) of {self.path}")
        offset = self._offset_of[interval.contig]
        return self._codes[offset + interval.start : offset + interval.end]

    def tokens(self, interval: Interval) -> UInt8[np.ndarray, " length"]:
        """Token of each position, without the soft-mask bit."""
        return self.codes(interval) & ~np.uint8(SOFT_MASKED)

    def gather(
        self, contigs: Int[np.ndarray, " n"], starts: Int[np.ndarray, " n"], length: int
    ) -> UInt8[np.ndarray, "n length"]:
        """Codes of many windows of one length; `contigs` are indices in file order.

        Raises ValueError for a window that is not within its contig.
        """
        begin, _ = self._flat(contigs, starts, np.add(starts, length))
        if not begin.size or not length:
            return np.empty((begin.size, length), np.uint8)
        # Every window of the genome as a row of one overlapping view: picking rows copies each at once.
        rows = np.lib.stride_tricks.as_strided(
            self._codes, (self._codes.size - length + 1, length), (1, 1), writeable=False
        )
        return rows[begin]

    def unknown(
        self,
        contigs: Int[np.ndarray, " n"] | int,
        starts: Int[np.ndarray, " n"],
        ends: Int[np.ndarray, " n"],
    ) -> Int[np.ndarray, " n"]:
        """How many unknown letters each span holds, by binary search among the runs, int64.

        Raises ValueError for a span that is not within its contig.
        """
        begin, end = self._flat(contigs, starts, ends)
        return self._unknown_until(end) - self._unknown_until(begin)

    def _unknown_until(self, positions: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        edge = np.searchsorted(self._edges, positions, "right") - 1
        inside = edge % 2 == 1
        return self._unknown_before[edge] + np.where(inside, positions - self._edges[edge], 0)

    def _flat(self, contigs: np.ndarray | int, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Spans as positions of the whole genome."""
        contigs, starts, ends = np.asarray(contigs), np.asarray(starts), np.asarray(ends)
        if np.any((contigs < 0) | (contigs >= len(self.contigs))):
            raise ValueError(f"contig indices go from 0 to {len(self.contigs) - 1}")
        if np.any((starts < 0) | (starts > ends) | (ends > self._lengths[contigs])):
            raise ValueError("a span is not within its contig")
        offsets = self._offsets[contigs]
        return offsets + starts, offsets + ends
