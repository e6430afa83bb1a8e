"""The five numbers by which ProteinGym judges scores of mutants (Notin et al. 2023, NeurIPS), in weighted samples.

As in its `performance_DMS_benchmarks.py`; higher is fitter, and higher is better:

    Spearman    rank correlation of score and fitness
    AUC         area under the ROC curve, fit mutants being the positives
    MCC         Matthews correlation of fit with: score at or above the median score
    NDCG        of the first tenth by score, k = floor(0.1 N): sum of gain / log2(rank + 1) over the same of the first
                tenth by fitness; the gain is the fitness scaled to 0..1
    top recall  of the mutants at or above the 90th percentile of fitness, the share that is at or above that of score

Equal scores keep their order in NDCG. A sample is how often each mutant was drawn, so that a thousand of them are a few
operations on arrays.
"""

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from seqdiff.evaluate.agreement import Weights, correlation, midranks, weighted_auroc

MEASURES = ("spearman", "auc", "mcc", "ndcg", "top_recall")
TOP = 0.1


def measures(
    weights: Weights, fitness: Float[np.ndarray, "N"], fit: Bool[np.ndarray, "N"], scores: Float[np.ndarray, "N"]
) -> Float64[np.ndarray, "5 r"]:
    """`MEASURES` in each sample; NaN where one means nothing."""
    order = np.argsort(scores, kind="stable")
    by_score, drawn = scores[order], np.cumsum(weights[:, order], axis=1)
    return np.stack(
        [
            correlation(weights, midranks(weights, fitness), midranks(weights, scores)),
            weighted_auroc(weights, scores, fit),
            _mcc(weights, fit, scores >= quantile(by_score, drawn, 0.5)[:, None]),
            _ndcg(weights, fitness, scores),
            _top_recall(weights, fitness, scores, quantile(by_score, drawn, 1 - TOP)),
        ]
    )


def quantile(
    ascending: Float[np.ndarray, "N"], drawn: Int[np.ndarray, "r N"], share: float
) -> Float64[np.ndarray, "r"]:
    """The quantile of each sample, between two values as `numpy.quantile` interpolates; `drawn` is cumulated.

    >>> float(quantile(np.array([1.0, 2.0, 4.0]), np.array([[1, 1, 2]]), 0.5)[0])  # of 1 and 4
    2.5
    """
    place = (drawn[:, -1] - 1) * share
    below, above = np.floor(place), np.ceil(place)
    low, high = (ascending[(drawn <= at[:, None]).sum(1)] for at in (below, above))
    return low + (high - low) * (place - below)


def _mcc(weights: Weights, fit: Bool[np.ndarray, "N"], said: Bool[np.ndarray, "r N"]) -> Float64[np.ndarray, "r"]:
    total, real = weights.sum(1).astype(np.float64), (weights * fit).sum(1).astype(np.float64)
    predicted, both = (weights * said).sum(1).astype(np.float64), (weights * (said & fit)).sum(1)
    spread = np.sqrt(real * (total - real) * predicted * (total - predicted))
    with np.errstate(invalid="ignore", divide="ignore"):
        mcc = np.where(spread > 0, (both * total - real * predicted) / spread, 0.0)
    return np.where((real > 0) & (real < total), mcc, np.nan)


def _ndcg(
    weights: Weights, fitness: Float[np.ndarray, "N"], scores: Float[np.ndarray, "N"]
) -> Float64[np.ndarray, "r"]:
    there = weights > 0
    low = np.where(there, fitness, np.inf).min(1, keepdims=True)
    high = np.where(there, fitness, -np.inf).max(1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        gains = np.where(there, (fitness - low) / (high - low), 0.0)
        return _gained(weights, gains, scores) / _gained(weights, gains, fitness)


def _gained(
    weights: Weights, gains: Float64[np.ndarray, "r N"], by: Float[np.ndarray, "N"]
) -> Float64[np.ndarray, "r"]:
    """Discounted gains of the first tenth; a mutant drawn twice has two ranks."""
    order = np.argsort(-by, kind="stable")
    ends = np.cumsum(weights[:, order], axis=1)
    first = np.floor(ends[:, -1:] * TOP).astype(np.int64)
    discount = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(1, ends[:, -1].max() + 1) + 1))])
    begins = ends - weights[:, order]
    return (gains[:, order] * (discount[np.minimum(ends, first)] - discount[np.minimum(begins, first)])).sum(1)


def _top_recall(
    weights: Weights,
    fitness: Float[np.ndarray, "N"],
    scores: Float[np.ndarray, "N"],
    threshold: Float64[np.ndarray, "r"],
) -> Float64[np.ndarray, "r"]:
    order = np.argsort(fitness, kind="stable")
    fittest = fitness >= quantile(fitness[order], np.cumsum(weights[:, order], axis=1), 1 - TOP)[:, None]
    found = fittest & (scores >= threshold[:, None])
    return (weights * found).sum(1) / (weights * fittest).sum(1)
