"""`Model`: what a user holds. A trained network with its alphabet, context and recipe, and the verbs.

>>> model = load()
>>> [len(filled) for filled in model.infill(["ACGTNNNNACGT", "NNNN"], seed=1)]
[12, 4]
"""

import copy
import difflib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float32

from seqdiff import devices, resources
from seqdiff.alphabet import Alphabet
from seqdiff.checkpoint import Provenance, RunFolder
from seqdiff.data.fasta import Record, accepted
from seqdiff.data.genome import Genome
from seqdiff.data.intervals import Interval
from seqdiff.data.mutant_tables import CheckRef, read_mutants, read_protein
from seqdiff.data.mutations import Protein, parsed
from seqdiff.data.source import bytes_of, name_of, shown
from seqdiff.data.variants import Screen, Variant
from seqdiff.data.vcf import Vcf
from seqdiff.denoisers import Denoiser
from seqdiff.diffusion.denoise import Denoise
from seqdiff.diffusion.guidance import Guided
from seqdiff.diffusion.labels import Labelled
from seqdiff.diffusion.likelihood import Elbo, ScorerConfig
from seqdiff.diffusion.processes import Bound
from seqdiff.diffusion.samplers import Ancestral, Particles, Sampler
from seqdiff.errors import DataError, UsageError
from seqdiff.inference import infill, score, variants
from seqdiff.inference.changes import ChangeScorer, VariantScorer
from seqdiff.inference.columns import columns_of
from seqdiff.inference.design import PARTICLES, Design
from seqdiff.inference.embed import Embedded, States, Strand, Stretch, embed, stretches
from seqdiff.inference.filled import Infilled
from seqdiff.inference.frozen import Frozen
from seqdiff.inference.inserts import DRAWS, Insert, Inserts, placed
from seqdiff.inference.known import Known
from seqdiff.inference.lengths import Lengths
from seqdiff.inference.mutations import MutantScorer, MutationEffect, MutationScorer
from seqdiff.inference.score import RecordScore
from seqdiff.recipe import Recipe

logger = logging.getLogger("seqdiff")

SHIPPED = Path(__file__).parent / "pretrained" / "human-chr20"
"""The small model that comes with the package, so that every command runs right after installation."""


