"""How a system is trained: by `seqdiff train` in a process of its own, so that a crash of one takes no other along."""

import contextlib
import logging
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from seqdiff.errors import TrainingError
from seqdiff.files import replacing
from seqdiff.recipe import Recipe
from seqdiff.train.loop import train

logger = logging.getLogger("seqdiff")


@dataclass(frozen=True)
class Place:
    """Where to train."""

    device: str = "auto"
    threads: int | None = None
    processes: int = 1
    """More than one: data parallel."""
    quiet: bool = False


@runtime_checkable
class Launch(Protocol):
    """Trains a recipe into a folder, from where it stands to its last step. Raises TrainingError."""

    def __call__(self, recipe: Recipe, folder: Path, place: Place) -> None: ...


def apart(recipe: Recipe, folder: Path, place: Place) -> None:
    """Train in another process. What it says goes to stderr, and to a log beside the folder.

    When this process is told to stop, the other one is told to, saves and stops first.
    """
    file, log = folder.with_name(folder.name + ".yaml"), folder.with_name(folder.name + ".log")
    with replacing(file) as temporary:
        temporary.write_text(recipe.to_yaml(), encoding="utf-8")
    command = [sys.executable, "-m", "seqdiff", "train", str(file), "--out", str(folder), "--resume"]
    command += ["--device", place.device]
    command += ["--processes", str(place.processes)] if place.processes > 1 else []
    command += ["--threads", str(place.threads)] if place.threads else []
    command += ["--quiet"] if place.quiet else []
    last = ""
    with (
        open(log, "a", encoding="utf-8") as kept,
        subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
            start_new_session=True,  # Ctrl-C reaches it through us, and once
        ) as child,
    ):  # fmt: skip
        try:
            for line in child.stderr:
                kept.write(line)
                kept.flush()
                last = line.strip() or last
                if not place.quiet:
                    print(f"{recipe.name}: {line.removeprefix('seqdiff: ')}", end="", file=sys.stderr, flush=True)
            child.wait()
        except BaseException:
            child.terminate()
            with contextlib.suppress(KeyboardInterrupt):
                child.wait()
            child.kill()
            raise
    if child.returncode:
        why = f"signal {-child.returncode}" if child.returncode < 0 else f"exit code {child.returncode}"
        raise TrainingError(f"{last.removeprefix('seqdiff: error: ') or 'it said nothing'} ({why}; all of it in {log})")


def here(recipe: Recipe, folder: Path, place: Place) -> None:
    """Train in this process."""
    if train(recipe, folder, resume=True, device=place.device, quiet=place.quiet).signal:
        raise KeyboardInterrupt
