"""seqdiff train"""

import json
import logging
import os
from pathlib import Path
from typing import Annotated

import typer

from seqdiff.cli import options
from seqdiff.errors import UsageError


def command(
    recipe: Annotated[str, typer.Argument(help="A recipe that ships with seqdiff (demo, hg38, ...) or a YAML file.")],
    out: Annotated[Path | None, typer.Option("--out", help="The run directory; default: runs/NAME.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Change a setting: --set training.steps=500. Repeatable.")
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option("--from", help="Fine-tune: start with this run's model, and its network for the recipe's."),
    ] = None,
    clusters: Annotated[
        Path | None,
        typer.Option(
            "--clusters",
            help="Of proteins: a table of representative and member, as `mmseqs easy-cluster` writes; no cluster is "
            "trained on and held out. The same as --set data.clusters=FILE.",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last save, if there is one.")] = False,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Instead of the recipe's seed.")] = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Train a model from a recipe.

    Ctrl-C or SIGTERM saves and stops; --resume goes on from there to the last bit. On several GPUs:
    torchrun --nproc-per-node 8 -m seqdiff train hg38

    With --set data.fasta=FILE a recipe's genome is read from your own copy of it; for a genome of your own, say
    --set data.genome=null as well. For proteins of your own: train protein-demo --set data.proteins=null
    --set data.fasta=FILE, and --clusters TABLE.

    --from RUN begins a new run with the weights of another (or an imported) one and records that as training.start;
    --resume goes on with the run in --out itself.

    Example: seqdiff train hg38 --set data.fasta=hg38.fa --out runs/hg38
    """
    options.start(threads=threads, quiet=quiet, verbose=verbose)
    if os.environ.get("RANK", "0") != "0":  # of torchrun's processes the first one speaks for all, but for errors
        logging.getLogger("seqdiff").setLevel(logging.ERROR)
    from seqdiff import recipe as recipes
    from seqdiff import resources
    from seqdiff.train import loop

    changes = [*(settings or []), *([] if seed is None else [f"seed={seed}"])]
    if clusters is not None:
        if any(setting.partition("=")[0].strip() == "data.clusters" for setting in changes):
            raise UsageError("--clusters and --set data.clusters: give one of them")
        changes.append(f"data.clusters={json.dumps(str(clusters))}")
    start = None if start is None else resources.run_folder(start)
    resolved = recipes.load(recipe, [*_start(start), *changes])
    if start is not None and resolved.training.start != start.expanduser().absolute():
        raise UsageError(f"--from {start}: --set gives training.start {resolved.training.start}; give one of the two")
    folder = out or Path("runs") / resolved.name
    stopped = loop.train(resolved, folder, resume=resume, device=device, quiet=quiet)
    if stopped.signal:
        loop.logger.warning(
            "stopped at step %s, saved; go on with: seqdiff train %s --resume --out %s",
            f"{stopped.step:,}", folder / "recipe.yaml", folder,
        )  # fmt: skip
        raise typer.Exit(128 + stopped.signal)
    loop.logger.info("the model is in %s", folder)


def _start(run: Path | None) -> list[str]:
    """The settings of a recipe that starts from a run: where it is, and its network. JSON is YAML for any path."""
    if run is None:
        return []
    from seqdiff.checkpoint import RunFolder

    network = RunFolder(run).read_recipe().denoiser.model_dump_json()
    return [f"training.start={json.dumps(str(run))}", f"denoiser={network}"]
