"""Mutations of a protein as people write them: A24G, A24G:K30R, p.Ala24Gly, A24_K26del, or the whole mutated sequence.

a cell of a table -> `parsed` -> `Change`s of the wild type, or the reason why it has no score
all cells -> `fitting`: whether their residues are those of the wild type, and which numbering would make them so
"""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np

from seqdiff.alphabet import PROTEIN
from seqdiff.data.variants import Change

Reason = Literal[
    "empty",
    "not_understood",
    "stop",
    "frameshift",
    "unknown_letter",
    "unknown_reference",
    "site_twice",
    "ref_mismatch",
    "outside_the_protein",
    "sequence_differs",
    "outside_the_alignment",
    "indel",
    "other_method",
    "too_long",
]
"""Why there is no score. `sequence_differs`: the mutated sequence is not what the mutations give. `indel`: a family
has no column for what is put in. `other_method`: the method asked for is not for this class of mutation."""

DOUBTS: tuple[Reason, ...] = ("ref_mismatch", "outside_the_protein", "sequence_differs")
"""Reasons to doubt that the mutations are of this wild type, or numbered like it."""


class Protein(NamedTuple):
    """A wild type whose first residue has the number `first`.

    >>> Protein("BLAT", "HPET", 24).index(25)
    1
    """

    name: str
    sequence: str
    first: int = 1

    def index(self, number: int) -> int:
        """Where a residue stands, from 0; it may lie outside."""
        return number - self.first


class Mutant(NamedTuple):
    """A cell that was read: changes in order, none touching another; none at all is the wild type."""

    changes: tuple[Change, ...]

    @property
    def same_length(self) -> bool:
        """Whether it is of substitutions alone."""
        return all(change.same_length for change in self.changes)

    def of(self, protein: Protein) -> str:
        """The mutated sequence.

        >>> Mutant((Change("x", 1, b"P", b"G"), Change("x", 3, b"T", b""))).of(Protein("x", "HPET"))
        'HGE'
        """
        sequence = protein.sequence
        for change in reversed(self.changes):
            sequence = sequence[: change.start] + change.alt.decode() + sequence[change.end :]
        return sequence


class Residue(NamedTuple):
    """A residue that a mutation names, to be found in the wild type."""

    letter: str
    number: int


_THREE = {
    "ala": "A", "cys": "C", "asp": "D", "glu": "E", "phe": "F", "gly": "G", "his": "H", "ile": "I", "lys": "K",
    "leu": "L", "met": "M", "asn": "N", "pro": "P", "gln": "Q", "arg": "R", "ser": "S", "thr": "T", "val": "V",
    "trp": "W", "tyr": "Y", "ter": "*", "asx": "B", "glx": "Z", "xle": "J", "sec": "U", "pyl": "O", "xaa": "X",
}  # fmt: skip
_LETTER = rf"(?:{'|'.join(_THREE)}|[a-z*])"
_NUMBER = r"-?[0-9]{1,9}"
_SUBSTITUTION = re.compile(rf"({_LETTER})({_NUMBER})({_LETTER}|[=?-])", re.IGNORECASE | re.ASCII)
_CHANGE_OF_LENGTH = re.compile(
    rf"({_LETTER})({_NUMBER})(?:_({_LETTER})({_NUMBER}))?(delins|del|dup|ins)((?:{_LETTER})*)", re.IGNORECASE | re.ASCII
)
_FRAMESHIFT = re.compile(rf"{_LETTER}-?\d+(?:{_LETTER})?(?:fs|ext).*", re.IGNORECASE)
_WILD_TYPE = re.compile(r"_?wt|_?sy|wild[ _-]?type|p\.\(?=\)?|=|synonymous", re.IGNORECASE)
_JOINED = re.compile(rf"{_LETTER}\d+{_LETTER}(?:[_-]{_LETTER}\d+{_LETTER})+", re.IGNORECASE)
_BETWEEN = re.compile(r"[:;,/+|&\s]+")
_SEQUENCE = re.compile(r"[a-z*]+", re.IGNORECASE | re.ASCII)


