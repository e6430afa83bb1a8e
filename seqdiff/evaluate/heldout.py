"""What the questions share: the asked model's shape, which held-out sequences are read, and the Markov rivals."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float64, Int, Int64, Integer
from torch import Tensor

from seqdiff.alphabet import Alphabet
from seqdiff.data.batches import Examples, Shuffled
from seqdiff.diffusion.processes import Bound
from seqdiff.evaluate.markov import MarkovModel
from seqdiff.modalities import Opened as HeldOut
from seqdiff.modalities.family import FamilyData
from seqdiff.modalities.image import ImageData
from seqdiff.streams import seed_of

__all__ = [
    "Asked", "HeldOut", "batches", "described", "draw", "marginals", "markov", "names", "pieces", "profile",
    "tokens", "units", "what",
]  # fmt: skip


@runtime_checkable
class Asked(Protocol):
    """What an evaluation needs of a model."""

    alphabet: Alphabet
    batch_tokens: int

    if TYPE_CHECKING:  # `isinstance` would ask for it, which is an error of a model that fills no masks

        def denoise(self, tokens: Int[Tensor, "B L"]) -> Tensor: ...

    labels: tuple[str, ...]
    """The classes that it may be told."""
    fills_masks: bool
    """Whether `denoise` may be asked."""
    exact: bool
    """Whether `bound` is -log p itself."""

    def bound(self, *, strata: int, replicates: int) -> Bound: ...

    def labelled(self, label: str) -> "Asked": ...


def draw(examples: Examples, letters: int, seed: int) -> Integer[np.ndarray, "N"]:
    """Items that hold about `letters` letters, two at least, drawn without replacement; all where there are fewer.

    Those of like length stand together, so that few pads are computed.
    """
    drawn = Shuffled(len(examples), seed).items(np.arange(len(examples)))
    enough = np.searchsorted(np.cumsum(examples.sizes[drawn]), letters, "right")
    items = np.sort(drawn[: max(2, enough)])
    return items[np.argsort(examples.sizes[items], kind="stable")]


def tokens(examples: Examples, items: Integer[np.ndarray, "N"]) -> Int[np.ndarray, "N L"]:
    """The tokens of some items, padded on the right."""
    return examples.batch(items).tokens.numpy()


def batches(
    examples: Examples, items: Integer[np.ndarray, "N"], batch_tokens: int
) -> Iterator[tuple[slice, Int[np.ndarray, "n L"]]]:
    """The tokens of as many items at a time as hold `batch_tokens`, pads included; items are ordered by length."""
    sizes, first = examples.sizes[items], 0
    while first < len(items):
        rows = max(1, int((sizes[first:] * np.arange(1, len(items) - first + 1) <= batch_tokens).sum()))
        part = slice(first, first + rows)
        yield part, tokens(examples, items[part])
        first += rows


def units(examples: Examples, items: Integer[np.ndarray, "N"]) -> Int64[np.ndarray, "N"]:
    """The sample of the standard errors: a number for each item, the same for those that resemble one another.

    Proteins of one cluster, pieces of one protein; a window of a genome is one by itself.
    """
    shared = getattr(examples, "unit", None)
    return np.unique(items if shared is None else shared[items], return_inverse=True)[1]


def described(examples: Examples, items: Integer[np.ndarray, "N"]) -> str:
    """For people: `388 test windows of 512`, `263 test sequences of 7 to 512, 203 of them unlike one another`."""
    noun = what(examples)
    sizes = examples.sizes[items]
    shortest, longest = int(sizes.min()), int(sizes.max())
    if not hasattr(examples, "unit"):
        return f"{len(items):,} test {noun} of {longest:,}"
    groups = len(np.unique(units(examples, items)))
    unit = f", {groups:,} of them unlike one another" if groups < len(items) else ""
    span = f"{longest:,}" if shortest == longest else f"{shortest:,} to {longest:,}"
    return f"{len(items):,} test {noun} of {span}{unit}"


def what(examples: Examples) -> str:
    """What examples are called: images, windows of a genome, or sequences."""
    return getattr(examples, "noun", "sequences" if hasattr(examples, "unit") else "windows")


def names(tokens: Integer[np.ndarray, "N L"], pad: int) -> list[int]:
    """A name for each row from its letters alone, so that models asked about the same ones see the same masks."""
    return [seed_of(row[row != pad].astype(np.uint8).tobytes()) for row in tokens]


def marginals(model: Asked, tokens: Int[np.ndarray, "N L"]) -> Iterator[tuple[slice, Float64[np.ndarray, "n l K"]]]:
    """The model's first-pass marginals of some rows at a time, up to the last letter of these, in float64."""
    sizes = (tokens != model.alphabet.pad).sum(-1)
    first = 0
    while first < len(tokens):
        longest = np.maximum.accumulate(sizes[first:])
        rows = max(1, int((longest * np.arange(1, len(longest) + 1) <= model.batch_tokens).sum()))
        part = slice(first, first + rows)
        logits = model.denoise(torch.from_numpy(tokens[part, : longest[min(rows, len(longest)) - 1]]))
        yield part, logits.double().softmax(-1).cpu().numpy()
        first += rows


def pieces(data: HeldOut, split: str, limit: int | None = None) -> Iterator[Integer[np.ndarray, "_"]]:
    """The tokens of a split's sequences, in pieces that fit in memory, up to `limit` letters."""
    left = np.inf if limit is None else limit
    for piece in data.text(split):
        if left <= 0:
            return
        yield piece[: int(min(left, len(piece)))]
        left -= len(piece)


def profile(data: HeldOut) -> Float64[np.ndarray, "L tokens"] | None:
    """Log-probabilities of the tokens in each column of a family, or at each place of an image, by itself, 0 of an
    unknown one; None of other data."""
    if not isinstance(data, FamilyData | ImageData):
        return None
    return np.pad(np.log(data.profile()), ((0, 0), (0, 1)))


_fitted: dict[tuple, MarkovModel] = {}


def markov(data: HeldOut, order: int, tuning: int = 2_000_000) -> MarkovModel:
    """The Markov models of the training sequences, tuned on (the first `tuning` letters of) the validation ones.

    They count both strands where the model was trained on both. The latest is kept: questions about the
    same data share it.
    """
    key = (data.checksum, order, tuning, data.both_strands)
    if key not in _fitted:
        _fitted.clear()
        _fitted[key] = MarkovModel.fit(
            pieces(data, "train"),
            pieces(data, "valid", tuning),
            data.config.alphabet,
            order=order,
            both_strands=data.both_strands,
        )
    return _fitted[key]
