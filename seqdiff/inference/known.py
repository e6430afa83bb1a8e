"""What is known of a record: which letters are given, which are to be filled, and how likely each letter is there.

Without more, given letters are certain and unknown ones are sets. With `trusted`, the base qualities of a FASTQ record
count: a letter that was called with Phred quality Q is wrong with probability e = 10^(-Q/10) (Ewing & Green 1998,
doi:10.1101/gr.8.3.186), so that P(call | letter) is 1 - e for the called letter and e / (K - 1) for each other.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64, Int64

from seqdiff.alphabet import Alphabet
from seqdiff.data.fasta import Record
from seqdiff.data.intervals import Interval
from seqdiff.data.source import bytes_of, shown
from seqdiff.errors import DataError

TRUSTED_QUALITY = 30
"""A letter of this Phred quality or better is taken as it is: wrong once in a thousand, rarer than variants between two
genomes of a species, which no model of the reference would leave alone."""


def check_qualities(record: Record) -> None:
    """DataError for a record that comes without base qualities."""
    if record.quality is None:
        raise DataError(
            f"record {shown(bytes_of(record.name))} has no base qualities: soft evidence is read from FASTQ"
        )


class Known:
    """One record: `tokens` (L,) with masks at the letters to fill, `targets` (L,) bool where they are."""

    def __init__(
        self, record: Record, alphabet: Alphabet, spans: Sequence[Interval] | None = None, trusted: int | None = None
    ):
        """Fills unknown letters; with `spans`, those spans alone, whatever stood there. With `trusted`, unknown letters
        and those of lower quality, inside the spans where there are any.

        Raises DataError for `trusted` and a record without qualities.
        """
        self._sequence, self._alphabet, self._trusted = record.sequence, alphabet, trusted
        erased = spans is not None and trusted is None
        self._anything = erased or (trusted is None and not alphabet.ambiguity)
        self.tokens = alphabet.encode(record.sequence)
        if not erased:
            self.targets = alphabet.blanks(record.sequence, self.tokens)
        if trusted is not None:
            check_qualities(record)
            self._called = np.frombuffer(record.quality, np.uint8) - np.uint8(33)
            self.targets |= self._called < trusted
        if spans is not None:
            inside = np.zeros(len(self.tokens), bool)
            for span in spans:
                inside[span.start : span.end] = True
            self.targets = inside if erased else inside & self.targets
        self.tokens[self.targets] = alphabet.mask

    def likelihood(self, where: slice | Int64[np.ndarray, "n"]) -> Bool[np.ndarray, "n K"] | Float64[np.ndarray, "n K"]:
        """P(what is known | letter) at some places; 0 for every letter where nothing is to be filled.

        >>> from seqdiff.alphabet import DNA
        >>> known = Known(Record("r", "r", b"RA", quality=b"I%"), DNA, trusted=30)  # Phred 40 and 4
        >>> known.likelihood(slice(0, 2)).round(3).tolist()
        [[1.0, 0.0, 1.0, 0.0], [0.602, 0.133, 0.133, 0.133]]
        """
        targets = self.targets[where, np.newaxis]
        if self._anything:
            return np.broadcast_to(targets, (len(targets), self._alphabet.size))
        sets = self._alphabet.allowed(np.frombuffer(self._sequence, np.uint8)[where].tobytes())
        if self._trusted is None:
            return sets & targets
        others = self._alphabet.size - 1
        # At an error of (K - 1) / K all letters are equally likely: a call is never evidence against its own letter.
        error = np.minimum(10.0 ** (self._called[where, np.newaxis] / -10.0), others / (others + 1))
        certain = sets.sum(1, keepdims=True) == 1
        return np.where(certain, np.where(sets, 1 - error, error / others), sets) * targets

    def possible(self, where: slice) -> list[str]:
        """The symbols that each letter may be: its own where it is given, none where it stays unknown."""
        given, likelihood = self.tokens[where], self.likelihood(where)
        symbols = np.array(list(self._alphabet.symbols))
        return [
            "".join(symbols[row > 0]) if target else "".join(symbols[token : token + 1])
            for token, target, row in zip(given, self.targets[where], likelihood)
        ]

    def given(self) -> bytes:
        """The letters that are given, upper-case, and the unknown letter in place of all others."""
        return self._alphabet.decode(self.tokens)
