from itertools import combinations_with_replacement, pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from seqdiff.data.partition import partition


def largest(work, cuts):
    return max(sum(work[first:last]) for first, last in pairwise(cuts))


@given(st.lists(st.sampled_from([0, 1, 1, 2, 5, 9, 30]), max_size=7), st.integers(1, 5))
def test_no_division_has_a_smaller_largest_part_and_none_is_empty_without_need(work, parts):
    cuts = partition(np.array(work, np.int64), parts)
    assert (cuts[0], cuts[-1], len(cuts)) == (0, len(work), parts + 1)
    every = combinations_with_replacement(range(len(work) + 1), parts - 1)
    assert largest(work, cuts) == min(largest(work, (0, *inner, len(work))) for inner in every)
    filled = [first < last for first, last in pairwise(cuts)]
    assert filled == sorted(filled, reverse=True)
    assert all(filled) or len(work) < parts


def test_very_much_work_in_very_many_parts():
    work = np.random.default_rng(0).integers(0, 10**12, 100_000)
    cuts = partition(work, 1000)
    until = np.concatenate([[0], np.cumsum(work)])
    assert np.diff(until[cuts]).max() < 1.02 * work.sum() / 1000
