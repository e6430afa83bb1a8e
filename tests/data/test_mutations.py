"""Mutations as people write them, against the sequences that they make."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqdiff.alphabet import PROTEIN
from seqdiff.data.mutations import Mutant, Protein, Residue, fitting, of_sequence, parsed

WILD = Protein("BLAT", "HPETLVKVKDAEDQLG", 24)
THREE = {"A": "Ala", "G": "Gly", "V": "Val", "K": "Lys", "R": "Arg", "L": "Leu", "S": "Ser"}


@pytest.mark.parametrize(
    ("text", "sequence"),
    [
        ("V29A", "HPETLAKVKDAEDQLG"),
        ("v29a", "HPETLAKVKDAEDQLG"),
        (" p.Val29Ala ", "HPETLAKVKDAEDQLG"),
        ("p.(Val29Ala)", "HPETLAKVKDAEDQLG"),
        ("NP_000537.3:p.Val29Ala", "HPETLAKVKDAEDQLG"),
        ("H24A:G39A", "APETLVKVKDAEDQLA"),
        ("V29=", WILD.sequence),
        ("V29V", WILD.sequence),
        ("p.Val29=", WILD.sequence),
        ("p.=", WILD.sequence),
        ("WT", WILD.sequence),
        ("_wt", WILD.sequence),
        ("Wild-type", WILD.sequence),
        ("V29V:K30R", "HPETLVRVKDAEDQLG"),
        ("V29del", "HPETLKVKDAEDQLG"),
        ("V29-", "HPETLKVKDAEDQLG"),
        ("p.Val29_Lys30del", "HPETLVKDAEDQLG"),
        ("L28_V29insGS", "HPETLGSVKVKDAEDQLG"),
        ("p.Leu28_Val29insGlySer", "HPETLGSVKVKDAEDQLG"),
        ("V29delinsGS", "HPETLGSKVKDAEDQLG"),
        ("V29_K30delinsG", "HPETLGVKDAEDQLG"),
        ("V29dup", "HPETLVVKVKDAEDQLG"),
        ("V29_K30dup", "HPETLVKVKVKDAEDQLG"),
        ("L28_V29insG:V29A", "HPETLGAKVKDAEDQLG"),
        ("hpetlvkvkdaedqlg*", WILD.sequence),
        ("HPETLVKVKDAEDQLGG", "HPETLVKVKDAEDQLGG"),
    ],
)
def test_what_is_written_makes_the_sequence_that_is_meant(text, sequence):
    mutant, _ = parsed(text, WILD)
    assert mutant.of(WILD) == sequence


@pytest.mark.parametrize("between", [":", ";", ",", "/", "+", " ", ", ", "_", "-"])
def test_mutations_stand_between_whatever_people_put_there(between):
    assert parsed(between.join(["V29A", "K30R", "G39S"]), WILD)[0].of(WILD) == "HPETLARVKDAEDQLS"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("NaN", "empty"),
        ("V29*", "stop"),
        ("p.Val29Ter", "stop"),
        ("V29fs", "frameshift"),
        ("p.Val29ArgfsTer5", "frameshift"),
        ("V29X", "unknown_letter"),
        ("V29B", "unknown_letter"),
        ("V29?", "unknown_letter"),
        ("X29V", "unknown_reference"),
        ("A29V", "ref_mismatch"),
        ("p.Ala29Val", "ref_mismatch"),
        ("K30R:A29V", "ref_mismatch"),
        ("A29_K30del", "ref_mismatch"),
        ("V29_A30del", "ref_mismatch"),
        ("A0G", "outside_the_protein"),
        ("A-3G", "outside_the_protein"),
        ("G40A", "outside_the_protein"),
        ("G39_A40del", "outside_the_protein"),
        ("A" + "9" * 5000 + "G", "not_understood"),
        ("\N{LATIN SMALL LETTER LONG S}29G", "not_understood"),
        ("V29A:V29G", "site_twice"),
        ("V29del:V29A", "site_twice"),
        ("V29_K30del:K30R", "site_twice"),
        ("L28_V29insG:L28_V29insA", "site_twice"),
        ("L28_K30insG", "not_understood"),
        ("K30_V29del", "not_understood"),
        ("V29ins", "not_understood"),
        ("deleted", "not_understood"),
        ("29A", "not_understood"),
        ("V29", "not_understood"),
        ("c.85G>A", "not_understood"),
        ("HPETLV*KVKDAEDQLG", "stop"),
        ("HPETLVXVKDAEDQLG", "unknown_letter"),
    ],
)
def test_what_has_no_score_says_why(text, reason):
    assert parsed(text, WILD)[0] == reason


def test_an_unknown_residue_of_the_wild_type_is_no_place_to_mutate():
    assert parsed("V29A", Protein("x", "HPETLXKVK", 24))[0] == "unknown_reference"


@given(st.text(max_size=40))
def test_any_text_is_a_mutant_or_a_reason(text):
    mutant, _ = parsed(text, WILD)
    assert isinstance(mutant, str) or isinstance(mutant.of(WILD), str)


@given(st.text(PROTEIN.symbols, min_size=1, max_size=30))
def test_a_whole_sequence_comes_back_from_its_changes(sequence):
    mutant = of_sequence(sequence, WILD)
    assert mutant.of(WILD) == sequence
    assert mutant.same_length == (len(sequence) == len(WILD.sequence))
    assert all(change.ref != change.alt for change in mutant.changes)


@given(st.sets(st.integers(0, 15), max_size=6), st.sampled_from("ACDEFGHIKLMNPQRSTVWY"))
def test_substitutions_and_their_sequence_are_the_same_mutant(places, letter):
    text = ":".join(f"{WILD.sequence[i]}{24 + i}{letter}" for i in sorted(places, reverse=True)) or "WT"
    mutant, named = parsed(text, WILD)
    assert mutant == of_sequence(mutant.of(WILD), WILD)
    assert len(named) == len(places)


def test_the_numbering_that_fits_is_found():
    protein = WILD._replace(first=1)
    cells = [f"{letter}{24 + i}A" for i, letter in enumerate(WILD.sequence)]
    named = [parsed(cell, protein)[1] for cell in cells]
    assert fitting(named, WILD.sequence) == (24, 16)
    assert fitting([*named, [Residue("W", 30)]], WILD.sequence) == (24, 16)  # one in seventeen may be wrong
    assert fitting([*named, *[[Residue("W", 30)]] * 3], WILD.sequence) is None
    assert fitting([*named, *[[Residue("W", 30)]] * 3], WILD.sequence, likely=24) == (24, 16)
    assert fitting([*named, *[[Residue("W", 30)]] * 17], WILD.sequence, likely=24) is None
    assert fitting([], WILD.sequence) is None
    assert fitting([[Residue("H", 0)]], WILD.sequence) == (0, 1)  # counted from 0


def test_the_wild_type_itself_is_no_change():
    assert parsed("WT", WILD)[0] == Mutant(())
