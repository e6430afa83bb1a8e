"""The folders that come with seqdiff, the recipes and the genome registry, and the one for what can be made again.

In a clone the first are `configs/` and `genomes/` at the top; in an installed package, copies inside it.
"""

import os
from pathlib import Path
from typing import Literal

from seqdiff.errors import DataError

_PACKAGE = Path(__file__).parent


def folder(kind: Literal["configs", "genomes"]) -> Path:
    """Where the shipped recipes or genomes are.

    >>> (folder("genomes") / "registry.yaml").name
    'registry.yaml'
    """
    inside = _PACKAGE / "shared" / kind
    return inside if inside.is_dir() else _PACKAGE.parent / kind


def run_folder(run: str | Path) -> Path:
    """The folder of a run; a name that is no folder here may be that of a model that ships with seqdiff.

    >>> run_folder("human-chr20").parent.name
    'pretrained'
    """
    shipped = _PACKAGE / "pretrained" / run
    return shipped if not Path(run).exists() and len(Path(run).parts) == 1 and shipped.is_dir() else Path(run)


def shipped_runs() -> list[str]:
    """The names of the models that ship with seqdiff.

    >>> shipped_runs()
    ['human-chr20', 'protein-demo']
    """
    return sorted(path.parent.name for path in (_PACKAGE / "pretrained").glob("*/recipe.yaml"))


def is_installed(path: Path) -> bool:
    """Whether a file came with an installed package, in whose folder nothing else is written: nothing would remove it.

    >>> is_installed(Path("genome.fa"))
    False
    """
    return path.absolute().is_relative_to(_PACKAGE / "shared")


def cache_folder() -> Path:
    """Where encoded genomes and compiled kernels are kept: `$SEQDIFF_CACHE`, else the user's cache directory.

    Raises DataError for a user without a home.
    """
    chosen = os.environ.get("SEQDIFF_CACHE")
    folder = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "seqdiff"
    try:
        return folder.expanduser().absolute()
    except RuntimeError as error:
        raise DataError(f"{folder}: this user has no home folder; set SEQDIFF_CACHE to a folder") from error
