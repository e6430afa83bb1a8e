"""How alike the sequences of an alignment are: how many neighbours each has, and which groups they form.

Two aligned sequences match where both have the same letter in a column; gaps and unknown letters match nothing. At an
identity of 80 % a sequence is a neighbour of another if it matches in 80 % of the other's letters, so that a fragment
has the whole sequence as a neighbour, but not the other way round. The weight of a sequence is 1 / (1 + its neighbours)
and the sum of weights the effective number of sequences, Neff: the convention of EVcouplings, DeepSequence and
ProteinGym (Hopf et al. 2017, doi:10.1038/nbt.3769; Riesselman et al. 2018, doi:10.1038/s41592-018-0138-4).

All pairs are compared, 64 columns at a time: a letter is five bits, each in a plane of machine words; XOR and OR over
the planes mark the columns that differ, and one instruction counts them. Half of the columns settle most pairs.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64, Integer, UInt8

PLANES = 5
"""Bits of a letter."""
WORD = 64
BLOCK = 1 << 17
"""Pairs compared at once: few enough for the tables of a thread to stay in its cache."""
PENDING = 1 << 20
"""Pairs of neighbours that are kept before groups are joined."""


@dataclass(frozen=True)
class Relatives:
    """What the comparison of all pairs gives."""

    neighbours: Int64[np.ndarray, "N"]
    """Of each sequence, itself left out."""
    groups: Int64[np.ndarray, "N"]
    """The number of each one's group: neighbours, neighbours of neighbours and so on (single linkage), so that no two
    sequences of different groups are neighbours."""

    @property
    def weights(self) -> Float64[np.ndarray, "N"]:
        """1 / (1 + neighbours)."""
        return 1 / (1 + self.neighbours)

    @property
    def effective(self) -> float:
        """Neff, the sum of the weights."""
        return float(self.weights.sum())


def relatives(
    rows: UInt8[np.ndarray, "N L"],
    letters: int,
    identity: float = 0.8,
    *,
    threads: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Relatives:
    """Compare all pairs of rows, in which 0..letters-1 are letters and all else is a gap or unknown.

    Exact, in memory that grows with N, not with its square. `progress` is called with the rows that are done.

    >>> rows = np.array([[0, 1, 2, 3, 3], [0, 1, 2, 3, 0], [9, 1, 2, 3, 0], [3, 3, 0, 0, 1]], np.uint8)
    >>> found = relatives(rows, letters=4)
    >>> found.neighbours.tolist(), found.groups.tolist(), round(found.effective, 3)
    ([1, 2, 1, 0], [0, 0, 0, 1], 2.333)
    """
    packed = _Packed(rows, letters, identity)
    total = len(rows)
    neighbours, groups = np.zeros(total, np.int64), np.arange(total)
    pending: list[Int64[np.ndarray, "2 P"]] = []
    with ThreadPoolExecutor(threads) as pool:
        for block, pairs in _in_order(pool, packed.compare, _blocks(total), ahead=4 * threads):
            neighbours += np.bincount(pairs.i[pairs.of_i], minlength=total)
            neighbours += np.bincount(pairs.j[pairs.of_j], minlength=total)
            pending.append(np.stack([pairs.i, pairs.j]))
            if block.stop == total or sum(ends.shape[1] for ends in pending) > PENDING:
                groups = _joined(groups, np.hstack(pending))
                pending.clear()
            if progress:
                progress(block.stop)
    return Relatives(neighbours, groups)


class _Pairs(NamedTuple):
    """Pairs i < j of rows, one of which is a neighbour of the other."""

    i: Int64[np.ndarray, "P"]
    j: Int64[np.ndarray, "P"]
    of_i: Bool[np.ndarray, "P"]
    """Whether j is a neighbour of i."""
    of_j: Bool[np.ndarray, "P"]


class _Packed:
    """Rows as planes of bits."""

    def __init__(self, rows: UInt8[np.ndarray, "N L"], letters: int, identity: float):
        if letters > 2**PLANES:
            raise ValueError(f"{letters} letters do not fit into {PLANES} bits")
        known = rows < letters
        self.needed = np.ceil(identity * known.sum(1) - 1e-9).astype(np.int32).clip(min=1)
        self.unknown = ~_words(known)
        self.planes = [_words((rows >> plane) & 1) for plane in range(PLANES)]
        left = np.bitwise_count(_words(known)).astype(np.int32)
        self.left = np.pad(left[::-1].cumsum(0, dtype=np.int32)[::-1], ((0, 1), (0, 0)))
        """Letters from each word on, (words + 1, N)."""

    def compare(self, rows: range) -> _Pairs:
        """Those with i in `rows`."""
        words, start = len(self.unknown), rows.start + 1
        mine, others = slice(rows.start, rows.stop), slice(start, None)
        half = (words + 1) // 2
        needed = np.minimum(self.needed[mine, None], self.needed[None, others])
        needed -= np.minimum(self.left[half, mine, None], self.left[half, None, others])
        matches = self._matches(range(half), lambda table: (table[mine, None], table[None, others]))
        candidates = matches >= needed
        candidates &= np.arange(start, start + candidates.shape[1]) > np.arange(rows.start, rows.stop)[:, None]
        i, j = np.nonzero(candidates)
        found = matches[i, j]
        i, j = i + rows.start, j + start
        found = found + self._matches(range(half, words), lambda table: (table[i], table[j]))
        of_i, of_j = found >= self.needed[i], found >= self.needed[j]
        either = of_i | of_j
        return _Pairs(i[either], j[either], of_i[either], of_j[either])

    def _matches(self, words: range, sides: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        """In how many columns of some words the two sides have the same letter."""
        count: np.ndarray | int = 0
        for word in words:
            one, other = sides(self.unknown[word])
            differ = one | other
            for plane in self.planes:
                one, other = sides(plane[word])
                differ |= one ^ other
            count = count + np.int32(WORD) - np.bitwise_count(differ)
        return np.asarray(count, np.int32)


def _words(bits: Integer[np.ndarray, "N L"] | Bool[np.ndarray, "N L"]) -> np.ndarray:
    """Columns as bits of machine words, (words, N) uint64, zeros past the last."""
    packed = np.packbits(bits.astype(bool), axis=1, bitorder="little")
    padded = np.zeros((len(bits), -(-packed.shape[1] // 8) * 8), np.uint8)
    padded[:, : packed.shape[1]] = packed
    return np.ascontiguousarray(padded.view(np.uint64).T)


def _blocks(total: int) -> Iterator[range]:
    """Rows to compare with all later ones: few at the beginning, where these are many."""
    start = 0
    while start < total:
        stop = min(total, start + max(1, BLOCK // (total - start)))
        yield range(start, stop)
        start = stop


def _in_order(pool: ThreadPoolExecutor, function: Callable, items: Iterator, ahead: int) -> Iterator[tuple]:
    """Each item with what the function gives for it, a few of them computed ahead."""
    waiting: list[tuple] = []
    for item in items:
        waiting.append((item, pool.submit(function, item)))
        if len(waiting) > ahead:
            done, future = waiting.pop(0)
            yield done, future.result()
    for done, future in waiting:
        yield done, future.result()


def _joined(groups: Int64[np.ndarray, "N"], pairs: Int64[np.ndarray, "2 P"]) -> Int64[np.ndarray, "N"]:
    """Groups with those of each pair joined, numbered in the order of their first members."""
    ends = groups[pairs]
    size = len(groups)
    from scipy.sparse import coo_matrix  # only for families: it is slow to import
    from scipy.sparse.csgraph import connected_components

    graph = coo_matrix((np.ones(ends.shape[1], bool), (ends[0], ends[1])), shape=(size, size))
    joined = connected_components(graph, directed=False)[1][groups]
    _, first, numbers = np.unique(joined, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[numbers]
