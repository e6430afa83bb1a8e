"""Filling and sampling."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal

from seqdiff.data.fasta import Record
from seqdiff.data.intervals import Interval
from seqdiff.diffusion.samplers import Particles, Sampler
from seqdiff.errors import UsageError
from seqdiff.inference import infill
from seqdiff.inference.design import PARTICLES, Design
from seqdiff.inference.filled import Infilled
from seqdiff.inference.inserts import DRAWS, Insert, Inserts, placed
from seqdiff.inference.known import Known
from seqdiff.inference.lengths import Lengths
from seqdiff.model.trained import Trained, records_of

logger = logging.getLogger("seqdiff")


class Fills(Trained):
    """The verbs that write letters."""

    def infill(
        self, sequences: Iterable[str], sampler: Sampler | None = None, *, seed: int = 0, samples: int = 1
    ) -> list[str] | list[list[str]]:
        """Sequences with their unknown letters filled; a list of `samples` for each when samples > 1."""
        records = list(records_of(sequences))
        results = [_text(r) for r in self.infill_records(records, sampler, seed=seed, samples=samples)]
        if samples == 1:
            return results
        return [results[first : first + samples] for first in range(0, len(results), samples)]

    def infill_records(
        self,
        records: Iterable[Record],
        sampler: Sampler | None = None,
        *,
        seed: int = 0,
        samples: int = 1,
        spans: Mapping[str, Sequence[Interval]] | None = None,
        trusted: int | None = None,
        stride: int | None = None,
        design: Design | None = None,
        inserted: Callable[[Record], Sequence[tuple[Record, str | None]]] | None = None,
        source: str = "input",
        progress: Callable[[int], None] | None = None,
    ) -> Iterator[Infilled]:
        """Fill records from a file, in their order; see `seqdiff.inference.infill.infill`.

        Raises UsageError for a `design` with another sampler than `Particles`, or of other letters than DNA.
        """
        if design:
            design.require_dna(self.alphabet)
            if not isinstance(sampler or Particles(), Particles):
                raise UsageError(f"constraints are met by the sampler particles, not by {sampler.kind}")
        chosen = sampler or (Particles(particles=PARTICLES) if design else self.sampler())
        return infill.infill(
            self.checked(records, source), self.asked_by(chosen), self.alphabet, self.context, chosen,
            seed=seed, samples=samples, spans=spans, trusted=trusted, stride=stride, design=design, inserted=inserted,
            batch_tokens=self.batch_tokens, progress=progress,
        )  # fmt: skip

    def inserts(
        self,
        wanted: Iterable[Insert],
        lengths: Mapping[str, int],
        *,
        prior: Literal["lengths", "uniform"] | None = None,
        draws: int | None = None,
        seed: int = 0,
        trusted: int | None = None,
    ) -> Inserts:
        """What compares the lengths of inserts into records of some `lengths`; see `seqdiff.inference.inserts`.

        `prior`: records are whole sequences, as long as the training data's (`lengths`; the default where these are
        known), or anything (`uniform`). Raises UsageError for a model whose sequences have one length, or of which
        lengths were asked and are not known; see `placed` and `Inserts` for what else.
        """
        if self.columns is not None:
            raise UsageError(
                f"--insert: {self.recipe.name} is of a family, whose sequences all have {self.columns:,} columns"
            )
        known = None if prior == "uniform" else self.lengths
        if prior == "lengths" and known is None:
            raise UsageError(f"--insert-prior lengths: {self.recipe.name} was not trained on whole sequences")
        return Inserts(
            placed(wanted, lengths), self.denoise, self.alphabet, self.context, known,
            draws=draws or DRAWS, seed=seed, trusted=trusted, batch_tokens=self.batch_tokens,
        )  # fmt: skip

    def check_design(
        self,
        design: Design,
        records: Iterable[Record],
        *,
        spans: Mapping[str, Sequence[Interval]] | None = None,
        trusted: int | None = None,
        stride: int | None = None,
    ) -> None:
        """Raises DataError for the first record that cannot meet the design, without a network call."""
        design.require_dna(self.alphabet)
        for record in records:
            known = Known(record, self.alphabet, None if spans is None else spans.get(record.name, ()), trusted)
            design.check(record, known, stride or self.context)

    def sample_records(
        self,
        lengths: Iterable[int],
        sampler: Sampler | None = None,
        *,
        seed: int = 0,
        stride: int | None = None,
        design: Design | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Iterator[Infilled]:
        """New sequences: records of nothing but unknown letters, filled."""
        blanks = infill.unknown_records(lengths, self.alphabet)
        return self.infill_records(blanks, sampler, seed=seed, stride=stride, design=design, progress=progress)

    def sample(
        self,
        count: int,
        length: int | tuple[int, int] | None = None,
        sampler: Sampler | None = None,
        *,
        seed: int = 0,
    ) -> list[str]:
        """`count` new sequences of `length` letters, or see `sample_lengths`."""
        return [
            _text(r) for r in self.sample_records(self.sample_lengths(count, length, seed=seed), sampler, seed=seed)
        ]

    def sample_lengths(self, count: int, length: int | tuple[int, int] | None = None, *, seed: int = 0) -> list[int]:
        """How long new sequences are: `length` letters, or drawn from the lengths of the training sequences, from those
        in a range (shortest, longest) where one is given.

        Where no training sequence is so long, or no length of them is known, all lengths of the range are equally
        likely. Raises UsageError where nothing says how long, and for any other length than that of a family's columns.
        """
        if self.columns is not None:
            if length not in (None, self.columns):
                raise UsageError(
                    f"sequences of {self.recipe.name} have the {self.columns:,} columns of a family: leave --length out"
                )
            return [self.columns] * count
        if isinstance(length, int):
            return [length] * count
        if length is None and self.lengths is None:
            raise UsageError(f"nothing tells how long sequences of {self.recipe.name} are: give --length")
        known, (low, high) = self.lengths or Lengths([]), length or (None, None)
        if self.lengths and length and not known.seen(low, high):
            logger.warning("no training sequence has %s to %s letters: all these lengths are equally likely", low, high)
        return known.draw(seed, [f"sample{number}" for number in range(1, count + 1)], low, high)


def _text(filled: Infilled) -> str:
    """A filled sequence for Python: drawn bytes that are not UTF-8 are replaced by U+FFFD."""
    return filled.record.sequence.decode("utf-8", "replace")
