"""Distributions over orders in which letters are guessed, by ranks of their places: the lower rank comes first, and of
places of one rank all orders are alike."""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from seqdiff.diffusion.categorical import lowest

Orders = Literal["uniform", "left-to-right", "right-to-left", "outside-in", "coarse-to-fine", "blocks"]


def rank(kind: Orders, present: Bool[Tensor, "B L"], length: int | None = None) -> Int64[Tensor, "B L"]:
    """When each place of rows comes, that are no pads where `present`, from their left on; `length` is of blocks.

    `uniform`: all orders. `left-to-right` and `right-to-left`: one order. `outside-in`: both ends first, the middle
    last. `coarse-to-fine`: the first place, then those whose number is a multiple of a high power of two, then of the
    next lower one, odd numbers last. `blocks`: stretches from the left, inside them all orders.

    >>> rank("outside-in", torch.tensor([[True, True, True, True, True, False]]))[:, :5].tolist()
    [[0, 1, 2, 1, 0]]
    >>> rank("coarse-to-fine", torch.ones(1, 9, dtype=torch.bool)).tolist()
    [[0, 4, 3, 4, 2, 4, 3, 4, 1]]
    """
    count, longest = present.sum(1, keepdim=True), present.shape[1]
    place = torch.arange(longest, device=present.device).expand(present.shape)
    match kind:
        case "uniform":
            return torch.zeros_like(place)
        case "left-to-right":
            return place
        case "right-to-left":
            return count - 1 - place
        case "outside-in":
            return place.minimum(count - 1 - place)
        case "blocks":
            return place // length
    most = max(1, (longest - 1).bit_length())
    powers = 2 ** torch.arange(1, most, device=present.device)
    return torch.where(place > 0, most - (place[..., None] % powers == 0).sum(-1), 0)


def hidden(
    which: Bool[Tensor, "B L"], ranks: Int64[Tensor, "B L"], k: Int64[Tensor, "B"], keys: Float[Tensor, "B L"]
) -> tuple[Bool[Tensor, "B L"], Bool[Tensor, "B L"]]:
    """The last k places of `which` in an order drawn by uniform keys, and those of them that may come next, all alike.

    >>> which, ranks = torch.ones(1, 4, dtype=torch.bool), torch.tensor([[0, 0, 1, 1]])
    >>> hidden(which, ranks, torch.tensor([3]), torch.tensor([[0.2, 0.1, 0.3, 0.4]]))
    (tensor([[False,  True,  True,  True]]), tensor([[False,  True, False, False]]))
    """
    masked = lowest(k, which, keys - ranks)
    return masked, masked & (ranks == ranks.masked_fill(~masked, ranks.shape[1] + 1).amin(1, keepdim=True))
