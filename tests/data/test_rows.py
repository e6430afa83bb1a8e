"""Rows of an alignment: as they are, and drawn by weight."""

import numpy as np
import pytest
import torch

from seqdiff.alphabet import ALIGNED
from seqdiff.data.batches import Examples, Loader
from seqdiff.data.rows import RowLoader, Rows


@pytest.fixture
def rows():
    tokens = np.stack([ALIGNED.encode(text) for text in (b"AC-D", b"AX-E", b"----", b"WWWW")])
    return Rows(tokens, np.array([1.0, 0.25, 0.5, 0.25]), np.arange(4), ALIGNED)


def test_rows_are_examples_as_they_are(rows):
    assert isinstance(rows, Examples)
    assert (len(rows), rows.letters, rows.sizes.tolist()) == (4, 15, [4] * 4)
    assert rows.effective_letters == 4 + 0.25 * 3 + 2 + 1
    batch = rows.batch(np.array([1, 0]))
    assert [ALIGNED.decode(row.numpy()) for row in batch.tokens] == [b"AX-E", b"AC-D"]
    assert batch.weight.tolist() == [[1, 0, 1, 1], [1, 1, 1, 1]]
    assert (batch.tokens.dtype, batch.weight.dtype) == (torch.int64, torch.float32)


def test_rows_are_drawn_by_weight_and_evenly(rows):
    loader = RowLoader(rows, batch_size=10, seed=3)
    assert isinstance(loader, Loader)
    assert loader.letters == rows.effective_letters
    drawn = torch.cat([loader.batch(step, range(loader.rows(step))).tokens for step in range(1, 41)])
    counts = [int((drawn == row).all(1).sum()) for row in torch.from_numpy(rows.tokens.astype(np.int64))]
    assert np.abs(np.array(counts) - [200, 50, 100, 50]).max() <= 2  # by chance the deviation would be about 10


def test_any_step_and_any_rows_of_it_can_be_read_alone(rows):
    loader = RowLoader(rows, batch_size=6, seed=3)
    whole = loader.batch(7, range(6)).tokens
    assert torch.equal(torch.cat([loader.batch(7, range(2)).tokens, loader.batch(7, range(2, 6)).tokens]), whole)
    assert torch.equal(RowLoader(rows, 6, seed=3).batch(7, range(6)).tokens, whole)
    assert not torch.equal(RowLoader(rows, 6, seed=6).batch(7, range(6)).tokens, whole)
