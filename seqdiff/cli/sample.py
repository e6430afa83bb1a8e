"""seqdiff sample"""

from typing import Annotated

import typer

from seqdiff.cli import design, image, options, results
from seqdiff.cli import text as texts
from seqdiff.errors import UsageError


def command(
    context: typer.Context,
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="How many sequences, or images.")] = 1,
    length: Annotated[
        str | None,
        typer.Option(
            "--length",
            help="Letters in each, N or MIN-MAX. Default: drawn from the lengths of the training sequences (MIN-MAX: "
            "from those in the range); of DNA 512, or what the proteins of --translate take; a family's columns; the "
            "context of running text; images have one size.",
        ),
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
    label: options.Label = None,
    format: Annotated[
        str | None, typer.Option("--format", help="fasta or fastq, not of text; default: by the output, else fasta.")
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
    FASTQ the quality of a letter is the Phred of its probability before any letter of its window was drawn (of a
    model that goes from left to right, or in another order: given the letters before it).

    Images are written side by side in one PNG (-o digits.png), as arrays (-o digits.npz), or a PNG each in a folder.

    Example: seqdiff sample -n 10 --length 512 --seed 1 -o new.fa
    """
    options.start(threads=threads, quiet=quiet, verbose=verbose)
    kind = format or ("fastq" if results.format_of(output) == "fastq" else "fasta")
    options.one_of("--format", kind, ("fasta", "fastq"))
    results.require_own("--report", report, output, translate)
    results.require_own("-o", None if str(output) == "-" else output, translate)
    task = design.asked(gc, forbid, translate, genetic_code)
    wanted = None if length is None else _length(length)
    if wanted is not None and number * (wanted if isinstance(wanted, int) else wanted[1]) > 10**10:
        raise UsageError(f"-n {number} --length {length}: that is more than 10,000,000,000 letters")
    shortest = (task and task.longest_coding) or 512
    from seqdiff.inference.infill import unknown_records

    if task:
        chosen = design.particles(particles, sampler, settings, steps, temperature, top_p)
        task = task.for_samples(number, translate)
    else:
        chosen = options.sampler(
            sampler, settings or [], steps=steps, temperature=temperature, top_p=top_p,
            before_model=particles is None,
        )  # fmt: skip
        chosen = options.plain(chosen, particles)
        options.require_draws(chosen, "-n", number)
    loaded = options.load(model, device, guidance, unconditional, label)
    options.require_filling(loaded, {"--gc": gc, "--forbid": forbid, "--translate": translate})
    if task:
        task.require_dna(loaded.alphabet)
    elif particles is None:
        chosen = options.of_process(
            chosen, sampler, loaded, settings or [], steps=steps, temperature=temperature, top_p=top_p
        )
    if image.is_image(loaded):
        image.sample(context, loaded, number, output, chosen, report=report, seed=seed, quiet=quiet)
        return
    if wanted is None and loaded.alphabet.complementary and loaded.lengths is None and loaded.columns is None:
        wanted = shortest
    of_text = texts.is_text(loaded)
    if of_text and format:
        raise UsageError(f"--format {format}: {loaded.recipe.name} was trained on text, which is written as it is")
    if wanted is None and of_text and loaded.lengths is None:
        wanted = loaded.context
    lengths = loaded.sample_lengths(number, wanted, seed=seed)
    options.check_stride(stride, loaded, max(lengths))
    if of_text:
        texts.sample(loaded, lengths, output, chosen, stride=stride, report=report, seed=seed, quiet=quiet)
        return
    if task:
        loaded.check_design(task, unknown_records(lengths, loaded.alphabet), stride=stride)
    out = results.Results(loaded.alphabet, kind, samples=1)
    with (
        options.progress("sample", loaded.alphabet.unit, quiet, sum(lengths)) as advance,
        out.writing(output, report),
    ):
        for result in loaded.sample_records(lengths, chosen, seed=seed, stride=stride, design=task, progress=advance):
            out.write(result)


def _length(text: str) -> int | tuple[int, int]:
    """One length, or the shortest and the longest."""
    low, dash, high = text.replace(",", "").partition("-")
    numbers = [low, high] if dash else [low]
    if not all(number.isascii() and number.isdigit() and 0 < int(number) < 10**15 for number in numbers):
        raise UsageError(f"--length {text}: write it as N or MIN-MAX, in letters, from 1")
    if dash and int(low) > int(high):
        raise UsageError(f"--length {text}: from the shortest to the longest: swap the two numbers")
    return (int(low), int(high)) if dash else int(low)
