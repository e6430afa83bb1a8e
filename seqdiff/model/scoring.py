"""Scores of sequences, variants and mutants."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from seqdiff.data.fasta import Record
from seqdiff.data.genome import Genome
from seqdiff.data.intervals import Interval
from seqdiff.data.mutant_tables import CheckRef, protein_of, read_mutants, read_protein
from seqdiff.data.mutations import Protein
from seqdiff.data.variants import Screen
from seqdiff.diffusion.denoise import is_hollow
from seqdiff.diffusion.likelihood import Elbo, ScorerConfig
from seqdiff.errors import UsageError
from seqdiff.inference import score
from seqdiff.inference.changes import ChangeScorer, VariantScorer
from seqdiff.inference.columns import columns_of
from seqdiff.inference.mutations import MutantScorer, MutationScorer
from seqdiff.inference.score import RecordScore
from seqdiff.inference.variants import annotate
from seqdiff.model import choices, frames
from seqdiff.model.choices import from_python
from seqdiff.model.sequences import SOURCE, Regions, index_of, records_of, spans_of
from seqdiff.model.trained import Trained

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger("seqdiff")


class Scores(Trained):
    """The verbs that judge letters."""

    @from_python
    def score(
        self,
        sequences: Any,
        method: str | ScorerConfig = "elbo",
        *,
        draws: int | None = None,
        order: str | None = None,
        orders: int | None = None,
        regions: Regions | None = None,
        label: str | None = None,
        processes: int | None = None,
        seed: int = 0,
    ) -> "pd.DataFrame":
        """-log p of each sequence, or a bound on it, with its standard error: a frame with the columns of `seqdiff
        score`. Sequences are given as to `infill`; the frame has the index of a Series.

        `method`: `elbo`, the bound by `draws` random masks; `chain`, -log p letter after letter in an `order` (random,
        left-to-right, right-to-left), the mean over `orders` random ones; `pseudo`, how well letters fit, no
        likelihood. `regions`: these alone, given the letters around them. `processes`: as in `infill`.

        >>> import seqdiff
        >>> scores = seqdiff.load("human-chr20", "cpu").score({"a": "ACGTACGTAC", "b": "TTTTTTTTTTNN"})
        >>> scores[["name", "length", "scored"]].values.tolist()
        [['a', 10, 10], ['b', 12, 10]]
        >>> bool(scores.bits_per_base[1] < scores.bits_per_base[0])
        True
        """
        records = list(records_of(sequences))
        model = self.told(label)
        if draws is not None and self.exact and method == "elbo":
            raise UsageError(f"draws={draws}: {self.recipe.name} gives -log p itself, and nothing is drawn for it")
        chosen = choices.scorer(method, is_hollow(model.denoiser), draws=draws, order=order, orders=orders)
        spans = None if regions is None else spans_of(regions, records)
        with choices.spread(model, processes) as many:
            found = many.score_records(records, chosen, spans=spans, seed=seed, source=SOURCE)
            frame = frames.scores(found, chosen.kind, self.alphabet.unit, spans is not None)
        if spans is None and (index := index_of(sequences)) is not None:
            frame.index = index
        return frame

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

    @from_python
    def variants(
        self,
        variants: Any,
        fasta: str | Path,
        method: str | VariantScorer = "auto",
        *,
        orders: int | None = None,
        draws: int | None = None,
        check_ref: Literal["error", "warn", "exclude"] = "error",
        processes: int | None = None,
        seed: int = 0,
    ) -> "pd.DataFrame":
        """log p(alternate) - log p(reference) of variants, in nats: a frame with the columns of `seqdiff variants -o
        x.tsv`, a row an allele.

        `variants` is the path of a VCF, a frame with columns contig, pos, ref and alt (or chrom, ...), or tuples of
        these; pos counts from 1. `fasta` is the reference. `check_ref` says what becomes of a variant whose REF is
        not what the reference has: an error, no score (`warn`, reason ref_mismatch), or no row. `processes`: as in
        `infill`.

        >>> import seqdiff
        >>> model, genomes = seqdiff.load("human-chr20", "cpu"), seqdiff.resources.folder("genomes")
        >>> variants = [("GRCh37_chr20_10Mb_12Mb", 1_910_017, "T", "A")]
        >>> scored = model.variants(variants, genomes / "human-chr20.fa.gz")
        >>> list(scored.columns)
        ['contig', 'pos', 'id', 'ref', 'alt', 'llr', 'se', 'method', 'context', 'reason']
        >>> scored[["pos", "method"]].values.tolist(), bool(-3 < scored.llr[0] < 0)
        ([[1910017, 'marginal']], True)
        """
        if check_ref not in ("error", "warn", "exclude"):
            raise UsageError(f"check_ref={check_ref!r}: choose one of error, warn, exclude")
        if not self.alphabet.complementary:
            raise UsageError(f"{self.recipe.name} was trained on {self.alphabet.name}: variants are of DNA")
        given = {name: value for name, value in (("orders", orders), ("draws", draws)) if value is not None}
        settings = choices.settings(VariantScorer, method, given)
        if not isinstance(fasta, str | Path):
            raise TypeError(f"fasta is the path of the reference's FASTA, not {type(fasta).__name__}")
        genome = Genome.open(fasta, self.alphabet)
        with frames.alleles(variants) as (source, records), choices.spread(self, processes) as many:
            screen = Screen(genome, source, check_ref)
            frame = frames.variants(annotate(screen(records), many.change_scorer(genome, settings, seed=seed)))
        if screen.mismatches:
            done = "left out" if check_ref == "exclude" else "gave no score to"
            logger.warning("%s %s records with another REF; the first: %s", done, screen.mismatches, screen.first)
        return frame

    def change_scorer(self, genome: Genome, settings: VariantScorer | None = None, *, seed: int = 0) -> ChangeScorer:
        """What scores changes of a genome; see `seqdiff.inference.changes`.

        Raises UsageError for a method or numbers of draws that a model which gives -log p itself has no use for.
        """
        settings, at_once = settings or VariantScorer(), self.batch_tokens
        process = self.recipe.process
        if process.fills_masks or not process.exact:
            return ChangeScorer(genome, self.denoise, self.context, settings, seed=seed, batch_tokens=at_once)
        if settings.method != "auto" or settings.model_fields_set - {"method"}:
            raise UsageError(
                f"{self.recipe.name} was trained by process {process.kind}, which scores every variant exactly: "
                "--method, --orders and --draws are of models that fill masks"
            )
        return ChangeScorer(
            genome, self.denoiser, self.context, settings, exact=self.bound(), seed=seed, batch_tokens=at_once
        )

    @from_python
    def mutations(
        self,
        mutants: Any,
        wild_type: Any,
        method: str | MutationScorer = "auto",
        *,
        orders: int | None = None,
        draws: int | None = None,
        record: str | None = None,
        first_residue: int = 1,
        column: str | None = None,
        prefix: str = "",
        check_ref: CheckRef = "error",
        seed: int = 0,
    ) -> "pd.DataFrame":
        """log p(mutant) - log p(wild type) in nats: the table as it came, with columns llr, se, method, llr_per_residue
        and reason (why there is no score), whose names begin with `prefix`.

        `mutants` is the path of a table, a frame, or mutants like A24G:K30R one after another; in a table they are in
        `column`, by default mutant, or mutated_sequence. `wild_type` is a path to FASTA (`record` names one of
        several), a SeqRecord, a Seq, or a record of `seqdiff.read`; its first residue has the number `first_residue`.
        `check_ref` says what becomes of mutants that do not fit it.

        >>> import seqdiff
        >>> from Bio.Seq import Seq
        >>> scored = seqdiff.load("protein-demo", "cpu").mutations(["A2G", "A2G:K3R"], Seq("MAKLITRE"))
        >>> scored[["mutant", "method", "se"]].values.tolist()
        [['A2G', 'masked-marginal', 0.0], ['A2G:K3R', 'chain', 0.0]]
        """
        given = {name: value for name, value in (("orders", orders), ("draws", draws)) if value is not None}
        settings = choices.settings(MutationScorer, method, given)
        if isinstance(wild_type, str) and wild_type.isalpha() and not os.path.exists(wild_type):
            raise TypeError("wild_type: a str is the path of a FASTA file; for a sequence give Bio.Seq.Seq(...)")
        if isinstance(wild_type, str | Path):
            protein = read_protein(wild_type, record=record, first=first_residue)
        elif record is not None:
            raise UsageError(f"record={record!r}: it is for a wild type in a file")
        else:
            (only,) = records_of([wild_type])
            protein = protein_of(only, "wild_type", first=first_residue)
        scorer = self.mutant_scorer(protein, settings, seed=seed)
        table, frame = frames.mutants(mutants, column)
        if taken := [prefix + name for name in frames.ADDED if prefix + name in table]:
            raise UsageError(f"there is a column {taken[0]!r} already: give a prefix for the names of the new ones")
        if table.rows:
            first = self.facts.get("query", {}).get("first")
            read = read_mutants(table, protein, column=column, check_ref=check_ref, likely_first=first)
            if read.doubt:
                logger.warning(
                    "%s what does not fit: %s", "left out" if check_ref == "exclude" else "no score for", read.doubt
                )
            table, found = read.table, read.mutants
        else:
            found = []
        return frames.mutations(table, frame, scorer.effects(found), prefix)

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
