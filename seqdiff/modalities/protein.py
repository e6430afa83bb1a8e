"""Proteins: whole sequences of a FASTA file."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from seqdiff.alphabet import PROTEIN, Alphabet
from seqdiff.config import Config
from seqdiff.errors import ConfigError
from seqdiff.modalities.opened import Opened


class Protein(Config):
    """Proteins from a FASTA file."""

    kind: Literal["protein"] = "protein"
    fasta: Path | None = None
    context: int = Field(1024, ge=8)
    """Residues the network looks at together."""

    @property
    def alphabet(self) -> Alphabet:
        return PROTEIN

    def resolved(self) -> "Protein":
        """Itself: nothing of it is said by the file alone."""
        return self

    def open(self) -> Opened:
        raise ConfigError("data.fasta: give a FASTA file of proteins")
