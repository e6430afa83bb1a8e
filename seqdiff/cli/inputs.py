"""Input is looked at before it is used, so that what is wrong with it is said before there is any output."""

import contextlib
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
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


@contextlib.contextmanager
def checked(
    fasta: str,
    alphabet: "Alphabet",
    duplicates: str,
    *,
    spool: bool = False,
    look: "Callable[[Record], None] | None" = None,
) -> Iterator[tuple[str, dict[str, int]]]:
    """The path to read and the length of each record in it, all of whose letters have been checked.

    What can be read only once (stdin, a pipe) is passed on unread and its lengths are empty, unless `spool` asks for
    a temporary copy. `look` is shown every record and may refuse it. Raises DataError for the first damaged record.
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
    with contextlib.ExitStack() as stack:
        path = fasta
        if fasta == "-" or (os.path.exists(fasta) and not os.path.isfile(fasta) and not os.path.isdir(fasta)):
            if not spool:
                yield fasta, {}
                return
            source = sys.stdin.buffer if fasta == "-" else stack.enter_context(open(fasta, "rb"))
            try:
                copy = stack.enter_context(tempfile.NamedTemporaryFile(prefix="seqdiff-"))
                shutil.copyfileobj(source, copy)
                copy.flush()
            except OSError as error:
                place = os.environ.get("TMPDIR", "the temporary folder (TMPDIR says which)")
                raise DataError(f"{name_of(fasta)} cannot be copied to {place}: {explain(error)}") from error
            path = copy.name
        lengths, bases = {}, 0
        try:
            for record in read_records(path, duplicates=duplicates):
                record = accepted(record, alphabet, fasta)
                lengths[record.name] = len(record.sequence)
                if alphabet.name == PROTEIN.name:
                    bases += len(record.sequence) - len(record.sequence.translate(None, b"ACGTUNacgtun"))
                if look:
                    look(record)
        except DataError as error:
            raise DataError(str(error).replace(path, name_of(fasta))) from error
        if bases > 0.95 * sum(lengths.values()):
            log.warning(
                "%s: nearly all letters are A, C, G, T or N: is this DNA? This is a model of proteins", name_of(fasta)
            )
        yield path, lengths


def spans(lengths: dict[str, int], bed: Path | None, regions: list[str], clip: bool) -> "dict[str, list[Interval]]":
    """The stretches asked for by record, checked against the records before anything is written."""
    from seqdiff.data.intervals import parse_region, read_bed

    intervals = read_bed(bed, lengths, clip=clip) if bed else []
    intervals += [parse_region(text, lengths, clip=clip) for text in regions]
    if not intervals:
        raise UsageError(f"{bed}: holds no span")
    by_record: dict[str, list[Interval]] = {}
    for interval in intervals:
        by_record.setdefault(interval.contig, []).append(interval)
    return by_record
