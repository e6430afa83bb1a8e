"""ProteinGym's numbers against their definitions, written out one mutant at a time."""

import math

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import matthews_corrcoef, roc_auc_score

from seqdiff.evaluate.proteingym import MEASURES, measures, quantile


def defined(fitness, fit, scores):
    """As the benchmark says it: of a list of mutants."""
    n = len(scores)
    gains = (fitness - fitness.min()) / (fitness.max() - fitness.min())

    def gained(by):
        first = np.argsort(-by, kind="stable")[: math.floor(n * 0.1)]
        return sum(gains[i] / math.log2(rank + 1) for rank, i in enumerate(first, 1))

    fittest = fitness >= np.percentile(fitness, 90)
    found = fittest & (scores >= np.percentile(scores, 90))
    return [
        spearmanr(fitness, scores)[0], roc_auc_score(fit, scores), matthews_corrcoef(fit, scores >= np.median(scores)),
        gained(scores) / gained(fitness), found.sum() / fittest.sum(),
    ]  # fmt: skip


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("size", [23, 200, 481])
def test_each_number_is_what_proteingym_defines_in_every_sample(size, ties):
    rng = np.random.default_rng(size)
    fitness = rng.normal(size=size)
    scores = fitness + rng.normal(size=size)
    if ties:
        fitness, scores = np.round(fitness, 1), np.round(scores, 1)
    fit = fitness > 0.3
    weights = np.concatenate([np.ones((1, size), np.int64), rng.multinomial(size - 3, np.full(size, 1 / size), 20)])
    found = measures(weights, fitness, fit, scores)
    assert found.shape == (len(MEASURES), 21)
    for sample, times in enumerate(weights):
        each = np.repeat(np.arange(size), times)
        assert found[:, sample].tolist() == pytest.approx(defined(fitness[each], fit[each], scores[each]), abs=1e-9)


def test_quantiles_of_samples_are_numpys():
    rng = np.random.default_rng(1)
    values = np.sort(rng.normal(size=30))
    times = rng.multinomial(30, np.full(30, 1 / 30), 50)
    for share in (0.0, 0.5, 0.9, 1.0):
        expected = [np.quantile(np.repeat(values, row), share) for row in times]
        assert quantile(values, np.cumsum(times, axis=1), share).tolist() == pytest.approx(expected)


def test_the_best_and_the_worst_order():
    fitness = np.linspace(0, 1, 100)
    once = np.ones((1, 100), np.int64)
    best = measures(once, fitness, fitness >= 0.5, fitness)[:, 0]
    assert best.tolist() == pytest.approx([1, 1, 1, 1, 1])
    worst = measures(once, fitness, fitness >= 0.5, -fitness)[:, 0]
    assert worst[[0, 1, 2, 4]].tolist() == pytest.approx([-1, 0, -1, 0])
    assert worst[3] < 0.06


def test_what_means_nothing_is_no_number():
    once, few = np.ones((1, 5), np.int64), np.arange(5.0)
    found = measures(once, few, np.ones(5, bool), few)[:, 0]
    assert np.isnan(found[[1, 2, 3]]).all()  # all are fit, and a tenth of five is none
    assert np.isnan(measures(once, np.zeros(5), few > 2, few)[0, 0])
