"""seqdiff compare"""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqdiff.cli import options
from seqdiff.cli.evaluate import show
from seqdiff.errors import UsageError

if TYPE_CHECKING:
    from seqdiff.evaluate.answer import Progress

FORMS = (".tsv", ".md", ".json", ".png")


def command(
    comparisons: Annotated[
        list[str], typer.Argument(help="Comparisons that ship with seqdiff (dna, text, digits, ...) or YAML files.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The folder of all runs; each comparison has one of its name.")] = (
        Path("runs/compare")
    ),
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="The table as PREFIX.tsv, .md, .json and .png, or as one of these; - for TSV on stdout. Default: "
            "OUT/NAME/table.",
        ),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="A system to train now; the others stay as they are. Repeatable.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Change a setting: of the comparison (budget.minutes=5, samples.number=200) or of what all systems "
            "share (data.fasta=FILE, training.batch_size=8). Repeatable.",
        ),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Measure speeds and say how long it all takes, but train nothing.")
    ] = False,
    processes: Annotated[
        int,
        typer.Option("--processes", min=1, help="Train each system on so many processes or GPUs."),
    ] = 1,
    device: options.Device = "auto",
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Train systems on the same data for the same budget, and put their held-out bits in one table.

    A comparison is a base recipe, systems that change some of its settings, and a budget: so many letters, so many
    minutes of computing, or both. Each system is scored by its own bound (or exactly, where it can be) on the same
    windows as all others, and sampled by its own sampler. Markov chains stand beside them.

    Run it again and it goes on: what is trained stays, a training that was stopped resumes, what failed is tried again.
    Comparisons that ship: dna (the embedded human sequence), yeast, text and digits for CPUs; hg38, text8 and cifar10
    at the published scale, for GPUs.

    Example: seqdiff compare dna --out runs/compare -o table
    """
    options.start(threads=threads, quiet=quiet, verbose=verbose)
    from seqdiff.compare import settings as comparing
    from seqdiff.compare.launch import Place
    from seqdiff.compare.run import compare
    from seqdiff.compare.table import remarks, tables

    logger = logging.getLogger("seqdiff")
    loaded = [comparing.load(name, settings or ()) for name in comparisons]
    names = [comparison.name for comparison in loaded]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"two comparisons are called {twice}, so they would share a folder: give one of them")
    if only and len(loaded) > 1:
        raise UsageError("--only is for a single comparison")
    for comparison in loaded:
        comparison.chosen(only or ())
    place = Place(device, threads, processes, quiet)

    @contextmanager
    def bar(label: str) -> "Iterator[Progress]":
        with options.progress(label, "%", quiet, total=100) as advance:
            yield options.difference(advance, scale=100)

    summaries: list[dict[str, Any]] = []
    for comparison in loaded:
        summaries.append(compare(comparison, out, only=only or (), place=place, train=not plan, bar=bar))
        for table in tables(summaries[-1]):
            show(table, sys.stderr if str(output) == "-" else sys.stdout)
        for remark in remarks(summaries[-1]):
            logger.warning("%s", remark)
    if plan:
        return
    if output is not None:
        _write(output, summaries)
    else:
        for name, summary in zip(names, summaries, strict=True):
            _write(out / name / "table", [summary])
    rows = [row for summary in summaries for half in summary["halves"] for row in half["rows"]]
    if any(row["state"] == "failed" for row in rows):
        raise typer.Exit(1)


def _write(prefix: Path, summaries: list[dict[str, Any]]) -> None:
    """The table in all its forms, or in the one that the name asks for; TSV to stdout for `-`."""
    from seqdiff.compare.table import markdown, tsv
    from seqdiff.data.output import Output
    from seqdiff.report.compare import compare_figure

    if str(prefix) == "-":
        with Output(prefix) as file:
            file.write(tsv(summaries))
        return
    form = prefix.suffix if prefix.suffix in FORMS else None
    prefix = prefix.with_suffix("") if form else prefix
    text = {
        ".tsv": lambda: tsv(summaries),
        ".md": lambda: markdown(summaries).encode(),
        ".json": lambda: (json.dumps(summaries, indent=1, allow_nan=False) + "\n").encode(),
    }
    for suffix in [form] if form else FORMS:
        if suffix == ".png":
            for summary in summaries:
                name = f"{prefix.name}-{summary['comparison']}" if len(summaries) > 1 else prefix.name
                compare_figure(prefix.with_name(name + suffix), summary)
        else:
            with Output(prefix.with_name(prefix.name + suffix)) as file:
                file.write(text[suffix]())
    logging.getLogger("seqdiff").info("the table is in %s", prefix.with_name(prefix.name + (form or ".*")))
