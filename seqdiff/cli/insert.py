"""Options that insert letters in unknown number."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seqdiff.cli import options
from seqdiff.errors import UsageError

if TYPE_CHECKING:
    from seqdiff.data.fasta import Record
    from seqdiff.inference.fits import Fit
    from seqdiff.inference.inserts import Insert, Inserts

Places = Annotated[
    list[str] | None,
    typer.Option(
        "--insert",
        help="[RECORD:]POSITION:MIN-MAX: insert MIN to MAX letters between the letters POSITION and POSITION + 1 (0: "
        "before the first), as many as the model finds probable; without RECORD in every record. Repeatable.",
    ),
]
Choose = Annotated[
    str | None,
    typer.Option(
        "--insert-choose",
        help="Lengths of --insert: sample (drawn for each filling; the default) or best (the most probable; the "
        "default of --sampler best).",
    ),
]
Prior = Annotated[
    str | None,
    typer.Option(
        "--insert-prior",
        help="How probable lengths are beforehand: lengths (a record is a whole sequence, as long as those of the "
        "training data; the default where the model knows these) or uniform.",
    ),
]
Draws = Annotated[
    int | None, typer.Option("--insert-draws", min=8, help="Random masks for each length of --insert; default 32.")
]
Table = Annotated[
    Path | None,
    typer.Option(
        "--insert-table",
        help="TSV, a line a length: log p of the letters around the insert (nats, 0 for the most probable length), "
        "standard error, prior, posterior.",
    ),
]


SAID = 3
"""Inserts of which it is said one by one that two lengths cannot be told apart."""


def asked(
    texts: list[str] | None,
    *,
    others: dict[str, object],
    needs: dict[str, object],
    choose: str | None,
    prior: str | None,
) -> "list[Insert]":
    """The inserts asked for. `others` are options that --insert cannot be combined with, `needs` those that need it."""
    for option, value in needs.items():
        if value is not None and not texts:
            raise UsageError(f"{option}: it is about lengths that --insert leaves open, so give --insert as well")
    for option, value in others.items():
        if value and texts:
            raise UsageError(
                f"--insert and {option}: the length would be chosen without regard to {option}, and positions move. "
                "Insert first, or write the unknown letters into the record yourself"
            )
    if choose is not None:
        options.one_of("--insert-choose", choose, ("sample", "best"))
    if prior is not None:
        options.one_of("--insert-prior", prior, ("lengths", "uniform"))
    from seqdiff.inference.inserts import Insert

    inserts = [Insert.parse(text) for text in texts or ()]
    if inserts and all(insert.shortest == insert.longest for insert in inserts):
        for option in ("--insert-choose", "--insert-prior", "--insert-draws"):
            if needs[option] is not None:
                raise UsageError(f"{option}: every --insert says one length, so it would change nothing")
    return inserts


def compared(
    inserts: "Inserts", records: "Iterable[Record]", samples: int, choose: str, quiet: bool
) -> "tuple[dict[str, list[Fit]], Callable[[Record], list[tuple[Record, str | None]]]]":
    """What each length of each insert is worth, by record, and what makes the records to be filled. Says which lengths
    cannot be told apart."""
    from seqdiff.model import logger

    total = sum(insert.longest - insert.shortest + 1 for each in inserts.places.values() for insert in each)
    found: dict[str, list[Fit]] = {}
    with options.progress("lengths", "length", quiet, total) as advance:
        for record in records:
            if record.name in inserts.places:
                found[record.name] = inserts.fits(record, advance)
    fits = [fit for each in found.values() for fit in each]
    doubts = [fit.doubt for fit in fits if fit.doubt]
    for doubt in doubts[:SAID]:
        logger.warning("%s", doubt)
    if len(doubts) > SAID:
        logger.warning("and so on, at %s of %s inserts", f"{len(doubts):,}", f"{len(fits):,}")
    logger.info("compared %s lengths in %s network passes", f"{total:,}", f"{sum(fit.calls for fit in fits):,}")
    return found, lambda record: inserts.grown(record, found.get(record.name, []), samples, choose)


@contextmanager
def written(path: Path | None, fits: "dict[str, list[Fit]]") -> Iterator[None]:
    """The table of --insert-table, which appears when the block ends, not if it fails."""
    if path is None:
        yield
        return
    from seqdiff.data.output import Output
    from seqdiff.inference.fits import FITS_HEADER, fit_lines

    with Output(path) as out:
        out.write(FITS_HEADER)
        for each in fits.values():
            out.write(b"".join(map(fit_lines, each)))
        yield
