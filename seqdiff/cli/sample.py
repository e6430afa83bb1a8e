"""seqdiff sample"""

from typing import Annotated

import typer

from seqdiff.cli import options, results
from seqdiff.errors import UsageError


def command(
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="How many sequences.")] = 1,
    length: Annotated[int, typer.Option("--length", min=1, help="Letters in each.")] = 512,
    model: options.ModelRun = None,
    output: options.Output = None,
    sampler: options.SamplerName = "ancestral",
    steps: options.Steps = None,
    temperature: options.Temperature = 1.0,
    top_p: options.TopP = 1.0,
    settings: options.SamplerSettings = None,
    stride: options.Stride = None,
    guidance: options.Guidance = None,
    unconditional: options.Unconditional = None,
    format: Annotated[str, typer.Option("--format", help="fasta or fastq.")] = "fasta",
    report: options.Report = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Draw new sequences from a model: filling a sequence of nothing but unknown letters.

    Example: seqdiff sample -n 10 --length 512 --seed 1 -o new.fa
    """
    options.start(threads=threads, quiet=quiet, verbose=verbose)
    options.one_of("--format", format, ("fasta", "fastq"))
    results.require_own("--report", report, output)
    if number * length > 10**10:
        raise UsageError(f"-n {number} --length {length}: that is {number * length:,} letters")
    chosen = options.sampler(sampler, settings or [], steps=steps, temperature=temperature, top_p=top_p)
    loaded = options.load(model, device, guidance, unconditional)
    options.check_stride(stride, loaded, length)
    out = results.Results(loaded.alphabet, format, samples=1)
    with (
        options.progress("sample", loaded.alphabet.unit, quiet, number * length) as advance,
        out.writing(output, report),
    ):
        for result in loaded.sample_records([length] * number, chosen, seed=seed, stride=stride, progress=advance):
            out.write(result)
