"""Batches, and an order of visits that needs no state."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqdiff.data.batches import Batch, Shuffled


def test_a_batch_has_its_rows_and_moves_whole():
    batch = Batch(torch.zeros(3, 5, dtype=torch.int64), torch.ones(3, 5))
    assert len(batch) == 3
    moved = batch.to("meta")
    assert moved.tokens.device.type == moved.weight.device.type == "meta"


@given(st.integers(1, 50), st.integers(0, 3), st.integers(0, 4))
def test_every_epoch_visits_every_item_once(size, seed, epoch):
    items = Shuffled(size, seed).items(np.arange(epoch * size, (epoch + 1) * size))
    assert sorted(items.tolist()) == list(range(size))


@given(st.lists(st.integers(0, 200), max_size=30), st.integers(1, 20))
def test_any_position_can_be_read_alone_and_in_any_order(positions, size):
    order = Shuffled(size, seed=5)
    together = order.items(np.array(positions, np.int64))
    assert together.tolist() == [Shuffled(size, seed=5).items(np.array([p]))[0] for p in positions]


def test_epochs_and_seeds_differ():
    order = Shuffled(100, seed=0)
    first, second = order.items(np.arange(100)), order.items(np.arange(100, 200))
    assert (first != second).any()
    assert (first != Shuffled(100, seed=1).items(np.arange(100))).any()
    assert (first != np.arange(100)).any()


def test_nothing_to_shuffle_is_refused():
    with pytest.raises(ValueError, match="nothing to shuffle"):
        Shuffled(0, seed=0)