def parsed(text: str, protein: Protein) -> "tuple[Mutant | Reason, list[Residue]]":
    """What a cell of mutations changes, or why not, and the residues that it says the wild type has.

    Mutations stand between : ; , / + or blanks. One is A24G, p.Ala24Gly, A24= (the wild type), or in the words of HGVS
    A24del, A24_K26del, K23_A24insGS, A24delinsGS, A24dup; WT and _wt are the wild type. Residues count from
    `protein.first`. Letters without a number, half as many as the wild type has or more, are a whole sequence, as in
    ProteinGym's first files of insertions and deletions.

    >>> protein = Protein("BLAT", "HPETLVKVK", 24)
    >>> parsed("p.Glu26Gly:V29A", protein)[0].of(protein)
    'HPGTLAKVK'
    >>> parsed("H24Ter", protein)[0], parsed("A24G", protein)[0], parsed("P25A:P25G", protein)[0]
    ('stop', 'ref_mismatch', 'site_twice')
    """
    text = text.strip().strip("'\"")
    if not text or text.lower() in ("nan", "na", "none", "."):
        return "empty", []
    if _WILD_TYPE.fullmatch(text):
        return Mutant(()), []
    if _SEQUENCE.fullmatch(text) and 2 * len(text) >= len(protein.sequence):
        return of_sequence(text, protein), []
    text = re.sub(r"^\S+:(?=p\.)", "", text)  # the accession of a sequence
    text = re.sub(r"p\.|[\[\]()]", "", text)
    if _JOINED.fullmatch(text):
        text = re.sub("[_-]", ":", text)
    parts = [_one(part, protein) for part in _BETWEEN.split(text) if part]
    named = [residue for part in parts if not isinstance(part, str) for residue in part.named]
    if reasons := [part for part in parts if isinstance(part, str)]:
        return reasons[0], named
    if reason := _found(named, protein):
        return reason, named
    changes = sorted(part.change for part in parts)
    if any(_touch(one, other) for one, other in pairwise(changes)):
        return "site_twice", named
    return Mutant(tuple(change for change in changes if change.ref != change.alt)), named


class Substitution(NamedTuple):
    """One residue for another, as it is written."""

    before: str
    number: int
    after: str


def substitutions(text: str) -> tuple[Substitution, ...] | None:
    """The substitutions that a cell names, without a wild type to check them with; None where it names other things.

    What stays as it is (WT, A24A) is no substitution.

    >>> substitutions("p.Ala24Gly:K30R"), substitutions("WT"), substitutions("A24del")
    ((Substitution(before='A', number=24, after='G'), Substitution(before='K', number=30, after='R')), (), None)
    """
    text = text.strip().strip("'\"")
    if _WILD_TYPE.fullmatch(text):
        return ()
    text = re.sub(r"^\S+:(?=p\.)", "", text)
    text = re.sub(r"p\.|[\[\]()]", "", text)
    if _JOINED.fullmatch(text):
        text = re.sub("[_-]", ":", text)
    found = [_SUBSTITUTION.fullmatch(part) for part in _BETWEEN.split(text) if part]
    if not found or any(part is None or part[3] in ("?", "-") for part in found):
        return None
    named = [
        Substitution(_letters(part[1]), int(part[2]), part[3] if part[3] == "=" else _letters(part[3]))
        for part in found
    ]
    return tuple(each for each in named if each.after not in ("=", each.before))


def of_sequence(text: str, protein: Protein) -> "Mutant | Reason":
    """What a whole mutated sequence changes: of one length single substitutions, else one stretch for another.

    >>> protein = Protein("x", "HPETLVKVK")
    >>> [change[1:4] for change in of_sequence("HGETLVKAK", protein).changes]
    [(1, b'P', b'G'), (7, b'V', b'A')]
    >>> [change[1:4] for change in of_sequence("HPVKVK", protein).changes]
    [(2, b'ETL', b'')]
    """
    mutated = text.strip().upper().removesuffix("*")
    wild = protein.sequence
    if not mutated:
        return "empty"
    if "*" in mutated:
        return "stop"
    if not mutated.isalpha() or PROTEIN.first_invalid(mutated.encode()) is not None:
        return "unknown_letter"
    if len(mutated) == len(wild):
        places = [i for i, (one, other) in enumerate(zip(wild, mutated, strict=True)) if one != other]
        changes = [_change(protein, i, wild[i], mutated[i]) for i in places]
    else:
        shortest = min(len(wild), len(mutated))
        first = next((i for i in range(shortest) if wild[i] != mutated[i]), shortest)
        last = next((i for i in range(shortest - first) if wild[-1 - i] != mutated[-1 - i]), shortest - first)
        changes = [_change(protein, first, wild[first : len(wild) - last], mutated[first : len(mutated) - last])]
    for change in changes:
        if reason := _unknown(change):
            return reason
    return Mutant(tuple(changes))


