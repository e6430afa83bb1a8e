"""Whole proteins or documents as they are evaluated; where one is longer than the context, the pieces of it."""

import numpy as np
import torch
from jaxtyping import Int, Int64, Integer
from torch import Tensor

from seqdiff.data.batches import Batch
from seqdiff.data.classes import Classes
from seqdiff.data.collection import Collection


class Sequences:
    """Some `records` of a collection as `Examples`: a protein or document an example.

    A record longer than `context` gives as few pieces of about the same length as fit, so that none of its letters
    is lost; `unit` says which pieces, or records of one cluster, belong together.
    """

    def __init__(
        self,
        collection: Collection,
        records: Int[np.ndarray, "R"],
        context: int,
        clusters: Int64[np.ndarray, "R"] | None = None,
        classes: Classes | None = None,
    ):
        self.classes = classes
        self.collection, self.records, self.context = collection, records, context
        lengths = collection.lengths_of(records)
        pieces = -(-lengths // context)
        which = np.repeat(np.arange(len(records)), pieces)
        nth = np.arange(len(which)) - (np.cumsum(pieces) - pieces)[which]
        self._record = records[which]
        self._start = nth * lengths[which] // pieces[which]
        self._size = (nth + 1) * lengths[which] // pieces[which] - self._start
        self.letters = int(collection.known[records].sum())
        """Known letters."""
        self.unit = self._record if clusters is None else clusters[which]
        """Of each example, what it shares with those that it resembles: its record, or its cluster."""

    def __len__(self) -> int:
        return len(self._record)

    @property
    def sizes(self) -> Int[np.ndarray, "N"]:
        """Letters of each, at most the context."""
        return self._size

    def batch(self, items: Int[np.ndarray, "B"]) -> Batch:
        """Some of them, padded on the right to the longest of these."""
        items = np.asarray(items)
        sizes = self._size[items]
        codes = self.collection.gather(self._record[items], self._start[items], sizes, int(sizes.max(initial=0)))
        labels = None if self.classes is None else self.classes.labels(self._record[items])
        return as_batch(codes, self.collection.alphabet.size, labels)


def as_batch(codes: Integer[np.ndarray, "B L"], symbols: int, labels: Int[Tensor, "B"] | None = None) -> Batch:
    """Tokens that weigh 1 where they are known."""
    tokens = torch.from_numpy(codes.astype(np.int64))
    return Batch(tokens, (tokens < symbols).float(), labels)
