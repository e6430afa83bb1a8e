"""The three ways of `seqdiff variants`: a VCF allele by allele, its haplotypes, or every substitution of a span."""

from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from seqdiff.cli import options, variant_lines
from seqdiff.cli.variant_lines import About
from seqdiff.errors import UsageError

if TYPE_CHECKING:
    from seqdiff.data.genome import Genome
    from seqdiff.data.haplotypes import Group
    from seqdiff.data.intervals import Interval
    from seqdiff.data.variants import Screen
    from seqdiff.inference.changes import ChangeScorer


def _checked(path: str, genome: "Genome", check_ref: str, quiet: bool) -> int | None:
    """How many alleles a VCF has, all of whose records are sound; None for what can be read only once."""
    from seqdiff.data.source import size_of
    from seqdiff.data.variants import Screen
    from seqdiff.data.vcf import Vcf

    if size_of(path) is None:
        return None
    with Vcf(path) as vcf, options.progress("check", "record", quiet) as advance:
        alleles = 0
        for record in Screen(genome, vcf.name, check_ref)(vcf.records()):
            alleles += record.columns[4].count(b",") + 1
            advance(1)
    return alleles


def variants(
    scorer: "ChangeScorer", path: str, output: Path | None, kind: str, check_ref: str, about: About, quiet: bool
) -> None:
    """The records of a VCF as they came, each allele with its score; or a table of them."""
    from seqdiff.data.output import Output
    from seqdiff.data.tabix import VcfOutput
    from seqdiff.data.variants import Screen
    from seqdiff.data.vcf import Vcf
    from seqdiff.inference.variants import annotate

    total = _checked(path, scorer.genome, check_ref, quiet)
    reasons: Counter[str | None] = Counter()
    with (
        Vcf(path) as vcf,
        options.progress("variants", "allele", quiet, total) as advance,
        (VcfOutput if kind == "vcf" else Output)(output) as out,
    ):
        screen = Screen(scorer.genome, vcf.name, check_ref)
        out.write(vcf.header(about.fields()) if kind == "vcf" else about.comment() + variant_lines.TABLE)
        for record, effects in annotate(screen(vcf.records()), scorer, progress=advance):
            reasons.update(effect.reason for effect in effects)
            if kind == "vcf":
                out.write_record(record, record.with_info(variant_lines.info(effects)))
            else:
                out.write(b"".join(variant_lines.row(effect, record.columns[2]) for effect in effects))
    _report(reasons, "allele", screen)


def haplotypes(
    scorer: "ChangeScorer", path: str, output: Path | None, check_ref: str, about: About, quiet: bool
) -> None:
    """A table of the haplotypes that the samples of a VCF carry."""
    from seqdiff.data.haplotypes import groups
    from seqdiff.data.output import Output
    from seqdiff.data.source import size_of
    from seqdiff.data.variants import Screen
    from seqdiff.data.vcf import Vcf
    from seqdiff.inference.haplotypes import haplotype_effects
    from seqdiff.model import logger

    reach = max(1, scorer.context // 4)
    total = None
    if size_of(path) is not None:
        with Vcf(path) as vcf, options.progress("check", "record", quiet) as advance:
            screen, total = Screen(scorer.genome, vcf.name, check_ref), 0
            for group in groups(screen(vcf.records()), reach, vcf.samples, vcf.name):
                total += len(group.records)
                advance(len(group.records))
    reasons: Counter[str | None] = Counter()
    left_out: Counter[str] = Counter()
    first = ""
    with (
        Vcf(path) as vcf,
        options.progress("haplotypes", "record", quiet, total) as advance,
        Output(output) as out,
    ):
        screen = Screen(scorer.genome, vcf.name, check_ref)

        def counted() -> "Iterator[Group]":
            nonlocal first
            for group in groups(screen(vcf.records()), reach, vcf.samples, vcf.name):
                left_out.update(unphased=group.unphased, missing=group.missing)
                if group.first_unphased and not first:
                    where = group.records[0]
                    first = f"{group.first_unphased} at {where.contig}:{where.start + 1:,}"
                yield group

        out.write(about.comment() + variant_lines.HAPLOTYPES)
        for effect in haplotype_effects(counted(), scorer, progress=advance):
            reasons[effect.outcome.reason] += 1
            out.write(variant_lines.haplotype_row(effect))
    if left_out["unphased"]:
        logger.warning(
            "left out %s genotypes of several variants whose phase is not known, first that of %s",
            f"{left_out['unphased']:,}",
            first,
        )
    if left_out["missing"]:
        logger.warning("left out %s genotypes with unknown alleles", f"{left_out['missing']:,}")
    _report(reasons, "haplotype", screen)


def saturate(
    scorer: "ChangeScorer",
    spans: "list[Interval]",
    output: Path | None,
    kind: str,
    figure: Path | None,
    about: About,
    quiet: bool,
) -> None:
    """Every substitution of some spans as a table or a VCF, and a span as a picture."""
    from seqdiff.data import vcf
    from seqdiff.data.output import Output
    from seqdiff.data.tabix import VcfOutput
    from seqdiff.inference.variants import effects, substitutions

    genome = scorer.genome
    letters = sum(span.length for span in spans)
    if figure:
        from seqdiff.report.heatmap import LONGEST

        if len(spans) > 1 or letters > LONGEST:
            raise UsageError(f"--figure {figure}: a heat map is of one span of at most {LONGEST:,} bases")
    reasons: Counter[str | None] = Counter()
    drawn: list[list[float]] = []
    with (
        options.progress("saturate", "allele", quiet, letters * (genome.alphabet.size - 1)) as advance,
        (VcfOutput if kind == "vcf" else Output)(output) as out,
    ):
        table = about.comment() + variant_lines.SATURATED
        out.write(variant_lines.new_header(genome, about.fields()) if kind == "vcf" else table)
        found = effects(substitutions(spans, genome), scorer, progress=advance)
        for number, (_, same) in enumerate(groupby(found, key=lambda effect: effect.variant[:2]), 1):
            same = list(same)
            reasons.update(effect.reason for effect in same)
            if kind == "vcf":
                record = vcf.VcfRecord(number, variant_lines.site(same))
                out.write_record(record, record.with_info(variant_lines.info(same)))
            else:
                out.write(b"".join(map(variant_lines.saturated_row, same)))
            if figure:
                drawn.append(variant_lines.heat(same, genome.alphabet))
    if figure:
        import numpy as np

        from seqdiff.report.heatmap import heatmap_figure

        reference = genome.alphabet.decode(genome.tokens(spans[0])).decode()
        contig, start, _ = spans[0]
        heatmap_figure(figure, contig, start, reference, np.array(drawn), genome.alphabet.symbols, about.title)
    _report(reasons, "allele", None)


def _report(reasons: "Counter[str | None]", what: str, screen: "Screen | None") -> None:
    """Says what has no score and why, and which REFs are not the genome's."""
    from seqdiff.model import logger

    if screen and screen.mismatches:
        done = "left out" if screen.check_ref == "exclude" else "gave no score to"
        logger.warning("%s %s records with another REF; the first: %s", done, f"{screen.mismatches:,}", screen.first)
    total = reasons.total()
    why = ", ".join(f"{count:,} {reason}" for reason, count in sorted((reasons - Counter({None: total})).items()))
    logger.info(
        "scored %s of %s %ss%s", f"{reasons[None]:,}", f"{total:,}", what, f"; without a score: {why}" if why else ""
    )
