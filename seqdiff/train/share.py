"""What one process learns from in one step: its rows of the global batch, in pieces that fit into its memory."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seqdiff.data.batches import Batch, Loader
from seqdiff.recipe import Recipe
from seqdiff.streams import Streams
from seqdiff.train.distributed import Processes


@dataclass(frozen=True)
class Share:
    """Rows of the global batch of a step, and what they draw: the same for a row whichever process has it."""

    batch: Batch
    draws: Streams
    letters: float
    """Of its rows, pads aside."""
    rows_at_once: int

    @classmethod
    def of_step(cls, step: int, loader: Loader, recipe: Recipe, group: Processes) -> "Share":
        """The share of this process. One that gets no row takes part with one that counts nothing."""
        total = loader.rows(step)
        share = group.share(total)
        rows = share or range(1)
        batch = loader.batch(step, rows)
        if not share:
            batch = replace(batch, weight=torch.zeros_like(batch.weight))
        letters = float((batch.tokens != recipe.data.alphabet.pad).sum()) if share else 0.0
        at_once = rows_at_once(recipe.training.micro_batch_size, recipe.data.context, batch)
        return cls(batch, Streams.of_step(recipe.seed, step, rows, total), letters, at_once)

    def sums(self) -> Tensor:
        """Symbols that are scored, and letters."""
        return torch.stack([self.batch.weight.sum(dtype=torch.float64), torch.tensor(self.letters).double()])

    def pieces(self, group: Processes, *, alike: bool) -> Iterator[tuple[Batch, Streams, bool]]:
        """Some rows at a time, with their draws, and whether they are the last; `alike`: as many times on every
        process, with a row that counts nothing where there are no more."""
        firsts = range(0, len(self.batch), self.rows_at_once)
        number = group.agree(len(firsts)) if alike else len(firsts)
        for place in range(number):
            last = place + 1 == number
            if place < len(firsts):
                first = firsts[place]
                piece = self.batch.rows(slice(first, first + self.rows_at_once))
                yield piece, self.draws.select(range(first, first + len(piece))), last
            else:
                piece = self.batch.rows(slice(0, 1))
                yield replace(piece, weight=torch.zeros_like(piece.weight)), self.draws.select([0]), last


def rows_at_once(micro_batch_size: int | None, context: int, batch: Batch) -> int:
    """Rows of a forward pass: all, or as many as hold the letters of `micro_batch_size` whole rows."""
    return max(1, micro_batch_size * context // batch.tokens.shape[1]) if micro_batch_size else len(batch)
