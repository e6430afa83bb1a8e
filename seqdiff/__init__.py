"""seqdiff: masked diffusion models for DNA and protein sequences.

>>> import seqdiff
>>> len(seqdiff.load().infill(["ACGTNNNNACGT"], seed=1)[0])
12
"""

import importlib

__version__ = "0.1.0"

_HOMES = {
    "load": "seqdiff.model",
    "Model": "seqdiff.model",
    "Recipe": "seqdiff.recipe",
    "Alphabet": "seqdiff.alphabet",
    "DNA": "seqdiff.alphabet",
    "PROTEIN": "seqdiff.alphabet",
}
__all__ = ["DNA", "PROTEIN", "Alphabet", "Model", "Recipe", "load"]


def __getattr__(name: str) -> object:
    """Public names are imported when first used, so that `seqdiff --help` does not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'seqdiff' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
