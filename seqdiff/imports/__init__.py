"""Weights that others have trained, as runs: published folder or file -> `Imported` -> run directory.

A format is a frozen config with `kind`, the `path` to read and `read() -> Imported`. A new one is one file and one
line in the union; `seqdiff import` offers what is in it.
"""

import logging
from typing import Annotated

from pydantic import Field

from seqdiff.imports.caduceus import CaduceusFolder
from seqdiff.imports.esm2 import Esm2Folder
from seqdiff.imports.evodiff import EvodiffFile
from seqdiff.imports.imported import Imported

logger = logging.getLogger("seqdiff")

FormatConfig = Annotated[CaduceusFolder | Esm2Folder | EvodiffFile, Field(discriminator="kind")]
"""Any format, told apart by `kind`."""

__all__ = ["CaduceusFolder", "Esm2Folder", "EvodiffFile", "FormatConfig", "Imported"]
