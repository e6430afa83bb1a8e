"""Left to right: each letter is predicted from the letters before it, and nothing is hidden.

-log p is the sum of what the letters cost, exactly: the loss is the likelihood and no bound (Shannon 1948; for DNA at
this scale Nguyen et al. 2023, arXiv:2306.15794).
"""

from typing import Literal

from torch.nn import functional as F

from seqdiff.data.batches import Batch
from seqdiff.diffusion.denoise import Denoise, precise, symbols, widest
from seqdiff.diffusion.processes.process import IGNORED, Loss, Process
from seqdiff.streams import Streams


class Autoregressive(Process):
    """Cross-entropy of all letters, each at weight 1, by a network that sees the letters before it alone."""

    kind: Literal["autoregressive"] = "autoregressive"

    @property
    def needs_hollow(self) -> bool:
        """A network that reads left to right is hollow."""
        return True

    @property
    def needs_left_to_right(self) -> bool:
        return True

    @property
    def fills_masks(self) -> bool:
        return False

    @property
    def exact(self) -> bool:
        return True

    def loss(self, network: Denoise, batch: Batch, rng: Streams) -> Loss:
        """Nats and weight summed over the batch. Unknown letters are read as such by what follows, and not scored.
        Nothing is drawn."""
        targets = batch.tokens.masked_fill(batch.tokens >= symbols(network, batch.tokens), IGNORED)
        logits = precise(network(batch.tokens))
        nats = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none")
        total = (nats.view_as(targets) * batch.weight.to(nats.dtype)).sum()
        return Loss(total, batch.weight.sum(dtype=widest(batch.tokens.device)))
