"""Tables from spreadsheets, scripts and damaged downloads."""

import gzip
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqdiff.data.table import line_of, read_table
from seqdiff.errors import DataError


def read(tmp_path, data: bytes):
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    return read_table(path)


@pytest.mark.parametrize("separator", [b",", b"\t", b";"])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("packed", [False, True])
def test_every_dialect_gives_the_same_cells(tmp_path, separator, newline, mark, packed):
    lines = [["# made by", "a script"], ["mutant", "score", "why"], ["A2G", "0.5", '"a, b; c\td"'], ["", "", ""],
             ["K3R", "", "x"]]  # fmt: skip
    data = mark + newline.join(separator.join(cell.encode() for cell in line) for line in lines)
    table = read(tmp_path, gzip.compress(data) if packed else data)
    assert table.columns == ["mutant", "score", "why"]
    assert table.rows == [["A2G", "0.5", "a, b; c\td"], ["K3R", "", "x"]]
    assert table.lines == [3, 5]
    assert table["score"] == ["0.5", ""]


def test_a_cell_may_hold_newlines_and_bytes_that_are_no_utf8(tmp_path):
    table = read(tmp_path, b'a,b\n"one\ntwo",caf\xe9\n3,4\n')
    assert table.lines == [3, 4]
    assert line_of(table.rows[0], ",") == b'"one\ntwo",caf\xe9\n'


@given(st.lists(st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"])), min_size=2, max_size=4))
def test_what_is_written_is_read_again(cells):
    import csv

    assert next(csv.reader(io.StringIO(line_of(cells).decode(), newline=""), delimiter="\t")) == cells


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b"\n\n# nothing\n", "is empty"),
        (b"mutant,score\n", "no rows"),
        (b"mutant,score\n\n,\n", "no rows"),
        (b"a,b\n1,2\n1,2,3\n", "line 3: 3 cells, but the header has 2 cells"),
        (b"# x\na,b\n1\n", "line 3: 1 cell, but the header has 2 cells"),
        (b"a,b,a\n1,2,3\n", "the column 'a' comes twice"),
        (b'a,b\n"1,2\n3,4\n', "quotation marks"),
        (b"\xff\xfea\0,\0", "UTF-16"),
        (b"a,b\n\0,1\n", "no text file"),
    ],
)
def test_what_is_no_table_is_refused_with_its_place(tmp_path, data, says):
    with pytest.raises(DataError, match=r"t\.csv") as error:
        read(tmp_path, data)
    assert says in str(error.value)


def test_a_column_that_is_not_there_names_those_that_are(tmp_path):
    with pytest.raises(DataError, match="no column 'score'; it has 'a', 'b'"):
        read(tmp_path, b"a,b\n1,2\n")["score"]
