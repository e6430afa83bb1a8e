"""How well predictions agree with labels, with 95 % intervals from a bootstrap that several rivals share."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Num

from seqdiff.data.labelled import Task
from seqdiff.evaluate.metrics import AT_ONCE, interval
from seqdiff.streams import seed_of

CLASSIFICATION = ("accuracy", "mcc", "f1", "auroc")
"""Share right; Matthews correlation (several classes: Gorodkin 2004); F1, the mean over classes; area under the ROC
curve, of several classes the mean of each against the rest."""
REGRESSION = ("spearman", "pearson")

Weights = Int[np.ndarray, "r N"]
"""How often each row is drawn in each of r samples."""


def measures(task: Task) -> tuple[str, ...]:
    """The names of what is measured."""
    return CLASSIFICATION if task == "classification" else REGRESSION


def judge(
    truth: Num[np.ndarray, "N"],
    predicted: Mapping[str, Float[np.ndarray, "N ..."]],
    groups: Sequence[bytes],
    task: Task,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, dict[str, dict[str, float | None]]]:
    """Value, low and high of each measure for each rival; of two rivals also of their `difference`, first minus second.

    `truth` is the number of a class, and predictions are probabilities (N, C); or both are values (N,). Whole groups
    (rows of one sequence) are drawn with replacement, the same for all rivals. None where a measure means nothing:
    in a test with one class alone, or of predictions that are all the same.
    """
    measure = _classification if task == "classification" else _regression
    names = measures(task)
    number = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    group = np.array([number[each] for each in groups])
    exact = {who: measure(np.ones((1, len(truth)), np.int64), truth, rows)[:, 0] for who, rows in predicted.items()}
    drawn = {who: bootstrap(measure, truth, rows, group, resamples, seed) for who, rows in predicted.items()}
    if len(predicted) == 2:
        first, second = predicted
        exact["difference"] = exact[first] - exact[second]
        drawn["difference"] = drawn[first] - drawn[second]
    return {
        who: {name: bounds(exact[who][i], drawn[who][i], len(number)) for i, name in enumerate(names)} for who in exact
    }


def bounds(value: float, samples: Float64[np.ndarray, "R"], groups: int) -> dict[str, float | None]:
    """A measure with its interval, from its values in samples of so many groups; None where it means nothing."""
    if not np.isfinite(value):
        return {"value": None, "low": None, "high": None}
    if groups < 2 or np.isnan(samples).all():
        return {"value": float(value), "low": None, "high": None}
    low, high = interval(samples, groups)
    return {"value": float(value), "low": low, "high": high}


def bootstrap(
    measure: Callable[..., Float64[np.ndarray, "M r"]],
    truth: Num[np.ndarray, "N"],
    rows: Float[np.ndarray, "N ..."],
    group: Int[np.ndarray, "N"],
    resamples: int,
    seed: int,
) -> Float64[np.ndarray, "M R"]:
    """What `measure(weights, truth, rows)` gives in samples of whole groups, drawn with replacement."""
    rng = np.random.Generator(np.random.Philox(seed_of(seed, "rows")))
    groups = int(group.max()) + 1
    found = []
    at_once = max(1, AT_ONCE // len(truth))
    for first in range(0, resamples, at_once):
        times = rng.multinomial(groups, np.full(groups, 1 / groups), min(at_once, resamples - first))
        found.append(measure(times[:, group], truth, rows))
    return np.concatenate(found, axis=1)


def _classification(
    weights: Weights, truth: Int[np.ndarray, "N"], probabilities: Float[np.ndarray, "N C"]
) -> Float64[np.ndarray, "4 r"]:
    classes = probabilities.shape[1]
    cells = np.eye(classes * classes)[truth * classes + probabilities.argmax(1)]
    table = (weights @ cells).reshape(-1, classes, classes)  # rows: truth, columns: prediction
    right = np.trace(table, axis1=1, axis2=2)
    total, real, said = table.sum((1, 2)), table.sum(2), table.sum(1)
    diagonal = np.diagonal(table, axis1=1, axis2=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        covariance = right * total - (real * said).sum(1)
        spread = np.sqrt((total**2 - (said**2).sum(1)) * (total**2 - (real**2).sum(1)))
        mcc = np.where(spread > 0, covariance / spread, 0.0)
        f1 = np.where(real + said > 0, 2 * diagonal / (real + said), np.nan)
        f1 = np.nanmean(f1, axis=1)  # a class that is neither there nor predicted says nothing
        chosen = [1] if classes == 2 else range(classes)
        areas = np.stack([weighted_auroc(weights, probabilities[:, c], truth == c) for c in chosen])
    return np.stack([right / total, mcc, f1, _mean(areas)])


def _mean(areas: Float64[np.ndarray, "C r"]) -> Float64[np.ndarray, "r"]:
    """Over the classes that are there; NaN where none is, or one alone."""
    there = np.isfinite(areas)
    return np.where(there.any(0), np.where(there, areas, 0).sum(0) / np.maximum(there.sum(0), 1), np.nan)


def weighted_auroc(
    weights: Weights, scores: Float[np.ndarray, "N"], positive: Bool[np.ndarray, "N"]
) -> Float64[np.ndarray, "r"]:
    """Area under the ROC curve in each sample, NaN where one kind is missing."""
    order = np.argsort(scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order]) != 0), len(scores) - 1)  # of each run of equal scores
    ranked, kind = weights[:, order], positive[order]
    hits = np.cumsum(ranked * kind, axis=1)[:, last]
    misses = np.cumsum(ranked * ~kind, axis=1)[:, last]
    below = misses - np.diff(misses, prepend=0, axis=1) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return (np.diff(hits, prepend=0, axis=1) * below).sum(1) / (hits[:, -1] * misses[:, -1])


def _regression(
    weights: Weights, truth: Float[np.ndarray, "N"], values: Float[np.ndarray, "N"]
) -> Float64[np.ndarray, "2 r"]:
    ranks = [midranks(weights, numbers) for numbers in (truth, values)]
    return np.stack([correlation(weights, *ranks), correlation(weights, truth[None], values[None])])


def midranks(weights: Weights, values: Float[np.ndarray, "N"]) -> Float64[np.ndarray, "r N"]:
    """Ranks in the weighted sample, equal values at the mean of theirs."""
    _, run = np.unique(values, return_inverse=True)
    totals = np.stack([np.bincount(run, row, run.max() + 1) for row in weights])
    middle = np.cumsum(totals, axis=1) - totals / 2 + 0.5
    return middle[:, run]


def correlation(
    weights: Weights, x: Float64[np.ndarray, "#r N"], y: Float64[np.ndarray, "#r N"]
) -> Float64[np.ndarray, "r"]:
    """Pearson's, in each sample."""
    total = weights.sum(1, keepdims=True)
    x, y = (z - (weights * z).sum(1, keepdims=True) / total for z in (x, y))
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.sqrt((weights * x * x).sum(1) * (weights * y * y).sum(1))
        return np.where(spread > 0, (weights * x * y).sum(1) / spread, np.nan)


def cell(of: Mapping[str, Any], sign: str = "") -> str:
    """A value with its interval, as text.

    >>> cell({"value": 0.71234, "low": 0.6, "high": 0.8})
    '0.712 [0.600, 0.800]'
    """
    if of["value"] is None:
        return "."
    ends = "" if of["low"] is None else f" [{of['low']:{sign}.3f}, {of['high']:{sign}.3f}]"
    return f"{of['value']:{sign}.3f}{ends}"
