"""Network passes: which letters a row hides, which are read, and what the true ones cost."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from seqdiff.diffusion.denoise import Denoise, precise
from seqdiff.streams import Streams


class Pass(NamedTuple):
    """A row of a batch through the network."""

    place: Any
    """Where the answer belongs."""
    row: int
    masked: Bool[Tensor, "L"]
    read: Bool[Tensor, "L"]


def costs(
    denoise: Denoise,
    tokens: Int[Tensor, "B L"],
    passes: Iterable[Pass],
    mask: int,
    batch_size: int,
    device: torch.device,
) -> Iterator[tuple[Any, float]]:
    """The place of each pass and -log mu of the true letters that it reads, summed; `batch_size` passes at once."""
    passes = iter(passes)
    while block := list(islice(passes, batch_size)):
        places, rows, masked, read = zip(*block, strict=True)
        nats = masked_nats(denoise, tokens[list(rows)], torch.stack(masked), torch.stack(read), mask, device)
        yield from zip(places, nats.tolist(), strict=True)


@torch.no_grad()
def masked_nats(
    denoise: Denoise,
    tokens: Int[Tensor, "B L"],
    masked: Bool[Tensor, "B L"],
    read: Bool[Tensor, "B L"],
    mask: int,
    device: torch.device,
) -> Float64[Tensor, "B"]:
    """-log mu of the true letters given what is not `masked`, summed over the positions `read`. One network pass."""
    return nats_of(denoise(tokens.masked_fill(masked, mask).to(device)), tokens, read)


def nats_of(
    logits: Float[Tensor, "B L K"], tokens: Int[Tensor, "B L"], read: Bool[Tensor, "B L"]
) -> Float64[Tensor, "B"]:
    """-log mu of the true letters, summed over the positions `read`. Tokens and result on the CPU."""
    # From the rows' own positions alone and in their order, so that padding does not change the last bit.
    chosen = torch.log_softmax(precise(logits[read.to(logits.device)]), dim=-1)
    nats = -chosen.gather(1, tokens[read][:, None].to(logits.device))[:, 0].cpu().double()
    return torch.zeros(len(tokens), dtype=torch.float64).index_add_(0, read.nonzero()[:, 0], nats)


def scattered(rng: Streams, where: Bool[Tensor, "B L"], draws: int) -> Float64[Tensor, "B draws L"]:
    """Uniforms at the positions `where`, 0 elsewhere. A row draws for its own positions alone, so what it gets depends
    neither on its neighbours nor on the padding.
    """
    keys = torch.zeros(len(where), draws, where.shape[1], dtype=torch.float64)
    for row, count in enumerate(where.sum(1).tolist()):
        keys[row, :, where[row]] = rng.select([row]).rand(draws, count)[0]
    return keys
