"""How well each letter fits all others: the pseudo-likelihood (Besag 1975, The Statistician 24:179).

    - sum over i of log mu_i(x_i | all other known letters)

It is a score, not a likelihood: it counts what letters tell of one another twice, so it is no bound on -log p and says
nothing of bits a letter. (A Markov chain of .795 nats a letter has a pseudo-likelihood of .424.)
"""

from collections.abc import Iterator
from typing import Literal

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from seqdiff.config import Config
from seqdiff.diffusion.denoise import Denoise, is_hollow, symbols
from seqdiff.diffusion.likelihood.passes import Pass, costs
from seqdiff.diffusion.likelihood.score import Score
from seqdiff.streams import Streams


class Pseudo(Config):
    """Each letter given all others: a score, not a likelihood. Nothing is drawn."""

    kind: Literal["pseudo"] = "pseudo"

    def __call__(
        self,
        denoise: Denoise,
        tokens: Int[Tensor, "B L"],
        scored: Bool[Tensor, "B L"],
        rng: Streams,
        *,
        batch_size: int = 32,
    ) -> Score:
        """Nats summed over the scored letters; unknown ones stay masked and are not scored.

        A pass for each letter, which alone is masked; one for all of them where the network is hollow and leaves each
        letter out by itself. Raises SeqdiffError if the logits are not numbers.
        """
        mask, hollow = symbols(denoise, tokens), is_hollow(denoise)
        known = tokens.cpu()
        scored = scored.cpu() & (known < mask)
        nats = torch.zeros(len(known), dtype=torch.float64)
        calls = torch.zeros(len(known), dtype=torch.int64)
        for row, cost in costs(denoise, known, _passes(scored, hollow), mask, batch_size, tokens.device):
            nats[row] += cost
            calls[row] += 1
        return Score(nats, torch.zeros_like(nats), torch.full_like(nats, torch.inf), scored.sum(1), calls).checked()


def _passes(scored: Bool[Tensor, "B L"], hollow: bool) -> Iterator[Pass]:
    for row, which in enumerate(scored):
        if hollow and which.any():
            yield Pass(row, row, torch.zeros_like(which), which)
        for site in () if hollow else which.nonzero()[:, 0].tolist():
            alone = torch.zeros_like(which)
            alone[site] = True
            yield Pass(row, row, alone, alone)
