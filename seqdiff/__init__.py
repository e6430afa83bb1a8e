"""seqdiff: masked diffusion models for DNA and protein sequences.

>>> import seqdiff
>>> len(seqdiff.load().infill(["ACGTNNNNACGT"], seed=1)[0])
12
"""

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from seqdiff.alphabet import DNA, PROTEIN, Alphabet
    from seqdiff.data.fasta import Record
    from seqdiff.errors import SeqdiffError
    from seqdiff.model import Model, load
    from seqdiff.model.choices import design
    from seqdiff.model.sequences import read
    from seqdiff.recipe import Recipe

_HOMES = {
    "load": "seqdiff.model",
    "Model": "seqdiff.model",
    "read": "seqdiff.model.sequences",
    "design": "seqdiff.model.choices",
    "Record": "seqdiff.data.fasta",
    "Recipe": "seqdiff.recipe",
    "Alphabet": "seqdiff.alphabet",
    "DNA": "seqdiff.alphabet",
    "PROTEIN": "seqdiff.alphabet",
    "SeqdiffError": "seqdiff.errors",
}
__all__ = ["DNA", "PROTEIN", "Alphabet", "Model", "Recipe", "Record", "SeqdiffError", "design", "load", "read"]


def _public(name: str) -> object:
    """Public names are imported when first used, so that `seqdiff --help` does not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'seqdiff' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


if not TYPE_CHECKING:  # for type checkers there are the names above and no others
    __getattr__ = _public


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
