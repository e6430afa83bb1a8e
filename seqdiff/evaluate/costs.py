"""What each held-out sequence costs a model: its own bound, sequence by sequence, so that models can be paired."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int64, Integer

from seqdiff.evaluate import heldout
from seqdiff.evaluate.answer import Progress, silent
from seqdiff.evaluate.statistics import Estimate, ratio
from seqdiff.streams import Streams


@dataclass(frozen=True)
class Costs:
    """Of N sequences."""

    nats: Float64[np.ndarray, "N"]
    """-log p, or the bound on it, of all known letters."""
    se: Float64[np.ndarray, "N"]
    """Its Monte-Carlo error; 0 where it is exact."""
    scored: Int64[np.ndarray, "N"]
    """Known letters."""
    calls: Int64[np.ndarray, "N"]
    """Network passes."""

    @property
    def monte_carlo(self) -> float:
        """The Monte-Carlo error of the mean, bits a letter."""
        return float(np.sqrt(np.square(self.se).sum()) / self.scored.sum() / math.log(2))


def costs(
    model: heldout.Asked,
    data: heldout.HeldOut,
    items: Integer[np.ndarray, "N"],
    *,
    strata: int,
    replicates: int,
    seed: int,
    progress: Progress = silent,
) -> Costs:
    """The bound of `items` of the test split. Masks depend on (seed, letters) alone, so two models asked about the same
    items see the same ones."""
    nats, se = np.zeros((2, len(items)))
    scored, calls = np.zeros((2, len(items)), np.int64)
    bound = model.bound(strata=strata, replicates=replicates)
    for part, tokens in heldout.batches(data.test, items, model.batch_tokens):
        x, names = torch.from_numpy(tokens), heldout.names(tokens, model.alphabet.pad)
        known = x < model.alphabet.size
        score = bound(x, known, Streams.of(seed, names), batch_size=len(x)).checked()
        nats[part], se[part], calls[part] = score.nats.numpy(), score.se.numpy(), score.calls.numpy()
        scored[part] = known.sum(-1).numpy()
        progress(min(1.0, part.stop / len(items)))
    return Costs(nats, se, scored, calls)


def bits(nats: Float64[np.ndarray, "N"], scored: Int64[np.ndarray, "N"], unit: Int64[np.ndarray, "N"]) -> Estimate:
    """Bits a letter, with the standard error over the units of the sample (`heldout.units`).

    >>> str(bits(np.log([4.0, 16.0]), np.array([1, 1]), np.array([0, 1])))
    '3.0000 ± 1.0000'
    """
    return ratio(np.bincount(unit, nats) / math.log(2), np.bincount(unit, scored))
