"""seqdiff variants"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seqdiff.cli import mutations as of_proteins
from seqdiff.cli import options, results, variant_lines, variant_runs
from seqdiff.errors import UsageError

if TYPE_CHECKING:
    from seqdiff.data.genome import Genome
    from seqdiff.data.intervals import Interval
    from seqdiff.inference.changes import VariantScorer

CHECKS = ("error", "warn", "exclude")
METHODS = ("auto", "marginal", "chain", "elbo")


def command(
    fasta: Annotated[
        str,
        typer.Option("--fasta", help="The reference the variants are of, or the wild type of the mutations: FASTA."),
    ],
    vcf: Annotated[str | None, typer.Option("--vcf", help="VCF, plain, gzip or bgzip; - is stdin.")] = None,
    mutations: Annotated[
        str | None,
        typer.Option(
            "--mutations",
            help="Of a protein: a table as ProteinGym has it, with a column mutant (A24G:K30R) or mutated_sequence.",
        ),
    ] = None,
    saturate: Annotated[
        str | None,
        typer.Option(
            "--saturate",
            help="Score every substitution of NAME:START-END (1-based, of a protein "
            "from --first-residue), or of a BED file.",
        ),
    ] = None,
    model: options.ModelRun = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="x.vcf.gz (bgzip, with its index), x.vcf, x.tsv or x.tsv.gz, of proteins x.tsv or x.csv, also .gz; "
            "default and -: stdout.",
        ),
    ] = None,
    check_ref: Annotated[
        str | None,
        typer.Option(
            "--check-ref",
            help="Where the FASTA has another letter than REF: error (default), warn (no score) or exclude.",
        ),
    ] = None,
    haplotypes: Annotated[
        bool, typer.Option("--haplotypes", help="Score phased variants of a window together; the output is a table.")
    ] = False,
    method: Annotated[
        str,
        typer.Option(
            "--method",
            help="auto, marginal (single substitutions), chain (all) or elbo (everything); of proteins: auto, "
            "wt-marginal, masked-marginal, masked-marginal-single, chain or elbo.",
        ),
    ] = "auto",
    orders: Annotated[
        int | None,
        typer.Option("--orders", min=2, help="Random orders of a chain rule (DNA: on each strand); default 4."),
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option("--draws", min=8, help="Random masks of a bound: more, smaller error; 16, of proteins 32."),
    ] = None,
    record: Annotated[
        str | None, typer.Option("--record", help="Of proteins: which record of the FASTA is the wild type.")
    ] = None,
    first_residue: Annotated[
        int | None, typer.Option("--first-residue", help="Of proteins: the number of the first residue; default 1.")
    ] = None,
    column: Annotated[
        str | None, typer.Option("--column", help="With --mutations: which column has them; default: mutant.")
    ] = None,
    prefix: Annotated[
        str | None, typer.Option("--prefix", help="Of proteins: goes before the names of the new columns.")
    ] = None,
    clip: Annotated[bool, typer.Option("--clip", help="With --saturate: cut spans that run past the end.")] = False,
    figure: Annotated[
        Path | None, typer.Option("--figure", help="Not with --vcf: also draw substitutions as a heat map, PNG.")
    ] = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    threads: options.Threads = None,
    processes: options.Processes = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Score variants: how much more or less probable each makes a sequence, log p(variant) - log p(reference) in nats.

    DNA: a single substitution is scored by the masked marginal at its site, several bases by the chain rule, insertions
    and deletions by the difference of two bounds, with its standard error; by a model that reads left to right all are
    scored by log p of the window, exactly. The VCF comes out as it went in, with INFO
    fields SEQDIFF_LLR, _SE, _METHOD and _CONTEXT; what has no score (symbolic alleles, *, N, ...) has . and _REASON.
    Every base that an allele adds costs about 1.3 nats by itself: rank variants among those of one change of length.

    Proteins: --mutations is a table, which comes out as it went in with columns llr, se, method, llr_per_residue
    (log p / length of the mutant less that of the wild type: for ranking mutants of several lengths) and reason, why
    there is no score. Every residue named is checked with the wild type. Mutations may also be written as p.Ala24Gly,
    A24del, A24_K26del, K23_A24insGS, A24delinsGS, A24dup or WT.

    Example: seqdiff variants --mutations assay.csv --fasta wt.fa --first-residue 24 --model runs/family -o scored.tsv

    Example: seqdiff variants --vcf calls.vcf.gz --fasta hg38.fa -o scored.vcf.gz
    """
    options.start(threads=threads, quiet=quiet, verbose=verbose)
    options.one_of("--check-ref", check_ref or CHECKS[0], CHECKS)
    options.one_of("--method", method, tuple(dict.fromkeys(METHODS + of_proteins.METHODS)))
    _agree(vcf, mutations, saturate, haplotypes, clip, figure, check_ref)
    results.require_own("-o", None if str(output) == "-" else output, fasta, saturate, mutations)
    results.require_own("--figure", figure, output, fasta, saturate, mutations)
    of_protein = {"--record": record, "--first-residue": first_residue, "--column": column, "--prefix": prefix}
    request = of_proteins.Request(
        fasta, mutations, saturate, clip, output, figure, method, orders, draws, check_ref, *of_protein.values(), seed,
        quiet,
    )  # fmt: skip
    from seqdiff import model as models

    if mutations is not None:
        _of_one_process(processes)
        request.check()
        return of_proteins.score_table(of_proteins.load(model, device), request)
    if saturate is None:
        _of_dna(of_protein, method, output, haplotypes, False, orders, draws)
    loaded = models.load(model, device)
    if saturate is not None and not loaded.alphabet.complementary:
        if column is not None:
            raise UsageError("--column: it changes nothing with --saturate of a protein")
        _of_one_process(processes)
        request.check()
        return of_proteins.saturate(loaded, request)
    kind = _of_dna(of_protein, method, output, haplotypes, saturate is not None, orders, draws)
    check_ref = check_ref or CHECKS[0]
    from seqdiff.data.genome import Genome
    from seqdiff.data.source import size_of

    settings = _settings(method, orders, draws)
    if not loaded.alphabet.complementary:
        raise UsageError(f"{model} was trained on {loaded.alphabet.name}: variants of a VCF are of DNA")
    with options.progress("index", "byte", quiet, size_of(fasta)) as advance:
        genome = Genome.open(fasta, loaded.alphabet, progress=options.difference(advance))
    about = variant_lines.about(loaded, settings, seed)
    with options.spread(loaded, processes, threads) as many:
        scorer = many.change_scorer(genome, settings, seed=seed)
        if saturate is not None:
            spans = _spans(saturate, genome, clip)
            variant_runs.saturate(scorer, spans, output, kind, figure, about, quiet)
        elif haplotypes:
            variant_runs.haplotypes(scorer, vcf, output, check_ref, about, quiet)
        else:
            variant_runs.variants(scorer, vcf, output, kind, check_ref, about, quiet)


