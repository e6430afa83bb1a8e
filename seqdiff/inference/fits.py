"""How probable each length of an insert is, and the lengths of several inserts of a record together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from seqdiff.data.source import bytes_of, shown
from seqdiff.inference.lengths import Lengths

TOLD_APART = 0.25
"""Nats of standard error from which on two lengths that look alike may well not be."""


@dataclass(frozen=True)
class Fit:
    """What each length of an insert is worth; all arrays (C,)."""

    record: str
    position: int
    lengths: Int64[np.ndarray, "C"]
    nats: Float64[np.ndarray, "C"]
    """log p(flanks | length), less that of the most probable length."""
    se: Float64[np.ndarray, "C"]
    """Standard error of these differences."""
    prior: Float64[np.ndarray, "C"]
    posterior: Float64[np.ndarray, "C"]
    calls: int
    """Network passes."""

    @property
    def doubt(self) -> str | None:
        """What to say where the two most probable lengths are closer to one another than the error allows."""
        if len(self.lengths) < 2:
            return None
        best, second = np.argsort(-self.posterior, kind="stable")[:2]
        gap, se = np.log(self.posterior[best] / self.posterior[second]), self.se[second]
        if se < TOLD_APART or gap > 2 * se:
            return None
        return (
            f"record {shown(bytes_of(self.record))}, insert at {self.position:,}: the lengths {self.lengths[best]} and "
            f"{self.lengths[second]} differ by {gap:.1f} +- {se:.1f} nats: give more --insert-draws to tell them apart"
        )


FITS_HEADER = b"record\tposition\tlength\tnats\tse\tprior\tposterior\n"


def fit_lines(fit: Fit) -> bytes:
    """A line a length: nats of log p(flanks | length) less that of the most probable one, standard error, prior and
    posterior."""
    rows = zip(fit.lengths.tolist(), fit.nats, fit.se, fit.prior, fit.posterior)
    lines = (f"{length}\t{nats:.4f}\t{se:.4f}\t{prior:.6g}\t{after:.6g}" for length, nats, se, prior, after in rows)
    return b"".join(bytes_of(f"{fit.record}\t{fit.position}\t{line}\n") for line in lines)


class Totals:
    """The joint law of the lengths of all inserts of a record: a product of what each is worth by itself, and of the
    prior of the length of the whole, which is the only thing that binds them together.

    beta[i](t) = log of the sum over the lengths of the inserts i, i + 1, ..., where those before have t letters.
    """

    def __init__(
        self,
        gaps: Sequence[Int64[np.ndarray, "_"]],
        nats: Sequence[Float64[np.ndarray, "_"]],
        letters: int,
        whole: Lengths | None,
    ):
        self.gaps, self.nats = gaps, nats
        self.most = sum(int(each[-1]) for each in gaps)
        totals = np.arange(self.most + 1)
        self.beta = [np.zeros(len(totals)) if whole is None else np.log(whole.weights(letters + totals))]
        for each, worth in zip(reversed(gaps), reversed(nats)):
            self.beta.insert(0, np.logaddexp.reduce(self._next(each, self.beta[0]) + worth, axis=1))

    def _next(self, gaps: Int64[np.ndarray, "C"], beta: Float64[np.ndarray, "T"]) -> Float64[np.ndarray, "T C"]:
        """beta(t + gap); -inf past its end."""
        longer = np.append(beta, np.full(int(gaps[-1]), -np.inf))
        return longer[np.arange(self.most + 1)[:, None] + gaps]

    def marginal(self, number: int) -> Float64[np.ndarray, "C"]:
        """The law of one insert's length, summed over those of the others."""
        alpha = np.append(0.0, np.full(self.most, -np.inf))
        for gaps, worth in zip(self.gaps[:number], self.nats[:number]):
            reached = alpha[:, None] + worth
            alpha = np.full(self.most + 1, -np.inf)
            for column, gap in zip(reached.T, gaps.tolist()):
                alpha[gap:] = np.logaddexp(alpha[gap:], column[: len(column) - gap])
        worth = np.logaddexp.reduce(alpha[:, None] + self._next(self.gaps[number], self.beta[number + 1]), axis=0)
        return softmax(worth + self.nats[number])

    def chosen(self, u: Float64[np.ndarray, "_"] | None) -> list[int]:
        """A length for each insert, from left to right: drawn by a uniform each, or the most probable ones."""
        lengths: list[int] = []
        for number, (gaps, worth) in enumerate(zip(self.gaps, self.nats)):
            law = softmax(worth + self.beta[number + 1][sum(lengths) + gaps])
            edges = law.cumsum()
            at = law.argmax() if u is None else np.searchsorted(edges, u[number] * edges[-1], side="right")
            lengths.append(int(gaps[at]))
        return lengths


def softmax(logs: Float64[np.ndarray, "C"]) -> Float64[np.ndarray, "C"]:
    """Probabilities in proportion to exp of some numbers."""
    return np.exp(logs - np.logaddexp.reduce(logs))