class _Part(NamedTuple):
    change: Change
    named: list[Residue]


def _one(text: str, protein: Protein) -> _Part | Reason:
    """One mutation of a cell."""
    if found := _SUBSTITUTION.fullmatch(text):
        before, number = _letters(found[1]), int(found[2])
        after = {"=": before, "-": "", "?": PROTEIN.unknown}.get(found[3], _letters(found[3]))
        change = _change(protein, protein.index(number), before, after)
        return _unknown(change) or _Part(change, [Residue(before, number)])
    if found := _CHANGE_OF_LENGTH.fullmatch(text):
        return _longer_or_shorter(found, protein)
    return "frameshift" if _FRAMESHIFT.fullmatch(text) else "not_understood"


def _longer_or_shorter(found: re.Match, protein: Protein) -> _Part | Reason:
    """Deletions, insertions and duplications (HGVS recommendations for proteins, hgvs-nomenclature.org)."""
    named = [Residue(_letters(found[1]), int(found[2]))]
    if found[3]:
        named.append(Residue(_letters(found[3]), int(found[4])))
    (begin, end), what, inserted = (protein.index(named[i].number) for i in (0, -1)), found[5].lower(), found[6]
    if end < begin or (what == "ins" and end != begin + 1) or bool(inserted) != what.endswith("ins"):
        return "not_understood"
    letters = _letters(inserted)
    if begin < 0 or end >= len(protein.sequence):
        return _Part(_change(protein, begin, "", ""), named)
    between = protein.sequence[begin : end + 1]
    match what:
        case "ins":
            change = _change(protein, end, "", letters)
        case "dup":
            change = _change(protein, end + 1, "", between)
        case _:
            change = _change(protein, begin, between, letters)
    return _unknown(change) or _Part(change, named)


def _letters(text: str) -> str:
    """Residues in one-letter code, from one-letter or three-letter code."""
    if len(text) == 1:
        return text.upper()
    parts = re.findall(_LETTER, text, re.IGNORECASE)
    whole = all(part.lower() in _THREE for part in parts) or "".join(parts).isupper()
    return "".join(_THREE.get(part.lower(), part.upper()) for part in (parts if whole else text))


def _change(protein: Protein, start: int, before: str, after: str) -> Change:
    return Change(protein.name, start, before.encode(), after.encode())


def _unknown(change: Change) -> Reason | None:
    if b"*" in change.ref + change.alt:
        return "stop"
    known = set(PROTEIN.symbols.encode())
    if not known.issuperset(change.alt):
        return "unknown_letter"
    return None if known.issuperset(change.ref) else "unknown_reference"


def _found(named: Sequence[Residue], protein: Protein) -> Reason | None:
    """Whether the wild type has the residues that mutations name."""
    for letter, number in named:
        place = protein.index(number)
        if not 0 <= place < len(protein.sequence):
            return "outside_the_protein"
        if protein.sequence[place] != letter:
            return "ref_mismatch" if protein.sequence[place] in PROTEIN.symbols else "unknown_reference"
    return None


def _touch(one: Change, other: Change) -> bool:
    return other.start < one.end or (one.start, one.ref) == (other.start, other.ref)


def fitting(
    named: Sequence[Sequence[Residue]], sequence: str, likely: int | None = None, most: int = 5000
) -> tuple[int, int] | None:
    """The number of the first residue with which most mutants name residues that the wild type has, and how many do.

    Every residue named votes for all the numberings that would make it right. None where no numbering suits nine in
    ten: of many, one suits some by chance. The numbering that is likely beforehand need suit half of them only. At
    most so many different residues vote.

    >>> fitting([[Residue("V", 29)], [Residue("T", 27), Residue("P", 25)], [Residue("E", 26)]], "HPETLVKVK")
    (24, 3)
    """
    different = sorted({residue for each in named for residue in each}, key=lambda residue: residue[::-1])
    different = different[:: -(-len(different) // most) or 1]
    letters = np.frombuffer(sequence.encode(), np.uint8)
    votes: Counter[int] = Counter()
    for letter, number in different:
        votes.update((number - np.flatnonzero(letters == ord(letter[0]))).tolist())
    if not votes:
        return None
    first = max(votes, key=lambda number: (votes[number], number == 1, -abs(number)))
    for number, share in ((first, 0.9), (likely, 0.5)):
        if number is not None:
            protein = Protein("", sequence, number)
            right = sum(_found(each, protein) is None for each in named)
            if right >= share * len(named):
                return number, right
    return None
