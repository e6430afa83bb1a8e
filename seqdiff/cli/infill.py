"""seqdiff infill"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seqdiff.cli import design, inputs, insert, options, results
from seqdiff.cli import image as images
from seqdiff.cli import text as texts
from seqdiff.errors import UsageError

if TYPE_CHECKING:
    from seqdiff.diffusion.samplers import Sampler
    from seqdiff.model import Model


def command(
    context: typer.Context,
    fasta: options.FastaOrText = None,
    text: texts.File = None,
    image: images.Files = None,
    model: options.ModelRun = None,
    output: options.Output = None,
    blanks: texts.BlankMarks = None,
    mask: images.Mask = None,
    bed: Annotated[Path | None, typer.Option("--bed", help="Mask and fill these spans only (BED).")] = None,
    region: Annotated[
        list[str] | None, typer.Option("--region", help="Mask and fill this span only: NAME:START-END, 1-based.")
    ] = None,
    clip: Annotated[bool, typer.Option("--clip", help="Cut spans that run past the end of a record.")] = False,
    inserts: insert.Places = None,
    insert_choose: insert.Choose = None,
    insert_prior: insert.Prior = None,
    insert_draws: insert.Draws = None,
    insert_table: insert.Table = None,
    soft_evidence: Annotated[
        bool, typer.Option("--soft-evidence", help="FASTQ: letters of low quality are drawn again, given the call.")
    ] = False,
    trusted_quality: Annotated[
        int | None,
        typer.Option(
            "--trusted-quality",
            min=0,
            max=93,
            help="Phred quality from which a letter is taken as it is; default 30, wrong once in a thousand.",
        ),
    ] = None,
    exact_evidence: Annotated[
        bool,
        typer.Option("--exact-evidence", help="Many fillings side by side, weighted: ambiguity codes and qualities."),
    ] = False,
    gc: design.GC = None,
    forbid: design.Forbid = None,
    translate: design.Translate = None,
    genetic_code: design.GeneticCode = None,
    particles: options.ParticleNumber = None,
    sampler: options.SamplerName = None,
    steps: options.Steps = None,
    temperature: options.Temperature = 1.0,
    top_p: options.TopP = 1.0,
    settings: options.SamplerSettings = None,
    stride: options.Stride = None,
    guidance: options.Guidance = None,
    unconditional: options.Unconditional = None,
    label: options.Label = None,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Fillings of each record.")] = 1,
    format: Annotated[
        str | None,
        typer.Option("--format", help="fasta, fastq or table; default: by the output, else as it came."),
    ] = None,
    report: options.Report = None,
    logo: Annotated[
        Path | None, typer.Option("--logo", help="PNG: the gaps of the first filled record as sequence logos.")
    ] = None,
    duplicates: options.Duplicates = "error",
    seed: options.Seed = 0,
    device: options.Device = "auto",
    threads: options.Threads = None,
    processes: options.Processes = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Fill the unknown letters of sequences and change nothing else.

    N is filled with any letter, an ambiguity code (R, Y, ...) with one it stands for. In FASTQ output the
    quality of a filled letter is the Phred of its probability given everything known in its window (of a model that
    goes from left to right, or in another order: given the letters before it), with --soft-evidence also of what was
    called there; the table has one line a filled letter with the probability of
    each. What --gc, --forbid and --translate ask for is met by every filling, but is not in these probabilities;
    records that cannot meet it are named before anything is written. --insert puts in letters where their number is
    unknown; positions are those of the record as it came, and headers say what was inserted (insert=24:7).

    With --text the blanks of a text are filled, {{?12}} and ____; several --samples each stand under a headline.

    With --image the pixels that --mask names are filled. One filling of one image is written as it is, -o filled.png;
    of more, each image stands in a row: as it came, what is hidden of it in blue, its fillings.

    Example: seqdiff infill --fasta gaps.fa --samples 3 -o filled.fa
    """
    options.start(threads=threads, quiet=quiet, verbose=verbose)

    def ready() -> tuple["Sampler", "Model"]:
        """What fills texts and images, of which no evidence is known."""
        standard = {"steps": steps, "temperature": temperature, "top_p": top_p}
        chosen = options.sampler(sampler, settings or [], before_model=particles is None, **standard)
        chosen = options.plain(chosen, particles)
        options.require_draws(chosen, "--samples", samples)
        loaded = options.load(model, device, guidance, unconditional, label)
        if particles is None:
            chosen = options.of_process(chosen, sampler, loaded, settings or [], **standard)
        return chosen, loaded

    if images.asked(context, image, fasta, text, "mask", "samples", "report", *(texts.SAMPLING - {"stride"})):
        for path in image:
            results.require_own("--report", report, output, path)
        chosen, loaded = ready()
        images.infill(loaded, image, mask, output, chosen, samples=samples, report=report, seed=seed, quiet=quiet)
        return
    if texts.asked(context, fasta, text, "blanks", "samples", "report", *texts.SAMPLING):
        options.one_of("--blanks", blanks or "both", texts.MARKS)
        results.require_own("--report", report, output, text)
        chosen, loaded = ready()
        texts.infill(
            loaded, text, output, blanks, chosen, samples=samples, stride=stride, report=report, seed=seed, quiet=quiet
        )
        return
    kind = format or results.format_of(output)
    if kind:
        options.one_of("--format", kind, results.FORMATS)
    if clip and not (bed or region):
        raise UsageError("--clip: it cuts spans, so give --bed or --region as well")
    if trusted_quality is not None and not soft_evidence:
        raise UsageError("--trusted-quality: it says which letters are drawn again, so give --soft-evidence as well")
    if logo and logo.suffix.lower() != ".png":
        raise UsageError(f"--logo {logo}: a file that ends in .png")
    results.require_own("--logo", logo, output, report, fasta, bed, translate)
    results.require_own("--report", report, output, fasta, bed, translate)
    results.require_own("--insert-table", insert_table, output, report, logo, fasta)
    results.require_own(
        "-o", None if str(output) == "-" else output, bed, translate, fasta if kind == "table" else None
    )
    if str(bed) == "-" and fasta == "-":
        raise UsageError("--fasta - and --bed -: only one of them can be stdin")
    options.one_of("--duplicates", duplicates, ("error", "first", "rename"))
    inputs.require(fasta, bed)
    asked = insert.asked(
        inserts, choose=insert_choose, prior=insert_prior,
        others={"--bed": bed, "--region": region, "--gc": gc, "--forbid": forbid, "--translate": translate},
        needs={
            "--insert-choose": insert_choose, "--insert-prior": insert_prior, "--insert-draws": insert_draws,
            "--insert-table": insert_table,
        },
    )  # fmt: skip
    from seqdiff.data.fasta import accepted, read_records
    from seqdiff.inference.known import TRUSTED_QUALITY, check_qualities
    from seqdiff.model import logger

    task = design.asked(gc, forbid, translate, genetic_code)
    if task:
        chosen = design.particles(particles, sampler, settings, steps, temperature, top_p)
    else:
        chosen = options.sampler(
            sampler, settings or [], steps=steps, temperature=temperature, top_p=top_p,
            before_model=not (exact_evidence or particles),
        )  # fmt: skip
        chosen = options.exact(chosen, particles) if exact_evidence else options.plain(chosen, particles)
    options.require_draws(chosen, "--samples", samples)
    trusted = (TRUSTED_QUALITY if trusted_quality is None else trusted_quality) if soft_evidence else None
    loaded = options.load(model, device, guidance, unconditional, label)
    needs = {"--exact-evidence": exact_evidence, "--insert": inserts}
    options.require_filling(loaded, {"--gc": gc, "--forbid": forbid, "--translate": translate, **needs})
    if not (task or exact_evidence or particles):
        chosen = options.of_process(
            chosen, sampler, loaded, settings or [], steps=steps, temperature=temperature, top_p=top_p
        )
    look = check_qualities if soft_evidence else None
    spool = bool(bed or region or task or asked)
    with inputs.checked(fasta, loaded.alphabet, duplicates, spool=spool, named=spool, look=look) as (path, lengths):
        options.check_stride(stride, loaded, lengths.longest or None)
        spans = inputs.spans(lengths.named, bed, region or [], clip) if bed or region else None
        if task:
            task.require_names(lengths.named, translate)
            records = read_records(path, duplicates=duplicates)
            loaded.check_design(task, records, spans=spans, trusted=trusted, stride=stride)
        fits, grown = {}, None
        if asked:
            records = (accepted(record, loaded.alphabet, fasta) for record in read_records(path, duplicates=duplicates))
            fits, grown = insert.compared(
                loaded.inserts(
                    asked, lengths.named, prior=insert_prior, draws=insert_draws, seed=seed, trusted=trusted
                ),
                records, samples, insert_choose or ("sample" if chosen.draws else "best"), quiet,
            )  # fmt: skip
        masked = spans is not None and trusted is None
        total = samples * sum(i.length for each in spans.values() for i in each) if masked else None
        told = {"label": label, "guidance": guidance, "insert": ",".join(inserts) if inserts else None}
        comment = results.comment(loaded, chosen, samples, seed, **told)
        out = results.Results(loaded.alphabet, kind, samples, logo, comment)
        with (
            options.spread(loaded, processes, threads) as many,
            insert.written(insert_table, fits),
            options.progress("infill", loaded.alphabet.unit, quiet, total) as advance,
            out.writing(output, report),
        ):
            for result in many.infill_records(
                read_records(path, duplicates=duplicates), chosen, seed=seed, samples=samples, spans=spans,
                trusted=trusted, stride=stride, design=task, inserted=grown, source=fasta, progress=advance,
            ):  # fmt: skip
                out.write(result)
                del result  # before the next is filled: they may be chromosomes
        logger.info(
            "filled %s %ss in %s of %s records",
            f"{out.letters:,}", loaded.alphabet.unit, f"{out.touched:,}", f"{out.records:,}",
        )  # fmt: skip
