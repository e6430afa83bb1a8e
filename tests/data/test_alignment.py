"""Alignments: whatever the format, the same family over the columns of its query."""

import gzip
import io
import logging
import sys

import numpy as np
import pytest

from seqdiff.alphabet import ALIGNED
from seqdiff.data.alignment import read_alignment
from seqdiff.errors import DataError

# One family in all formats: b has wf inserted after its second column, c a y at the end; q has a gap in its third.
A2M = b">q/5-8\nAC..-DE.\n>b\nACwf-DX.\n>c/1-4 of c\n.-..KDEy\n"
A3M = b">q/5-8\nAC-DE\n>b\nACwf-DX\n>c/1-4 of c\n--KDEy\n"
FASTA = b">q/5-8\nAC---\nDE-\n>b\nACWF-DX-\n>c/1-4 of c\n\n----KDEY\n"
STOCKHOLM = (
    b"# STOCKHOLM 1.0\n#=GF ID toy\n#=GS b DE something\n\n"
    b"q/5-8  AC..-\nb      ACwf-\nc/1-4  .-..K\n#=GC RF xx..x\n\n"
    b"q/5-8  DE.\n#=GR q/5-8 SS HH.\nb      DX.\nc/1-4  DEy\n#=GC RF xx.\n//\n"
)
ROWS = ["ACDE", "ACDX", "--DE"]


def read(tmp_path, content, query=None, name="family"):
    path = tmp_path / name
    path.write_bytes(content)
    return read_alignment(path, query)


def texts(alignment):
    return [ALIGNED.decode(row).decode() for row in alignment.rows]


def error(tmp_path, content, query=None):
    with pytest.raises(DataError) as caught:
        read(tmp_path, content, query)
    assert "family" in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("wrap", [lambda c: c, lambda c: c.replace(b"\n", b"\r\n"), gzip.compress])
@pytest.mark.parametrize(
    ("content", "format", "insertions"),
    [(A2M, "a2m", 4), (A3M, "a3m", 1), (FASTA, "aligned FASTA", 4), (STOCKHOLM, "Stockholm", 4)],
    ids=["a2m", "a3m", "fasta", "stockholm"],
)
def test_every_format_gives_the_same_tokens(tmp_path, content, format, insertions, wrap):
    found = read(tmp_path, wrap(content))
    assert texts(found) == ROWS
    assert (found.format, found.insertions) == (format, insertions)
    assert found.names == ("q/5-8", "b", "c/1-4")
    assert (found.query, found.first, found.sequence) == (0, 5, "ACDE")
    assert len(found) == 3
    assert found.rows.dtype == np.uint8


def test_standard_input_is_read(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(STOCKHOLM)))
    assert texts(read_alignment("-")) == ROWS


@pytest.mark.parametrize("content", [A2M, FASTA, STOCKHOLM], ids=["a2m", "fasta", "stockholm"])
@pytest.mark.parametrize("query", ["c", "c/1-4"])
def test_another_query_has_its_own_columns(tmp_path, content, query):
    found = read(tmp_path, content, query)
    assert texts(found) == ["-DE-", "-DX-", "KDEY"]  # its inserted y has a column of its own
    assert (found.query, found.first, found.sequence) == (2, 1, "KDEY")


def test_an_a3m_has_columns_for_what_its_query_inserts(tmp_path):
    found = read(tmp_path, b">a\nACD\n>q\nAwC-y\n>c\nAkllCDef\n", "q")
    assert texts(found) == ["A-C-", "AWCY", "AKCE"]


def test_lower_case_columns_of_the_query_are_kept(tmp_path, caplog):
    caplog.set_level(logging.INFO, "seqdiff")
    assert texts(read(tmp_path, b">q\naCDe\n>b\n.CDk\n")) == ["ACDE", "-CDK"]
    assert "kept 2 columns of the query q that are in lower case" in caplog.text


def test_an_a3m_whose_rows_are_equally_long_by_chance_is_one(tmp_path):
    found = read(tmp_path, b">b\nwACDE\n>q\nACDEk\n>c\nACyDE\n", "q")
    assert (found.format, texts(found)) == ("a3m", ["ACDE-", "ACDEK", "ACDE-"])


def test_mixed_case_of_aligned_fasta_says_nothing(tmp_path):
    assert texts(read(tmp_path, b">q\nacde\n>b\nAC-E\n>c\n-cde\n")) == ["ACDE", "AC-E", "-CDE"]


