"""Masked language modelling (Devlin et al. 2019, arXiv:1810.04805, sec. 3.1, task 1): a fixed share of the letters.

Pre-training for a diffusion model: MDLM's network for hg38 learned so before it learned to diffuse (Sahoo et al. 2024,
arXiv:2406.07524, app. D.7), and so did the published Caduceus (Schiff et al. 2024, arXiv:2403.03234).
"""

from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional as F

from seqdiff.data.batches import Batch
from seqdiff.diffusion.categorical import lowest
from seqdiff.diffusion.denoise import Denoise, precise, symbols, widest
from seqdiff.diffusion.processes.process import IGNORED, Loss, Process
from seqdiff.streams import Streams


class Mlm(Process):
    """Mean cross-entropy at the `selected` letters of each row: most of them masked, some wrong, some as they were.

    k = round(selected * n) of a row's n known letters are drawn, at least one; of these a share `masked` becomes the
    mask, a share `random` a uniformly random symbol (which may be the true one), and the rest stays. Each row's cost is
    weighted by n/k, so that nats / count is the mean over the selected letters and a constant network costs ln K.

    It is NOT a bound on -log p: the network is asked at one level of masking only, and partly at letters that it
    sees. The bound of a network that was trained so is `seqdiff.diffusion.likelihood.elbo`, as of any other; it is
    loose, because most of its terms have more masks than this training shows.
    """

    kind: Literal["mlm"] = "mlm"
    selected: Annotated[float, Field(gt=0, le=1)] = 0.15
    masked: Annotated[float, Field(ge=0, le=1)] = 0.8
    random: Annotated[float, Field(ge=0, le=1)] = 0.1

    @model_validator(mode="after")
    def _shares(self) -> "Mlm":
        if self.masked + self.random > 1 + 1e-9:
            raise ValueError(f"masked ({self.masked}) and random ({self.random}) share the selected letters: at most 1")
        return self

    @property
    def reads_visible(self) -> bool:
        """Whether the network learns to answer at letters that it sees: those selected that are left as they were."""
        return self.masked + self.random < 1

    @property
    def bounds_likelihood(self) -> bool:
        """Whether the loss is, on average, an upper bound on -log p: it is not."""
        return False

    def loss(self, network: Denoise, batch: Batch, rng: Streams) -> Loss:
        nats, count = self._sums(network, batch, rng)
        return Loss(nats.sum(), count.sum())

    def row_sums(
        self, network: Denoise, tokens: Int[Tensor, "B L"], scored: Bool[Tensor, "B L"], rng: Streams
    ) -> tuple[Float[Tensor, "B"], Float[Tensor, "B"]]:
        """The loss, n/k times the cross-entropy of the selected letters."""
        nats, count = self._sums(network, Batch(tokens, scored.float()), rng)
        return nats.double(), count.double()

    def _sums(self, denoise: Denoise, batch: Batch, rng: Streams) -> tuple[Float[Tensor, "B"], Float[Tensor, "B"]]:
        """Nats and weight of each row."""
        mask = symbols(denoise, batch.tokens)
        seen, chosen, factor = self.corrupt(batch.tokens, mask, rng)
        targets = batch.tokens.masked_fill(~chosen, IGNORED)
        nats = F.cross_entropy(
            precise(denoise(seen)).flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none"
        ).view_as(targets)
        weight = (batch.weight * factor[:, None]).to(nats.dtype)
        return (nats * weight).sum(1), batch.weight.sum(1, dtype=widest(batch.tokens.device))

    def corrupt(
        self, tokens: Int[Tensor, "B L"], mask: int, rng: Streams
    ) -> tuple[Int[Tensor, "B L"], Bool[Tensor, "B L"], Float[Tensor, "B"]]:
        """What the network sees, which letters are selected, and n/k of each row."""
        wide = widest(tokens.device)
        keys, fate, symbol = rng.rand(tokens.shape[1], 3).to(tokens.device, wide).unbind(-1)
        known = tokens < mask
        n = known.sum(1)
        k = (self.selected * n.to(wide)).round().long().clamp(min=1)
        chosen = lowest(k, known, keys)
        seen = tokens.masked_fill(chosen & (fate < self.masked), mask)
        wrong = chosen & (fate >= self.masked) & (fate < self.masked + self.random)
        drawn = (symbol * mask).long().clamp(max=mask - 1)
        return torch.where(wrong, drawn, seen), chosen, n.to(wide) / k
