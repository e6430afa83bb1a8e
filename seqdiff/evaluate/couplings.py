"""Which columns of a family depend on each other directly: the couplings of a pairwise network.

Columns i and j are scored by the norm of their coupling J_ij(a, b) over the letters, gaps aside, in the gauge in which
rows and columns sum to zero (Ekeberg et al. 2013, doi:10.1103/PhysRevE.87.012707, eq. 26 and 27), less what the two
columns have with all others: F_ij - F_i F_j / F (Dunn et al. 2008, doi:10.1093/bioinformatics/btm604, eq. 3). In
structures the highest pairs mostly touch.
"""

from typing import Literal

import numpy as np
from jaxtyping import Float64
from pydantic import Field

from seqdiff.config import Config
from seqdiff.denoisers.pairwise import PairwiseDenoiser
from seqdiff.errors import UsageError
from seqdiff.evaluate import heldout
from seqdiff.evaluate.answer import Answer, Progress, Table, silent

SHOWN = 20
"""Pairs in the table; the JSON has all that were asked for."""


class Couplings(Config):
    """The pairs of columns with the strongest couplings, by the numbers of their residues in the query."""

    question: Literal["couplings"] = "couplings"
    per_column: float = Field(1.0, gt=0)
    """How many pairs, in shares of the number of columns."""
    separation: int = Field(6, ge=1)
    """Columns apart at least: what lies closer touches in any case."""

    def ask(self, model: heldout.Asked, data: heldout.HeldOut, progress: Progress = silent) -> Answer:
        """Raises UsageError for a network without couplings, and for columns that are fewer than `separation`."""
        network = getattr(getattr(model, "denoiser", None), "network", None)
        if not isinstance(network, PairwiseDenoiser):
            raise UsageError("couplings are those of a pairwise network, and this model has another one")
        scores = corrected(strengths(network, gap=_gap(model)))
        first, second = np.triu_indices(len(scores), self.separation)
        if not len(first):
            raise UsageError(f"no two of the {len(scores):,} columns are {self.separation:,} apart: lower separation")
        best = np.argsort(-scores[first, second], kind="stable")[: max(1, round(self.per_column * len(scores)))]
        # In units of the spread of all pairs, most of which are not coupled.
        spread = scores[first, second].std() or 1.0
        query = data.facts.get("query", {"first": 1, "sequence": "." * len(scores)})

        def residue(column: int) -> str:
            return f"{query['sequence'][column]}{query['first'] + column}"

        pairs = [
            {
                "i": query["first"] + i, "j": query["first"] + j, "residues": [residue(i), residue(j)],
                "score": float(scores[i, j]), "deviations": float(scores[i, j] / spread),
            }
            for i, j in zip(first[best].tolist(), second[best].tolist(), strict=True)
        ]  # fmt: skip
        progress(1.0)
        summary = {
            "question": self.question, "settings": self.model_dump(), "columns": len(scores),
            "first": query["first"], "pairs": pairs,
        }  # fmt: skip
        rows = tuple(
            (
                str(rank),
                *pair["residues"],
                str(pair["j"] - pair["i"]),
                f"{pair['score']:.3f}",
                f"{pair['deviations']:.1f}",
            )
            for rank, pair in enumerate(pairs[:SHOWN], 1)
        )
        title = f"Couplings: the strongest of {len(first):,} pairs of columns at least {self.separation} apart"
        heads = ("", "residue", "with", "apart", "score (APC)", "standard deviations")
        return Answer(self.question, summary, Table(title, heads, rows))


def strengths(network: PairwiseDenoiser, gap: int | None) -> Float64[np.ndarray, "L L"]:
    """The norm of every coupling in the zero-sum gauge, over all symbols but `gap`; 0 on the diagonal."""
    found = np.zeros((network.columns, network.columns))
    letters = [symbol for symbol in range(network.symbols) if symbol != gap]
    for start, middle, stop, pairs in network.blocks():
        coupling = pairs.double().cpu().numpy()
        coupling -= coupling.mean(2, keepdims=True)
        coupling -= coupling.mean(3, keepdims=True)
        norms = np.sqrt(np.square(coupling[:, :, letters][..., letters]).sum((2, 3)))
        found[start:middle, middle:stop] = norms
        found[middle:stop, start:middle] = norms.T
    return found


def corrected(strength: Float64[np.ndarray, "L L"]) -> Float64[np.ndarray, "L L"]:
    """Without the average product: F_ij - F_i F_j / F, means over the others."""
    size = len(strength)
    mean = strength.sum(0) / max(1, size - 1)
    whole = mean.mean()
    return strength - np.outer(mean, mean) / whole if whole else strength


def _gap(model: heldout.Asked) -> int | None:
    symbols = model.alphabet.symbols
    return symbols.index("-") if "-" in symbols else None
