"""A protein in the columns of its family: where each residue stands in the row that a family model looks at.

A family model knows one letter a column, and every column is a residue of its query. A protein that is the query, or a
piece of it, or has it as a piece, is found letter by letter; any other is aligned with it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8

from seqdiff.alphabet import Alphabet
from seqdiff.data.mutations import Protein
from seqdiff.errors import DataError

GAP = "-"
LEAST_IDENTITY = 0.5
"""Of the shorter of both: an alignment of less is no reason to believe that these are the same columns."""
OPEN, EXTEND = -11.0, -1.0
"""What a gap costs beside BLOSUM62, as in BLAST (Altschul et al. 1997, NAR 25:3389); gaps at the ends cost nothing."""


@dataclass(frozen=True)
class Columns:
    """A protein as a row of a family."""

    tokens: UInt8[np.ndarray, " C"]
    """The letter of the protein in each column, a gap where it has none."""
    place: Int64[np.ndarray, " L"]
    """The column of each residue, -1 where it has none."""
    identity: float
    """Residues that are the same in the query, as a share of the shorter of both."""


def columns_of(protein: Protein, query: dict[str, Any], alphabet: Alphabet) -> Columns:
    """The protein in the columns of the family of a query (`facts["query"]` of a model).

    Raises DataError for a protein that is not of the family.

    >>> from seqdiff.alphabet import ALIGNED
    >>> row = columns_of(Protein("x", "MAHPETLV"), {"name": "q", "first": 1, "sequence": "HPETLVKV"}, ALIGNED)
    >>> ALIGNED.decode(row.tokens), row.place.tolist()
    (b'HPETLV--', [-1, -1, 0, 1, 2, 3, 4, 5])
    """
    wild, of_query = protein.sequence, query["sequence"].upper()
    pairs = _exact(wild, of_query)
    if pairs is None:
        pairs = _aligned(wild, of_query)
    place = np.full(len(wild), -1, np.int64)
    for first, column, length in pairs:
        place[first : first + length] = np.arange(column, column + length)
    residues = np.flatnonzero(place >= 0)
    same = sum(wild[i] == of_query[place[i]] for i in residues)
    identity = same / max(1, min(len(wild), len(of_query)))
    if identity < LEAST_IDENTITY:
        raise DataError(
            f"{protein.name} has only {identity:.0%} of its residues in common with {query['name']}, the query of the "
            f"family that the model was trained on; at least {LEAST_IDENTITY:.0%} are needed to know its columns: give "
            "a model of its own family"
        )
    tokens = np.full(len(of_query), alphabet.symbols.index(GAP), np.uint8)
    tokens[place[residues]] = alphabet.encode(wild.encode())[residues]
    return Columns(tokens, place, identity)


def _exact(wild: str, query: str) -> list[tuple[int, int, int]] | None:
    """Where one of both is a piece of the other: (residue, column, length)."""
    if (start := wild.find(query)) >= 0:
        return [(start, 0, len(query))]
    if (start := query.find(wild)) >= 0:
        return [(0, start, len(wild))]
    return None


def _aligned(wild: str, query: str) -> list[tuple[int, int, int]]:
    """Stretches of residues and columns that stand against each other in the best global alignment."""
    from Bio.Align import PairwiseAligner, substitution_matrices

    aligner = PairwiseAligner(mode="global", open_gap_score=OPEN, extend_gap_score=EXTEND, end_gap_score=0.0)
    aligner.substitution_matrix = substitution_matrices.load("BLOSUM62")
    read = str.maketrans({letter: "X" for letter in "JUO"})  # which BLOSUM62 does not have
    best = aligner.align(wild.translate(read), query.translate(read))[0]
    return [(int(a), int(c), int(b - a)) for (a, b), (c, _) in zip(*best.aligned, strict=True)]
