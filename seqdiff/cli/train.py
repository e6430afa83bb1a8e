"""seqdiff train"""

import json
import logging
import os
import signal
from pathlib import Path
from typing import Annotated

import typer

from seqdiff.cli import options
from seqdiff.errors import UsageError
from seqdiff.train import rank
from seqdiff.train.launch import SIGNALS


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
    processes: Annotated[
        int,
        typer.Option(
            "--processes", min=1, help="Processes of this machine that train together: one a GPU, or a few cores."
        ),
    ] = 1,
    device: options.Device = "auto",
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Train a model from a recipe.

    Ctrl-C or SIGTERM saves and stops; --resume goes on from there to the last bit. On several GPUs: --processes 8; on
    several machines: srun or torchrun start it, once for each GPU. -@ is the threads of all processes together.

    With --set data.fasta=FILE a recipe's genome is read from your own copy of it; for a genome of your own, say
    --set data.genome=null as well. For proteins of your own: train protein-demo --set data.proteins=null
    --set data.fasta=FILE, and --clusters TABLE.

    --from RUN begins a new run with the weights of another (or an imported) one and records that as training.start;
    --resume goes on with the run in --out itself.

    Example: seqdiff train hg38 --set data.fasta=hg38.fa --out runs/hg38
    """
    me = rank.find()
    for number in SIGNALS if me.rank else ():  # what the first process says of being stopped is enough
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _leave)
    if me.launcher:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    if me.world > 1:  # that another process is gone is said in words, and not by torch in twenty lines
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    options.start(threads=threads, quiet=quiet, verbose=verbose)
    if me.rank:  # of several processes the first one speaks for all, but for errors
        logging.getLogger("seqdiff").setLevel(logging.ERROR)
    if processes > 1 and me.world > 1:
        raise UsageError(f"--processes {processes}: {me.world} processes have been started already; leave it out")
    from seqdiff import recipe as recipes
    from seqdiff import resources

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
    if processes > 1:
        given = [recipe, "--out", str(folder), "--device", device]
        given += [word for change in changes for word in ("--set", change)]
        given += ["--from", str(start)] * (start is not None) + ["--resume"] * resume
        given += ["--quiet"] * quiet + ["--verbose"] * verbose
        raise typer.Exit(_together(given, folder, processes, device, threads))
    from seqdiff.train import loop
    from seqdiff.train.heartbeat import ToldElsewhere

    try:
        stopped = loop.train(resolved, folder, resume=resume, device=device, quiet=quiet)
    except ToldElsewhere as error:
        raise typer.Exit(error.exit_code) from error
    if stopped.signal:
        if not me.rank:
            loop.logger.warning(
                "stopped at step %s, saved; go on with: seqdiff train %s --resume --out %s%s",
                f"{stopped.step:,}", folder / "recipe.yaml", folder,
                f" --processes {me.world}" if me.launcher else "",
            )  # fmt: skip
        raise typer.Exit(128 + stopped.signal)
    loop.logger.info("the model is in %s", folder)


def _leave(number: int, frame: object) -> None:
    """End without a word, as a signal does."""
    raise SystemExit(128 + number)


def _together(given: list[str], folder: Path, processes: int, device: str, threads: int | None) -> int:
    """Train on several processes of this machine, each with its share of the threads; the exit code of the training."""
    from seqdiff import devices
    from seqdiff.checkpoint import RunFolder
    from seqdiff.train.launch import launch

    if devices.find(device).type == "cuda":
        import torch

        if device != "auto" and ":" in device:
            raise UsageError(f"--device {device}: {processes} processes take a GPU each: say --device cuda")
        if (here := torch.cuda.device_count()) < processes:
            raise UsageError(f"--processes {processes}: there are {here} GPUs here, and each process takes one")
    cores = threads or len(os.sched_getaffinity(0))
    given += ["--threads", str(max(1, cores // processes))]

    def killed() -> str:
        if not RunFolder(folder).saves:
            return "nothing had been saved yet: start it again"
        resume = f"seqdiff train {folder / 'recipe.yaml'} --resume --out {folder} --processes {processes}"
        return f"go on from the last save with: {resume}"

    return launch(["train", *given], processes, killed=killed)


def _start(run: Path | None) -> list[str]:
    """The settings of a recipe that starts from a run: where it is, and its network. JSON is YAML for any path."""
    if run is None:
        return []
    from seqdiff.checkpoint import RunFolder

    network = RunFolder(run).read_recipe().denoiser.model_dump_json()
    return [f"training.start={json.dumps(str(run))}", f"denoiser={network}"]
