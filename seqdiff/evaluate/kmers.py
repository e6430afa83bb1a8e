"""Counts of k-mers: what a sequence is made of, without a network."""

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from seqdiff.alphabet import Alphabet


def frequencies(sequences: Sequence[bytes], alphabet: Alphabet, k: int) -> sparse.csr_array:
    """The share of each k-mer among those of a sequence, (N, K^k) float64; those with an unknown letter do not count.

    For DNA a k-mer and its reverse complement are one, counted at the smaller of their numbers.

    >>> from seqdiff.alphabet import DNA
    >>> frequencies([b"AACNTT"], DNA, 2).toarray()[0, :4]  # AA (twice: TT is AA) and AC
    array([0.66666667, 0.33333333, 0.        , 0.        ])
    """
    base = alphabet.size
    places = base ** np.arange(k)[::-1]
    columns, values, ends = [], [], [0]
    for sequence in sequences:
        tokens = alphabet.encode(sequence).astype(np.int64)
        if len(tokens) >= k:
            words = np.lib.stride_tricks.sliding_window_view(tokens, k)
            words = words[(words < base).all(1)]
            numbers = words @ places
            if alphabet.complementary:
                numbers = np.minimum(numbers, (base - 1 - words[:, ::-1]) @ places)
            kinds, counts = np.unique(numbers, return_counts=True)
            columns.append(kinds)
            values.append(counts / max(1, len(numbers)))
        ends.append(ends[-1] + (len(columns[-1]) if len(tokens) >= k else 0))
    data = np.concatenate(values) if values else np.empty(0)
    indices = np.concatenate(columns) if columns else np.empty(0, np.int64)
    return sparse.csr_array((data, indices, np.array(ends)), shape=(len(sequences), base**k))
