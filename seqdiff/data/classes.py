"""The classes of rows, as training tells them to a network: not always, so that it learns to do without."""

import numpy as np
import torch
from jaxtyping import Int, Integer
from torch import Tensor

from seqdiff.streams import uniforms

DROPOUT = 0.1
"""Share of the rows whose class training does not tell (Ho and Salimans 2022, arXiv:2207.12598)."""


def told(
    classes: Integer[np.ndarray, "B"],
    number: int,
    dropout: float,
    seed: int,
    positions: Integer[np.ndarray, "B"],
) -> Int[Tensor, "B"]:
    """The classes of rows, and `number`, "not told", in place of a share of them.

    Which ones depends on (seed, position in the endless stream of training) alone.

    >>> told(np.zeros(8, np.int64), number=2, dropout=0.5, seed=0, positions=np.arange(8)).tolist()
    [2, 0, 2, 2, 0, 2, 2, 2]
    """
    untold = uniforms(seed, "label dropout", positions) < dropout
    return torch.from_numpy(np.where(untold, number, classes).astype(np.int64))
