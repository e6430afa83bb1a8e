"""The running account of a training: loss since the last log line, and whether all is well."""

import math
from typing import Any

import torch
from torch import Tensor

from seqdiff.train.distributed import Processes


class Tally:
    """Sums of nats (of this process) and symbols (of all), the largest gradient, and how often the loss was too high.

    `ignorance` is the loss a symbol of a network that knows nothing; more than twice that is a strike, three in a row
    are a divergence.
    """

    STRIKES = 3

    def __init__(self, ignorance: float):
        self._too_high = 2 * ignorance
        self.nats: Tensor | float = 0.0
        self.count, self.strikes = 0.0, 0
        self.letters = 0.0
        """Letters that all processes have read since the run began, pads aside."""
        self.gradient: Tensor = torch.zeros(())

    def add(self, nats: Tensor | float, count: float, letters: float, gradient: Tensor) -> None:
        """One step: what its loss came to, over how many symbols of how many letters, and the norm of its gradient."""
        self.nats, self.count, self.letters = self.nats + nats, self.count + count, self.letters + letters
        self.gradient = torch.maximum(self.gradient.to(gradient.device), gradient)  # a NaN stays

    def mean(self, group: Processes) -> float:
        """Nats a symbol since the last `clear`, over all processes; NaN where loss or gradient is no number."""
        total = self._total(group)
        return total / max(self.count, 1.0) if math.isfinite(float(self.gradient)) else math.nan

    def judge(self, nats: float) -> bool:
        """Whether training may go on after a log line's loss."""
        self.strikes = self.strikes + 1 if nats > self._too_high else 0
        return math.isfinite(nats) and self.strikes < self.STRIKES

    def clear(self) -> None:
        self.nats, self.count, self.gradient = 0.0, 0.0, torch.zeros(())

    def saved(self, group: Processes) -> dict[str, Any]:
        """For a save, on every process."""
        return {
            "nats": self._total(group), "count": self.count, "strikes": self.strikes, "letters": self.letters
        }  # fmt: skip

    def restore(self, saved: dict[str, Any], group: Processes) -> None:
        self.nats = saved["nats"] if group.rank == 0 else 0.0
        self.count, self.strikes, self.letters = saved["count"], saved["strikes"], saved.get("letters", 0.0)

    def _total(self, group: Processes) -> float:
        return float(group.sum(torch.as_tensor(self.nats, dtype=torch.float64).cpu().clone()))
