import numpy as np
import pytest
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


@pytest.mark.parametrize("stride", [1, 5, 15])
def test_each_window_of_a_long_gap_rests_on_what_the_one_before_has_filled(stride):
    targets = np.zeros(100, bool)
    targets[20:90] = True
    windows = plan(targets, 16, stride)
    assert [(w.first, w.last) for w in windows] == [(f, min(90, f + stride)) for f in range(20, 90, stride)]
    assert [w.level for w in windows] == list(range(len(windows)))
    for w in windows[1:]:
        assert w.end - w.start == 16
        assert w.end == w.last or w.end > 90  # what it sees beside its own letters is given or was filled before


def test_a_sample_is_made_of_strides_on_their_prefixes():
    assert plan(np.ones(20, bool), 8, 3) == [
        FillWindow(0, 8, 0, 3, 0),
        FillWindow(0, 8, 3, 6, 1),
        *[FillWindow(f - 5, f + 3, f, f + 3, f // 3) for f in (6, 9, 12, 15)],
        FillWindow(12, 20, 18, 20, 6),
    ]


def test_in_order_each_window_waits_for_all_on_its_left():
    targets = np.zeros(100, bool)
    targets[[0, 3, 15, 60]] = True
    at_once = plan(targets, 20, stride=1)
    assert [w.level for w in at_once] == [0, 1, 0, 0]  # the second sees what the third has filled
    in_order = plan(targets, 20, stride=1, in_order=True)
    assert [w.level for w in in_order] == [0, 1, 2, 3]
    assert [w[:4] for w in in_order] == [w[:4] for w in at_once]


@pytest.mark.parametrize("stride", [0, -3, 8, 9])
def test_a_stride_without_room_for_a_flank_is_refused(stride):
    for targets in (np.ones(20, bool), np.ones(4, bool), np.zeros(0, bool)):
        with pytest.raises(ValueError, match=f"stride of {stride} letters does not suit a context of 8: give 1 to 7"):
            plan(targets, 8, stride)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.integers(0, 199), max_size=60).map(set), st.integers(1, 200), st.integers(2, 64),
    st.integers(1, 63) | st.none(), st.booleans(),
)  # fmt: skip
def test_every_target_is_filled_once_inside_its_window_and_no_two_of_a_round_see_each_other(
    places, length, context, stride, in_order
):
    targets = np.zeros(length, bool)
    targets[[p for p in places if p < length]] = True
    stride = None if stride is None else min(stride, context - 1)
    windows = plan(targets, context, stride, in_order)
    covered = np.zeros(length, int)
    for w in windows:
        assert 0 <= w.start <= w.first < w.last <= w.end <= length
        assert w.end - w.start == min(context, length)
        assert length <= context or w.last - w.first <= (stride or max(1, context // 2))
        covered[w.first : w.last] += targets[w.first : w.last]
    assert (covered == targets).all()
    if in_order:
        assert [w.level for w in windows] == list(range(len(windows)))
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
