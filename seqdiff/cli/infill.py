"""seqdiff infill"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seqdiff.cli import inputs, options
from seqdiff.errors import UsageError

if TYPE_CHECKING:
    from seqdiff.alphabet import Alphabet
    from seqdiff.data.fasta import Output
    from seqdiff.data.intervals import Interval
    from seqdiff.inference.filled import Infilled

FORMATS = ("fasta", "fastq", "table")


def command(
    fasta: options.Fasta,
    model: options.ModelRun = None,
    output: options.Output = None,
    bed: Annotated[Path | None, typer.Option("--bed", help="Mask and fill these spans only (BED).")] = None,
    region: Annotated[
        list[str] | None, typer.Option("--region", help="Mask and fill this span only: NAME:START-END, 1-based.")
    ] = None,
    clip: Annotated[bool, typer.Option("--clip", help="Cut spans that run past the end of a record.")] = False,
    sampler: Annotated[str, typer.Option("--sampler", help="ancestral, exact or confident.")] = "ancestral",
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="Network calls a window may take (not with exact).")
    ] = None,
    temperature: Annotated[float, typer.Option("--temperature", help="Below 1 sharper, above 1 flatter.")] = 1.0,
    top_p: Annotated[float, typer.Option("--top-p", help="Draw from the likeliest letters of this mass.")] = 1.0,
    settings: options.SamplerSettings = None,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Fillings of each record.")] = 1,
    format: Annotated[
        str | None,
        typer.Option("--format", help="fasta, fastq or table; default: by the output, else as it came."),
    ] = None,
    figure: Annotated[
        Path | None, typer.Option("--figure", help="Also draw the longest gap of the first filled record, as PNG.")
    ] = None,
    duplicates: options.Duplicates = "error",
    seed: options.Seed = 0,
    device: options.Device = "auto",
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Fill the unknown letters of sequences and change nothing else.

    N is filled with any letter, an ambiguity code (R, Y, ...) with one it stands for. In FASTQ output the
    quality of a filled letter is the Phred of its probability given everything known in its window; the table
    has one line a filled letter with the probability of each.

    Example: seqdiff infill --fasta gaps.fa --samples 3 -o filled.fa
    """
    options.start(threads=threads, quiet=quiet, verbose=verbose)
    kind = format or _format_of(output)
    if kind:
        options.one_of("--format", kind, FORMATS)
    if clip and not (bed or region):
        raise UsageError("--clip: it cuts spans, so give --bed or --region as well")
    if figure and (figure.suffix.lower() != ".png" or str(figure) in (str(output), fasta)):
        raise UsageError(f"--figure {figure}: a file of its own that ends in .png")
    if str(bed) == "-" and fasta == "-":
        raise UsageError("--fasta - and --bed -: only one of them can be stdin")
    options.one_of("--duplicates", duplicates, ("error", "first", "rename"))
    from seqdiff import model as models
    from seqdiff.data.fasta import Output, read_records

    chosen = options.sampler(sampler, settings or [], steps=steps, temperature=temperature, top_p=top_p)
    loaded = models.load(model, device)
    with inputs.checked(fasta, loaded.alphabet, duplicates, spool=bool(bed or region)) as (path, lengths):
        spans = _spans(lengths, bed, region or [], clip) if bed or region else None
        total = None if spans is None else samples * sum(i.length for each in spans.values() for i in each)
        with options.progress("infill", loaded.alphabet.unit, quiet, total) as advance, Output(output) as out:
            count = records = touched = 0
            filled = loaded.infill_records(
                read_records(path, duplicates=duplicates), chosen,
                seed=seed, samples=samples, spans=spans, source=fasta, progress=advance,
            )  # fmt: skip
            drawn: Infilled | None = None
            for result in filled:
                if not kind:
                    kind = "fasta" if result.record.quality is None else "fastq"  # as it came
                if kind == "table" and not records:
                    out.write(_table_header(loaded.alphabet))
                write_result(out, result, kind, samples, loaded.alphabet)
                drawn = drawn or (result if figure and len(result.positions) else None)
                records += result.replicate == 0
                touched += result.replicate == 0 and len(result.positions) > 0
                count += len(result.positions)
        if drawn:
            _draw(figure, drawn, loaded.alphabet)
        elif figure:
            models.logger.warning("no record has a gap, so %s was not drawn", figure)
        models.logger.info(
            "filled %s %ss in %s of %s records", f"{count:,}", loaded.alphabet.unit, f"{touched:,}", f"{records:,}"
        )


def _format_of(output: Path | None) -> str | None:
    """The format a file name asks for, .gz on top or not; None where it says nothing."""
    suffixes = [] if output is None else [s for s in output.suffixes if s not in (".gz", ".bgz")]
    return {".fq": "fastq", ".fastq": "fastq", ".tsv": "table", ".fa": "fasta", ".fasta": "fasta", ".fna": "fasta"}.get(
        suffixes[-1].lower() if suffixes else ""
    )


def _spans(lengths: dict[str, int], bed: Path | None, regions: list[str], clip: bool) -> "dict[str, list[Interval]]":
    """Spans to fill by record, checked against the records before anything is written."""
    from seqdiff.data.intervals import parse_region, read_bed

    intervals = read_bed(bed, lengths, clip=clip) if bed else []
    intervals += [parse_region(text, lengths, clip=clip) for text in regions]
    if not intervals:
        raise UsageError(f"{bed}: holds no span to fill")
    spans: dict[str, list[Interval]] = {}
    for interval in intervals:
        spans.setdefault(interval.contig, []).append(interval)
    return spans


def write_result(out: "Output", result: "Infilled", kind: str, samples: int, alphabet: "Alphabet") -> None:
    from seqdiff.data.fasta import write_record
    from seqdiff.inference.filled import qualities

    record = result.record
    if samples > 1:
        name = f"{record.name}_sample{result.replicate + 1}"
        record = replace(record, name=name, header=record.header.replace(record.name, name, 1))
    match kind:
        case "fasta":
            write_record(out, record, "fasta")
        case "fastq":
            write_record(out, replace(record, quality=qualities(result, alphabet)), "fastq")
        case "table":
            for position, letter, row in zip(result.positions.tolist(), result.filled.decode(), result.marginals):
                shares = "\t".join(f"{p:.6f}" for p in row)
                out.write(f"{record.name}\t{position + 1}\t{letter}\t{shares}\n".encode("utf-8", "surrogateescape"))


def _draw(path: Path, result: "Infilled", alphabet: "Alphabet") -> None:
    from seqdiff.report import infill_figure, longest_gap

    sequence = result.record.sequence.decode().upper()
    gap = longest_gap(sequence, result.positions, result.marginals, alphabet.symbols)
    infill_figure(path, gap, f"{result.record.name}: a gap of {len(gap['filled'])} letters, filled")


def _table_header(alphabet: "Alphabet") -> bytes:
    return ("name\tposition\tfilled\t" + "\t".join(f"p_{s}" for s in alphabet.symbols) + "\n").encode()
