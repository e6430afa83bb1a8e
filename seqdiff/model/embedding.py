"""Hidden states."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, overload

import numpy as np
from jaxtyping import Float32

from seqdiff.data.fasta import Record
from seqdiff.errors import UsageError
from seqdiff.inference.embed import Embedded, States, Strand, Stretch, embed, stretches
from seqdiff.model import choices
from seqdiff.model.choices import from_python
from seqdiff.model.sequences import SOURCE, records_of
from seqdiff.model.trained import Trained

PER = ("mean", "residue", "window")


def check_strand(strand: str) -> None:
    """Raises UsageError for what is no strand."""
    if strand not in ("both", "forward"):
        raise UsageError(f"strand={strand!r}: both or forward")


class Embeds(Trained):
    """The verbs that give vectors."""

    @overload
    def embed(
        self, sequences: Any, *, per: Literal["mean"] = ..., strand: Strand = ..., processes: int | None = ...
    ) -> Float32[np.ndarray, "N D"]: ...
    @overload
    def embed(
        self, sequences: Any, *, per: Literal["residue"], strand: Strand = ..., processes: int | None = ...
    ) -> list[Float32[np.ndarray, "L D"]]: ...
    @overload
    def embed(
        self,
        sequences: Any,
        *,
        per: Literal["window"],
        window: int,
        stride: int | None = ...,
        strand: Strand = ...,
        processes: int | None = ...,
    ) -> list[Float32[np.ndarray, "W D"]]: ...
    @from_python
    def embed(
        self,
        sequences: Any,
        *,
        per: str = "mean",
        window: int | None = None,
        stride: int | None = None,
        strand: Strand = "both",
        processes: int | None = None,
    ) -> Float32[np.ndarray, "N D"] | list[Float32[np.ndarray, "_ D"]]:
        """A vector for each sequence: the mean hidden state over its known letters, NaN without one; see
        `seqdiff.inference.embed`. Sequences are given as to `infill`.

        `per="residue"` gives an array for each sequence, a vector a letter; `per="window"` one with a vector for every
        `window` letters, from 0, `stride`, 2 `stride`, ... on (default: one after another). `strand="forward"` reads
        DNA as it is written; by default both strands have the same vectors. `processes`: as in `infill`.

        >>> import seqdiff
        >>> model = seqdiff.load("human-chr20", "cpu")
        >>> model.embed(["ACGTACGT", "GGGNCC"]).shape
        (2, 112)
        >>> [states.shape for states in model.embed(["ACGTACGT", "GGGNCC"], per="residue")]
        [(8, 112), (6, 112)]
        """
        if per not in PER:
            raise UsageError(f"per={per!r}: choose one of {', '.join(PER)}")
        check_strand(strand)
        if (window is None) == (per == "window"):
            raise UsageError("per='window' needs a window" if window is None else f"window={window}: not per={per!r}")
        if window is not None and window < 1:
            raise UsageError(f"window={window}: one letter at least")
        if stride is not None and (window is None or not 1 <= stride <= window):
            raise UsageError(f"stride={stride}: it is for a window, and at most as long")
        records = list(records_of(sequences))
        width = self.states(strand).width
        how: dict[str, Any] = {"strand": strand, "source": SOURCE}
        found: list[list[np.ndarray]] = [[] for _ in records]
        with choices.spread(self, processes) as many:
            if per == "residue":
                for part in many.residues(records, **how):
                    found[part.number].append(part.states)
            else:
                for row in many.embed_records(records, window=window, stride=stride, **how):
                    found[row.number].append(row.vector[None])
        if per == "mean":
            return (
                np.concatenate([row for rows in found for row in rows]) if found else np.empty((0, width), np.float32)
            )
        return [np.concatenate(parts) if parts else np.empty((0, width), np.float32) for parts in found]

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
