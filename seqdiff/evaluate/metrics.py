"""How well scores tell two kinds apart, with intervals that take blocks of neighbours as the sample."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from seqdiff.streams import seed_of

AT_ONCE = 2**22
"""Weights held together while resampling."""


def auroc(scores: Float[np.ndarray, "N"], positive: Bool[np.ndarray, "N"]) -> float:
    """Area under the ROC curve: how often a positive scores above a negative, ties counted half; chance is 0.5.

    >>> auroc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    0.75
    """
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(positive, scores))


def auprc(scores: Float[np.ndarray, "N"], positive: Bool[np.ndarray, "N"]) -> float:
    """Area under the precision-recall curve, as average precision sum_n (R_n - R_{n-1}) P_n; chance is the share of
    positives.

    >>> round(auprc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])), 4)
    0.8333
    """
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(positive, scores))


def resampled(
    scores: Float[np.ndarray, "M N"],
    positive: Bool[np.ndarray, "N"],
    block: Int[np.ndarray, "N"],
    resamples: int,
    seed: int,
) -> Float64[np.ndarray, "2 M R"]:
    """AUROC and AUPRC of M scores of the same things, on the same bootstrap samples of their blocks.

    Whole blocks (numbered from 0) are drawn with replacement, both kinds with them, since neighbours share much of
    what they score by. Each kind is then weighed to its share of the whole sample, which keeps chance where it
    is. A sample without one of the kinds says nothing and is NaN.
    """
    rng = np.random.Generator(np.random.Philox(seed_of(seed, "blocks")))
    blocks = int(block.max()) + 1
    results = np.empty((2, len(scores), resamples))
    rankings = [_ranking(row) for row in scores]
    balance = float(positive.mean())
    for part, times in _draws(rng, blocks, resamples, len(block)):
        weight = times[:, block]
        for row, (order, last) in enumerate(rankings):
            ranked, kind = weight[:, order], positive[order]
            hits = np.cumsum(np.where(kind, ranked, 0), axis=1)[:, last]
            alarms = np.cumsum(np.where(kind, 0, ranked), axis=1)[:, last]
            results[:, row, part] = _areas(hits, alarms, balance)
    return results


def interval(samples: Float64[np.ndarray, "R"], blocks: int, level: float = 0.95) -> tuple[float, float]:
    """The expanded percentile interval of a bootstrap over n = `blocks` blocks, of the kind that is in fewer.

    Its tails are Phi(sqrt(n / (n - 1)) t_{a/2, n-1}) (Hesterberg 2015, Am. Stat. 69:371): plain percentiles are too
    narrow where the sample is small, as a normal interval is beside Student's.
    """
    from scipy.stats import norm, t

    tail = norm.cdf(np.sqrt(blocks / (blocks - 1)) * t.ppf((1 - level) / 2, blocks - 1))
    low, high = np.nanquantile(samples, [tail, 1 - tail])
    return float(low), float(high)


def _ranking(scores: Float[np.ndarray, "N"]) -> tuple[Int[np.ndarray, "N"], Int[np.ndarray, "T"]]:
    """Best first, and the last of each run of equal scores."""
    order = np.argsort(-scores, kind="stable")
    falls = np.diff(scores[order]) != 0
    return order, np.append(np.flatnonzero(falls), len(scores) - 1)


def _draws(
    rng: np.random.Generator, blocks: int, resamples: int, size: int
) -> Iterator[tuple[slice, Int[np.ndarray, "r blocks"]]]:
    """How often each block is drawn, for some resamples at a time."""
    some = max(1, AT_ONCE // size)
    for first in range(0, resamples, some):
        part = slice(first, min(first + some, resamples))
        yield part, rng.multinomial(blocks, np.full(blocks, 1 / blocks), part.stop - part.start)


def _areas(hits: Int[np.ndarray, "r T"], alarms: Int[np.ndarray, "r T"], balance: float) -> Float64[np.ndarray, "2 r"]:
    """Areas from the positives and negatives at or above each threshold."""
    with np.errstate(invalid="ignore", divide="ignore"):
        recall, fallout = hits / hits[:, -1:], alarms / alarms[:, -1:]
        steps = np.diff(recall, prepend=0.0, axis=1)
        below = 1 - fallout + np.diff(fallout, prepend=0.0, axis=1) / 2
        selected = balance * recall + (1 - balance) * fallout
        precision = np.where(selected > 0, balance * recall / selected, 0.0)
        return np.stack([(steps * below).sum(1), (steps * precision).sum(1)])
