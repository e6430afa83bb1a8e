"""Left to right: each letter is predicted from the letters before it, and nothing is hidden.

-log p is the sum of what the letters cost, exactly: the loss is the likelihood and no bound (Shannon 1948; for DNA at
this scale Nguyen et al. 2023, arXiv:2306.15794).
"""

from typing import Literal

from torch.nn import functional as F

from seqdiff.config import Config
from seqdiff.data.batches import Batch
from seqdiff.diffusion.denoise import Denoise, precise, symbols, widest
from seqdiff.diffusion.processes.masked import IGNORED, Loss
from seqdiff.streams import Streams


class Autoregressive(Config):
    """Cross-entropy of all letters, each at weight 1, by a network that sees the letters before it alone."""

    kind: Literal["autoregressive"] = "autoregressive"

    @property
    def needs_time(self) -> bool:
        """There is no time."""
        return False

    @property
    def needs_hollow(self) -> bool:
        """A network that reads left to right is hollow."""
        return True

    @property
    def needs_left_to_right(self) -> bool:
        """Whether the network's output at a position must depend on the letters before it alone."""
        return True

    @property
    def bounds_likelihood(self) -> bool:
        """Whether the loss is, on average, an upper bound on -log p: it is -log p."""
        return True

    def loss(self, denoise: Denoise, batch: Batch, rng: Streams) -> Loss:
        """Nats and weight summed over the batch. Unknown letters are read as such by what follows, and not scored.
        Nothing is drawn."""
        targets = batch.tokens.masked_fill(batch.tokens >= symbols(denoise, batch.tokens), IGNORED)
        logits = precise(denoise(batch.tokens))
        nats = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none")
        total = (nats.view_as(targets) * batch.weight.to(nats.dtype)).sum()
        return Loss(total, batch.weight.sum(dtype=widest(batch.tokens.device)))
