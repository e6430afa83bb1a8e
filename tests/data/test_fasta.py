import gzip
import io
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from seqdiff.alphabet import DNA, PROTEIN
from seqdiff.data.fasta import Output, Record, check_letters, pieces, read_records, write_record
from seqdiff.data.source import Source
from seqdiff.errors import DataError

REAL = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture
def file(tmp_path):
    def write(data: bytes, name: str = "x.fa") -> Path:
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return write


def read(path, **options) -> list[tuple]:
    return [(r.name, r.sequence, r.line_width) for r in read_records(path, **options)]


def refused(path, **options) -> str:
    with pytest.raises(DataError) as caught:
        list(read_records(path, **options))
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n \n"])
def test_records_with_any_newline_and_end(file, newline, end):
    text = b">a first one\nACGT\nacgn\nAC\n>b\nTT" + end
    assert read(file(text.replace(b"\n", newline))) == [("a", b"ACGTacgnAC", 4), ("b", b"TT", 0)]


def test_blocks_may_cut_the_text_anywhere(file, monkeypatch):
    text = b"\n\n>a x\nAC>GT\n\nA C\tG\n>b\n\n\nTTT\nT\n>empty\n>c\nG"
    whole = read(file(text))
    assert whole == [("a", b"AC>GTACG", 5), ("b", b"TTTT", 3), ("empty", b"", 0), ("c", b"G", 0)]
    for size in range(1, 12):
        monkeypatch.setattr("seqdiff.data.source._GZIP_BLOCK", size)
        monkeypatch.setattr("seqdiff.data.source._BLOCK", size)
        assert read(file(text)) == whole
        assert read(file(gzip.compress(text))) == whole


def test_ragged_and_blank_lines_are_accepted(file):
    assert read(file(b">a\n\nACGT\nAC\n\nACGTACGT\n")) == [("a", b"ACGTACACGTACGT", 4)]


def test_blanks_around_lines_are_removed(file):
    record = next(read_records(file(b"> a \t b \n ACG \nT\t\n")))
    assert record == Record("a", " a \t b ", b"ACGT", None, 3)


def test_headers_survive_byte_for_byte(file, tmp_path):
    text = b">caf\xc3\xa9 d\xe9j\xe0 \xa0|x  \nAC\n>\xff\nAC\n"
    records = list(read_records(file(text)))
    assert records[0].name == "café"
    with Output(tmp_path / "out.fa") as out:
        for record in records:
            write_record(out, record, "fasta")
    assert (tmp_path / "out.fa").read_bytes() == text


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b">a\nAC\n")))
    assert read("-") == [("a", b"AC", 0)]


@pytest.mark.parametrize("text", [b"", b"\n\n", b" \r\n", gzip.compress(b"", mtime=0)])
def test_an_empty_file_is_refused(file, text):
    assert "is empty" in refused(file(text))


def test_a_header_without_a_name_is_refused_with_its_line(file):
    assert "line 3: a record without a name" in refused(file(b">a\nAC\n> \nGT\n"))
    assert "line 1: a record without a name" in refused(file(b">"))
    assert "line 5" in refused(file(b"@a\nA\n+\nI\n@\nA\n+\nI\n"))


def test_text_that_is_no_sequence_file_is_refused_with_its_line(file):
    assert "line 2: a record begins with '>'" in refused(file(b"\nchr1\t10\t20\n"))


def test_a_missing_file_is_refused_at_once(tmp_path):
    with pytest.raises(DataError, match="there is no file"):
        read_records(tmp_path / "x.fa")


def test_duplicate_names(file, caplog):
    path = file(b">a 1\nA\n>b\nC\n>a 2\nG\n>a\nT\n>a_2\nA\n")
    message = refused(path)
    assert "line 5: the name 'a' was taken by the record at line 1" in message
    assert "--duplicates" in message
    assert [r[0] for r in read(path, duplicates="first")] == ["a", "b", "a_2"]
    assert "left out 2 records" in caplog.text
    renamed = list(read_records(path, duplicates="rename"))
    assert [r.name for r in renamed] == ["a", "b", "a_2", "a_3", "a_2_2"]
    assert renamed[2].header == "a_2 2"


