"""How long sequences are: a list of lengths as something short enough to keep with a model."""

import numpy as np

MOST = 4_096
"""Distinct lengths that are kept exactly; of more, as many quantiles."""


def counted(lengths: np.ndarray) -> list[list[int]]:
    """[[length, count], ...], ascending: how many sequences have which length.

    Where more than `MOST` lengths are distinct, the sequences, in the order of their lengths, are divided into `MOST`
    equal parts and each part has the length in its middle: quantiles move by a part at most, and counts add up.

    >>> counted(np.array([7, 5, 7]))
    [[5, 1], [7, 2]]
    """
    distinct, counts = np.unique(lengths, return_counts=True)
    if len(distinct) > MOST:
        parts = np.array_split(np.sort(lengths), MOST)
        middles = np.repeat([part[len(part) // 2] for part in parts], [len(part) for part in parts])
        distinct, counts = np.unique(middles, return_counts=True)
    return [[int(length), int(count)] for length, count in zip(distinct, counts, strict=True)]
