"""Random numbers that belong to a row: what a row draws does not depend on its neighbours.

Every stream is seeded by what it is for - (seed, record name, replicate), or (seed, step, row of the
global batch) - so results do not change with batch size, record order, or the number of processes.
"""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Float64, Integer
from torch import Tensor


def seed_of(*parts: object) -> int:
    """A 63-bit seed from anything printable, the same on every machine and in every version.

    >>> seed_of(1, "chr20", 0) == seed_of(1, "chr20", 0) != seed_of(1, "chr2", 0)
    True
    """
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def uniforms(seed: int, purpose: str, positions: Integer[np.ndarray, "B"]) -> Float64[np.ndarray, "B"]:
    """A uniform in [0, 1) for each position, from (seed, purpose, position) alone.

    The finalizer of SplitMix64 (Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195) over a counter:
    one vector operation where a generator a row would cost more than reading the rows.
    """
    with np.errstate(over="ignore"):
        z = np.uint64(seed_of(seed, purpose)) + (positions.astype(np.uint64) + np.uint64(1)) * np.uint64(
            0x9E3779B97F4A7C15
        )
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)) * 2.0**-53


class Streams:
    """One `torch.Generator` a row of a batch; draws are float64 on the CPU, moved where they are used."""

    def __init__(self, generators: Sequence[torch.Generator], strata: Float64[Tensor, "B"] | None = None):
        self.generators = list(generators)
        self._strata = strata

    @classmethod
    def of(cls, seed: int, names: Iterable[object]) -> "Streams":
        """A stream for each name: a record, or a tuple (record, replicate)."""
        return cls([torch.Generator().manual_seed(seed_of(seed, name)) for name in names])

    @classmethod
    def of_step(cls, seed: int, step: int, rows: range, total: int) -> "Streams":
        """The streams of `rows` out of the `total` rows of one training step's global batch.

        Strata are spread over the whole global batch and permuted, so that ranks and micro-batches
        together cover [0, 1) evenly (math.md 2.3).
        """
        shared = torch.Generator().manual_seed(seed_of(seed, "strata", step))
        strata = torch.randperm(total, generator=shared) + torch.rand(total, generator=shared, dtype=torch.float64)
        streams = cls.of(seed, [(step, row) for row in rows])
        streams._strata = (strata / total)[rows.start : rows.stop]
        return streams

    def __len__(self) -> int:
        return len(self.generators)

    def select(self, rows: Iterable[int]) -> "Streams":
        """The streams of some rows, shared with this object: drawing from them advances these."""
        rows = list(rows)
        return Streams([self.generators[r] for r in rows], None if self._strata is None else self._strata[rows])

    def rand(self, *shape: int) -> Tensor:
        """Uniforms in [0, 1), (B, *shape) float64; each row from its own stream."""
        if not self.generators:
            return torch.empty(0, *shape, dtype=torch.float64)
        return torch.stack([torch.rand(*shape, generator=g, dtype=torch.float64) for g in self.generators])

    def strata(self) -> Float64[Tensor, "B"]:
        """One uniform a row: stratified over the batch where the streams were made for a step, else free."""
        return self.rand(1)[:, 0] if self._strata is None else self._strata
