"""seqdiff sample"""

from typing import Annotated

import typer

from seqdiff.cli import options
from seqdiff.errors import UsageError


def command(
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="How many sequences.")] = 1,
    length: Annotated[int, typer.Option("--length", min=1, help="Letters in each.")] = 512,
    model: options.ModelRun = None,
    output: options.Output = None,
    sampler: Annotated[str, typer.Option("--sampler", help="ancestral, exact or confident.")] = "ancestral",
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Network calls a window may take.")] = None,
    temperature: Annotated[float, typer.Option("--temperature", help="Below 1 sharper, above 1 flatter.")] = 1.0,
    top_p: Annotated[float, typer.Option("--top-p", help="Draw from the likeliest letters of this mass.")] = 1.0,
    settings: options.SamplerSettings = None,
    format: Annotated[str, typer.Option("--format", help="fasta or fastq.")] = "fasta",
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
    if number * length > 10**10:
        raise UsageError(f"-n {number} --length {length}: that is {number * length:,} letters")
    from seqdiff import model as models
    from seqdiff.cli.infill import write_result
    from seqdiff.data.fasta import Output

    chosen = options.sampler(sampler, settings or [], steps=steps, temperature=temperature, top_p=top_p)
    loaded = models.load(model, device)
    total = number * length
    with options.progress("sample", loaded.alphabet.unit, quiet, total) as advance, Output(output) as out:
        for result in loaded.sample_records([length] * number, chosen, seed=seed, progress=advance):
            write_result(out, result, format, 1, loaded.alphabet)
