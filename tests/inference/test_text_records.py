"""Text as records and back: blanks are filled, all else comes back byte for byte."""

import gzip
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqdiff.data.characters import BYTES, TEXT8, UNKNOWN, Characters
from seqdiff.errors import DataError
from seqdiff.inference.filled import Infilled, written
from seqdiff.inference.text import marked, read, records

OWN = Characters.of("abc\n ")
every_alphabet = pytest.mark.parametrize("alphabet", [TEXT8, BYTES, OWN], ids=lambda a: a.name)


def filled(part, letter=b"a"):
    """The part with one letter at all its blanks, as a model would have filled them."""
    if not part.spans:
        return part.filled(None)
    positions = np.concatenate([np.arange(span.start, span.end) for span in part.spans])
    tokens = np.repeat(part.alphabet.encode(letter), len(positions))
    record = written(part.record, positions, tokens, part.alphabet)
    return part.filled(Infilled(record, 0, positions, np.empty(0), 1, None))


@every_alphabet
@pytest.mark.parametrize("mode", ["stream", "documents"])
@given(text=st.text(st.sampled_from("ab_é𝄞{}?\r\n " + UNKNOWN), max_size=40))
def test_all_but_blanks_comes_back_byte_for_byte(alphabet, mode, text):
    text = re.sub(r"\{\{+\?", "{?", text)
    parts = marked(text.encode(), "x", alphabet, mode, "both")
    expected, run = "", 0
    for letter in text + "\0":
        if letter == "_":
            run += 1
            continue
        expected += ("a" * run if run > 1 else "_" * run) + letter
        run = 0
    assert b"".join(map(filled, parts)).decode() + "\0" == expected


@every_alphabet
def test_numbers_and_underscores_say_how_many(alphabet):
    (part,) = marked("é{{?3}}, __ _b_ {{?1}}".encode(), "x", alphabet, "stream", "both")
    assert filled(part).decode() == "éaaa, aa _b_ a"
    wide = len("é".encode()) if alphabet is BYTES else 1
    assert [(span.start - wide, span.end - wide) for span in part.spans] == [(0, 3), (5, 7), (12, 13)]


def test_one_kind_of_mark_can_be_asked_for():
    text = b"__ {{?2}}"
    for marks, expected in (("braces", b"__ aa"), ("underscores", b"aa {{?2}}"), (None, text)):
        (part,) = marked(text, "x", TEXT8, "stream", marks)
        assert filled(part) == expected


@pytest.mark.parametrize("text", ["a\nb {{?}}", "a\n{{?0}}", "a\n{{?x}}", "a\n{{?12", "\n{{?12}", "\n{{?9999999}}"])
@pytest.mark.parametrize("mode", ["stream", "documents"])
def test_slips_of_the_pen_are_said_with_their_line(text, mode):
    with pytest.raises(DataError, match=r"^a\.txt, line 2: .*\{\{\?"):
        marked(text.encode(), "a.txt", TEXT8, mode, "both")


def test_a_model_reads_new_lines_as_it_was_trained_and_writes_those_of_the_file():
    (part,) = marked(b"ab\r\n__\r\n", "x", OWN, "stream", "both")
    assert part.record.sequence.decode() == f"ab\n{UNKNOWN * 2}\n"
    assert filled(part, b"\n") == b"ab\r\n\r\n\r\n\r\n"
    (part,) = marked(b"ab\n__\r\n", "x", OWN, "stream", "both")
    assert filled(part, b"\n") == b"ab\n\n\n\r\n"
    (part,) = marked(b"ab\r\n__", "x", BYTES, "stream", "both")
    assert part.record.sequence.startswith(b"ab\r\n")
    assert filled(part, b"\n") == b"ab\r\n\n\n"


def test_documents_are_lines_and_a_stream_is_one_record():
    text = b"ab\r\n\nb_a"
    assert [(r.name, r.sequence) for r in records(text, "x", OWN, "documents")] == [
        ("line1", b"ab"), ("line2", b""), ("line3", b"b_a"),
    ]  # fmt: skip
    assert [(r.name, r.sequence) for r in records(text, "x", OWN, "stream")] == [("x", b"ab\n\nb_a")]


def test_files_are_read_whole_and_as_they_are(tmp_path):
    data = "é\r\nb".encode()
    (tmp_path / "a.txt").write_bytes(gzip.compress(data))
    assert read(str(tmp_path / "a.txt"), TEXT8) == data
    (tmp_path / "b.txt").write_bytes(b"a\nb\xe9")
    with pytest.raises(DataError, match=r"b\.txt, line 2: the byte '\\xe9' is not UTF-8"):
        read(str(tmp_path / "b.txt"), TEXT8)
    assert read(str(tmp_path / "b.txt"), BYTES) == b"a\nb\xe9"
