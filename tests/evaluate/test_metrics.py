import math
from statistics import NormalDist

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from seqdiff.evaluate import metrics
from seqdiff.evaluate.metrics import auprc, auroc, interval, resampled

BINORMAL = NormalDist().cdf(1 / math.sqrt(2))
"""AUROC where positives score N(1, 1) and negatives N(0, 1)."""


def test_areas_of_a_case_done_by_hand():
    """Best first + - + + -: four of six pairs in order; precisions 1, 2/3, 3/4 at each positive."""
    scores = np.array([5.0, 4.0, 3.0, 2.0, 1.0])
    positive = np.array([True, False, True, True, False])
    assert auroc(scores, positive) == pytest.approx(4 / 6)
    assert auprc(scores, positive) == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    once = resampled(scores[None], positive, np.zeros(5, int), 3, seed=0)
    assert once[:, 0] == pytest.approx(np.array([[4 / 6] * 3, [(1 + 2 / 3 + 3 / 4) / 3] * 3]))


def test_ties_count_half():
    scores = np.array([1.0, 1.0, 1.0, 0.0])
    positive = np.array([True, False, True, False])
    assert auroc(scores, positive) == pytest.approx((2 * 0.5 + 2) / 4)
    assert auprc(scores, positive) == pytest.approx(2 / 3)


def test_a_resample_is_what_scikit_learn_says_of_it():
    rng = np.random.default_rng(0)
    positive = rng.random(300) < 0.2
    scores = np.stack([np.round(rng.normal(size=300) + positive, 1), rng.normal(size=300)])
    block = rng.integers(0, 40, 300)
    found = resampled(scores, positive, block, 20, seed=5)
    draws = np.random.Generator(np.random.Philox(metrics.seed_of(5, "blocks"))).multinomial(40, np.full(40, 1 / 40), 20)
    for r, times in enumerate(draws):
        weight = times[block].astype(float)
        for kind in (positive, ~positive):
            weight[kind] *= kind.mean() / weight[kind].sum()
        for m, row in enumerate(scores):
            assert found[0, m, r] == pytest.approx(roc_auc_score(positive, row, sample_weight=weight))
            assert found[1, m, r] == pytest.approx(average_precision_score(positive, row, sample_weight=weight))


def test_results_do_not_depend_on_how_many_are_done_at_once_nor_on_order(monkeypatch):
    rng = np.random.default_rng(1)
    positive, block = rng.random(200) < 0.5, np.arange(200) // 10
    scores = np.round(rng.normal(size=(1, 200)) + positive, 1)
    whole = resampled(scores, positive, block, 50, seed=0)
    other = rng.permutation(200)
    assert (resampled(scores[:, other], positive[other], block[other], 50, seed=0) == whole).all()
    monkeypatch.setattr(metrics, "AT_ONCE", 1000)
    assert (resampled(scores, positive, block, 50, seed=0) == whole).all()
    assert not (resampled(scores, positive, block, 50, seed=1) == whole).any()


def test_samples_without_one_of_the_kinds_say_nothing():
    scores, positive = np.array([[3.0, 2.0, 1.0, 0.0]]), np.array([True, False, False, False])
    found = resampled(scores, positive, np.arange(4), 200, seed=0)
    missing = np.isnan(found[0, 0])
    assert 0.1 < missing.mean() < 0.6
    assert (found[0, 0, ~missing] == 1).all()
    assert interval(found[0, 0], 4) == (1.0, 1.0)


def simulated(rng: np.random.Generator, blocks: int, size: int, shared: float) -> tuple[np.ndarray, ...]:
    """Scores with unit variance of blocks of one kind each, `shared` of it theirs; half of the blocks are positives."""
    positive = np.repeat(rng.permutation(blocks) % 2 == 0, size)
    block = np.repeat(np.arange(blocks), size)
    own, common = rng.normal(size=blocks * size), rng.normal(size=blocks)[block]
    return positive + math.sqrt(1 - shared) * own + math.sqrt(shared) * common, positive, block


@pytest.mark.parametrize(("blocks", "size", "shared"), [(100, 1, 0.0), (20, 5, 0.5), (10, 10, 0.5)])
def test_intervals_cover_the_truth_as_often_as_they_say(blocks, size, shared):
    rng = np.random.default_rng(2)
    thresholds = np.linspace(-5, 7, 2001)
    hits, alarms = (1 - np.array([NormalDist(m).cdf(x) for x in thresholds]) for m in (1, 0))
    truth = np.array([BINORMAL, -(np.diff(hits) * (hits / (hits + alarms))[:-1]).sum()])
    covered, repetitions = np.zeros(2), 300
    for repetition in range(repetitions):
        scores, positive, block = simulated(rng, blocks, size, shared)
        areas = resampled(scores[None], positive, block, 250, repetition)[:, 0]
        low, high = np.transpose([interval(area, blocks // 2) for area in areas])
        covered += (low <= truth) & (truth <= high)
    assert (covered / repetitions >= 0.9).all()
    assert (covered / repetitions <= 0.98).all()


def test_blocks_that_share_their_scores_give_a_wider_interval_than_single_variants():
    scores, positive, block = simulated(np.random.default_rng(4), 40, 20, 0.5)
    together = resampled(scores[None], positive, block, 400, 0)[0, 0]
    alone = resampled(scores[None], positive, np.arange(len(scores)), 400, 0)[0, 0]
    assert np.std(together) > 2.5 * np.std(alone)


def test_few_blocks_widen_the_percentiles_as_student_does():
    samples = np.random.default_rng(5).normal(size=200_000)
    for blocks, wider in ((10, 2.262 / 1.96 * math.sqrt(10 / 9)), (10_000, 1.0)):
        low, high = interval(samples, blocks)
        assert high - low == pytest.approx(2 * 1.96 * wider, rel=0.02)
