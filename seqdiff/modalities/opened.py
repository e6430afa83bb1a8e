"""What any modality gives when it is opened."""

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Integer

from seqdiff.data.batches import Examples, Loader


@runtime_checkable
class Opened(Protocol):
    """The data of a run: three splits that share no sequence, and what training and the model's users need of them."""

    config: Any
    """The modality's settings that were opened."""

    @property
    def train(self) -> Examples: ...

    @property
    def valid(self) -> Examples: ...

    @property
    def test(self) -> Examples: ...

    @property
    def checksum(self) -> str:
        """Of the sequences and of what is held out: another one means other data."""

    @property
    def source(self) -> str:
        """For people: which file, how much."""

    @property
    def contents(self) -> str:
        """For people: what training reads, `1,660 windows of 1,024 bases`."""

    @property
    def facts(self) -> dict[str, Any]:
        """What a user of the model needs of the data and has not: `lengths` of whole sequences as [[length, count],
        ...], a family's `query`. Goes into the header of the weights, so JSON alone."""

    @property
    def both_strands(self) -> bool:
        """Whether training reads both strands, so that a rival that counts letters must as well."""

    def loader(self, seed: int, batch_size: int) -> Loader:
        """What training shows: at each step as many rows as make `batch_size` times the context in letters."""

    def text(self, split: str) -> Iterator[Integer[np.ndarray, "_"]]:
        """The tokens of a split's sequences, in pieces that fit in memory."""
