"""Filling and sampling."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict, TypeVar, Unpack, overload

import numpy as np

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
from seqdiff.model import choices
from seqdiff.model.choices import from_python
from seqdiff.model.sequences import SOURCE, Regions, given, like, spans_of
from seqdiff.model.trained import Trained

logger = logging.getLogger("seqdiff")

S = TypeVar("S")
DNA_LENGTH = 512
"""Letters of new DNA, where nothing says how long."""


class Filling(TypedDict, total=False):
    """The options of `infill`."""

    regions: Regions | None
    trusted_quality: int | None
    design: Design | None
    steps: int | None
    temperature: float | None
    top_p: float | None
    particles: int | None
    label: str | None
    guidance: float | None
    unconditional: Trained | None
    processes: int | None
    seed: int


class Fills(Trained):
    """The verbs that write letters."""

    @overload
    def infill(
        self, sequences: Path, sampler: str | Sampler | None = ..., *, samples: None = ..., **options: Unpack[Filling]
    ) -> list[Record]: ...
    @overload
    def infill(
        self, sequences: Path, sampler: str | Sampler | None = ..., *, samples: int, **options: Unpack[Filling]
    ) -> list[list[Record]]: ...
    @overload
    def infill(
        self,
        sequences: Mapping[str, S],
        sampler: str | Sampler | None = ...,
        *,
        samples: None = ...,
        **options: Unpack[Filling],
    ) -> list[S]: ...
    @overload
    def infill(
        self,
        sequences: Mapping[str, S],
        sampler: str | Sampler | None = ...,
        *,
        samples: int,
        **options: Unpack[Filling],
    ) -> list[list[S]]: ...
    @overload
    def infill(
        self,
        sequences: Iterable[S],
        sampler: str | Sampler | None = ...,
        *,
        samples: None = ...,
        **options: Unpack[Filling],
    ) -> list[S]: ...
    @overload
    def infill(
        self, sequences: Iterable[S], sampler: str | Sampler | None = ..., *, samples: int, **options: Unpack[Filling]
    ) -> list[list[S]]: ...
    @from_python
    def infill(
        self,
        sequences: Any,
        sampler: str | Sampler | None = None,
        *,
        samples: int | None = None,
        regions: Regions | None = None,
        trusted_quality: int | None = None,
        design: Design | None = None,
        steps: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        particles: int | None = None,
        label: str | None = None,
        guidance: float | None = None,
        unconditional: Trained | None = None,
        processes: int | None = None,
        seed: int = 0,
    ) -> list[Any]:
        """Sequences with their unknown letters filled, each as what it was given as; with `samples`, a list of so many
        fillings for each.

        `sequences` are str, bytes, Biopython Seq or SeqRecord, or records of `seqdiff.read`: a list or anything else
        that gives one after another, a mapping from names, or a path to FASTA. `sampler` is a name (fast, exact, best,
        confident, ...) with `steps`, `temperature`, `top_p` and `particles`, or an object that has them. `regions`:
        these are masked and filled, and nothing else. `trusted_quality`: letters of lower Phred quality are drawn
        again, given the call. `design`: see `seqdiff.design`. `label`: the class of all sequences, of a model
        trained with classes; `guidance`: how far to lean to it, away from no class, or from the other model
        `unconditional`; above 1 is past it. What is drawn depends on the seed, and the name and letters of a sequence.
        `processes`: so many worker processes share the sequences, each with the model.

        >>> import seqdiff
        >>> model = seqdiff.load("human-chr20", "cpu")
        >>> filled = model.infill(["ACGTNNNNacgt", "RY"], sampler="exact", seed=1)
        >>> filled[0][:4], filled[0][8:], filled[1][0] in "AG"
        ('ACGT', 'acgt', True)
        >>> [len(fillings) for fillings in model.infill(["ACNNGT"], samples=3)]
        [3]
        """
        known = list(given(sequences))
        chosen = self.told(label, guidance, unconditional)
        how = chosen.chosen(sampler, design, steps=steps, temperature=temperature, top_p=top_p, particles=particles)
        if samples is not None and samples < 1:
            raise UsageError(f"samples={samples}: one at least")
        if samples and samples > 1 and not how.draws:
            raise UsageError(f"samples={samples}: the sampler {how.kind} draws nothing, so all would be the same")
        records = [record for _, record in known]
        spans = None if regions is None else spans_of(regions, records)
        if design:
            chosen.check_design(design, self.checked(records, SOURCE), spans=spans, trusted=trusted_quality)
        number = samples or 1
        with choices.spread(chosen, processes) as many:
            filled = many.infill_records(
                records, how, seed=seed, samples=number, spans=spans, trusted=trusted_quality, design=design,
                source=SOURCE,
            )  # fmt: skip
            results = [like(known[at // number].original, each, self.alphabet) for at, each in enumerate(filled)]
        if samples is None:
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
            if sampler is not None and not isinstance(sampler, Particles):
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

    def chosen(self, sampler: str | Sampler | None, design: Design | None = None, **settings: float | None) -> Sampler:
        """The sampler that is asked for, by name or as it is; by default that of the process the model was trained by,
        with these settings, or the one of designs. Raises UsageError for a setting that it does not have."""
        own = Particles(particles=PARTICLES) if design else self.sampler()
        asked = {name: value for name, value in settings.items() if value is not None}
        if design and sampler not in (None, "particles") and not isinstance(sampler, Particles):
            raise UsageError("with a design, letters are filled one by one by the sampler particles: leave sampler out")
        if sampler is None or (design and isinstance(sampler, str)):
            return choices.sampler(own.kind, **own.model_dump(exclude={"kind"}) | asked)
        if isinstance(sampler, str):
            return choices.sampler(sampler, **asked)
        if asked:
            name = next(iter(asked))
            raise UsageError(f"{name}={asked[name]}: give it to the sampler itself, or the sampler by name")
        return sampler

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

    @from_python
    def sample(
        self,
        count: int,
        length: int | tuple[int, int] | None = None,
        sampler: str | Sampler | None = None,
        *,
        design: Design | None = None,
        steps: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        particles: int | None = None,
        label: str | None = None,
        guidance: float | None = None,
        unconditional: Trained | None = None,
        seed: int = 0,
    ) -> list[str]:
        """`count` new sequences of `length` letters, or see `sample_lengths`; of DNA 512 where nothing says how long.
        The rest is as in `infill`.

        >>> import seqdiff
        >>> a, b = seqdiff.load("human-chr20", "cpu").sample(2, 30, sampler="fast", seed=4)
        >>> len(a), len(b), set(a) <= set("ACGT"), a == b
        (30, 30, True, False)
        """
        if count < 0:
            raise UsageError(f"count={count}: none is the least")
        model = self.told(label, guidance, unconditional)
        how = model.chosen(sampler, design, steps=steps, temperature=temperature, top_p=top_p, particles=particles)
        if count > 1 and not how.draws:
            raise UsageError(f"count={count}: the sampler {how.kind} draws nothing, so all would be the same")
        if length is None and self.lengths is None and self.columns is None and self.alphabet.complementary:
            length = (design and design.longest_coding) or DNA_LENGTH
        lengths = self.sample_lengths(count, length, seed=seed)
        if design:
            design = design.for_samples(count, "translate")
            model.check_design(design, infill.unknown_records(lengths, self.alphabet))
        return [
            each.record.sequence.decode("utf-8", "replace")  # drawn bytes that are not UTF-8 become U+FFFD
            for each in model.sample_records(lengths, how, seed=seed, design=design)
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
        low, high = (length, length) if length is None or isinstance(length, int | np.integer) else length
        if low is not None and high is not None and not 0 < low <= high:
            raise UsageError(f"length={length}: from the shortest to the longest, from 1 on")
        if low is not None and low == high:
            return [int(low)] * count
        if length is None and self.lengths is None:
            raise UsageError(f"nothing tells how long sequences of {self.recipe.name} are: give --length")
        known = self.lengths or Lengths([])
        if self.lengths and low is not None and high is not None and not known.seen(low, high):
            logger.warning("no training sequence has %s to %s letters: all these lengths are equally likely", low, high)
        return known.draw(seed, [f"sample{number}" for number in range(1, count + 1)], low, high)
