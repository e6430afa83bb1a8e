"""Weights that others have trained, as runs: published folder -> `Imported` -> run directory.

A format is a frozen config with `kind`, the `folder` to read and `read() -> Imported`. A new one is one file and one
line in the union; `seqdiff import` offers what is in it.
"""

import logging

from seqdiff.imports.caduceus import CaduceusFolder
from seqdiff.imports.imported import Imported

logger = logging.getLogger("seqdiff")

FormatConfig = CaduceusFolder
"""Any format; a union told apart by `kind` as soon as there is a second one."""

__all__ = ["CaduceusFolder", "FormatConfig", "Imported"]
