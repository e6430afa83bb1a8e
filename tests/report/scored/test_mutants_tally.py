"""Sums over scored mutants, and their correlation with what was measured."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from seqdiff.data.scored_mutants import ScoredMutants
from seqdiff.report.scored.mutants_page import _interval, _spearman
from seqdiff.report.scored.mutants_tally import CLASSES, MutantsTally


def mutants(names, llr, measured=None, per_residue=None):
    number, nothing = len(names), np.full(len(names), np.nan)
    llr = np.array(llr, float)
    return ScoredMutants(
        names, llr, np.zeros(number), nothing if per_residue is None else np.array(per_residue, float),
        nothing if measured is None else np.array(measured, float), ["chain"] * number,
        ["" if np.isfinite(one) else "stop" for one in llr],
    )  # fmt: skip


def test_classes_sites_and_exchanges():
    tally = MutantsTally()
    tally.add(mutants(["A24G", "p.Ala24Cys", "A24G:K30R", "WT", "A24del", "A24*"], [-1, -2, -4, 0, -3, np.nan]))
    seen = dict(zip(CLASSES, tally.seen.tolist(), strict=True))
    assert seen == {"1 substitution": 3, "2 substitutions": 1, "3 or more substitutions": 0,
                    "other lengths, other words": 1, "wild type": 1}  # fmt: skip
    (stretch,) = tally.sites.stretches()
    assert (stretch.start, stretch.reference) == (23, "A")
    assert np.nanmin(stretch.llr) == -2
    assert [row[0] for row in tally.extremes.lowest] == ["A24G:K30R", "A24del", "p.Ala24Cys", "A24G"]
    assert tally.reasons == {"stop": 1}


def test_pairs_are_of_mutants_with_both_and_by_residue_where_lengths_differ():
    tally = MutantsTally()
    tally.add(mutants(["A1C", "A2C", "A3C"], [-1, np.nan, -3], measured=[0.1, 0.2, np.nan], per_residue=[-0.1] * 3))
    score, measured, classes, by_residue = tally.pairs
    assert (score.tolist(), measured.tolist(), classes.tolist(), by_residue) == ([-1], [0.1], [0], False)
    tally.add(mutants(["A2del"], [-5], measured=[0.0], per_residue=[-0.5]))
    assert tally.pairs[0].tolist() == [-0.1, -0.5]
    assert tally.pairs[3]


def test_the_rank_correlation_is_that_of_scipy_with_ties():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 9, 200).astype(float), rng.normal(size=200).round(1)
    assert _spearman(x, y) == pytest.approx(spearmanr(x, y).statistic)
    assert np.isnan(_spearman(x, np.ones(200)))
    low, high = _interval(0.5, 103)
    assert (low, high) == pytest.approx((0.3287, 0.6394), abs=1e-4)
