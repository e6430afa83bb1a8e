"""What an import comes to, and how it becomes a run directory: whole or not at all."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from seqdiff.checkpoint import Provenance, RunFolder
from seqdiff.errors import DataError
from seqdiff.files import appearing, checksum
from seqdiff.modalities.protein import Protein
from seqdiff.recipe import Recipe


@dataclass(frozen=True)
class Imported:
    """A network from elsewhere: `weights` has the names and shapes of what `recipe.denoiser` builds."""

    recipe: Recipe
    weights: dict[str, Tensor]
    source: str
    """Where the weights come from, for people."""
    remarks: tuple[str, ...]
    """What the recipe says that the source does not; at the head of recipe.yaml."""

    def write(self, run: str | Path) -> None:
        """Make it the run directory `run`. DataError when there is something already, or it cannot be written."""
        data = self.recipe.data
        provenance = Provenance(data.alphabet.name, data.context, f"unknown: {self.source}", data_checksum="", step=0)
        with appearing(run) as temporary:
            folder = RunFolder(temporary)
            try:
                folder.write_recipe(self.recipe, remarks=(f"Weights: {self.source}", *self.remarks))
                folder.write_weights(self.weights, provenance)
            except DataError as error:  # it names the temporary folder, which is gone when this is read
                raise DataError(str(error).replace(str(temporary), str(run))) from error


def proteins(context: int, fasta: Path | None) -> Protein:
    """The data of a model of proteins: none, or a file of the user's own. DataError where there is no such file."""
    if fasta is not None and not fasta.is_file():
        raise DataError(f"{fasta}: no such file; --fasta is a FASTA file of proteins")
    return Protein(fasta=None if fasta is None else fasta.absolute(), context=context)


def run_name(path: Path, otherwise: str) -> str:
    """What the run of a published folder or file is called: its name, in the letters that names of runs have.

    >>> run_name(Path("down loads/esm2_t6_8M (copy)"), "esm2")
    'esm2_t6_8M-copy-'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", path.resolve().name).lstrip("-._") or otherwise


def source(files: Sequence[Path]) -> str:
    """Where weights come from, for people: the folder of the files that were read, and their checksums."""
    sums = ", ".join(f"{file.name} {checksum(file)}" for file in files)
    return f"{files[0].parent.absolute()}, {sums} (BLAKE2b)"
