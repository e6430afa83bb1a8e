"""seqdiff report"""

from pathlib import Path
from typing import Annotated

import typer

from seqdiff.cli import options, report_run
from seqdiff.cli.text import given
from seqdiff.errors import DataError, UsageError

OF_RUNS = {"evaluation", "quick", "settings", "seed", "device"}
OF_RESULTS = {"fasta", "measured"}


def command(
    context: typer.Context,
    what: Annotated[
        str | None,
        typer.Argument(
            help="A run directory, a table of infill --format table, or what variants wrote: a VCF or a table; - is "
            "stdin. Default: the model that ships."
        ),
    ] = None,
    output: options.Output = None,
    evaluation: Annotated[
        Path | None,
        typer.Option("--evaluation", help="Of a run: answers that `seqdiff evaluate -o` wrote, used as they are."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Of a run: ask the model nothing, show what its directory holds.")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Of a run: change a setting of a question, as in evaluate: --set spectra.samples=200."
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Of a run: seed of all questions' draws.")] = None,
    fasta: Annotated[
        str | None,
        typer.Option("--fasta", help="Of filled letters: the FASTA that was filled, for flanks and hidden letters."),
    ] = None,
    measured: Annotated[
        str | None,
        typer.Option(
            "--measured", help="Of scored mutants: the column with the measurement; default: DMS_score, if it is there."
        ),
    ] = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Write a page that people look at, one HTML file that needs no network: of a run, of filled gaps, of variants.

    Of a run: what was trained on what, its losses beside Markov chains, gaps recovered, calibration, k-mers of samples
    beside held-out sequences, speed, recipe, checksums. Answers are taken from evaluation.json in the run directory
    where they are of these very weights; what is missing is asked (a minute or two on two cores for the model that
    ships) and kept in report.json beside it, for the next time.

    Of filled gaps: how sure the model is and where, the gaps as logos with the probability of each letter, how fillings
    agree. Of variants: scores by class, along the genome, the least and the most probable, heat maps of stretches
    where every substitution is scored, and, where a table has measurements of mutants, how they go together. These
    pages are made in one pass and little memory from files of any size, plain or gzip, told by content.

    Example: seqdiff report scored.vcf.gz -o variants.html

    Example: seqdiff report runs/demo -o report.html
    """
    options.start(threads=threads, quiet=quiet, verbose=verbose)
    if what is None and output is None:
        raise UsageError("give a run directory, filled gaps or scored variants; or -o PAGE.html, of the shipped model")
    from seqdiff import resources
    from seqdiff.report.page import write

    of_run = what is None or resources.run_folder(what).is_dir()
    if not of_run and what != "-" and not Path(what).exists():
        raise DataError(
            f"{what}: no such run directory, and no such file; the models that ship are "
            f"{' and '.join(resources.shipped_runs())}"
        )
    if wrong := given(context) & (OF_RESULTS if of_run else OF_RUNS):
        option = next(one.opts[0] for one in context.command.params if one.name in wrong)
        raise UsageError(f"{option}: it is for the page of {'filled letters or variants' if of_run else 'a run'}")
    if of_run:
        found = report_run.asked(
            what, evaluation=evaluation, quick=quick, settings=settings or [], seed=seed, device=device, quiet=quiet
        )
        from seqdiff.report.run import run_page

        write(output, run_page(found))
        return
    from seqdiff.cli.inputs import readable_twice
    from seqdiff.data.source import name_of, size_of
    from seqdiff.report.results import page_of

    with readable_twice(what) as path, options.progress("read", "byte", quiet, size_of(path)) as advance:
        page = page_of(path, name=name_of(what), fasta=fasta, measured=measured, progress=options.difference(advance))
    write(output, page)
