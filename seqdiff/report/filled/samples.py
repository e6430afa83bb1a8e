"""How the fillings of one record agree: `--samples` writes them as NAME_sample1, NAME_sample2, ..."""

import re

import numpy as np
from jaxtyping import Float64, Int64, UInt8

KEPT = 1 << 16
"""Letters of a filling that are compared, from the first on: those of one record are in memory together."""
_NUMBERED = re.compile(r"(.+)_sample([1-9]\d{0,5})", re.DOTALL)


def numbered(name: str) -> tuple[str, int]:
    """A record's name and the number of the sample, 0 where it has none.

    >>> numbered("chr1_sample2"), numbered("chr1")
    (('chr1', 2), ('chr1', 0))
    """
    found = _NUMBERED.fullmatch(name)
    return (found[1], int(found[2])) if found else (name, 0)


class Samples:
    """Sums over records of which there are several fillings, one after another."""

    def __init__(self) -> None:
        self.records = 0
        """With several fillings."""
        self.most = 0
        """Fillings of a record."""
        self.unlike = 0
        """Records whose fillings are of different positions, which cannot be compared."""
        self.cut = 0
        """Records of which only the first `KEPT` letters were compared."""
        self.letters = self.unanimous = 0
        """Unknown letters that were compared; of them all fillings have the same."""
        self.pairs = 0
        self.equal = 0
        """Pairs of letters, of two fillings at one place, and how many are equal."""
        self.alone = 0.0
        """How many would be, were each letter drawn by itself from what was said of it."""
        self.gaps = self.gaps_alike = 0
        """Gaps, and how many are filled alike in all fillings."""
        self.gaps_alone = 0.0
        """How many would be, were each letter drawn by itself."""
        self._base = ""
        self._rows: list[list[np.ndarray]] = []
        self._places: list[np.ndarray] = []
        self._probabilities: list[np.ndarray] = []
        self._at = 0
        self._differ = self._longer = False

    def add(
        self,
        name: str,
        positions: Int64[np.ndarray, "n"],
        letters: UInt8[np.ndarray, "n"],
        probabilities: Float64[np.ndarray, "n K"],
    ) -> bool:
        """Successive letters of a record; whether they are of another filling than its first."""
        base, number = numbered(name)
        if number > 1 and base == self._base and number in (len(self._rows), len(self._rows) + 1):
            if number > len(self._rows):
                self._differ |= self._at != sum(map(len, self._places))
                self._rows.append([])
                self._at = 0
            self._another(positions, letters)
            return True
        if number != 1 or base != self._base or len(self._rows) != 1:
            self.finish()
        if number == 1:
            self._base, self._rows = base, self._rows or [[]]
            room = max(0, KEPT - self._at)
            self._longer |= len(letters) > room
            self._rows[0].append(letters[:room].copy())
            self._places.append(positions[:room].copy())
            self._probabilities.append(probabilities[:room].copy())
            self._at += len(letters[:room])
        return False

    def _another(self, positions: Int64[np.ndarray, "n"], letters: UInt8[np.ndarray, "n"]) -> None:
        there = np.concatenate(self._places) if len(self._places) != 1 else self._places[0]
        self._places = [there]
        room = KEPT - self._at
        positions, letters = positions[:room], letters[:room]
        known = there[self._at : self._at + len(positions)]
        self._differ |= len(known) != len(positions) or bool((known != positions).any())
        self._rows[-1].append(letters.copy())
        self._at += len(letters)

    def finish(self) -> None:
        """The fillings of the last record are all there."""
        rows, places, probabilities = self._rows, self._places, self._probabilities
        differ, longer = self._differ or (len(rows) > 1 and self._at != sum(map(len, places))), self._longer
        self._base, self._rows, self._places, self._probabilities = "", [], [], []
        self._at, self._differ, self._longer = 0, False, False
        if len(rows) < 2:
            return
        self.records += 1
        self.most = max(self.most, len(rows))
        self.cut += longer
        if differ:
            self.unlike += 1
            return
        letters = np.stack([np.concatenate(row) for row in rows])
        positions, number, p = np.concatenate(places), len(rows), np.concatenate(probabilities)
        same = sum(np.square((letters == symbol).sum(0)) for symbol in np.unique(letters)) - number
        self.letters += letters.shape[1]
        self.unanimous += int((letters == letters[0]).all(0).sum())
        self.pairs += letters.shape[1] * number * (number - 1)
        self.equal += int(same.sum())
        self.alone += float(np.square(p).sum()) * number * (number - 1)
        firsts = np.append(0, np.flatnonzero(np.diff(positions) != 1) + 1)
        self.gaps += len(firsts)
        self.gaps_alike += int(np.logical_and.reduceat((letters == letters[0]).all(0), firsts).sum())
        self.gaps_alone += float(np.multiply.reduceat((p**number).sum(-1), firsts).sum())
