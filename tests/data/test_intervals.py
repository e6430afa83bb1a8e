import gzip
import random
from itertools import pairwise

import pytest

from seqdiff.data.intervals import Interval, merge, parse_region, read_bed, spans, subtract, unknown_contig
from seqdiff.errors import DataError

CONTIGS = {"chr1": 5000, "chr2": 100, "HLA:A*01:01": 300, "chr1:7-9": 20, "empty": 0}


@pytest.mark.parametrize(
    ("text", "interval"),
    [
        ("chr1", ("chr1", 0, 5000)),
        ("chr1:1,001-2,000", ("chr1", 1000, 2000)),
        ("chr1:1-5000", ("chr1", 0, 5000)),
        ("chr1:500", ("chr1", 499, 500)),
        ("chr1:500-", ("chr1", 499, 5000)),
        ("HLA:A*01:01", ("HLA:A*01:01", 0, 300)),
        ("HLA:A*01:01:5-6", ("HLA:A*01:01", 4, 6)),
        ("chr1:7-9", ("chr1:7-9", 0, 20)),
        ("empty", ("empty", 0, 0)),
    ],
)
def test_regions(text, interval):
    assert parse_region(text, CONTIGS) == interval


def test_one_contig_alone():
    assert unknown_contig("b", {"a": 12}) == "there is no contig 'b'. There is a"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("1:5-6", "there is no contig '1'; did you mean 'chr1'?"),
        ("CHR2", "did you mean 'chr2'?"),
        ("scaffold", r"there is no contig 'scaffold'\. There are chr1, chr2, HLA"),
        ("chr1:4990-5001", r"'chr1:4990-5001' runs past the end of chr1 \(5,000\)"),
        ("chr1:5001-5002", "lies past the end of chr1"),
        ("chr1:20-10", "begins after it ends"),
        ("chr1:0-10", "regions count from 1"),
        ("chr1:a-b", "'a-b' is no range"),
        ("chr1:-5", "is no range"),
        ("chr1:", "is no range"),
        ("chr1:1-2-3", "is no range"),
        ("chr1:１-２", "is no range"),
        ("chr1:" + "9" * 5000, "is no range"),
        ("empty:1", "lies past the end"),
        ("", "there is no contig ''"),
    ],
)
def test_wrong_regions_say_why(text, what):
    with pytest.raises(DataError, match=what):
        parse_region(text, CONTIGS)


def test_clip_cuts_a_region_at_the_end_of_its_contig():
    assert parse_region("chr2:90-200", CONTIGS, clip=True) == ("chr2", 89, 100)
    with pytest.raises(DataError, match="lies past the end"):
        parse_region("chr2:101-200", CONTIGS, clip=True)


def test_hints_between_naming_styles():
    for asked, has in (("chrX", "X"), ("X", "chrX"), ("MT", "chrM"), ("chrM", "MT"), ("CHR1", "chr1")):
        with pytest.raises(DataError, match=f"'{asked}'; did you mean '{has}'"):
            parse_region(f"{asked}:1-2", {has: 10, "other": 5})


def test_a_bed_file(tmp_path):
    path = tmp_path / "a.bed.gz"
    path.write_bytes(
        gzip.compress(
            b"# made by hand\ntrack name=x\nbrowser position\n\n"
            b"chr1\t10\t20\tname\t0\t+\r\nchr2 0 100\nchr1\t5000\t5000\n"
        )
    )
    expected = [("chr1", 10, 20), ("chr2", 0, 100), ("chr1", 5000, 5000)]
    assert read_bed(path) == read_bed(path, CONTIGS) == expected


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"chr1\t10", "has 2 of the 3 columns"),
        (b"chr1\tx\t20", "the start 'x' is no whole number"),
        (b"chr1\t-1\t20", "the start '-1'"),
        (b"chr1\t1\t2e3", "the end '2e3'"),
        (b"chr1\t1\t", "the end ''"),
        (b"chr1\t20\t10", "the start 20 comes after the end 10"),
        (b"1\t1\t2", "did you mean 'chr1'"),
        (b"\xff\t1\t2", "no contig '\\\\xff'"),
        (b"chr2\t90\t101", "chr2:91-101 runs past the end of chr2"),
    ],
)
def test_wrong_bed_lines_are_named(tmp_path, line, what):
    path = tmp_path / "a.bed"
    path.write_bytes(b"chr1\t0\t1\n" + line + b"\n")
    with pytest.raises(DataError, match=f"a.bed, line 2: .*{what}"):
        read_bed(path, CONTIGS)


def test_clip_cuts_bed_intervals_and_reports_those_left_out(tmp_path, caplog):
    path = tmp_path / "a.bed"
    path.write_bytes(b"chr2\t90\t101\nchr2\t100\t120\n")
    assert read_bed(path, CONTIGS, clip=True) == [("chr2", 90, 100)]
    assert "left out 1 intervals" in caplog.text


def positions(intervals) -> list[tuple[str, int]]:
    return [(i.contig, p) for i in intervals for p in range(i.start, i.end)]


def some(rng, count=8) -> list[Interval]:
    starts = [(rng.choice("ab"), rng.randrange(30)) for _ in range(count)]
    return [Interval(contig, start, start + rng.randrange(9)) for contig, start in starts]


@pytest.mark.parametrize("seed", range(50))
def test_merge_and_subtract_against_sets_of_positions(seed):
    rng = random.Random(seed)
    one, two = some(rng), some(rng)
    merged = merge(one)
    assert len(positions(merged)) == len(set(positions(one)))
    assert set(positions(merged)) == set(positions(one))
    for a, b in pairwise(merged):
        assert a.contig != b.contig or a.end < b.start
    holes = set(positions(two))
    assert positions(subtract(one, two)) == [p for p in positions(one) if p not in holes]


def test_merge_keeps_contigs_in_the_order_they_came():
    given = [Interval("b", 5, 6), Interval("a", 1, 2), Interval("b", 1, 5)]
    assert merge(given) == [("b", 1, 6), ("a", 1, 2)]
    assert merge([]) == []


@pytest.mark.parametrize("n", [0, 1, 7, 64, 65])
@pytest.mark.parametrize("longest", [1, 3, 64])
def test_spans_cover_evenly_with_as_few_pieces_as_possible(n, longest):
    cut = spans(n, longest)
    assert [p for start, end in cut for p in range(start, end)] == list(range(n))
    lengths = [end - start for start, end in cut]
    assert len(cut) == -(-n // longest)
    assert not cut or (max(lengths) <= longest and max(lengths) - min(lengths) <= 1)