class Model:
    """A trained network ready for use; `load` makes one. Results are reproducible from `seed` alone."""

    def __init__(self, denoiser: Denoiser, recipe: Recipe, provenance: Provenance, device: torch.device):
        self.frozen = Frozen(denoiser, device, recipe.process)
        self.denoiser: Denoise = self.frozen
        """The network as it was trained: what samplers and bounds of its own process ask."""
        self.recipe, self.provenance, self.device = recipe, provenance, device
        self._context = recipe.data.context
        self.is_guided = False
        self.batch_tokens = 16_384 if device.type == "cpu" else 262_144

    @cached_property
    def denoise(self) -> Denoise:
        """The network as one that fills masks, which is what most verbs ask.

        Raises UsageError for a model of a process that does not learn to.
        """
        if not self.fills_masks:
            raise UsageError(
                f"{self.recipe.name} was trained by process {self.recipe.process.kind}, which does not learn to fill "
                "masks from both sides: it can be sampled and scored by its own sampler and bound, and nothing else"
            )
        return self.recipe.process.filling(self.denoiser)

    @property
    def alphabet(self) -> Alphabet:
        return self.recipe.data.alphabet

    @property
    def context(self) -> int:
        """The longest piece of a sequence the network looks at, in letters."""
        return self._context

    @property
    def facts(self) -> Mapping[str, Any]:
        """What its training data say to its users: `lengths`, `query` (`seqdiff.modalities.opened.Opened.facts`)."""
        return self.provenance.facts

    @property
    def lengths(self) -> Lengths | None:
        """How long the training sequences were; None for a model of windows."""
        return Lengths.of(self.facts)

    @property
    def columns(self) -> int | None:
        """The one length of all sequences of a family; None of other models."""
        query = self.facts.get("query")
        return len(query["sequence"]) if query else None

    @property
    def fills_masks(self) -> bool:
        """Whether it fills masks, as infilling and most else asks (`denoise`)."""
        return self.recipe.process.fills_masks

    @property
    def exact(self) -> bool:
        """Whether `bound` gives -log p itself."""
        return self.recipe.process.exact

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes that a sequence can be told to be of; none of most models."""
        return self.recipe.data.labels

    def labelled(self, label: str) -> "Model":
        """This model told that every sequence is of one class. Raises UsageError for a class that it does not know."""
        if not self.labels:
            raise UsageError(f"--label {label}: {self.recipe.name} was trained without classes")
        if label not in self.labels:
            near = difflib.get_close_matches(label, self.labels, n=1)
            some = ", ".join(self.labels[:10]) + (", ..." if len(self.labels) > 10 else "")
            hint = f"did you mean {near[0]!r}?" if near else f"there are {some}"
            raise UsageError(f"--label {label}: {self.recipe.name} knows no such class; {hint}")
        told = copy.copy(self)
        vars(told).pop("denoise", None)
        told.denoiser = Labelled(self.frozen, self.labels.index(label))
        return told

    def guided(self, unconditional: "Model", weight: float) -> "Model":
        """This model, leaning away from another of its alphabet: classifier-free guidance (`diffusion.guidance`).

        A model told a class leans away from itself when not told: `model.labelled("7").guided(model, 2.0)`.
        It looks at no more than the smaller of both contexts. Raises UsageError for two alphabets, a weight below 0,
        and two processes of which one does not fill masks.
        """
        if unconditional.alphabet != self.alphabet:
            raise UsageError(
                f"guidance needs two models of one alphabet, not of {self.alphabet.name} and "
                f"{unconditional.alphabet.name}"
            )
        fills = self.fills_masks and unconditional.fills_masks
        own, other = (model.recipe.process.kind for model in (self, unconditional))
        if not fills and own != other:
            raise UsageError(f"guidance needs two models that fill masks, or two of one process, not {own} and {other}")
        both = copy.copy(self)
        vars(both).pop("denoise", None)
        try:
            both.denoiser = Guided(self.denoiser, unconditional.denoiser, weight)
            if fills:
                both.denoise = Guided(self.denoise, unconditional.denoise, weight)
        except ValueError as error:
            raise UsageError(str(error)) from error
        both.is_guided = True
        both._context = min(self.context, unconditional.context)
        return both

    def infill(
        self, sequences: Iterable[str], sampler: Sampler | None = None, *, seed: int = 0, samples: int = 1
    ) -> list[str] | list[list[str]]:
        """Sequences with their unknown letters filled; a list of `samples` for each when samples > 1."""
        records = list(_records(sequences))
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
            self._checked(records, source), self.asked_by(chosen), self.alphabet, self.context, chosen,
            seed=seed, samples=samples, spans=spans, trusted=trusted, stride=stride, design=design, inserted=inserted,
            batch_tokens=self.batch_tokens, progress=progress,
        )  # fmt: skip

    def sampler(self) -> Sampler:
        """What samples where nothing else is asked for: the sampler of its process, or of a guided model's masks."""
        return Ancestral() if self.is_guided and self.fills_masks else self.recipe.process.sampler()

    def asked_by(self, sampler: Sampler) -> Denoise:
        """What a sampler is given: one of a process alone gets the network as it was trained, and that process's only.

        Raises UsageError for the sampler of another process.
        """
        if sampler.of is None:
            return self.denoise
        if sampler.of != self.recipe.process.kind:
            raise UsageError(
                f"the sampler {sampler.kind} is of process {sampler.of}, and {self.recipe.name} was trained by "
                f"{self.recipe.process.kind}"
            )
        if self.is_guided and not sampler.guides:
            cure = ": give --sampler of one that fills masks" if self.fills_masks else ""
            raise UsageError(f"the sampler {sampler.kind} takes no guidance{cure}")
        return self.denoiser

    def bound(self, *, strata: int = 16, replicates: int = 4) -> Bound:
        """What estimates -log p of rows of tokens, or the bound on it, from `replicates` repeats of `strata` passes."""
        if self.is_guided:
            return partial(Elbo(strata=strata, replicates=replicates), self.denoise)
        return self.recipe.process.bound(self.denoiser, strata=strata, replicates=replicates)

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

    def score(
        self, sequences: Iterable[str], scorer: ScorerConfig | None = None, *, seed: int = 0
    ) -> list[RecordScore]:
        """A bound on -log p of each sequence with its standard error, or what else `scorer` says of it."""
        return list(self.score_records(_records(sequences), scorer, seed=seed))

    def score_records(
        self,
        records: Iterable[Record],
        scorer: ScorerConfig | None = None,
        *,
        spans: Mapping[str, Sequence[Interval]] | None = None,
        seed: int = 0,
        source: str = "input",
        progress: Callable[[int], None] | None = None,
    ) -> Iterator[RecordScore]:
        """Score records from a file, or regions of them, in their order; see `seqdiff.inference.score.score`."""
        chosen = scorer or Elbo()
        if isinstance(chosen, Elbo) and chosen.antithetic is None:
            bound = self.bound(strata=chosen.strata, replicates=chosen.replicates)
        else:
            bound = partial(chosen, self.denoise)
        return score.score(
            self._checked(records, source), bound, self.alphabet, self.context,
            spans=spans, seed=seed, batch_tokens=self.batch_tokens, progress=progress,
        )  # fmt: skip

    def variants(
        self,
        vcf: str | Path | Iterable[Variant],
        fasta: str | Path,
        settings: VariantScorer | None = None,
        *,
        seed: int = 0,
        check_ref: Literal["error", "warn", "exclude"] = "error",
        progress: Callable[[int], None] | None = None,
    ) -> Iterator[variants.Effect]:
        """log p(alternate) - log p(reference) of the alleles of a VCF, or of variants, in their order.

        `fasta` is the reference. `check_ref` says what becomes of a record of the VCF whose REF is not what the
        reference has; a variant of which that is so has no score, and gives `ref_mismatch` as the reason.
        """
        scorer = self.change_scorer(Genome.open(fasta, self.alphabet), settings, seed=seed)
        if not isinstance(vcf, str | Path):
            yield from variants.effects(vcf, scorer, progress=progress)
            return
        with Vcf(vcf) as file:
            screen = Screen(scorer.genome, file.name, check_ref)
            for _, effects in variants.annotate(screen(file.records()), scorer, progress=progress):
                yield from effects

    def change_scorer(self, genome: Genome, settings: VariantScorer | None = None, *, seed: int = 0) -> ChangeScorer:
        """What scores changes of a genome; see `seqdiff.inference.changes`."""
        return ChangeScorer(
            genome, self.denoise, self.context, settings or VariantScorer(), seed=seed, batch_tokens=self.batch_tokens
        )

    def mutations(
        self,
        mutants: str | Path | Iterable[str],
        fasta: str | Path,
        settings: MutationScorer | None = None,
        *,
        record: str | None = None,
        first_residue: int = 1,
        column: str | None = None,
        check_ref: CheckRef = "error",
        seed: int = 0,
        progress: Callable[[float], None] | None = None,
    ) -> Iterator[MutationEffect]:
        """log p(mutant) - log p(wild type) of the rows of a table, or of mutants like A24G:K30R, in their order.

        `fasta` holds the wild type, `record` names it where there are others; its first residue has the number
        `first_residue`. See `data.mutant_tables.read_mutants` for tables, `data.mutations.parsed` for mutants.
        """
        protein = read_protein(fasta, record=record, first=first_residue)
        scorer = self.mutant_scorer(protein, settings, seed=seed)
        if isinstance(mutants, str | Path):
            first = self.facts.get("query", {}).get("first")
            table = read_mutants(mutants, protein, column=column, check_ref=check_ref, likely_first=first)
            return scorer.effects(table.mutants, progress=progress)
        return scorer.effects((parsed(each, protein)[0] for each in mutants), progress=progress)

    def mutant_scorer(self, protein: Protein, settings: MutationScorer | None = None, *, seed: int = 0) -> MutantScorer:
        """What scores mutants of a protein; see `seqdiff.inference.mutations`.

        Raises UsageError for a model of other letters, DataError for a protein that is not of a family model's family.
        """
        if self.alphabet.unit not in ("residue", "column"):
            raise UsageError(
                f"mutations are of a protein, and {self.recipe.name} is a model of {self.alphabet.name}: give a run of "
                "proteins or of a family, or protein-demo, which ships"
            )
        tokens, place = self.alphabet.encode(protein.sequence.encode()), None
        if query := self.facts.get("query"):
            columns = columns_of(protein, query, self.alphabet)
            tokens, place = columns.tokens, columns.place
            logger.info(
                "%s of %s residues of %s stand in the %s columns of the family of %s, %.0f %% identical",
                f"{(place >= 0).sum():,}", f"{len(place):,}", protein.name, f"{len(tokens):,}", query["name"],
                100 * columns.identity,
            )  # fmt: skip
        return MutantScorer(
            self.denoise, tokens, self.alphabet, self.context, settings, place=place,
            reads_visible=self.recipe.process.reads_visible, seed=seed, batch_tokens=self.batch_tokens,
        )  # fmt: skip

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

    def embed(self, sequences: Iterable[str]) -> Float32[np.ndarray, "N D"]:
        """The mean hidden state of each sequence over its known letters; see `seqdiff.inference.embed`."""
        vectors = [row.vector for row in self.embed_records(_records(sequences))]
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
            self._checked(records, source), self.states(strand), self.context,
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
            self._checked(records, source), self.states(strand), self.context,
            batch_tokens=self.batch_tokens, progress=progress,
        )  # fmt: skip

    def states(self, strand: Strand = "both") -> States:
        """What gives the network's hidden states. Raises UsageError for a guided model, which is two networks."""
        if self.is_guided:
            raise UsageError("a guided model is two networks, with no states of its own: embed with one of them")
        return States(self.frozen.network, self.alphabet, self.device, strand=strand)

    def _checked(self, records: Iterable[Record], source: str) -> Iterator[Record]:
        for record in records:
            record = accepted(record, self.alphabet, source)
            if self.columns not in (None, len(record.sequence)):
                raise DataError(
                    f"{name_of(source)}: record {shown(bytes_of(record.name))} has {len(record.sequence):,} columns, "
                    f"and the family of {self.facts['query']['name']} has {self.columns:,}: give it aligned to the "
                    "query, without insertions and with '-' for gaps, as `mafft --add FILE --keeplength` makes it"
                )
            yield record


def load(run: str | Path | None = None, device: str = "auto") -> Model:
    """The model of a run directory, or of one that ships, by name; without either, the small model of human DNA."""
    folder = RunFolder(SHIPPED if run is None else resources.run_folder(run))
    recipe = folder.read_recipe()
    denoiser = recipe.network()
    provenance = folder.read_weights(denoiser)
    if run is None:
        logger.info(
            "using the model that ships with seqdiff, %s: %s (%s), trained on %s; it is for trying things out, not for "
            "science: give your own with --model RUN",
            SHIPPED.name, recipe.name, provenance.written_by, provenance.data,
        )  # fmt: skip
    return Model(denoiser, recipe, provenance, devices.find(device))


def _records(sequences: Iterable[str]) -> Iterator[Record]:
    if isinstance(sequences, str | bytes):
        raise TypeError("give a list of sequences: [sequence] for a single one")
    for number, sequence in enumerate(sequences, 1):
        yield Record(f"sequence{number}", f"sequence{number}", sequence.encode("utf-8", "replace"))


def _text(filled: Infilled) -> str:
    """A filled sequence for Python: drawn bytes that are not UTF-8 are replaced by U+FFFD."""
    return filled.record.sequence.decode("utf-8", "replace")
