import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from seqdiff.inference.windows import FillWindow, plan


def test_a_short_record_is_one_window():
    assert plan(np.array([True, True, False]), 8) == [FillWindow(0, 3, 0, 2, 0)]


def test_nothing_to_fill():
    assert plan(np.zeros(5, bool), 8) == []


def test_a_gap_in_a_long_record_has_flanks_on_both_sides():
    targets = np.zeros(100, bool)
    targets[50:54] = True
    assert plan(targets, 20) == [FillWindow(42, 62, 50, 54, 0)]


def test_a_gap_longer_than_the_context_is_filled_left_to_right():
    targets = np.zeros(60, bool)
    targets[10:50] = True
    windows = plan(targets, 16)
    assert [w.first for w in windows] == [10, 18, 26, 34, 42]
    assert [w.level for w in windows] == [0, 1, 2, 3, 4]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.integers(0, 199), max_size=60).map(set), st.integers(1, 200), st.integers(2, 64)
)  # fmt: skip
def test_every_target_is_filled_once_inside_its_window_and_no_two_of_a_round_see_each_other(places, length, context):
    targets = np.zeros(length, bool)
    targets[[p for p in places if p < length]] = True
    windows = plan(targets, context)
    covered = np.zeros(length, int)
    for w in windows:
        assert 0 <= w.start <= w.first < w.last <= w.end <= length
        assert w.end - w.start <= context
        covered[w.first : w.last] += targets[w.first : w.last]
    assert (covered == targets).all()
    for i, a in enumerate(windows):
        for b in windows[i + 1 :]:
            sees = b.start < a.last and a.first < b.end and targets[max(a.first, b.start) : min(a.last, b.end)].any()
            assert not (sees and a.level >= b.level)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 180), st.integers(1, 20))
def test_flanks_are_a_quarter_of_the_context_or_reach_the_end(first, gap):
    targets = np.zeros(200, bool)
    targets[first : first + gap] = True
    for w in plan(targets, 64):
        assert w.first - w.start >= 16 or w.start == 0
        assert w.end - w.last >= 16 or w.end == 200