def test_fastq(file):
    text = b"@r1 x\nACGT\n+\nII#@\n@r2\nAC\nGT\nA\n+r2\n@+>I\n\nI\n\n@empty\n\n+\n\n@r3\nA\n+\n~"
    records = list(read_records(file(text, "x.fq")))
    assert [(r.name, r.sequence, r.quality, r.line_width) for r in records] == [
        ("r1", b"ACGT", b"II#@", 0),
        ("r2", b"ACGTA", b"@+>II", 2),
        ("empty", b"", b"", 0),
        ("r3", b"A", b"~", 0),
    ]
    assert records[0].header == "r1 x"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"@r\nACGT\n+\nIIIII\n", "line 1: record 'r' has 4 letters but 5 qualities"),
        (b"@r\nACGT\n+\nIII\n", "has 4 letters but 3 qualities at the end"),
        (b"@r\nACGT\n+\nIII\n@long\nAC\n+\nII\n", "has 4 letters but 8 qualities"),
        (b"@r\nAC\n+\nII\nII\n@s\nA\n+\nI\n", "line 5: a FASTQ record begins with '@'"),
        (b"@r\nACGT\n", "no '+' line"),
        (b"@r\nACGT\n+\nI\x80II\n", "quality"),
        (b"@r\nACGT\n+s\nIIII\n", "names its quality 's'"),
    ],
)
def test_damaged_fastq_is_refused(file, text, what):
    assert what in refused(file(text, "x.fq"))


@pytest.mark.parametrize(
    ("letter", "alphabet", "hint"),
    [
        (b"E", DNA, "is this a protein?"),
        (b"-", DNA, "write N"),
        (b".", PROTEIN, "alignment"),
        (b"*", PROTEIN, "stop"),
        (b"7", DNA, "line numbers"),
        (b"\xff", DNA, r"'\xff'"),
        (b"!", DNA, "the letters are ACGT"),
    ],
)
def test_a_wrong_letter_is_named_with_its_place_and_a_guess(letter, alphabet, hint):
    record = Record("seq 1", "seq 1", b"A" * 1233 + letter + b"??")
    with pytest.raises(DataError, match=r"x.fa: record 'seq 1' has .* at position 1,234, no letter of") as caught:
        check_letters(record, alphabet, "x.fa")
    assert hint in str(caught.value)


def test_right_letters_pass():
    check_letters(Record("a", "a", b"ACGTUNRYacgtun"), DNA, "x.fa")
    check_letters(Record("a", "a", b""), DNA, "x.fa")


@pytest.mark.parametrize("width", [1, 3, 60, 99_999, 100_000])
def test_a_record_is_written_with_the_line_width_it_had(file, tmp_path, width):
    sequence = np.random.default_rng(0).choice(np.frombuffer(b"ACGTn", np.uint8), 100_000).tobytes()
    lines = b"\n".join(sequence[i : i + width] for i in range(0, len(sequence), width))
    text = b">a b\n" + lines + b"\n>empty\n>one\nACGT\n"
    with Output(tmp_path / "out.fa") as out:
        for record in read_records(file(text)):
            write_record(out, record, "fasta")
    assert (tmp_path / "out.fa").read_bytes() == text


def test_fastq_is_written_in_four_lines(file, tmp_path):
    with Output(tmp_path / "out.fq.gz") as out:
        for record in read_records(file(b"@a b\nAC\nG\n+\nII\n#\n")):
            write_record(out, record, "fastq")
    assert gzip.decompress((tmp_path / "out.fq.gz").read_bytes()) == b"@a b\nACG\n+\nII#\n"


def test_pieces_hold_no_more_than_a_block(file):
    path = file(b">a\n" + b"ACGT" * 2_000_000 + b"\n>b\nAC\n")
    with Source(path) as source:
        parts = list(pieces(source))
    assert [(header, line) for header, _, line in parts if header] == [(b"a", 1), (b"b", 3)]
    assert max(len(text) for _, text, _ in parts) <= 1 << 20
    assert sum(len(text) for _, text, _ in parts) == 8_000_000 + 1 + 3


def test_fastq_is_no_reference(file):
    with pytest.raises(DataError, match="is FASTQ"), Source(file(b"@a\nA\n+\nI\n")) as source:
        list(pieces(source))


@pytest.mark.skipif(not REAL.is_dir(), reason="needs the data folder of the developers")
def test_real_files():
    (chr2,) = read_records(REAL / "hg38_chr2_2.3Mb" / "chr2_1-2333275.fa.gz")
    assert (chr2.name, len(chr2.sequence), chr2.line_width) == ("chr2", 2_333_275, 50)
    check_letters(chr2, DNA, "chr2")
    yeast = list(read_records(REAL / "yeast_R64" / "Saccharomyces_cerevisiae.R64-1-1.dna.toplevel.fa.gz"))
    assert sum(len(r.sequence) for r in yeast) == 12_157_105
    assert "Mito" in [r.name for r in yeast]
    family = REAL / "blat" / "alignments" / "BLAT_ECOLX.a2m.gz"
    aligned = list(read_records(family))
    check_letters(aligned[0], PROTEIN, family)
    with pytest.raises(DataError, match="alignment"):
        check_letters(aligned[1], PROTEIN, family)
