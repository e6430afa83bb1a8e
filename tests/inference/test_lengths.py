import numpy as np
import pytest

from seqdiff.data.lengths import counted
from seqdiff.inference.lengths import Lengths

NAMES = [f"sample{number}" for number in range(1, 4001)]


@pytest.fixture
def lengths():
    return Lengths([[3, 10], [7, 20], [8, 0], [50, 70]])


def test_lengths_are_drawn_as_often_as_they_were_seen(lengths):
    drawn = counted(np.array(lengths.draw(1, NAMES)))
    assert [length for length, _ in drawn] == [3, 7, 50]
    assert np.array([count for _, count in drawn]) / len(NAMES) == pytest.approx([0.1, 0.2, 0.7], abs=0.025)


def test_a_range_keeps_those_inside_it_ends_included(lengths):
    drawn = lengths.draw(1, NAMES, 3, 7)
    assert np.mean(np.array(drawn) == 7) == pytest.approx(2 / 3, abs=0.025)
    assert set(lengths.draw(1, NAMES, 4, 49)) == {7}
    assert lengths.seen(7, 7)
    assert not lengths.seen(9, 49)


def test_of_a_range_that_was_never_seen_all_lengths_are_equally_likely(lengths):
    for source in (lengths, Lengths([])):
        drawn = counted(np.array(source.draw(1, NAMES, 9, 12)))
        assert [length for length, _ in drawn] == [9, 10, 11, 12]
        assert np.array([count for _, count in drawn]) / len(NAMES) == pytest.approx([0.25] * 4, abs=0.03)


def test_a_length_depends_on_seed_and_name_alone(lengths):
    drawn = lengths.draw(1, NAMES[:50])
    assert lengths.draw(1, NAMES[20:30]) == drawn[20:30]
    assert lengths.draw(2, NAMES[:50]) != drawn


def test_the_prior_is_smooth_follows_the_counts_and_rules_nothing_out():
    seen = np.random.default_rng(0).lognormal(5.7, 0.5, 20_000).astype(int)
    prior = Lengths(counted(seen))
    asked = np.arange(0, 6_000)
    weights = prior.weights(asked)
    assert (weights > 0).all()
    inside = asked[100:1_000]
    exact = 20_000 * np.exp(-0.5 * ((np.log(inside) - 5.7) / 0.5) ** 2) / (inside * 0.5 * np.sqrt(2 * np.pi))
    assert np.abs(weights[inside] / exact - 1).max() < 0.12
    assert np.abs(np.diff(np.log(weights[inside]))).max() < 0.05  # the counts themselves jump by a half


def test_the_prior_of_one_length_is_a_peak():
    weights = Lengths([[100, 50]]).weights(np.arange(95, 106))
    assert weights.argmax() == 5
    assert weights[5] > 20 * weights[3] > 0
