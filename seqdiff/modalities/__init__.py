"""Modalities: an alphabet and where its sequences come from.

A new one is a file here and its name in `ModalityConfig`: a config class with `kind`, `alphabet` and `context`, the
longest row in letters; `resolved()`, itself with what only the file can say (a family's columns); and `open()`, which
gives what `Opened` describes.
"""

from typing import Annotated

from pydantic import Field

from seqdiff.modalities.dna import Dna
from seqdiff.modalities.family import Family
from seqdiff.modalities.image import Image
from seqdiff.modalities.opened import Opened
from seqdiff.modalities.protein import Protein
from seqdiff.modalities.species import Species
from seqdiff.modalities.text import Text

ModalityConfig = Annotated[Dna | Species | Protein | Family | Text | Image, Field(discriminator="kind")]
"""Any modality."""

__all__ = ["Dna", "Family", "Image", "ModalityConfig", "Opened", "Protein", "Species", "Text"]
