"""Scores of sequences, variants and mutants."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from seqdiff.data.fasta import Record
from seqdiff.data.genome import Genome
from seqdiff.data.intervals import Interval
from seqdiff.data.mutant_tables import CheckRef, read_mutants, read_protein
from seqdiff.data.mutations import Protein, parsed
from seqdiff.data.variants import Screen, Variant
from seqdiff.data.vcf import Vcf
from seqdiff.diffusion.likelihood import Elbo, ScorerConfig
from seqdiff.errors import UsageError
from seqdiff.inference import score, variants
from seqdiff.inference.changes import ChangeScorer, VariantScorer
from seqdiff.inference.columns import columns_of
from seqdiff.inference.mutations import MutantScorer, MutationEffect, MutationScorer
from seqdiff.inference.score import RecordScore
from seqdiff.model.trained import Trained, records_of

logger = logging.getLogger("seqdiff")


class Scores(Trained):
    """The verbs that judge letters."""

    def score(
        self, sequences: Iterable[str], scorer: ScorerConfig | None = None, *, seed: int = 0
    ) -> list[RecordScore]:
        """A bound on -log p of each sequence with its standard error, or what else `scorer` says of it."""
        return list(self.score_records(records_of(sequences), scorer, seed=seed))

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
            self.checked(records, source), bound, self.alphabet, self.context,
            spans=spans, given=self.recipe.process.given, seed=seed, batch_tokens=self.batch_tokens, progress=progress,
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
        """What scores changes of a genome; see `seqdiff.inference.changes`.

        Raises UsageError for a method or numbers of draws that a model which gives -log p itself has no use for.
        """
        settings, how = settings or VariantScorer(), {"seed": seed, "batch_tokens": self.batch_tokens}
        process = self.recipe.process
        if process.fills_masks or not process.exact:
            return ChangeScorer(genome, self.denoise, self.context, settings, **how)
        if settings.method != "auto" or settings.model_fields_set - {"method"}:
            raise UsageError(
                f"{self.recipe.name} was trained by process {process.kind}, which scores every variant exactly: "
                "--method, --orders and --draws are of models that fill masks"
            )
        return ChangeScorer(genome, self.denoiser, self.context, settings, exact=self.bound(), **how)

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
