"""What each held-out sequence costs a model: its own bound, sequence by sequence, so that models can be paired."""

import math
from collections.abc import Iterator
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
    """The bound of `items` of the test split, each given its class where the model is told classes. Masks depend on
    (seed, letters) alone, so two models asked about the same items see the same ones."""
    nats, se = np.zeros((2, len(items)))
    scored, calls = np.zeros((2, len(items)), np.int64)
    for part, tokens in heldout.batches(data.test, items, model.batch_tokens):
        x, names = torch.from_numpy(tokens), heldout.names(tokens, model.alphabet.pad)
        known, streams = x < model.alphabet.size, Streams.of(seed, names)
        scored[part] = known.sum(-1).numpy()
        for told, rows in _told(model, data, items[part]):
            bound = told.bound(strata=strata, replicates=replicates)
            score = bound(x[rows], known[rows], streams.select(rows.tolist()), batch_size=len(rows)).checked()
            place = part.start + rows
            nats[place], se[place], calls[place] = score.nats.numpy(), score.se.numpy(), score.calls.numpy()
        progress(min(1.0, part.stop / len(items)))
    return Costs(nats, se, scored, calls)


def _told(
    model: heldout.Asked, data: heldout.HeldOut, items: Integer[np.ndarray, "n"]
) -> Iterator[tuple[heldout.Asked, Int64[np.ndarray, "m"]]]:
    """The model told each class, and the rows that are of it; where it is told none, itself and all rows."""
    names = model.labels
    labels = data.test.batch(items).labels if names else None
    if labels is None:
        yield model, np.arange(len(items))
        return
    for label in labels.unique().tolist():
        told = model.labelled(names[label]) if label < len(names) else model
        yield told, np.flatnonzero(labels.numpy() == label)


def bits(nats: Float64[np.ndarray, "N"], scored: Int64[np.ndarray, "N"], unit: Int64[np.ndarray, "N"]) -> Estimate:
    """Bits a letter, with the standard error over the units of the sample (`heldout.units`).

    >>> str(bits(np.log([4.0, 16.0]), np.array([1, 1]), np.array([0, 1])))
    '3.0000 ± 1.0000'
    """
    return ratio(np.bincount(unit, nats) / math.log(2), np.bincount(unit, scored))