def _of_one_process(processes: int | None) -> None:
    if processes is not None:
        raise UsageError("--processes: it is for DNA; mutants of a protein share network passes: use --threads")


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
    mutations: str | None,
    saturate: str | None,
    haplotypes: bool,
    clip: bool,
    figure: Path | None,
    check_ref: str | None,
) -> None:
    """Refuses options that make no sense together."""
    if [vcf, mutations, saturate].count(None) != 2:
        raise UsageError("give --vcf FILE, --mutations FILE or --saturate REGION: one of them")
    if haplotypes and vcf is None:
        raise UsageError("--haplotypes: haplotypes are read from the samples of a --vcf")
    if clip and saturate is None:
        raise UsageError("--clip: it belongs to --saturate")
    if figure and vcf is not None:
        raise UsageError("--figure: it belongs to --saturate and --mutations")
    if check_ref and saturate is not None:
        raise UsageError("--check-ref: it is of the REF of a --vcf, or the residues that --mutations name")
    if figure and figure.suffix.lower() != ".png":
        raise UsageError(f"--figure {figure}: a file that ends in .png")


def _of_dna(
    of_protein: dict[str, object],
    method: str,
    output: Path | None,
    haplotypes: bool,
    saturate: bool,
    orders: int | None,
    draws: int | None,
) -> str:
    """Refuses what is for proteins; the kind of output."""
    for option, value in of_protein.items():
        if value is not None:
            raise UsageError(f"{option}: it is of proteins")
    options.one_of("--method", method, METHODS)
    kind = _kind(output, saturate or haplotypes)
    if haplotypes and kind == "vcf":
        raise UsageError(f"--haplotypes -o {output}: a haplotype is no line of a VCF; name the output .tsv")
    _used(method, saturate, orders, draws)
    return kind


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
