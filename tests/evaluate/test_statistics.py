import numpy as np
import pytest

from seqdiff.evaluate.statistics import Estimate, ratio


def test_equal_counts_give_the_mean_and_its_error():
    values = np.random.default_rng(0).normal(size=50)
    estimate = ratio(values * 7, np.full(50, 7))
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.se == pytest.approx(values.std(ddof=1) / np.sqrt(50))


def test_error_is_the_spread_over_repetitions():
    rng = np.random.default_rng(1)
    repeated = []
    for _ in range(2000):
        counts = rng.integers(1, 20, 80)
        shared = rng.normal(1.0, 0.3, 80)
        repeated.append(ratio(counts * shared, counts))
    spread = np.std([r.value for r in repeated])
    assert np.mean([r.se for r in repeated]) == pytest.approx(spread, rel=0.05)


def test_windows_without_letters_do_not_count():
    assert ratio(np.array([2.0, 0.0, 4.0]), np.array([1, 0, 1])) == ratio(np.array([2.0, 4.0]), np.array([1, 1]))


def test_one_window_has_no_error():
    assert ratio(np.array([3.0]), np.array([2])) == Estimate(1.5, None)
    assert str(Estimate(1.5, None)) == "1.5000"
    assert Estimate(0.5, 0.25).format(2, sign=True) == "+0.50 ± 0.25"
