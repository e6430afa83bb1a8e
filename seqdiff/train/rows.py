"""The rows of a fine-tuning: which are learned from and which validate, and what is shown of them when."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from seqdiff.alphabet import Alphabet
from seqdiff.data.labelled import Labelled, identity
from seqdiff.errors import DataError
from seqdiff.inference.embed import padded
from seqdiff.predictor import Target
from seqdiff.recipe import Recipe
from seqdiff.streams import seed_of
from seqdiff.train.finetuning import Finetuning

SORTED_TOGETHER = 16
"""Batches whose rows are sorted by length, so that few pads are computed."""


@dataclass(frozen=True)
class Rows:
    """Rows of tokens and what they should be told to be: class numbers, or standardised values."""

    tokens: list[np.ndarray]
    target: Tensor

    def __len__(self) -> int:
        return len(self.tokens)


def divided(train: Labelled, settings: Finetuning, alphabet: Alphabet) -> tuple[Labelled, Labelled]:
    """Rows to learn from and rows to validate on, told apart by their sequence."""
    share = settings.training.validation
    held = np.array([
        seed_of(settings.seed, "validation", identity(text, alphabet)) / 2**63 < share for text in train.sequences
    ])  # fmt: skip
    if not held.any() or held.all():
        raise DataError(
            f"{train.name}: {len(train):,} rows are too few to hold back {100 * share:.0f} % of them for validation: "
            "give --valid, or set training.validation"
        )
    return train.select(np.flatnonzero(~held)), train.select(np.flatnonzero(held))


def rows_of(part: Labelled, target: Target, alphabet: Alphabet) -> Rows:
    tokens = [alphabet.encode(text) for text in part.sequences]
    for row, line in zip(tokens, part.lines, strict=True):
        if not (row < alphabet.size).any():
            raise DataError(f"{part.name}, line {line:,}: no letter of the sequence is known: leave the row out")
    if target.task == "classification":
        return Rows(tokens, torch.from_numpy(part.indices(target.classes)))
    return Rows(tokens, torch.from_numpy((part.numbers() - target.middle) / target.spread).float())


def batches(
    rows: Rows, settings: Finetuning, recipe: Recipe, device: torch.device
) -> Iterator[tuple[Int[Tensor, "B L"], Tensor]]:
    """Every row once an epoch, rows of like length together, each on either strand, long ones cropped."""
    size, alphabet, context = settings.training.batch_size, recipe.data.alphabet, recipe.data.context
    turns = settings.training.reverse_complement and alphabet.complementary and not recipe.denoiser.equivariant
    for epoch in range(settings.training.epochs):
        rng = np.random.Generator(np.random.Philox(seed_of(settings.seed, "epoch", epoch)))
        order = rng.permutation(len(rows))
        coins, places = rng.random(len(rows)), rng.random(len(rows))
        stretch = size * SORTED_TOGETHER
        together = []
        for first in range(0, len(order), stretch):
            some = sorted(order[first : first + stretch], key=lambda row: len(rows.tokens[row]))
            together += [some[i : i + size] for i in range(0, len(some), size)]
        for number in rng.permutation(len(together)):
            shown = []
            for row in together[number]:
                tokens = rows.tokens[row]
                first = int(places[row] * (len(tokens) - context + 1)) if len(tokens) > context else 0
                tokens = tokens[first : first + context]
                shown.append(alphabet.reverse_complement(tokens) if turns and coins[row] < 0.5 else tokens)
            wanted = rows.target[torch.as_tensor(np.array(together[number]))]
            yield padded(shown, alphabet.pad).to(device), wanted.to(device)
