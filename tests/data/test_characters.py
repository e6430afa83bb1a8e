"""Characters and tokens: small texts in, small texts out."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqdiff.data.characters import BYTES, TEXT8, UNKNOWN, UNREAD, Characters, counts, learned
from seqdiff.errors import ConfigError

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
GREEK = Characters.of("αβγ ")


def test_text8_reads_upper_case_as_lower_and_new_lines_as_spaces():
    assert (TEXT8.size, TEXT8.mask, TEXT8.pad) == (27, 27, 28)
    assert TEXT8.decode(TEXT8.encode("Tò\nbe; Or".encode())).decode() == f"t{UNKNOWN} be{UNKNOWN} or"
    assert (TEXT8.encode(b"az ").tolist(), TEXT8.encode(b"az ").dtype) == ([0, 25, 26], np.uint8)


def test_a_character_is_one_token_however_many_bytes_it_takes():
    wide = Characters.of("aé€𝄞")
    assert wide.encode("𝄞€éa!".encode()).tolist() == [3, 2, 1, 0, 4]


@given(TEXTS)
def test_bytes_survive_whatever_they_are(text):
    data = text.encode("utf-16-le")
    tokens = BYTES.encode(data)
    assert BYTES.decode(tokens) == data
    assert len(tokens) == len(data) - 2 * data.count(UNKNOWN.encode())


def test_the_sign_for_an_unknown_character_is_one_unknown_byte():
    text = f"{UNKNOWN}a{UNKNOWN}{UNKNOWN}".encode() + b"\xef\xbf"
    assert BYTES.encode(text).tolist() == [256, 97, 256, 256, 0xEF, 0xBF]
    assert BYTES.encode(b"\xef").tolist() == [0xEF]
    assert BYTES.encode(b"").tolist() == []


@given(TEXTS)
def test_an_alphabet_that_is_learned_from_a_text_has_all_of_it(text):
    symbols = learned(counts(text.encode()))
    assert set(symbols) == set(text) - {UNKNOWN}
    alphabet = Characters.of(symbols)
    assert alphabet.decode(alphabet.encode(text.encode())).decode() == text


def test_the_most_frequent_are_learned_and_ties_go_to_the_first():
    text = counts(b"aaa bb  cc d")
    assert learned(text, min_count=2) == " abc"
    assert learned(text, max_symbols=2) == " a"
    assert learned(text, max_symbols=3) == " ab"
    assert learned(text, min_count=9) == ""


@pytest.mark.parametrize(("size", "dtype"), [(253, np.uint8), (254, np.int16), (32_766, np.int16), (32_767, np.int32)])
def test_tokens_take_as_few_bytes_as_hold_a_pad(size, dtype):
    alphabet = Characters.of("".join(map(chr, range(0x3000, 0x3000 + size))))
    assert alphabet.dtype == dtype
    assert alphabet.encode("\u3000x".encode()).dtype == dtype
    assert np.iinfo(dtype).max >= alphabet.pad


def test_filling_changes_nothing_else():
    text = f"Α, αβ {UNKNOWN}{UNKNOWN}!".encode()
    assert GREEK.fill(text, np.array([6, 7]), np.array([2, 0])).decode() == "Α, αβ γα!"
    data = b"\xff\x00" + UNKNOWN.encode() + b"\xef\xbf"
    assert BYTES.fill(data, np.array([2]), np.array([0x41])) == b"\xff\x00A\xef\xbf"


@pytest.mark.parametrize("alphabet", [GREEK, TEXT8, BYTES], ids=lambda a: a.name)
def test_an_unknown_character_may_be_any_symbol(alphabet):
    allowed = alphabet.allowed(UNKNOWN.encode() + alphabet.decode(np.array([1])))
    assert allowed[0].all()
    assert allowed[1].nonzero()[0].tolist() == [1]
    assert alphabet.decode(np.array([alphabet.mask])) == UNKNOWN.encode()


def test_what_is_not_utf8_is_invalid_and_no_character_is():
    assert TEXT8.first_invalid("aé€".encode()) is None
    assert TEXT8.first_invalid(b"ab\xe9c") == 2
    assert BYTES.first_invalid(b"ab\xe9c") is None


@pytest.mark.parametrize("characters", ["abca", "ab" + UNKNOWN, "a\ud800"])
def test_characters_that_make_no_alphabet(characters):
    with pytest.raises(ValueError, match=r"comes twice|is no character"):
        Characters.of(characters)


def test_an_alphabet_that_is_still_to_be_read_says_so():
    with pytest.raises(ConfigError, match="learned from the file, which has not been read"):
        _ = UNREAD.size
    assert not UNREAD.complementary


def test_alphabets_compare_by_value_and_pickle_small():
    TEXT8.encode(b"abc")
    again = pickle.loads(pickle.dumps(TEXT8))
    assert again == TEXT8
    assert len(pickle.dumps(TEXT8)) < 2000
    assert Characters.of("ab") == Characters.of("ab") != Characters.of("ba")


def test_only_the_sign_for_unknown_is_a_blank():
    text = f"été {UNKNOWN}!".encode()
    assert TEXT8.blanks(text, TEXT8.encode(text)).nonzero()[0].tolist() == [4]
    assert BYTES.blanks(text, BYTES.encode(text)).nonzero()[0].tolist() == [6]
