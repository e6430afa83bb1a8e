"""seqdiff sample"""

from typing import Annotated

import typer

from seqdiff.cli import design, options, results
from seqdiff.errors import UsageError


def command(
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="How many sequences.")] = 1,
    length: Annotated[
        int | None,
        typer.Option("--length", min=1, help="Letters in each; default 512, or what the proteins of --translate take."),
    ] = None,
    model: options.ModelRun = None,
    output: options.Output = None,
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
    format: Annotated[
        str | None, typer.Option("--format", help="fasta or fastq; default: by the output, else fasta.")
    ] = None,
    report: options.Report = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Draw new sequences from a model: filling a sequence of nothing but unknown letters.

    One protein in the file of --translate applies to every sequence; with several, name them sample1, sample2, ... In
    FASTQ the quality of a letter is the Phred of its probability before any letter of its window was drawn.

    Example: seqdiff sample -n 10 --length 512 --seed 1 -o new.fa
    """
    options.start(threads=threads, quiet=quiet, verbose=verbose)
    if format is None:
        format = "fastq" if results.format_of(output) == "fastq" else "fasta"
    options.one_of("--format", format, ("fasta", "fastq"))
    results.require_own("--report", report, output, translate)
    results.require_own("-o", None if str(output) == "-" else output, translate)
    task = design.asked(gc, forbid, translate, genetic_code)
    if length is None:
        length = (task and task.longest_coding) or 512
    if number * length > 10**10:
        raise UsageError(f"-n {number} --length {length}: that is {number * length:,} letters")
    from seqdiff.inference.infill import unknown_records

    if task:
        chosen = design.particles(particles, sampler, settings, steps, temperature, top_p)
        task = task.for_samples(number, translate)
    else:
        chosen = options.sampler(sampler, settings or [], steps=steps, temperature=temperature, top_p=top_p)
        chosen = options.plain(chosen, particles)
        options.require_draws(chosen, "-n", number)
    loaded = options.load(model, device, guidance, unconditional)
    options.check_stride(stride, loaded, length)
    if task:
        loaded.check_design(task, unknown_records([length] * number, loaded.alphabet), stride=stride)
    out = results.Results(loaded.alphabet, format, samples=1)
    with (
        options.progress("sample", loaded.alphabet.unit, quiet, number * length) as advance,
        out.writing(output, report),
    ):
        for result in loaded.sample_records(
            [length] * number, chosen, seed=seed, stride=stride, design=task, progress=advance
        ):
            out.write(result)
