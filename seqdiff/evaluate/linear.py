"""A linear classifier or regression on given features, its penalty chosen by cross-validation on the training rows.

Features are brought to unit variance (dense ones to mean 0 as well) by the training rows of each fold; then multinomial
logistic regression, or ridge regression of the standardised target, with the penalty of the least loss on the rows that
were left out: nats a row, or squared error.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int
from scipy import sparse

from seqdiff.data.labelled import Task
from seqdiff.streams import seed_of

STRENGTHS = tuple(10.0**power for power in range(-5, 3))
"""Of the data against the penalty (scikit-learn's C; ridge: 1 / alpha), weakest first."""

Features = np.ndarray | sparse.csr_array


class Fold(NamedTuple):
    """Rows to fit on, and rows that judge."""

    fit: Int[np.ndarray, "n"]
    judge: Int[np.ndarray, "m"]


class Choice(NamedTuple):
    """A strength and what it costs on rows that were left out."""

    strength: float
    loss: float


def folds(groups: Sequence[bytes], kinds: Int[np.ndarray, "N"], count: int, seed: int) -> list[Fold]:
    """Rows in `count` parts; rows of a group stay together, each kind is spread evenly, whatever the order of rows.

    >>> [fold.judge.tolist() for fold in folds([b"a", b"b", b"a", b"c"], np.array([0, 0, 0, 0]), 3, seed=0)]
    [[1], [0, 2], [3]]
    """
    kind_of: dict[bytes, int] = {}
    for group, kind in zip(groups, kinds.tolist(), strict=True):
        kind_of[group] = min(kind, kind_of.get(group, kind))
    ranked = sorted(kind_of, key=lambda group: (kind_of[group], seed_of(seed, "fold", group)))
    part_of = {group: place % count for place, group in enumerate(ranked)}
    part = np.array([part_of[group] for group in groups])
    return [Fold(np.flatnonzero(part != number), np.flatnonzero(part == number)) for number in range(count)]


def choose(features: Features, target: np.ndarray, parts: Sequence[Fold], task: Task) -> Choice:
    """The strength of the least mean loss over the parts; none is tried past two that made it worse."""
    fitters = [_Fitter(features[part.fit], target[part.fit], task) for part in parts]
    best, worse = Choice(STRENGTHS[0], np.inf), 0
    for strength in STRENGTHS:
        losses = [
            fitter.fit(strength).losses(features[part.judge], target[part.judge])
            for fitter, part in zip(fitters, parts, strict=True)
        ]
        loss = float(np.concatenate(losses).mean())
        best, worse = (Choice(strength, loss), 0) if loss < best.loss else (best, worse + 1)
        if worse == 2:
            break
    return best


def fitted(features: Features, target: np.ndarray, strength: float, task: Task) -> Callable[[Features], np.ndarray]:
    """What predicts from features like these: probabilities (N, C) of classes 0..C-1, or values (N,)."""
    return _Fitter(features, target, task).fit(strength).predict


class _Fitter:
    """A linear model of some rows, fitted again with one strength after another."""

    def __init__(self, features: Features, target: np.ndarray, task: Task):
        from sklearn.preprocessing import StandardScaler

        self.task = task
        self.scale = StandardScaler(with_mean=not sparse.issparse(features)).fit(features)
        self.features = self.scale.transform(features)
        self.middle, self.spread = (0.0, 1.0) if task == "classification" else _moments(target)
        self.target = target if task == "classification" else (target - self.middle) / self.spread
        self.model: Any = None

    def fit(self, strength: float) -> "_Fitter":
        from sklearn.linear_model import LogisticRegression, Ridge

        if self.task == "regression":
            self.model = Ridge(alpha=1 / strength, solver="lsqr" if sparse.issparse(self.features) else "auto")
        elif self.model is None:
            self.model = LogisticRegression(C=strength, max_iter=300, warm_start=True)
        else:
            self.model.C = strength
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # not converged: judged by its loss like any other
            self.model.fit(self.features, self.target)
        return self

    def predict(self, features: Features) -> Float64[np.ndarray, "..."]:
        scaled = self.scale.transform(features)
        if self.task == "regression":
            return self.model.predict(scaled).astype(np.float64) * self.spread + self.middle
        return self.model.predict_proba(scaled).astype(np.float64)

    def losses(self, features: Features, target: np.ndarray) -> Float64[np.ndarray, "n"]:
        """Of each row: nats, or squared error in units of the variance."""
        found = self.predict(features)
        if self.task == "regression":
            return ((found - target) / self.spread) ** 2
        return -np.log(np.maximum(found[np.arange(len(target)), target], 1e-12))


def _moments(target: Float64[np.ndarray, "N"]) -> tuple[float, float]:
    return float(target.mean()), float(target.std()) or 1.0
