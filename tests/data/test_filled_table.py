"""Tables of filled letters: what is read, however the text is cut, and what is refused with its line."""

import gzip

import numpy as np
import pytest

from seqdiff.data.filled_table import FilledTable
from seqdiff.errors import DataError

HEADER = "name\tposition\tfilled\tp_A\tp_C\tp_G\tp_T\n"
LINE = "chr1\t5\tA\t0.700000\t0.100000\t0.100000\t0.100000\n"


def read(path):
    with FilledTable(path) as table:
        return table, list(table.letters())


def test_columns_are_read_record_by_record(tmp_path):
    path = tmp_path / "t.tsv"
    text = "# seqdiff 0.1.0 model=demo\n" + HEADER + LINE + LINE.replace("\t5\tA", "\t1234567\tt")
    path.write_text(text + LINE.replace("chr1", "a b"))
    table, (block,) = read(path)
    assert (table.symbols, table.comment) == ("ACGT", ["seqdiff 0.1.0 model=demo"])
    assert (block.names, block.firsts.tolist()) == (["chr1", "a b"], [0, 2])
    assert block.positions.tolist() == [4, 1234566, 4]
    assert bytes(block.letters) == b"ATA"
    assert np.allclose(block.probabilities, [0.7, 0.1, 0.1, 0.1])


def test_numbers_of_other_programs_are_read_as_well(tmp_path):
    path = tmp_path / "t.tsv.gz"
    path.write_bytes(gzip.compress((HEADER + LINE + "chr1\t6\tU\t0.7\t1e-1\t.1\t0.1\n").encode()))
    _, (block,) = read(path)
    assert bytes(block.letters) == b"AT"
    assert np.allclose(block.probabilities, [[0.7, 0.1, 0.1, 0.1]] * 2)


def test_the_blocks_of_a_large_table_hold_every_line_once(tmp_path):
    path = tmp_path / "t.tsv"
    lines = [LINE.replace("\t5\t", f"\t{i + 1}\t").replace("chr1", f"r{i // 7000}") for i in range(60_000)]
    path.write_text(HEADER + "".join(lines))
    _, blocks = read(path)
    assert len(blocks) > 1
    assert np.concatenate([block.positions for block in blocks]).tolist() == list(range(60_000))
    assert list(dict.fromkeys(name for block in blocks for name in block.names)) == [f"r{i}" for i in range(9)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("name\tllr\n", "line 1: .*the columns of a table of filled letters are"),
        (HEADER + LINE + "chr1\t6\tA\t0.7\n", "line 3: .* has 4 columns, the header 7"),
        (HEADER + LINE.replace("\t5\t", "\t0\t"), "line 2: .* position '0' is no whole number"),
        (HEADER + LINE.replace("\t5\t", "\t5x\t"), "position '5x'"),
        (HEADER + LINE.replace("\tA\t", "\tQ\t"), "the filled letter 'Q' is none of ACGT"),
        (HEADER + LINE.replace("0.700000", "0.900000"), "add up to 1, these to 1.2"),
        (HEADER + LINE.replace("0.700000", "zero"), "line 2: .*could not convert"),
        (HEADER + LINE.replace("0.700000", "nan"), "from 0 to 1"),
        (HEADER.replace("p_T", "p_A"), "a p_ column a letter"),
        (HEADER + "\n", "line 2"),
    ],
)  # fmt: skip
def test_what_is_damaged_is_an_error_with_its_line(tmp_path, text, says):
    path = tmp_path / "t.tsv"
    path.write_text(text)
    with pytest.raises(DataError, match=says):
        read(path)


def test_a_table_without_a_letter_is_one(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text(HEADER)
    assert read(path)[1] == []
