"""Sets of proteins by name: `genomes/proteins.yaml` describes those that ship with seqdiff."""

import difflib
from pathlib import Path

import yaml
from pydantic import Field, ValidationError

from seqdiff import resources
from seqdiff.config import Config
from seqdiff.errors import DataError


class ProteinSet(Config):
    """One set, named `name` in the registry; its files lie beside that."""

    description: str
    release: str
    license: str
    source: str
    file: str
    checksum: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    """Of the compressed file."""
    size: int = Field(gt=0)
    """Of the compressed file, in bytes."""
    clusters: str
    proteins: int = Field(gt=0)
    residues: int = Field(gt=0)

    @property
    def path(self) -> Path:
        """The FASTA file. Raises DataError where it is not there."""
        return _shipped(self.file)

    @property
    def clusters_path(self) -> Path:
        """The cluster table. Raises DataError where it is not there."""
        return _shipped(self.clusters)


class Registry(Config):
    """All sets that have a name.

    >>> Registry.load()["swissprot-sample"].proteins
    3101
    >>> Registry.load()["swissprot"]
    Traceback (most recent call last):
    seqdiff.errors.DataError: 'swissprot' is no set of proteins that seqdiff knows; did you mean 'swissprot-sample'? \
It knows swissprot-sample. For a file of your own: --set data.proteins=null --set data.fasta=FILE
    """

    sets: dict[str, ProteinSet]

    @classmethod
    def load(cls) -> "Registry":
        """The registry that ships with seqdiff. Raises DataError where it makes no sense."""
        path = resources.folder("genomes") / "proteins.yaml"
        try:
            return cls(sets=yaml.safe_load(path.read_text()))
        except (OSError, yaml.YAMLError, ValidationError) as error:
            raise DataError(f"{path}: cannot read the registry of proteins: {error}") from error

    def __getitem__(self, name: str) -> ProteinSet:
        if name in self.sets:
            return self.sets[name]
        close = difflib.get_close_matches(name.casefold(), self.sets, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else "."
        raise DataError(
            f"{name!r} is no set of proteins that seqdiff knows{hint} It knows {', '.join(self.sets)}. "
            f"For a file of your own: --set data.proteins=null --set data.fasta=FILE"
        )


def _shipped(name: str) -> Path:
    path = resources.folder("genomes") / name
    if not path.exists():
        raise DataError(f"{path} is missing from this installation of seqdiff: install it again")
    return path
