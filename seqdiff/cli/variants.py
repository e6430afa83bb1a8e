"""seqdiff variants"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seqdiff.cli import options, results, variant_lines, variant_runs
from seqdiff.errors import UsageError

if TYPE_CHECKING:
    from seqdiff.data.genome import Genome
    from seqdiff.data.intervals import Interval
    from seqdiff.inference.changes import VariantScorer

CHECKS = ("error", "warn", "exclude")
METHODS = ("auto", "marginal", "chain", "elbo")


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
        str | None,
        typer.Option(
            "--check-ref", help="Where REF is not what the FASTA has: error (default), warn (no score) or exclude."
        ),
    ] = None,
    haplotypes: Annotated[
        bool, typer.Option("--haplotypes", help="Score phased variants of a window together; the output is a table.")
    ] = False,
    method: Annotated[
        str, typer.Option("--method", help="auto, marginal (single substitutions), chain (all) or elbo (everything).")
    ] = "auto",
    orders: Annotated[
        int | None, typer.Option("--orders", min=2, help="Random orders of a chain rule, on each strand; default 4.")
    ] = None,
    draws: Annotated[
        int | None, typer.Option("--draws", min=8, help="Random masks of a bound, default 16: more, smaller error.")
    ] = None,
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
    Every base that an allele adds costs about 1.3 nats by itself: rank variants among those of one change of length.

    Example: seqdiff variants --vcf calls.vcf.gz --fasta hg38.fa -o scored.vcf.gz
    """
    options.start(threads=threads, quiet=quiet, verbose=verbose)
    options.one_of("--check-ref", check_ref or CHECKS[0], CHECKS)
    options.one_of("--method", method, METHODS)
    kind = _kind(output, saturate is not None or haplotypes)
    _agree(vcf, saturate, output, haplotypes, kind, clip, figure, check_ref)
    _used(method, saturate is not None, orders, draws)
    check_ref = check_ref or CHECKS[0]
    results.require_own("-o", None if str(output) == "-" else output, fasta, saturate)
    results.require_own("--figure", figure, output, fasta, saturate)
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
    about = variant_lines.about(loaded, settings, seed)
    if saturate is not None:
        spans = _spans(saturate, genome, clip)
        variant_runs.saturate(scorer, spans, output, kind, figure, about, quiet)
    elif haplotypes:
        variant_runs.haplotypes(scorer, vcf, output, check_ref, about, quiet)
    else:
        variant_runs.variants(scorer, vcf, output, kind, check_ref, about, quiet)


def _kind(output: Path | None, table: bool) -> str:
    """What is written: vcf or tsv, by the name of the output; on stdout a table where it is asked for one."""
    if output is None or str(output) == "-" or str(output).startswith("/dev/"):
        return "tsv" if table else "vcf"
    suffixes = [suffix.lower() for suffix in output.suffixes if suffix not in (".gz", ".bgz")]
    kind = suffixes[-1][1:] if suffixes else ""
    if kind not in ("vcf", "tsv"):
        raise UsageError(f"-o {output}: name it .vcf.gz, .vcf, .tsv or .tsv.gz, by what it shall hold")
    return kind


def _agree(
    vcf: str | None,
    saturate: str | None,
    output: Path | None,
    haplotypes: bool,
    kind: str,
    clip: bool,
    figure: Path | None,
    check_ref: str | None,
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
    if check_ref and vcf is None:
        raise UsageError("--check-ref: it is of the REF of a --vcf")
    if figure and figure.suffix.lower() != ".png":
        raise UsageError(f"--figure {figure}: a file that ends in .png")


def _used(method: str, saturate: bool, orders: int | None, draws: int | None) -> None:
    """Refuses a number that the method has no use for."""
    single = method == "marginal" or (method == "auto" and saturate)
    for option, number, unused in (
        ("--orders", orders, single or method == "elbo"),
        ("--draws", draws, single or method == "chain"),
    ):
        if number is not None and unused:
            why = "single substitutions are scored by their marginals" if single else f"--method {method} has none"
            raise UsageError(f"{option}: {why}, so it would change nothing")


def _settings(method: str, orders: int | None, draws: int | None) -> "VariantScorer":
    import pydantic

    from seqdiff.inference.changes import VariantScorer

    given = {name: number for name, number in (("orders", orders), ("draws", draws)) if number is not None}
    try:
        return VariantScorer(method=method, **given)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        raise UsageError(
            f"--{first['loc'][0]} {first['input']}: {first['msg'].removeprefix('Value error, ')}"
        ) from error


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
