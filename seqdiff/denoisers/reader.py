"""Reading from left to right: what comes next, at the cost of one position a letter in place of the whole row."""

from collections import defaultdict
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqdiff.denoisers.denoiser import Denoiser


@dataclass
class Memory:
    """What a layer keeps of the letters read: tensors with a row for each row that is read, and some for all rows."""

    of_rows: dict[str, Tensor] = field(default_factory=dict)
    of_all: dict[str, Tensor] = field(default_factory=dict)

    def extended(self, name: str, new: Tensor, dim: int, most: int | None = None) -> Tensor:
        """What is kept under a name with the new positions behind it, kept in turn: all, or the last `most`."""
        before = self.of_rows.get(name)
        now = new if before is None else torch.cat([before, new], dim)
        many = now.shape[dim]
        last = many if most is None else min(many, most)
        self.of_rows[name] = now.narrow(dim, many - last, last)
        return now


class Reader:
    """Rows that a left-to-right network reads, a letter or several at a time, all at one pace.

    `logits` are those of the letter that comes next: what the network answers at position n of rows that begin with
    the n letters read, to rounding. A transformer keeps keys and values of all letters (a letter costs as much as
    looking back at them), Mamba a state of fixed size, Hyena what enters its long convolutions, dilated convolutions
    what their taps look at. Letters that are known beforehand are read together, which costs less than one by one.

    Raises ValueError for a network that does not read left to right, or is not given the time that it takes. One with
    learned positions has an end, and nothing comes after the letter there: it is not read.

    >>> from seqdiff.denoisers import Mamba
    >>> network = Mamba(width=8, depth=1, causal=True).build(symbols=4)
    >>> with torch.no_grad():
    ...     reader = Reader(network, rows=2)
    ...     reader.read(torch.tensor([[0, 1, 1], [3, 1, 2]])).shape
    torch.Size([2, 3, 4])
    """

    def __init__(
        self,
        network: Denoiser,
        rows: int,
        time: Float[Tensor, "B"] | None = None,
        labels: Int[Tensor, "B"] | None = None,
    ):
        if not network.left_to_right:
            raise ValueError(f"{type(network).__name__} does not read left to right: its settings are not causal")
        network.check_time(time)
        self.network, self.time, self.count = network, time, 0
        weight = network.begin_embedding.weight
        self.label = network.label_of(labels, rows, weight.device)
        self.memories: defaultdict[int, Memory] = defaultdict(Memory)
        self.logits: Float[Tensor, "B K"] = self._next(weight.expand(rows, 1, -1))[:, 0]

    def read(self, letters: Int[Tensor, "B n"]) -> Float[Tensor, "B n K"]:
        """Go on by n letters, or masks, in each row; the logits of what comes after each of them."""
        after = self._next(self.network.embedding(letters))
        self.logits = after[:, -1]
        return after

    def take(self, rows: Int[Tensor, "N"]) -> None:
        """Go on with these of the rows, in this order, some of them twice or more: resampling."""
        for memory in self.memories.values():
            memory.of_rows = {name: tensor[rows] for name, tensor in memory.of_rows.items()}
        if self.label is not None:
            self.label = self.label[rows]
        self.logits, self.time = self.logits[rows], None if self.time is None else self.time[rows]

    def _next(self, h: Float[Tensor, "B n D"]) -> Float[Tensor, "B n K"]:
        h = self.network.placed(h, self.count)
        h = h if self.label is None else h + self.label
        place, self.count = self.count, self.count + h.shape[1]
        return self.network.logits(self.network.step(h, place, self.memories, self.time))
