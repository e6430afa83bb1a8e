"""Input is looked at before it is used, so that what is wrong with it is said before there is any output."""

import contextlib
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seqdiff.errors import DataError, UsageError
from seqdiff.files import explain

if TYPE_CHECKING:
    from seqdiff.alphabet import Alphabet
    from seqdiff.data.fasta import Record
    from seqdiff.data.intervals import Interval

log = logging.getLogger("seqdiff")


def require(*paths: object) -> None:
    """DataError for a file that is not there, before a model is loaded; None and `-` are no files."""
    from seqdiff.data.source import missing

    for path in paths:
        if path is not None and str(path) != "-" and not os.path.exists(str(path)):
            raise DataError(missing(Path(str(path))))


@dataclass
class Lengths:
    """How long the records of an input are: all together, the longest, and each, where that is asked for."""

    total: int = 0
    longest: int = 0
    named: dict[str, int] | None = None

    def add(self, name: str, length: int) -> None:
        self.total += length
        self.longest = max(self.longest, length)
        if self.named is not None:
            self.named[name] = length

    @classmethod
    def of(cls, named: dict[str, int]) -> "Lengths":
        """Those of records that are in memory already."""
        return cls(sum(named.values()), max(named.values(), default=0), named)


@contextlib.contextmanager
def checked(
    fasta: str,
    alphabet: "Alphabet",
    duplicates: str,
    *,
    spool: bool = False,
    named: bool = False,
    look: "Callable[[Record], None] | None" = None,
) -> Iterator[tuple[str, Lengths]]:
    """The path to read and the lengths of the records in it, all of whose letters have been checked.

    `named`: the length of each record by its name, which takes memory where there are millions. What can be read only
    once (stdin, a pipe) is passed on unread and its lengths are 0, unless `spool` asks for a temporary copy. `look` is
    shown every record and may refuse it. Raises DataError for the first damaged record.
    """
    from seqdiff.alphabet import PROTEIN
    from seqdiff.data.characters import Characters
    from seqdiff.data.fasta import accepted, read_records
    from seqdiff.data.levels import Levels
    from seqdiff.data.source import name_of

    if isinstance(alphabet, Characters):
        raise UsageError(f"--fasta {fasta}: the model was trained on text ({alphabet.name}); give it --text FILE")
    if isinstance(alphabet, Levels):
        raise UsageError(
            f"--fasta {fasta}: the model was trained on {alphabet.name}, which infill and score take with --image"
        )
    if _only_once(fasta) and not spool:
        yield fasta, Lengths()
        return
    with readable_twice(fasta) as path:
        lengths, bases = Lengths(named={} if named else None), 0
        for record in read_records(path, duplicates=duplicates):
            record = accepted(record, alphabet, fasta)
            lengths.add(record.name, len(record.sequence))
            if alphabet.name == PROTEIN.name:
                bases += len(record.sequence) - len(record.sequence.translate(None, b"ACGTUNacgtun"))
            if look:
                look(record)
            del record  # before the next is read: they may be chromosomes
        if bases > 0.95 * lengths.total:
            log.warning(
                "%s: nearly all letters are A, C, G, T or N: is this DNA? This is a model of proteins", name_of(fasta)
            )
        yield path, lengths


@contextlib.contextmanager
def readable_twice(path: str) -> Iterator[str]:
    """The path of a file, or of a temporary copy of what can be read only once (stdin, a pipe).

    What is wrong with the copy is said of what was copied. Raises DataError where there is no room for it.
    """
    from seqdiff.data.source import name_of

    if not _only_once(path):
        yield path
        return
    with contextlib.ExitStack() as stack:
        source = sys.stdin.buffer if path == "-" else stack.enter_context(open(path, "rb"))
        try:
            copy = stack.enter_context(tempfile.NamedTemporaryFile(prefix="seqdiff-"))
            shutil.copyfileobj(source, copy)
            copy.flush()
        except OSError as error:
            place = os.environ.get("TMPDIR", "the temporary folder (TMPDIR says which)")
            raise DataError(f"{name_of(path)} cannot be copied to {place}: {explain(error)}") from error
        try:
            yield copy.name
        except DataError as error:
            raise DataError(str(error).replace(copy.name, name_of(path))) from error


def _only_once(path: str) -> bool:
    """Whether it is stdin or a pipe."""
    return path == "-" or (os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path))


def spans(lengths: dict[str, int], bed: Path | None, regions: list[str], clip: bool) -> "dict[str, list[Interval]]":
    """The stretches asked for by record, checked against the records before anything is written."""
    from seqdiff.data.intervals import is_without_span, parse_region, read_bed

    intervals = read_bed(bed, lengths, clip=clip) if bed else []
    intervals += [parse_region(text, lengths, clip=clip) for text in regions]
    if not intervals and not (bed and is_without_span(bed)):
        raise UsageError(f"{bed}: holds no span")
    by_record: dict[str, list[Interval]] = {}
    for interval in intervals:
        by_record.setdefault(interval.contig, []).append(interval)
    return by_record
