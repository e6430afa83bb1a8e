import math

import numpy as np
import pytest
from scipy.special import stdtrit

from seqdiff.diffusion.likelihood.score import combined, stratified


def test_means_and_errors_of_unequal_strata():
    values = [[1.0, 10.0, 7.0], [3.0, 14.0, 7.0]]
    estimate, se, df = stratified(values, [0.5, 0.25, 0.25])
    assert estimate == 0.5 * 2 + 0.25 * 12 + 0.25 * 7
    first, second = 0.5**2 * 2 / 2, 0.25**2 * 8 / 2  # share^2 s^2 / R
    assert se == pytest.approx(math.sqrt(first + second), rel=1e-15)
    assert df == pytest.approx(min(2, (first + second) ** 2 / (first**2 / 3 + second**2 / 3) - 2))


def test_parts_of_parts_are_combined_as_all_at_once():
    parts = [(0.2, 40.0), (3.0, 11.0), (0.1, 7.0), (2.0, 23.0)]
    se, df = combined(parts)
    halves = [(one**2, freedom) for one, freedom in (combined(parts[:2]), combined(parts[2:]))]
    assert combined(halves) == pytest.approx((se, df), rel=1e-12)
    assert se == pytest.approx(math.sqrt(5.3))
    assert combined([(4.0, 5.0)]) == (2.0, 5.0)


def test_degrees_of_freedom_are_never_more_than_there_are_and_an_unknown_error_stays_unknown():
    assert combined([(1.0, 1.0)] * 4)[1] == 4
    assert combined([(0.0, math.inf), (0.0, math.nan)]) == (0.0, math.inf)
    assert all(math.isnan(value) for value in combined([(math.nan, math.nan), (1.0, 3.0)]))


@pytest.mark.parametrize(("replicates", "strata"), [(2, 16), (4, 4), (2, 3)])
def test_intervals_of_normal_draws_hold_their_mean(replicates, strata):
    """Strata of very unequal spread, as they come with k: Satterthwaite's own formula would be too wide at R = 2."""
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(4000, replicates, strata)) * 1.3 ** np.arange(strata)
    found = np.array([stratified(each.tolist(), [1 / strata] * strata) for each in draws])
    held = np.abs(found[:, 0]) <= stdtrit(found[:, 2], 0.975) * found[:, 1]
    assert 0.94 < held.mean() < 0.965
