"""Hidden states."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from jaxtyping import Float32

from seqdiff.data.fasta import Record
from seqdiff.errors import UsageError
from seqdiff.inference.embed import Embedded, States, Strand, Stretch, embed, stretches
from seqdiff.model.trained import Trained, records_of


class Embeds(Trained):
    """The verbs that give vectors."""

    def embed(self, sequences: Iterable[str]) -> Float32[np.ndarray, "N D"]:
        """The mean hidden state of each sequence over its known letters; see `seqdiff.inference.embed`."""
        vectors = [row.vector for row in self.embed_records(records_of(sequences))]
        return np.stack(vectors) if vectors else np.empty((0, self.states().width), np.float32)

    def embed_records(
        self,
        records: Iterable[Record],
        *,
        window: int | None = None,
        stride: int | None = None,
        strand: Strand = "both",
        source: str = "input",
        progress: Callable[[int], None] | None = None,
    ) -> Iterator[Embedded]:
        """The mean state of each record from a file, or of each of its windows, in their order."""
        return embed(
            self.checked(records, source), self.states(strand), self.context,
            window=window, stride=stride, batch_tokens=self.batch_tokens, progress=progress,
        )  # fmt: skip

    def residues(
        self,
        records: Iterable[Record],
        *,
        strand: Strand = "both",
        source: str = "input",
        progress: Callable[[int], None] | None = None,
    ) -> Iterator[Stretch]:
        """The states of all letters of records from a file, in their order, some at a time."""
        return stretches(
            self.checked(records, source), self.states(strand), self.context,
            batch_tokens=self.batch_tokens, progress=progress,
        )  # fmt: skip

    def states(self, strand: Strand = "both") -> States:
        """What gives the network's hidden states. Raises UsageError for a guided model, which is two networks."""
        if self.is_guided:
            raise UsageError("a guided model is two networks, with no states of its own: embed with one of them")
        return States(self.frozen.network, self.alphabet, self.device, strand=strand)
