"""Where the residues of a protein stand in the columns of a family."""

import pytest

from seqdiff.alphabet import ALIGNED
from seqdiff.data.mutations import Protein
from seqdiff.errors import DataError
from seqdiff.inference.columns import columns_of

QUERY = {"name": "BLAT_ECOLX/24-286", "first": 24, "sequence": "HPETLVKVKDAEDQLGARVGYIELDLNSGKILESFRPEERFPM"}
LETTERS = QUERY["sequence"]


def columns(sequence):
    found = columns_of(Protein("wild", sequence), QUERY, ALIGNED)
    return ALIGNED.decode(found.tokens).decode(), found.place.tolist(), found.identity


def test_the_query_itself_fills_every_column():
    assert columns(LETTERS) == (LETTERS, list(range(43)), 1.0)


def test_a_longer_protein_has_residues_outside():
    row, place, identity = columns("MS" + LETTERS + "W")
    assert (row, place, identity) == (LETTERS, [-1, -1, *range(43), -1], 1.0)


def test_a_piece_leaves_gaps():
    row, place, identity = columns(LETTERS[3:30])
    assert (row, place, identity) == ("---" + LETTERS[3:30] + "-" * 13, list(range(3, 30)), 1.0)


def test_a_relative_keeps_its_own_letters_in_the_columns():
    relative = "MA" + LETTERS[:10].replace("K", "R") + LETTERS[11:25] + "GG" + LETTERS[25:]
    row, place, identity = columns(relative)
    assert row == LETTERS[:10].replace("K", "R") + "-" + LETTERS[11:]
    assert place == [-1, -1, *range(10), *range(11, 25), -1, -1, *range(25, 43)]
    assert identity == 40 / 43


def test_unknown_letters_are_aligned_and_stay_unknown():
    row, place, _ = columns(LETTERS[:20] + "XJ" + LETTERS[22:])
    assert row == LETTERS[:20] + "XX" + LETTERS[22:]
    assert place == list(range(43))


def test_a_protein_of_another_family_is_refused():
    with pytest.raises(DataError, match=r"only \d+% of its residues in common with BLAT_ECOLX/24-286"):
        columns("MKWVTFISLLFLFSSAYSRGVFRRDAHKSEVAHRFKDLGEEN")
