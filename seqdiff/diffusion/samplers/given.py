"""The last block of rows given the blocks before it, at the cost of a block a pass."""

from collections import defaultdict
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqdiff.diffusion.denoise import Denoise, symbols
from seqdiff.diffusion.guidance import Guided


class Given:
    """A network of blocks (`denoisers.block_causal`) as one that answers for the last block of its rows alone.

    What it makes of the blocks before is kept by their letters, whatever rows a pass has; rows that are alike share
    one. So rows may come and go, and particles descend from one another.
    """

    def __init__(self, network: Denoise, length: int, device: torch.device):
        self.module, self._length, self._device = network, length, device
        self._kept: defaultdict[int, dict[bytes, dict[str, Tensor]]] = defaultdict(dict)
        """By the number of letters, and the letters."""
        self._last: tuple[list[bytes], dict[str, Tensor]] = [], {}

    @property
    def symbols(self) -> int:
        return self.module.symbols

    def __call__(self, tokens: Int[Tensor, "R L"]) -> Float[Tensor, "R L K"]:
        """Logits of the last block; elsewhere zeros, which nothing reads."""
        first = (tokens.shape[1] - 1) // self._length * self._length
        every: dict[bytes, int] = {}
        member = torch.tensor([every.setdefault(_letters(row), len(every)) for row in tokens])
        order = torch.arange(len(tokens))
        tokens = tokens[order.new_full((len(every),), len(tokens)).scatter_reduce(0, member, order, "amin")]
        known = [self._known(row, first) for row in tokens]
        logits = torch.zeros(*tokens.shape, symbols(self.module, tokens))
        for end in sorted(set(known)):
            rows = [row for row, other in enumerate(known) if other == end]
            past = self._past([_letters(tokens[row, :end]) for row in rows], end) if end else {}
            answer = self.module(tokens[rows, end:].to(self._device), past=past)[:, first - end :].cpu()
            logits = logits.to(answer.dtype)
            logits[rows, first:] = answer
            for number, row in enumerate(rows if end < first else []):
                kept = {part: tensor[number, None] for part, tensor in past.items()}
                self._kept[first].setdefault(_letters(tokens[row, :first]), kept)
        return logits[member]

    def forget(self, tokens: Int[Tensor, "R L"]) -> None:
        """Keep what such rows need, and nothing else."""
        needed = {(end, _letters(row[:end])) for row in tokens if (end := self._known(row, len(row)))}
        for end in list(self._kept):
            self._kept[end] = {name: past for name, past in self._kept[end].items() if (end, name) in needed}
            if not self._kept[end]:
                del self._kept[end]
        self._last = [], {}

    def _known(self, row: Int[Tensor, "L"], most: int) -> int:
        """How many letters from the left something is kept of."""
        ends = sorted((end for end in self._kept if end <= most), reverse=True)
        return next((end for end in ends if _letters(row[:end]) in self._kept[end]), 0)

    def _past(self, names: list[bytes], end: int) -> dict[str, Tensor]:
        if names != self._last[0]:
            parts = [self._kept[end][name] for name in names]
            self._last = names, {part: torch.cat([past[part] for past in parts]) for part in parts[0]}
        return dict(self._last[1])


def of_each(network: Denoise, ask: Callable[[Denoise], Denoise]) -> Denoise:
    """What `ask` makes of a network; of a guided one, what it makes of both, guided."""
    if not isinstance(network, Guided):
        return ask(network)
    return Guided(ask(network.conditional), ask(network.unconditional), network.weight)


def _letters(row: Int[Tensor, "L"]) -> bytes:
    return row.numpy().tobytes()
