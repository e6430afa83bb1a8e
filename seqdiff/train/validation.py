"""What held-out windows cost while a run goes on: the bound, or the loss of a process that gives none."""

import math

import numpy as np
import torch
from torch import nn

from seqdiff.data.batches import Examples
from seqdiff.diffusion.labels import by_label
from seqdiff.diffusion.processes import ProcessConfig
from seqdiff.errors import ConfigError
from seqdiff.streams import Streams
from seqdiff.train.distributed import Processes
from seqdiff.train.sharding import Together, short_pass


class Validation:
    """Some examples of the validation split, evenly spread, looked at through the same masks every time.

    Those of like length are looked at together, so that few pads are computed.
    """

    def __init__(
        self,
        process: ProcessConfig,
        examples: Examples,
        count: int,
        seed: int,
        group: Processes,
        device: torch.device,
        *,
        sharded: bool = False,
    ):
        self._process, self._examples, self._seed = process, examples, seed
        self._group, self._device, self._sharded = group, device, sharded
        items = np.unique(np.linspace(0, len(examples) - 1, count).astype(np.int64))
        self._items = items[np.argsort(examples.sizes[items], kind="stable")]

    @torch.no_grad()
    def __call__(self, denoiser: nn.Module) -> tuple[float, float | None]:
        """Nats per symbol and the standard error over windows (None of a single example), on every process.

        The bound on -log p, whatever the estimator; for a process without one, its own loss at the same letters
        every time, so that the best weights are those that do best at what is being trained.
        The error is that of a ratio of sums: the spread of nats_i - ratio * symbols_i over the examples (Cochran
        1977, Sampling Techniques, eq. 6.13), from sums that add up over processes.
        """
        mine = self._items[self._group.rank :: self._group.world]
        sums = torch.zeros(6, dtype=torch.float64)
        asked = Together(denoiser, self._group.agree, short_pass) if self._sharded else denoiser
        for chunk in np.array_split(mine, max(1, len(mine) // 64)):
            if len(chunk):
                sums += self._sums(asked, chunk)
        if isinstance(asked, Together):
            asked.finish()
        examples, nats, symbols, nats_squared, product, symbols_squared = self._group.sum(sums).tolist()
        if not symbols:
            raise ConfigError("the validation windows hold no known symbol; choose another split")
        ratio = nats / symbols
        if examples < 2:
            return ratio, None
        squares = max(0.0, nats_squared - 2 * ratio * product + ratio * ratio * symbols_squared)
        return ratio, math.sqrt(squares * examples / (examples - 1)) / symbols

    def _sums(self, denoiser: nn.Module, items: np.ndarray) -> torch.Tensor:
        batch = self._examples.batch(items).to(self._device)
        draws = Streams.of(self._seed, [("validation", item) for item in items.tolist()])
        sums = by_label(self._process.row_sums, denoiser, batch.tokens, batch.weight > 0, batch.labels, draws)
        n, p = (part.cpu() for part in sums)
        return torch.stack([torch.tensor(float(len(n))), n.sum(), p.sum(), (n * n).sum(), (n * p).sum(), (p * p).sum()])
