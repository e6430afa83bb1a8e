"""Sequences of many lengths in one file, by a row of numbers each."""

from pathlib import Path

import numpy as np

from seqdiff.alphabet import PROTEIN
from seqdiff.data.batches import Examples
from seqdiff.data.collection import Collection
from seqdiff.data.sequences import Sequences
from seqdiff.streams import seed_of


def collection(*sequences, dtype=np.uint8):
    """Records of given tokens, and a hash of them in two halves."""
    ends = np.cumsum([len(s) for s in sequences])
    known = [sum(t < PROTEIN.size for t in s) for s in sequences]
    halves = [[seed_of(half, s) for s in sequences] for half in (0, 1)]
    table = np.stack([ends, known, *halves], 1)
    codes = np.concatenate([np.array(s, dtype) for s in sequences])
    return Collection(Path("x"), PROTEIN, "sum", codes, table.astype(np.int64).ravel())


def test_records_are_cut_out_of_one_row_of_tokens():
    records = collection([1, 2, 20], [], [3, 4, 5, 6])
    assert (len(records), records.lengths.tolist(), records.known.tolist()) == (3, [3, 0, 4], [2, 0, 4])
    assert [records.tokens(i).tolist() for i in range(3)] == [[1, 2, 20], [], [3, 4, 5, 6]]
    pad = PROTEIN.pad
    assert records.gather(np.array([2, 0]), np.array([1, 0]), np.array([3, 1]), 4).tolist() == [
        [4, 5, 6, pad], [1, pad, pad, pad],
    ]  # fmt: skip


def test_copies_after_the_first_are_repeated():
    records = collection([1, 2], [3], [1, 2], [1, 2, 0], [3], [2, 1])
    assert records.repeated().tolist() == [False, False, True, False, True, False]


def test_wide_tokens_stay_wide():
    records = collection([300, 2], dtype=np.int16)
    assert records.gather(np.array([0]), np.array([0]), np.array([2]), 2).dtype == np.int16
    batch = Sequences(records, np.array([0]), context=8).batch(np.array([0]))
    assert batch.tokens.tolist() == [[300, 2]]


def test_long_records_are_evaluated_in_pieces_of_like_length():
    records = collection(list(range(10)), [1, 2])
    examples = Sequences(records, np.array([0, 1]), context=4)
    assert isinstance(examples, Examples)
    assert examples.sizes.tolist() == [3, 3, 4, 2]
    assert examples.unit.tolist() == [0, 0, 0, 1]
    found = examples.batch(np.array([0, 2])).tokens.tolist()
    assert found == [[0, 1, 2, PROTEIN.pad], [6, 7, 8, 9]]
    assert examples.letters == 12
