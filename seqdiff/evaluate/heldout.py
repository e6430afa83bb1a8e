"""What the questions share: the asked model's shape, which held-out windows are read, and the Markov rivals."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float64, Int, Integer
from torch import Tensor

from seqdiff.alphabet import Alphabet
from seqdiff.data.batches import Shuffled
from seqdiff.data.genome import Genome
from seqdiff.data.intervals import Interval
from seqdiff.data.windows import Windows
from seqdiff.evaluate.markov import MarkovModel
from seqdiff.modalities.dna import Dna
from seqdiff.streams import seed_of

PIECE = 2**23
"""Longest piece of a genome that is held as tokens at once, in letters."""


@runtime_checkable
class Asked(Protocol):
    """What an evaluation needs of a model."""

    alphabet: Alphabet
    batch_tokens: int

    def denoise(self, tokens: Int[Tensor, "B L"]) -> Tensor: ...


@runtime_checkable
class HeldOut(Protocol):
    """What an evaluation needs of a data set: windows and intervals of the splits train, valid and test."""

    config: Dna
    genome: Genome
    intervals: dict[str, list[Interval]]
    checksum: str
    valid: Windows
    test: Windows


def draw(windows: Windows, bases: int, seed: int) -> Integer[np.ndarray, "N"]:
    """Items of as many windows as hold about `bases` letters, drawn without replacement; all where there are fewer."""
    count = min(len(windows), max(2, bases // windows.length))
    return np.sort(Shuffled(len(windows), seed).items(np.arange(count)))


def names(tokens: Integer[np.ndarray, "N L"]) -> list[int]:
    """A name for each window from its letters alone, so that models asked about the same ones see the same masks."""
    return [seed_of(row.astype(np.uint8).tobytes()) for row in tokens]


def marginals(model: Asked, tokens: Int[np.ndarray, "N L"]) -> Iterator[tuple[slice, Float64[np.ndarray, "n L K"]]]:
    """The model's first-pass marginals of some rows at a time, probabilities in float64."""
    rows = max(1, model.batch_tokens // tokens.shape[1])
    for first in range(0, len(tokens), rows):
        part = slice(first, first + rows)
        logits = model.denoise(torch.from_numpy(tokens[part]))
        yield part, logits.double().softmax(-1).cpu().numpy()


def pieces(data: HeldOut, split: str, limit: int | None = None) -> Iterator[Integer[np.ndarray, "_"]]:
    """The tokens of a split's intervals, in pieces that fit in memory, up to `limit` letters."""
    left = np.inf if limit is None else limit
    for contig, start, end in data.intervals[split]:
        for low in range(start, end, PIECE):
            if left <= 0:
                return
            high = int(min(low + PIECE, end, low + left))
            left -= high - low
            yield data.genome.tokens(Interval(contig, low, high))


_fitted: dict[tuple, MarkovModel] = {}


def markov(data: HeldOut, order: int, tuning: int = 2_000_000) -> MarkovModel:
    """The Markov models of the training intervals, tuned on (the first `tuning` letters of) the validation ones.

    They count both strands where the model was trained on both. The latest is kept: questions about the
    same data share it.
    """
    key = (data.checksum, repr(data.intervals), order, tuning, data.config.reverse_complement)
    if key not in _fitted:
        _fitted.clear()
        _fitted[key] = MarkovModel.fit(
            pieces(data, "train"),
            pieces(data, "valid", tuning),
            data.genome.alphabet,
            order=order,
            both_strands=data.config.reverse_complement,
        )
    return _fitted[key]
