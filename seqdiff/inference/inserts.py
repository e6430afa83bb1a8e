"""Letters that are missing in unknown number: where they are to be inserted, and how probable each number is.

Masks cannot change a length by themselves, so each length that may be is tried: a gap of so many unknown letters
between the two flanks, and how probable the model makes the flanks with it (`seqdiff.diffusion.likelihood.spacing`).
Times the prior that is the posterior of the length. An insert sees the record up to the inserts beside it, since nobody
knows how far away the rest is; the prior of the length of the whole record is of all of its inserts together.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, UInt8

from seqdiff.alphabet import Alphabet
from seqdiff.data.fasta import Record
from seqdiff.data.intervals import unknown_contig
from seqdiff.data.source import bytes_of, shown
from seqdiff.diffusion.denoise import Denoise, reach
from seqdiff.diffusion.likelihood import spacing
from seqdiff.errors import DataError, UsageError
from seqdiff.inference.fits import Fit, Totals
from seqdiff.inference.known import Known
from seqdiff.inference.lengths import Lengths
from seqdiff.streams import Streams

DRAWS = 32
"""Random masks a length."""


class Insert(NamedTuple):
    """`shortest` to `longest` letters after the first `position` letters of a record, or of every one."""

    record: str | None
    position: int
    shortest: int
    longest: int

    @classmethod
    def parse(cls, text: str) -> "Insert":
        """`[RECORD:]POSITION:MIN-MAX`, or one length for both; names may hold colons.

        >>> Insert.parse("chr1:2:1,000:0-20")
        Insert(record='chr1:2', position=1000, shortest=0, longest=20)

        Raises UsageError.
        """
        *names, position, lengths = text.rsplit(":", 2) if ":" in text else ("", text)
        shortest, dash, longest = lengths.replace(",", "").partition("-")
        numbers = [position.replace(",", ""), shortest, longest if dash else shortest]
        if names == [""] or not all(number.isascii() and number.isdigit() and len(number) < 16 for number in numbers):
            raise UsageError(
                f"--insert {text}: write it as POSITION:MIN-MAX or RECORD:POSITION:MIN-MAX, like 24:0-20: 0 to 20 "
                "letters between the letters 24 and 25; position 0 is before the first"
            )
        if int(numbers[1]) > int(numbers[2]):
            raise UsageError(f"--insert {text}: from the shortest to the longest: swap the two lengths")
        return cls(names[0] if names else None, *map(int, numbers))

    def __str__(self) -> str:
        name = "" if self.record is None else f"{self.record}:"
        return f"--insert {name}{self.position}:{self.shortest}-{self.longest}"


def placed(inserts: Iterable[Insert], lengths: Mapping[str, int]) -> dict[str, list[Insert]]:
    """The inserts of each record, by position; `lengths` are those of the records.

    Raises DataError for a record that is not there, a position past its end, and two inserts at one place.
    """
    found: dict[str, list[Insert]] = {}
    for insert in inserts:
        if insert.record is not None and insert.record not in lengths:
            raise DataError(f"{insert}: {unknown_contig(insert.record, lengths).replace('contig', 'record')}")
        for name in lengths if insert.record is None else (insert.record,):
            where = f"{insert}: record {shown(bytes_of(name))}"
            if insert.position > lengths[name]:
                raise DataError(f"{where} has {lengths[name]:,} letters, so give a position of 0 to {lengths[name]}")
            if any(insert.position == other.position for other in found.get(name, ())):
                raise DataError(f"{where} has another insert at this position: give one of them")
            found.setdefault(name, []).append(insert)
    return {name: sorted(each, key=lambda insert: insert.position) for name, each in found.items()}


def stretched(record: Record, places: Sequence[int], lengths: Sequence[int], alphabet: Alphabet, what: str) -> Record:
    """The record with unknown letters inserted, lower-case between lower-case letters, and that said in its header.

    >>> from seqdiff.alphabet import DNA
    >>> stretched(Record("a", "a x", b"ACgt"), [0, 3], [1, 2], DNA, "0:1,3:2")
    Record(name='a', header='a x insert=0:1,3:2', sequence=b'NACgnnt', quality=None, line_width=0)
    """
    pieces, qualities = [], []
    for place, length, last in zip((0, *places), (0, *lengths), (*places, len(record.sequence))):
        beside = record.sequence[max(0, place - 1) : place + 1]
        letter = alphabet.unknown.lower() if beside.islower() else alphabet.unknown
        pieces += [letter.encode() * length, record.sequence[place:last]]
        qualities += [b"!" * length, (record.quality or b"")[place:last]]
    quality = None if record.quality is None else b"".join(qualities)
    return replace(record, header=f"{record.header} insert={what}", sequence=b"".join(pieces), quality=quality)


class Inserts:
    """Compares the lengths of inserts, and grows records by them."""

    def __init__(
        self,
        places: Mapping[str, Sequence[Insert]],
        denoise: Denoise,
        alphabet: Alphabet,
        context: int,
        whole: Lengths | None = None,
        *,
        draws: int = DRAWS,
        seed: int = 0,
        trusted: int | None = None,
        batch_tokens: int = 16_384,
    ):
        """`places` are the inserts of each record by position (`placed`), `whole` the prior of the length of a record;
        without it all lengths of an insert are equally likely beforehand. `trusted`: see `Known`.

        Raises UsageError for an insert longer than half the context.
        """
        for insert in (insert for each in places.values() for insert in each):
            if insert.longest > context // 2:
                raise UsageError(
                    f"{insert}: the model looks at {context:,} letters, and at least half of them are to be around the "
                    f"insert: at most {context // 2:,} can be inserted"
                )
        self.places, self.denoise, self.alphabet, self.context, self.whole = places, denoise, alphabet, context, whole
        self.draws, self.seed, self.trusted, self.batch_tokens = draws, seed, trusted, batch_tokens

    def fits(self, record: Record, progress: Callable[[int], None] | None = None) -> list[Fit]:
        """How probable each length of each insert of a record is; `progress` gets the number of lengths compared.

        What is drawn depends on (seed, record name, position) alone.
        """
        inserts = self.places.get(record.name, ())
        tokens = Known(record, self.alphabet, None, self.trusted).tokens
        found = []
        for number, insert in enumerate(inserts):
            found.append(self._compared(record.name, tokens, inserts, number))
            if progress:
                progress(insert.longest - insert.shortest + 1)
        gaps = [np.arange(insert.shortest, insert.longest + 1) for insert in inserts]
        prior = Totals(gaps, [np.zeros(len(each)) for each in gaps], len(tokens), self.whole)
        posterior = Totals(gaps, [nats for nats, _, _ in found], len(tokens), self.whole)
        fits = []
        for number, (insert, (nats, error, calls)) in enumerate(zip(inserts, found)):
            after = posterior.marginal(number)
            best = int(after.argmax())
            se = np.array([error(each, best) for each in range(len(after))])
            before = prior.marginal(number)
            fits.append(Fit(record.name, insert.position, gaps[number], nats - nats[best], se, before, after, calls))
        return fits

    def _compared(
        self, name: str, tokens: UInt8[np.ndarray, " L"], inserts: Sequence[Insert], number: int
    ) -> tuple[Float64[np.ndarray, "C"], Callable[[int, int], float], int]:
        """log p(flanks | length) of each length of an insert, the error of a difference, and network passes."""
        insert = inserts[number]
        gaps = range(insert.shortest, insert.longest + 1)
        if len(gaps) == 1:
            return np.zeros(1), lambda one, other: 0.0, 0
        begin = inserts[number - 1].position if number else 0
        end = inserts[number + 1].position if number + 1 < len(inserts) else len(tokens)
        seen = reach(self.denoise)
        # Letters beyond the reach of the gap are the same whatever its length, and so are their predictions.
        most = self.context if seen is None else 2 * seen
        before, after = min(insert.position - begin, most), min(end - insert.position, most)
        room = self.context - insert.longest
        left = min(before, max(room // 2, room - after))
        right = min(after, room - left)
        sides = tokens[insert.position - left : insert.position], tokens[insert.position : insert.position + right]
        left_side, right_side = (torch.from_numpy(side.astype(np.int64)) for side in sides)
        near = None
        if seen is not None:
            near = torch.arange(left).flip(0) < seen, torch.arange(right) < seen
        compared = spacing(
            self.denoise, left_side, right_side, gaps, Streams.of(self.seed, [(name, insert.position, "insert")]),
            scored=near, whole=self.whole is not None and left + right == len(tokens), draws=self.draws,
            batch_size=max(1, self.batch_tokens // (left + right + insert.longest)),
        )  # fmt: skip
        return compared.nats.numpy(), compared.error, compared.calls

    def grown(
        self, record: Record, fits: Sequence[Fit], samples: int, choose: Literal["sample", "best"] = "sample"
    ) -> list[tuple[Record, str | None]]:
        """The record with unknown letters where they are inserted, once a sample, and what was inserted: `24:7,80:0`.

        The lengths are drawn from their posterior by (seed, record name, sample), or the `best` are taken: those that
        are the most probable, from left to right, each given those before.
        """
        if not fits:
            return [(record, None)] * samples
        totals = Totals([fit.lengths for fit in fits], [fit.nats for fit in fits], len(record.sequence), self.whole)
        names = [(record.name, sample, "insert") for sample in range(samples)]
        uniforms = Streams.of(self.seed, names).rand(len(fits)).numpy()
        copies = []
        for u in uniforms:
            lengths = totals.chosen(u if choose == "sample" else None)
            places = [fit.position for fit in fits]
            what = ",".join(f"{place}:{length}" for place, length in zip(places, lengths))
            copies.append((stretched(record, places, lengths, self.alphabet, what), what))
        return copies
