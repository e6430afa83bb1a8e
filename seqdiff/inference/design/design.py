"""All that is asked of designed DNA, and what it means for one record."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np

from seqdiff.alphabet import DNA, Alphabet
from seqdiff.data.fasta import Record
from seqdiff.data.source import bytes_of, shown
from seqdiff.diffusion.constraints import Course, Guide, Memory, Rules, TooLarge
from seqdiff.errors import DataError, UsageError
from seqdiff.inference.design.coding import Coding
from seqdiff.inference.design.motifs import Motif
from seqdiff.inference.design.share import GC
from seqdiff.inference.known import Known
from seqdiff.inference.windows import FillWindow

log = logging.getLogger("seqdiff")

PARTICLES = 8
"""Unless told otherwise. Every letter is a network pass of every particle, and looking ahead keeps weights near each
other; a larger number comes nearer to the model's law under the constraints, which are met by any number."""


@dataclass(frozen=True)
class Design:
    """Constraints on every record (`gc`, `motifs`, `everywhere`) and on some, by name (`codings`)."""

    gc: GC | None = None
    motifs: tuple[Motif, ...] = ()
    codings: Mapping[str, tuple[Coding, ...]] = field(default_factory=dict)
    everywhere: tuple[Coding, ...] = ()
    """Proteins that every record must code for."""

    def require_dna(self, alphabet: Alphabet) -> None:
        """UsageError for any other alphabet."""
        if alphabet.name != DNA.name:
            raise UsageError(f"--gc, --forbid and --translate are for DNA; the model was trained on {alphabet.name}")

    def require_names(self, names: Mapping[str, object], source: object) -> None:
        """DataError for a protein of a record that is not there."""
        for name in self.codings:
            if name not in names:
                there = ", ".join(list(names)[:8]) + (f" and {len(names) - 8:,} more" if len(names) > 8 else "")
                raise DataError(
                    f"{source}: there is no record {shown(bytes_of(name))} to code for this protein: it is named after "
                    f"its DNA record; there are {there}"
                )

    def for_samples(self, count: int, source: object) -> "Design":
        """For records named sample1 to sample`count`: a single protein of another name is for all of them."""
        names = {f"sample{number}": None for number in range(1, count + 1)}
        if len(self.codings) == 1 and not self.codings.keys() & names.keys():
            (everywhere,) = self.codings.values()
            return replace(self, codings={}, everywhere=everywhere)
        self.require_names(names, source)
        return self

    @property
    def longest_coding(self) -> int:
        """Letters that a record needs at least for all its proteins to fit; 0 without proteins."""
        return max((coding.end for codings in self.codings.values() for coding in codings), default=0)

    def of(self, record: Record) -> tuple[Coding, ...]:
        """The proteins that a record must code for."""
        return self.everywhere + tuple(self.codings.get(record.name, ()))

    def check(self, record: Record, known: Known, letters: int) -> None:
        """DataError where a record cannot meet the constraints: it names the one that cannot, or all where each could
        be met alone. `letters`: as many as a window may fill."""
        for coding in self.of(record):
            _check_coding(coding, record, known)
        likelihood = known.likelihood(np.flatnonzero(known.targets)).astype(np.float64)
        course = self.course(record, known)
        tables = max(min(letters, len(likelihood)), -(-len(likelihood) // letters))  # of a window, or one a window
        if course.too_large(tables):
            raise _too_large(record, f"{tables:,} tables of {course.entries:,} states and counts")
        if course.feasible(likelihood):
            return
        parts = [*self._parts(record)]
        for name, part in parts:
            if not part.course(record, known).feasible(likelihood):
                raise DataError(f"record {shown(bytes_of(record.name))}: {name} cannot be met, whatever is filled in")
        raise DataError(
            f"record {shown(bytes_of(record.name))}: {', '.join(name for name, _ in parts)} could each be met alone, "
            "but not together"
        )

    def _parts(self, record: Record) -> Iterator[tuple[str, "Design"]]:
        """Each constraint of a record alone, by a name for people."""
        if self.gc:
            yield f"--gc {self.gc.text}", Design(gc=self.gc)
        for motif in self.motifs:
            yield f"--forbid {motif.name}", Design(motifs=(motif,))
        for coding in self.of(record):
            yield str(coding), Design(everywhere=(coding,))

    def course(self, record: Record, known: Known) -> Course:
        """The way through the letters of a record under all constraints."""
        triplets: dict[int, np.ndarray] = {}
        for coding in self.of(record):
            for place in range(coding.start, coding.end, 3):
                allowed = np.zeros(64, bool)
                for triplet in coding.triplets(place, known.possible(slice(place, place + 3))):
                    allowed[int("".join(str(DNA.symbols.index(base)) for base in triplet), 4)] = True
                triplets[place + 2] = triplets.get(place + 2, True) & allowed
        try:
            memory = _memory(self.motifs, bool(triplets))
            return Course(known.tokens, known.targets, Rules(memory, triplets, self.gc.share if self.gc else None))
        except TooLarge as error:
            raise _too_large(record, str(error)) from error

    def warn(self, record: Record, known: Known) -> None:
        """Of forbidden words in letters that are given: they stay."""
        text = known.given()
        for motif in self.motifs:
            places = sorted({start + 1 for start, _ in motif.found(text)})
            if places:
                log.warning(
                    "record %s: %s stands in letters that are given, and stays, at %s%s",
                    shown(bytes_of(record.name)), motif.name, ", ".join(f"{place:,}" for place in places[:5]),
                    f" and {len(places) - 5:,} more places" if len(places) > 5 else "",
                )  # fmt: skip

    def verify(self, record: Record, known: Known) -> str:
        """What a filled record came to, as `name=value` words, after reading all its letters once more.

        Raises DataError for a constraint that is not met: it would be a fault of ours, and no such record is written.
        """
        text = record.sequence.upper().replace(b"U", b"T")
        outcome, broken = [], []
        if self.gc:
            filled = np.frombuffer(text, np.uint8)[known.targets]
            share = np.isin(filled, (ord("C"), ord("G"))).sum() / max(1, len(filled))
            outcome.append(f"gc={share:.4f}")
            if len(filled) and not self.gc.low - 1e-9 <= share <= self.gc.high + 1e-9:
                broken.append(f"--gc {self.gc.text}")
        if self.motifs:
            kept = 0
            for motif in self.motifs:
                given = [not known.targets[start:end].any() for start, end in set(motif.found(text))]
                kept += sum(given)
                broken += [f"--forbid {motif.name}"] * (not all(given))
            outcome.append(f"forbidden={kept}")
        if codings := self.of(record):
            broken += [str(coding) for coding in codings if not coding.says(text.decode())]
            outcome.append(f"proteins={len(codings)}")
        if broken:
            raise DataError(
                f"record {shown(bytes_of(record.name))}: {broken[0]} was not met, which is a fault of seqdiff: nothing "
                "was written; please report it"
            )
        return " ".join(outcome)


@cache
def _memory(motifs: tuple[Motif, ...], pairs: bool) -> Memory:
    words = dict.fromkeys(word for motif in motifs for word in motif.words)
    return Memory.of(list(words), DNA.size, pairs=pairs)


def _too_large(record: Record, what: str) -> DataError:
    return DataError(
        f"record {shown(bytes_of(record.name))}: its constraints together are too large a problem ({what}): give "
        "fewer or shorter --forbid words, no --gc, or shorter records"
    )


def _check_coding(coding: Coding, record: Record, known: Known) -> None:
    """DataError for a span past the end, and for letters that are given and fit no codon."""
    where = f"record {shown(bytes_of(record.name))}"
    if coding.end > len(record.sequence):
        raise DataError(
            f"{where}: {coding} takes the letters up to {coding.end:,}, and the record has {len(record.sequence):,}"
        )
    for place in range(coding.start, coding.end, 3):
        possible = known.possible(slice(place, place + 3))
        if not coding.triplets(place, possible):
            standing = record.sequence[place : place + 3].decode()
            raise DataError(
                f"{where}: {standing} at {place + 1:,}-{place + 3:,} cannot code for {coding.letter(place)}, letter "
                f"{coding.number(place):,} of {coding}: "
                + ("a letter there is unknown and not to be filled" if not all(possible) else "change it, or mask it")
            )


class Task:
    """The windows of one record under its constraints, in their order."""

    def __init__(self, design: Design, record: Record, known: Known, windows: Sequence[FillWindow]):
        self.course = design.course(record, known)
        self._windows = {window: number for number, window in enumerate(windows)}
        self._begins = [*(self.course.index(window.first) for window in windows), len(self.course.places)]
        likelihood = known.likelihood(np.flatnonzero(known.targets)).astype(np.float64)
        self._ends = self.course.ends(likelihood, self._begins[1:])

    def entries(self, window: FillWindow) -> int:
        """Of the tables of a window."""
        first, last = self._begins[self._windows[window]], self._begins[self._windows[window] + 1]
        return self.course.entries * int(self.course.is_target[first:last].sum())

    def guide(self, window: FillWindow, marginals: np.ndarray, likelihood: np.ndarray, place: tuple[int, int]) -> Guide:
        """Through one window, from the place (state and count) where the one before ended."""
        number = self._windows[window]
        first, last = self._begins[number], self._begins[number + 1]
        return self.course.guide(first, last, self._ends[last], marginals, likelihood, *place, origin=window.start)
