"""Neighbours, weights and groups of aligned sequences, against comparing letter by letter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqdiff.data import identity
from seqdiff.data.identity import relatives

GAP = 20


def by_hand(rows, threshold):
    """The definition: j is a neighbour of i if they match in that share of i's letters."""
    matches = ((rows[:, None] == rows) & (rows < GAP)).sum(-1)
    sizes = (rows < GAP).sum(1)
    near = (matches >= threshold * sizes[:, None] - 1e-9) & (sizes[:, None] > 0) & (matches > 0)
    np.fill_diagonal(near, False)
    groups = np.arange(len(rows))
    for _ in rows:
        for i, j in zip(*np.nonzero(near | near.T), strict=True):
            groups[i] = groups[j] = min(groups[i], groups[j])
    return near.sum(1), groups


def family(draw, count, columns, change=0.2):
    """Descendants of a few ancestors, with gaps and unknown letters."""
    rows = draw.integers(0, GAP, (3, columns))[draw.integers(0, 3, count)]
    moved = draw.random(rows.shape) < change * draw.random((count, 1))
    rows[moved] = draw.integers(0, GAP + 2, moved.sum())
    rows[draw.random(count) < 0.2, : columns // 2] = GAP
    return rows.astype(np.uint8)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 40), st.sampled_from([1, 7, 63, 64, 65, 130, 200]), st.integers(1, 20))
def test_pairs_are_those_of_the_definition(seed, count, columns, twentieths):
    rows = family(np.random.default_rng(seed), count, columns)
    found = relatives(rows, GAP, twentieths / 20)
    neighbours, groups = by_hand(rows, twentieths / 20)
    assert found.neighbours.tolist() == neighbours.tolist()
    assert found.effective == pytest.approx((1 / (1 + neighbours)).sum())
    assert (found.groups[:, None] == found.groups).tolist() == (groups[:, None] == groups).tolist()
    assert found.groups[0] == 0
    assert sorted(set(found.groups.tolist())) == list(range(found.groups.max() + 1))


def test_blocks_threads_and_joins_in_between_change_nothing(monkeypatch):
    rows = family(np.random.default_rng(0), 150, 90)
    whole = relatives(rows, GAP)
    monkeypatch.setattr(identity, "BLOCK", 700)
    monkeypatch.setattr(identity, "PENDING", 50)
    seen = []
    parts = relatives(rows, GAP, threads=3, progress=seen.append)
    assert (parts.neighbours == whole.neighbours).all()
    assert (parts.groups == whole.groups).all()
    assert len(seen) > 5
    assert seen == sorted(seen)
    assert seen[-1] == 150


def test_a_fragment_has_the_whole_as_a_neighbour_but_not_the_other_way_round():
    whole = np.arange(10) % GAP
    fragment = np.where(np.arange(10) < 5, whole, GAP)
    found = relatives(np.stack([whole, fragment]).astype(np.uint8), GAP)
    assert found.neighbours.tolist() == [0, 1]
    assert found.groups.tolist() == [0, 0]


def test_eight_in_ten_is_eighty_percent():
    rows = np.zeros((2, 10), np.uint8)
    rows[1, :2] = 1
    assert relatives(rows, GAP).neighbours.tolist() == [1, 1]
    rows[1, :3] = 1
    assert relatives(rows, GAP).neighbours.tolist() == [0, 0]


def test_rows_of_gaps_have_no_neighbours():
    assert relatives(np.full((3, 5), GAP, np.uint8), GAP).neighbours.tolist() == [0, 0, 0]


def test_too_many_letters_are_refused():
    with pytest.raises(ValueError, match="33 letters do not fit into 5 bits"):
        relatives(np.zeros((2, 2), np.uint8), 33)