def test_the_structure_in_an_a3m_is_no_sequence(tmp_path):
    content = b"#4\t1\n>ss_pred PSIPRED\nHHEC\n>ss_conf\n9981\n>q\nACDE\n>b\nACwDE\n"
    assert texts(read(tmp_path, content)) == ["ACDE", "ACDE"]


def test_ambiguous_letters_are_unknown_and_a_final_stop_is_a_gap(tmp_path):
    assert texts(read(tmp_path, b">q\nACDE*\n>b\nBZJU-\n>c\nAO*--\n")) == ["ACDE", "XXXX", "AX--"]


def test_repeated_rows_and_rows_of_gaps_are_left_out_and_counted(tmp_path, caplog):
    content = b">e\n---K\n>q\nACD-\n>b\nAC--\n>b\nAC--\n>b\nA---\n"
    found = read(tmp_path, content, "q")
    assert (texts(found), found.names, found.query) == (["ACD", "AC-", "A--"], ("q", "b", "b"), 0)
    assert "left out 1 rows that repeat an earlier one" in caplog.text
    assert "left out 1 rows without a letter in the query's columns" in caplog.text


def test_a_name_that_counts_other_residues_is_doubted(tmp_path, caplog):
    read(tmp_path, b">q/24-90\nACD\n>b\nACD\n")
    assert "says that it has 67 residues, but has 3: are positions numbered rightly from 24 on?" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b">q\nACDE\n>b\nACD\n>c\nACDE\n", "'b' has 3 columns, 'q' has 4. Align them first"),
        (b">q\nACDEw\n>b\nACDEE\n>c\nACD\n", "'b' has 5 columns (capital letters and '-'), 'q' has 4"),
        (b">q\nACDE\n>b\nAC1E\n", "record 'b' has '1' at position 3, no letter of aligned protein"),
        (b">q\nACDE\n>b\nA*DE\n", "record 'b' has '*' at position 2, no letter of aligned protein: a stop"),
        (b">q\nACDE\n", "has 1 sequence: a family has many"),
        (b">q\nACDE\n>q\nACDE\n", "has 1 sequence: a family has many"),
        (b">q\n----\n>b\nACDE\n", "the query 'q' has no letter"),
        (b">q\nACDE\n>q\nACDF\n", "has 2 different rows for the query 'q'"),
        (b">q\nACGTACGTACGT\n>b\nACGTACGTACGN\n", "is an alignment of nucleotides"),
        (b">q\nacdef\n>b\nacd\n", "rows of several widths, all in lower case, are not aligned"),
        (b">\nACDE\n", "line 1: a record without a name"),
        (b"", "holds no sequence"),
        (b"# STOCKHOLM 1.0\n//\n", "holds no sequence"),
        (b"CLUSTAL W (1.8)\n\nq  ACDE\n", "is Clustal: convert it"),
        (b"q ACDE\nb ACDE\n", "line 1: an alignment begins with '>' (FASTA, a2m, a3m) or '# STOCKHOLM'"),
        (b"# STOCKHOLM 1.0\nq ACDE\nb ACDE\n", "does not end in '//': is it cut short?"),
        (b"# STOCKHOLM 1.0\nq AC DE\n//\n", "line 2: a row is a name and its letters"),
        (b"# STOCKHOLM 1.0\nq ACDE\nq ACDE\n//\n", "line 3: the name 'q' was taken by line 2 of the same block"),
        (b"# STOCKHOLM 1.0\nq ACDE\nb ACDE\n//\n# STOCKHOLM 1.0\n", "holds several alignments"),
        (b"# STOCKHOLM 1.0\nq ACDE\nb ACDE\n\nq AC\n//\n", "'b' has 4 columns, 'q' has 6"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, content, message):
    assert message in error(tmp_path, content)


def test_a_missing_query_is_said_with_what_is_near(tmp_path):
    assert "no sequence named 'q/5-9'; did you mean q/5-8?" in error(tmp_path, A2M, "q/5-9")
    assert "no sequence named 'XYZ_HUMAN'; its first sequence is q/5-8" in error(tmp_path, A2M, "XYZ_HUMAN")


def test_a_query_of_several_rows_must_be_named_whole(tmp_path):
    content = b">q/1-4\nACDE\n>q/6-9\nACDF\n"
    assert "2 different rows for the query 'q' (q/1-4, q/6-9)" in error(tmp_path, content, "q")
    assert read(tmp_path, content, "q/6-9").query == 1
