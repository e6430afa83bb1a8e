"""Letters and tokens: small strings in, small strings out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqdiff.alphabet import DNA, INVALID, PROTEIN, Alphabet

ALPHABETS = [DNA, PROTEIN]
every_alphabet = pytest.mark.parametrize("alphabet", ALPHABETS, ids=lambda a: a.name)


def test_dna_tokens_are_the_order_of_the_symbols():
    assert DNA.encode(b"ACGTN").tolist() == [0, 1, 2, 3, 4]
    assert (DNA.size, DNA.mask, DNA.pad) == (4, 4, 5)


def test_case_uracil_and_ambiguity():
    assert DNA.decode(DNA.encode(b"acgUuRYswkmbdhvn")) == b"ACGTTNNNNNNNNNNN"
    assert PROTEIN.decode(PROTEIN.encode(b"mkvBZJUOX")) == b"MKVXXXXXX"


@every_alphabet
def test_symbols_survive_a_round_trip(alphabet):
    text = alphabet.symbols.encode() + alphabet.unknown.encode()
    assert alphabet.decode(alphabet.encode(text)) == text
    assert alphabet.decode(alphabet.encode(text.lower())) == text


@every_alphabet
def test_every_symbol_has_its_own_token_and_no_letter_is_a_pad(alphabet):
    assert sorted(alphabet.encode(alphabet.symbols.encode())) == list(range(alphabet.size))
    codes = alphabet.codes
    assert set(codes.tolist()) == {*range(alphabet.size + 1), INVALID}
    assert not codes.flags.writeable


@every_alphabet
def test_a_plain_letter_allows_itself_and_the_unknown_all(alphabet):
    for token, letter in enumerate(alphabet.symbols.encode()):
        assert alphabet.allowed(bytes([letter]))[0].nonzero()[0].tolist() == [token]
    assert alphabet.allowed(alphabet.unknown.encode()).all()


@every_alphabet
def test_ambiguity_codes_are_masks_with_a_meaning(alphabet):
    for letter, members in alphabet.ambiguity:
        for case in (letter, letter.lower()):
            assert alphabet.encode(case.encode()).tolist() == [alphabet.mask]
            allowed = alphabet.allowed(case.encode())[0]
            assert {alphabet.symbols[i] for i in allowed.nonzero()[0]} == set(members)


def test_iupac_meanings_by_letter():
    meaning = {row: "".join(np.array(list("ACGT"))[DNA.allowed(row)[0]]) for row in (b"R", b"y", b"B", b"N", b"u")}
    assert meaning == {b"R": "AG", b"y": "CT", b"B": "CGT", b"N": "ACGT", b"u": "T"}


def test_complements_of_ambiguity_codes_are_the_complement_sets():
    pairs = dict(zip("RYSWKMBDHV", "YRSWMKVHDB", strict=True))
    for letter, other in pairs.items():
        assert (DNA.allowed(letter.encode())[0][::-1] == DNA.allowed(other.encode())[0]).all()


@pytest.mark.parametrize(
    ("text", "where"),
    [(b"ACGT", None), (b"", None), (b"*ACGT", 0), (b"ACG-T", 3), (b"ACGT ", 4), (b"AC\x00", 2), (b"AE", 1)],
)
def test_first_invalid_finds_the_first_letter_that_is_none(text, where):
    assert DNA.first_invalid(text) == where


def test_encode_says_which_letter_where():
    with pytest.raises(ValueError, match=r"'E' at position 3 is no letter of DNA"):
        DNA.encode(b"ACEE")


def test_reverse_complement_keeps_masks_pads_and_type():
    tokens = np.array([[0, 1, 4, 5], [3, 3, 2, 0]], np.uint8)
    turned = DNA.reverse_complement(tokens)
    assert turned.tolist() == [[5, 4, 2, 3], [3, 1, 0, 0]]
    assert turned.dtype == np.uint8


@given(st.text("ACGTN", max_size=50))
def test_reverse_complement_twice_is_the_same_and_agrees_with_text(text):
    tokens = DNA.encode(text.encode())
    turned = DNA.reverse_complement(tokens)
    assert DNA.decode(turned).decode() == text[::-1].translate(str.maketrans("ACGT", "TGCA"))
    assert (DNA.reverse_complement(turned) == tokens).all()


def test_a_protein_has_no_complement():
    with pytest.raises(ValueError, match="protein has no complement"):
        PROTEIN.reverse_complement(PROTEIN.encode(b"MK"))


def test_alphabets_compare_and_hash_by_value():
    copy = Alphabet(DNA.name, DNA.symbols, DNA.unknown, DNA.ambiguity, DNA.aliases, DNA.complementary, DNA.unit)
    assert copy == DNA
    assert hash(copy) == hash(DNA)
    assert copy != PROTEIN


def test_pickles_are_small_whatever_has_been_used():
    import pickle

    before = pickle.dumps(DNA)
    DNA.encode(b"ACGTN"), DNA.allowed(b"R"), DNA.first_invalid(b"A"), DNA.decode(np.array([0]))
    assert pickle.dumps(DNA) == before
    assert pickle.loads(before) == DNA
