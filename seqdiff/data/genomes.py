"""Genomes by name: `genomes/registry.yaml` describes them, `resolve` finds them, `fetch` gets them.

They live in `$SEQDIFF_GENOMES`, else in `~/.local/share/seqdiff/genomes`; the one that ships with
seqdiff lies beside the registry.
"""

import difflib
import hashlib
import logging
import os
from pathlib import Path

import yaml
from pydantic import Field, ValidationError, model_validator

from seqdiff import resources
from seqdiff.config import Config
from seqdiff.data.download import Progress, download
from seqdiff.errors import DataError

log = logging.getLogger("seqdiff")


class HeldOut(Config):
    """What is kept from training: regions (`chr8`, `chr9:1-1,000,000`: 1-based inclusive)."""

    valid: list[str] = Field(min_length=1)
    test: list[str] = Field(min_length=1)


class Entry(Config):
    """One genome of the registry, named `name` there."""

    description: str
    species: str
    assembly: str
    license: str
    source: str
    url: str | None = None
    file: str | None = None
    """A file that ships with seqdiff, beside the registry. An entry has a `url` or a `file`."""
    checksum: str | None = Field(None, pattern=r"^(md5:[0-9a-f]{32}|sha256:[0-9a-f]{64})$")
    """Of the compressed file. None: nobody's published one is known, and the first fetch records its own."""
    size: int | None = Field(None, gt=0)
    """Of the compressed file, in bytes."""
    chromosomes: dict[str, int] = Field(min_length=1)
    """The sequences to train and evaluate on, with their lengths: no alternative loci or unplaced contigs."""
    splits: HeldOut

    @model_validator(mode="after")
    def _one_source(self) -> "Entry":
        if (self.url is None) == (self.file is None):
            raise ValueError("give either a url or a file")
        return self

    @property
    def bases(self) -> int:
        """Bases of the chromosomes, known or not."""
        return sum(self.chromosomes.values())

    @property
    def file_name(self) -> str:
        """What the file is called on disk."""
        return self.file or self.url.rsplit("/", 1)[-1]


class Registry(Config):
    """All genomes that have a name.

    >>> Registry.load()["hg38"].chromosomes["chr1"]
    248956422
    >>> Registry.load()["hg83"]
    Traceback (most recent call last):
    seqdiff.errors.DataError: 'hg83' is no genome that seqdiff knows; did you mean 'hg38'? It knows \
human-chr20, hg38, T2T-CHM13, mm39, sacCer3. For a file of your own: --set data.fasta=FILE
    """

    genomes: dict[str, Entry]

    @classmethod
    def load(cls, path: Path | None = None) -> "Registry":
        """The registry that ships with seqdiff, or another one. Raises DataError where it makes no sense."""
        path = path or resources.folder("genomes") / "registry.yaml"
        try:
            return cls(genomes=yaml.safe_load(path.read_text()))
        except (OSError, yaml.YAMLError) as error:
            raise DataError(f"{path}: cannot read the genome registry: {error}") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"][1:]))
            raise DataError(f"{path}: {where}: {first['msg']}") from error

    @property
    def names(self) -> list[str]:
        return list(self.genomes)

    def __getitem__(self, name: str) -> Entry:
        if name in self.genomes:
            return self.genomes[name]
        folded = {known.casefold(): known for known in self.genomes}
        close = difflib.get_close_matches(name.casefold(), folded, n=1)
        hint = f"; did you mean {folded[close[0]]!r}?" if close else "."
        raise DataError(
            f"{name!r} is no genome that seqdiff knows{hint} It knows {', '.join(self.names)}. "
            f"For a file of your own: --set data.fasta=FILE"
        )


def folder() -> Path:
    """Where fetched genomes are kept: `$SEQDIFF_GENOMES`, else the user's data directory."""
    if chosen := os.environ.get("SEQDIFF_GENOMES"):
        return Path(chosen).expanduser()
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "seqdiff" / "genomes"


def resolve(name: str, *, registry: Registry | None = None) -> Path:
    """The FASTA file of a genome on this machine; a decompressed copy of it will do.

    Raises DataError, which says how to get it, where it is not here or not whole.

    >>> resolve("human-chr20").name
    'human-chr20.fa.gz'
    """
    entry = (registry or Registry.load())[name]
    if entry.file is not None:
        path = resources.folder("genomes") / entry.file
        if not path.exists():
            raise DataError(f"{path} is missing from this installation of seqdiff: install it again")
        return path
    path = folder() / entry.file_name
    get = f"get it with: seqdiff genomes fetch {name}"
    own = "or use a copy of your own: --set data.fasta=FILE"
    if path.exists():
        if entry.size is not None and (size := path.stat().st_size) != entry.size:
            raise DataError(
                f"{path} has {size:,} bytes, and {name} has {entry.size:,}: it is not whole. Remove it and {get}, {own}"
            )
        return path
    if (plain := path.with_suffix("")).exists():
        return plain
    size = f"{entry.size:,} bytes" if entry.size else "size unknown"
    checksum = entry.checksum or "no published checksum"
    raise DataError(f"{name} is not on this machine ({path}): {get} ({size}, {checksum}), {own}")


def fetch(name: str, *, registry: Registry | None = None, progress: Progress | None = None, wait: float = 1.0) -> Path:
    """The FASTA file of a genome, downloaded if need be: resumed, verified, whole or not there at all.

    Where the registry has no checksum, that of the first download is kept in `FILE.sha256` (a warning
    says so) and later fetches must match it. Raises DataError; see `seqdiff.data.download.download`.
    """
    entry = (registry or Registry.load())[name]
    if entry.url is None:
        return resolve(name, registry=registry)
    destination = folder() / entry.file_name
    record = destination.with_name(destination.name + ".sha256")
    checksum = entry.checksum
    if checksum is None and record.exists():
        checksum = f"sha256:{record.read_text().split()[0]}"
    path = download(entry.url, destination, checksum=checksum, progress=progress, wait=wait)
    if checksum is None:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        record.write_text(f"{digest}  {path.name}\n")
        log.warning(
            "%s: NOT VERIFIED, no published checksum is known. What was downloaded has sha256 %s; "
            "this is kept in %s and later downloads must match it",
            name, digest, record,
        )  # fmt: skip
    return path
