"""The folders that come with seqdiff: the recipes and the genome registry.

In a clone they are `configs/` and `genomes/` at the top; in an installed package, copies inside it.
"""

from pathlib import Path
from typing import Literal

_PACKAGE = Path(__file__).parent


def folder(kind: Literal["configs", "genomes"]) -> Path:
    """Where the shipped recipes or genomes are.

    >>> (folder("genomes") / "registry.yaml").name
    'registry.yaml'
    """
    inside = _PACKAGE / "shared" / kind
    return inside if inside.is_dir() else _PACKAGE.parent / kind
