"""Classes of rows: species, family, digit. A network that takes labels is told one for each row, or none.

A label is a number from 0. The number of classes itself says "not told": a row without a label is given it, and
training shows it now and then in place of the true one, so that one network is both conditional and unconditional (Ho
and Salimans 2022, arXiv:2207.12598). All else asks a `Denoise`, which knows no labels: `Labelled` is one.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from seqdiff.diffusion.denoise import Denoise, Reading
from seqdiff.streams import Streams


class Labelled:
    """A denoiser that takes labels, given those of its rows: one for all, or one each.

    Rows may come several times over, all of them each time: then so do their labels.
    """

    def __init__(self, module: Denoise, labels: int | Int[Tensor, "B"]):
        self.module, self.labels = module, labels

    def __call__(
        self, tokens: Int[Tensor, "N L"], time: Float[Tensor, "N"] | None = None, **blocks: Any
    ) -> Float[Tensor, "N L K"]:
        if isinstance(self.labels, int):
            labels = torch.full((len(tokens),), self.labels, device=tokens.device)
        else:
            labels = self.labels.repeat(len(tokens) // max(1, len(self.labels)))
        return self.module(tokens, time, labels, **blocks)

    def reader(self, rows: int) -> Reading:
        """What reads rows of these labels from the left."""
        labels = torch.full((rows,), self.labels) if isinstance(self.labels, int) else self.labels
        return self.module.reader(rows, labels)


def labelled(network: Denoise, labels: Int[Tensor, "B"] | None) -> Denoise:
    """The network given the labels of its rows, itself where there are none."""
    return network if labels is None else Labelled(network, labels)


def by_label(
    ask: Callable[..., tuple[Tensor, ...]],
    network: Denoise,
    tokens: Int[Tensor, "B L"],
    scored: Bool[Tensor, "B L"],
    labels: Int[Tensor, "B"] | None,
    rng: Streams,
) -> tuple[Float[Tensor, "B"], ...]:
    """What `ask(network, tokens, scored, streams)` says of each row, asked of the rows of one label at a time."""
    if labels is None:
        return ask(network, tokens, scored, rng)
    answers: list[tuple[Tensor, ...]] = []
    order: list[Tensor] = []
    for label in labels.unique().tolist():
        rows = (labels == label).nonzero()[:, 0]
        order.append(rows.cpu())
        answers.append(ask(Labelled(network, label), tokens[rows], scored[rows], rng.select(rows.tolist())))
    back = torch.cat(order).argsort()
    return tuple(torch.cat(part)[back.to(part[0].device)] for part in zip(*answers, strict=True))
