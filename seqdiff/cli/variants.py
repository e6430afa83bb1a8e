"""seqdiff variants"""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seqdiff.cli import options, scored
from seqdiff.errors import UsageError

if TYPE_CHECKING:
    from seqdiff.data.genome import Genome
    from seqdiff.data.intervals import Interval
    from seqdiff.data.variants import Screen
    from seqdiff.inference.changes import ChangeScorer, VariantScorer

CHECKS = ("error", "warn", "exclude")


def command(
    fasta: Annotated[str, typer.Option("--fasta", help="The reference the variants are of: FASTA, plain or gzip.")],
    vcf: Annotated[str | None, typer.Option("--vcf", help="VCF, plain, gzip or bgzip; - is stdin.")] = None,
    saturate: Annotated[
        str | None,
        typer.Option("--saturate", help="Score every substitution of NAME:START-END (1-based), or of a BED file."),
    ] = None,
    model: options.ModelRun = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="x.vcf.gz (bgzip, with its index), x.vcf, x.tsv or x.tsv.gz; default and -: stdout."
        ),
    ] = None,
    check_ref: Annotated[
        str,
        typer.Option("--check-ref", help="Where REF is not what the FASTA has: error, warn (no score) or exclude."),
    ] = "error",
    haplotypes: Annotated[
        bool, typer.Option("--haplotypes", help="Score phased variants of a window together; the output is a table.")
    ] = False,
    method: Annotated[
        str, typer.Option("--method", help="auto, marginal (single substitutions), chain (all) or elbo (everything).")
    ] = "auto",
    orders: Annotated[int, typer.Option("--orders", min=2, help="Random orders of a chain rule, on each strand.")] = 4,
    draws: Annotated[int, typer.Option("--draws", min=8, help="Random masks of a bound: more, smaller error.")] = 16,
    clip: Annotated[bool, typer.Option("--clip", help="With --saturate: cut spans that run past a contig.")] = False,
    figure: Annotated[
        Path | None, typer.Option("--figure", help="With --saturate: also draw the span as a heat map, PNG.")
    ] = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Score variants: how much more or less probable each allele makes the genome, log p(ALT) - log p(REF) in nats.

    A single substitution is scored by the masked marginal at its site, several bases by the chain rule, insertions and
    deletions by the difference of two bounds, with its standard error. The VCF comes out as it went in, with INFO
    fields SEQDIFF_LLR, _SE, _METHOD and _CONTEXT; what has no score (symbolic alleles, *, N, ...) has . and _REASON.

    Example: seqdiff variants --vcf calls.vcf.gz --fasta hg38.fa -o scored.vcf.gz
    """
    options.start(threads=threads, quiet=quiet, verbose=verbose)
    options.one_of("--check-ref", check_ref, CHECKS)
    kind = _kind(output, saturate is not None or haplotypes)
    _agree(vcf, saturate, fasta, output, haplotypes, kind, clip, figure)
    from seqdiff import model as models
    from seqdiff.data.genome import Genome
    from seqdiff.data.source import size_of

    settings = _settings(method, orders, draws)
    loaded = models.load(model, device)
    if not loaded.alphabet.complementary:
        raise UsageError(f"{model} was trained on {loaded.alphabet.name}: variants of a VCF are of DNA")
    with options.progress("index", "byte", quiet, size_of(fasta)) as advance:
        genome = Genome.open(fasta, loaded.alphabet, progress=options.difference(advance))
    scorer = loaded.change_scorer(genome, settings, seed=seed)
    about = scored.about(loaded, settings, seed)
    if saturate is not None:
        _saturate(scorer, _spans(saturate, genome, clip), output, kind, figure, about, quiet)
    elif haplotypes:
        _haplotypes(scorer, vcf, output, check_ref, about, quiet)
    else:
        _variants(scorer, vcf, output, kind, check_ref, about, quiet)


def _kind(output: Path | None, table: bool) -> str:
    """What is written: vcf or tsv, by the name of the output; on stdout a table where it is asked for one."""
    if output is None or str(output) == "-" or str(output).startswith("/dev/"):
        return "tsv" if table else "vcf"
    suffixes = [suffix.lower() for suffix in output.suffixes if suffix.lower() not in (".gz", ".bgz")]
    kind = suffixes[-1][1:] if suffixes else ""
    if kind not in ("vcf", "tsv"):
        raise UsageError(f"-o {output}: name it .vcf.gz, .vcf, .tsv or .tsv.gz, by what it shall hold")
    return kind


def _agree(
    vcf: str | None,
    saturate: str | None,
    fasta: str,
    output: Path | None,
    haplotypes: bool,
    kind: str,
    clip: bool,
    figure: Path | None,
) -> None:
    """Refuses options that make no sense together."""
    if (vcf is None) == (saturate is None):
        raise UsageError("give --vcf FILE, or --saturate REGION: one of them")
    if haplotypes and saturate is not None:
        raise UsageError("--haplotypes: haplotypes are read from the samples of a --vcf, not with --saturate")
    if haplotypes and kind == "vcf":
        raise UsageError(f"--haplotypes -o {output}: a haplotype is no line of a VCF; name the output .tsv")
    for option, given in (("--clip", clip), ("--figure", figure)):
        if given and saturate is None:
            raise UsageError(f"{option}: it belongs to --saturate")
    if figure and (figure.suffix.lower() != ".png" or str(figure) == str(output)):
        raise UsageError(f"--figure {figure}: a file of its own that ends in .png")
    if output is not None and str(output) == fasta:
        raise UsageError(f"-o {output}: that is the FASTA")


def _settings(method: str, orders: int, draws: int) -> "VariantScorer":
    import pydantic

    from seqdiff.inference.changes import VariantScorer

    options.one_of("--method", method, ("auto", "marginal", "chain", "elbo"))
    try:
        return VariantScorer(method=method, orders=orders, draws=draws)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        raise UsageError(
            f"--{first['loc'][0]} {first['input']}: {first['msg'].removeprefix('Value error, ')}"
        ) from error


def _checked(path: str, genome: "Genome", check_ref: str, quiet: bool) -> tuple[int, int] | tuple[None, None]:
    """How many records and alleles of a VCF are scored, each of them sound; None for what can be read only once."""
    from seqdiff.data.source import size_of
    from seqdiff.data.variants import Screen
    from seqdiff.data.vcf import Vcf

    if size_of(path) is None:
        return None, None
    with Vcf(path) as vcf, options.progress("check", "record", quiet) as advance:
        records = alleles = 0
        for record in Screen(genome, vcf.name, check_ref)(vcf.records()):
            records += 1
            alleles += record.columns[4].count(b",") + 1
            advance(1)
    return records, alleles


def _variants(
    scorer: "ChangeScorer", path: str, output: Path | None, kind: str, check_ref: str, about: scored.About, quiet: bool
) -> None:
    from seqdiff.data.output import Output
    from seqdiff.data.tabix import VcfOutput
    from seqdiff.data.variants import Screen
    from seqdiff.data.vcf import Vcf
    from seqdiff.inference.variants import annotate

    _, total = _checked(path, scorer.genome, check_ref, quiet)
    reasons: Counter[str | None] = Counter()
    with (
        Vcf(path) as vcf,
        options.progress("variants", "allele", quiet, total) as advance,
        (VcfOutput if kind == "vcf" else Output)(output) as out,
    ):
        screen = Screen(scorer.genome, vcf.name, check_ref)
        out.write(vcf.header(about.fields()) if kind == "vcf" else about.comment() + scored.TABLE)
        for record, effects in annotate(screen(vcf.records()), scorer, progress=advance):
            reasons.update(effect.reason for effect in effects)
            if kind == "vcf":
                out.write_record(record, record.with_info(scored.info(effects)))
            else:
                out.write(b"".join(scored.row(effect, record.columns[2]) for effect in effects))
    _report(reasons, "allele", screen)


def _haplotypes(
    scorer: "ChangeScorer", path: str, output: Path | None, check_ref: str, about: scored.About, quiet: bool
) -> None:
    from seqdiff.data.haplotypes import groups
    from seqdiff.data.output import Output
    from seqdiff.data.variants import Screen
    from seqdiff.data.vcf import Vcf
    from seqdiff.inference.haplotypes import haplotype_effects
    from seqdiff.model import logger

    reach = max(1, scorer.context // 4)
    total, _ = _checked(path, scorer.genome, check_ref, quiet)
    if total is not None:
        with Vcf(path) as vcf:
            screen = Screen(scorer.genome, vcf.name, check_ref)
            for _ in groups(screen(vcf.records()), reach, vcf.samples, vcf.name):
                pass
    reasons: Counter[str | None] = Counter()
    left_out: Counter[str] = Counter()
    first = ""
    with (
        Vcf(path) as vcf,
        options.progress("haplotypes", "record", quiet, total) as advance,
        Output(output) as out,
    ):
        screen = Screen(scorer.genome, vcf.name, check_ref)

        def counted():
            nonlocal first
            for group in groups(screen(vcf.records()), reach, vcf.samples, vcf.name):
                left_out.update(unphased=group.unphased, missing=group.missing)
                if group.first_unphased and not first:
                    where = group.records[0]
                    first = f"{group.first_unphased} at {where.contig}:{where.start + 1:,}"
                yield group

        out.write(about.comment() + scored.HAPLOTYPES)
        for effect in haplotype_effects(counted(), scorer, progress=advance):
            reasons[effect.outcome.reason] += 1
            out.write(scored.haplotype_row(effect))
    if left_out["unphased"]:
        logger.warning(
            "left out %s genotypes of several variants whose phase is not known, first that of %s",
            f"{left_out['unphased']:,}",
            first,
        )
    if left_out["missing"]:
        logger.warning("left out %s genotypes with unknown alleles", f"{left_out['missing']:,}")
    _report(reasons, "haplotype", screen)


def _spans(saturate: str, genome: "Genome", clip: bool) -> "list[Interval]":
    """Spans in the order of the genome, none twice."""
    import os

    from seqdiff.data.intervals import merge, parse_region, read_bed

    if os.path.isfile(saturate) or saturate == "-":
        spans = merge(read_bed(saturate, genome.contigs, clip=clip))
    else:
        spans = [parse_region(saturate, genome.contigs, clip=clip)]
    if not spans:
        raise UsageError(f"--saturate {saturate}: holds no span to score")
    order = list(genome.contigs)
    return sorted(spans, key=lambda span: (order.index(span.contig), span.start))


def _saturate(
    scorer: "ChangeScorer",
    spans: "list[Interval]",
    output: Path | None,
    kind: str,
    figure: Path | None,
    about: scored.About,
    quiet: bool,
) -> None:
    from itertools import groupby

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
        out.write(scored.new_header(genome, about.fields()) if kind == "vcf" else about.comment() + scored.SATURATED)
        found = effects(substitutions(spans, genome), scorer, progress=advance)
        for number, (_, same) in enumerate(groupby(found, key=lambda effect: effect.variant[:2]), 1):
            same = list(same)
            reasons.update(effect.reason for effect in same)
            if kind == "vcf":
                record = vcf.VcfRecord(number, scored.site(same))
                out.write_record(record, record.with_info(scored.info(same)))
            else:
                out.write(b"".join(map(scored.saturated_row, same)))
            if figure:
                drawn.append(scored.heat(same, genome.alphabet))
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
    total, unscored = reasons.total(), {reason: count for reason, count in reasons.items() if reason}
    why = ", ".join(f"{count:,} {reason}" for reason, count in sorted(unscored.items()))
    logger.info(
        "scored %s of %s %ss%s", f"{reasons[None]:,}", f"{total:,}", what, f"; without a score: {why}" if why else ""
    )
