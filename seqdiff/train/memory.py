"""Whether the couplings of a family can be trained in the memory there is, asked before they take any.

They grow with the square of the columns, and a process that takes more memory than there is gets killed by the system
without a word.
"""

import torch

from seqdiff import devices
from seqdiff.errors import ConfigError
from seqdiff.recipe import Recipe

COPIES = {"adamw": 5, "muon": 4}
"""Numbers kept for each weight, at least: itself, its gradient, its moving average, and one moment or two."""
FLOAT = 4


def check(recipe: Recipe, device: torch.device, world: int = 1) -> None:
    """Raises ConfigError for a pairwise network whose weights, and what training keeps of each, are too large for one
    of `world` processes. In shards it has its part of everything, and whole weights and gradients while it computes."""
    if recipe.denoiser.kind != "pairwise":
        return
    room, columns = devices.memory(device), recipe.data.context
    weights = columns * (columns - 1) // 2 * recipe.data.alphabet.size**2
    copies = COPIES[recipe.training.optimizer]
    needed = weights * FLOAT * (2 + copies / world if recipe.training.sharding == "full" and world > 1 else copies)
    if room is not None and needed > room:
        raise ConfigError(
            f"{columns:,} columns have {weights:,} couplings, to train which takes {needed / 1e9:,.0f} GB at least, "
            f"and here are {room / 1e9:,.0f} GB: align a domain, of fewer columns, or choose another network, as with "
            "--set 'denoiser={kind: convolution}' --set process.estimator=exact-count"
        )
