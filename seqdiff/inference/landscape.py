"""What a network says around a wild type: each context is asked for once, whichever mutants have need of it.

    contexts wanted by many mutants -> those not asked before -> rows of one width -> log mu at the sites wanted

A context is a window of the wild type in which some letters are hidden or replaced. 4,807 single mutants of 263
residues have 263 contexts; 500,000 double mutants of 55 residues have 60,000.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Integer
from torch import Tensor

from seqdiff.diffusion.categorical import not_a_number
from seqdiff.diffusion.denoise import Denoise, precise

READ = 0.75
"""Share of a window with nothing hidden, around its middle, that is read: such windows stand on a fixed grid."""
REMEMBERED = 1 << 19
"""Answers that are kept before they are forgotten."""


class Context(NamedTuple):
    """The wild type from `start` on, a window's width of it, with other letters (or masks) at some places."""

    start: int
    changed: tuple[tuple[int, int], ...] = ()
    """(place, token), in order of place; places count from the beginning of the protein."""


class Landscape:
    """A wild type, or the columns of a family that it fills, as a network sees it."""

    def __init__(self, denoise: Denoise, tokens: Integer[np.ndarray, " L"], context: int, batch_tokens: int = 16_384):
        self.denoise, self.tokens, self.context = denoise, torch.from_numpy(tokens).long(), context
        self.letters: list[int] = self.tokens.tolist()
        self.width = min(len(tokens), context)
        self.batch = max(1, batch_tokens // max(1, self.width))
        self.passes = 0
        """Rows that went through the network."""
        self._answers: dict[Context, dict[int, Float64[np.ndarray, " K"]]] = {}
        self._kept = 0

    def around(self, first: int, last: int) -> int:
        """Where the window with the places from `first` to `last` in its middle starts."""
        return min(max(0, (first + last + 1) // 2 - self.width // 2), len(self.tokens) - self.width)

    def tile(self, place: int) -> int:
        """Of the windows on a grid, the start of that whose middle is nearest."""
        last, middle = len(self.tokens) - self.width, self.width // 2
        step = max(1, int(self.width * READ))
        start = max(0, (place - middle + step // 2) // step) * step
        return min((min(start, last), last), key=lambda begin: abs(begin + middle - place))

    def ask(self, wanted: "Iterable[tuple[Context, int]]", progress: Callable[[float], None] | None = None) -> None:
        """Makes log mu known in contexts, each at a place. `progress` gets the share that is new."""
        new: dict[Context, set[int]] = {}
        for context, place in wanted:
            if place not in self._answers.get(context, ()):
                new.setdefault(context, set()).add(place)
        contexts = sorted(new)
        for first in range(0, len(contexts), self.batch):
            block = contexts[first : first + self.batch]
            places = [sorted(new[context]) for context in block]
            for context, at, log_mu in zip(block, places, self._log_mu(block, places), strict=True):
                self._answers.setdefault(context, {}).update(zip(at, log_mu, strict=True))
                self._kept += len(at)
            self.passes += len(block)
            if progress:
                progress(len(block) / len(contexts))
        if progress and not contexts:
            progress(1.0)

    def log_mu(self, context: Context, place: int) -> Float64[np.ndarray, " K"]:
        """log mu of every symbol at a place in a context that was asked for."""
        return self._answers[context][place]

    def forget(self) -> None:
        """Makes room where there is little left."""
        if self._kept > REMEMBERED:
            self._answers.clear()
            self._kept = 0

    @torch.no_grad()
    def _log_mu(self, contexts: list[Context], places: list[list[int]]) -> list[Float64[np.ndarray, "n K"]]:
        rows = torch.stack([self.tokens[context.start : context.start + self.width] for context in contexts])
        changed = [
            (row, place - context.start, token)
            for row, context in enumerate(contexts)
            for place, token in context.changed
        ]
        if changed:
            at, columns, letters = torch.tensor(changed).T
            rows[at, columns] = letters
        read = [(row, place - contexts[row].start) for row, at in enumerate(places) for place in at]
        at, columns = torch.tensor(read).T
        log_mu: Tensor = torch.log_softmax(precise(self.denoise(rows)[at, columns]), -1).cpu().double()
        if not log_mu.isfinite().all():
            raise not_a_number()
        return np.split(log_mu.numpy(), np.cumsum([len(each) for each in places])[:-1])
