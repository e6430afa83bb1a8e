"""Input is looked at before it is used, so that what is wrong with it is said before there is any output."""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from seqdiff.errors import DataError
from seqdiff.files import explain

if TYPE_CHECKING:
    from seqdiff.alphabet import Alphabet
    from seqdiff.data.fasta import Record


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
    from seqdiff.data.fasta import check_letters, read_records
    from seqdiff.data.source import name_of

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
        lengths = {}
        try:
            for record in read_records(path, duplicates=duplicates):
                check_letters(record, alphabet, fasta)
                lengths[record.name] = len(record.sequence)
                if look:
                    look(record)
        except DataError as error:
            raise DataError(str(error).replace(path, name_of(fasta))) from error
        yield path, lengths
