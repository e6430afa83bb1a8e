"""How long new sequences are: drawn from the lengths of those that a model was trained on."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from seqdiff.streams import Streams


class Lengths:
    """How many training sequences had which length, as `seqdiff.data.lengths.counted` has summarised them."""

    def __init__(self, counts: list[list[int]]):
        self.lengths, self.counts = np.array(counts, np.int64).reshape(-1, 2).T

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> "Lengths | None":
        """Those of a model; None where its training data were no whole sequences."""
        return cls(facts["lengths"]) if facts.get("lengths") else None

    def seen(self, shortest: int, longest: int) -> bool:
        """Whether any training sequence had a length in this range."""
        return bool(((self.lengths >= shortest) & (self.lengths <= longest)).any())

    def draw(self, seed: int, names: list[str], shortest: int | None = None, longest: int | None = None) -> list[int]:
        """A length for each name, by (seed, name) alone: that of a training sequence in the range, ends included.

        Where the range holds no length that was seen, all of its lengths are equally likely.

        >>> Lengths([[5, 1], [9, 3]]).draw(0, ["a", "b"], longest=8)
        [5, 5]
        """
        low, high = shortest or 1, int(self.lengths[-1]) if longest is None else longest
        inside = (self.lengths >= low) & (self.lengths <= high)
        lengths, counts = self.lengths[inside], self.counts[inside]
        u = Streams.of(seed, [(name, "length") for name in names]).rand(1)[:, 0].numpy()
        if not len(lengths):
            return (low + (u * (high - low + 1)).astype(np.int64)).tolist()
        edges = counts.cumsum()
        return lengths[np.searchsorted(edges, u * edges[-1], side="right")].tolist()

    def weights(self, lengths: Int64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
        """How probable some lengths are, relative to one another, as prior of an unknown one.

        The counts smoothed on a logarithmic scale, by a Gaussian kernel of Silverman's width (1986, eq. 3.31), and one
        more sequence spread evenly over the lengths asked for, so that none is impossible.
        """
        logs, asked = np.log(np.maximum(self.lengths, 1)), np.log(np.maximum(lengths, 1))
        total = self.counts.sum()
        mean = (self.counts * logs).sum() / total
        spread = np.sqrt((self.counts * (logs - mean) ** 2).sum() / total)
        quartiles = logs[np.searchsorted(self.counts.cumsum(), total * np.array([0.25, 0.75]))]
        width = 0.9 * min(spread, (quartiles[1] - quartiles[0]) / 1.34) * total**-0.2
        width = max(width, 0.5 / self.lengths[-1])  # half a letter, where all are of one length
        kernel = np.exp(-0.5 * ((asked[:, None] - logs) / width) ** 2) / (width * np.sqrt(2 * np.pi))
        density = (kernel * self.counts).sum(1) / np.maximum(lengths, 1)
        return density + 1 / max(1, len(lengths))
