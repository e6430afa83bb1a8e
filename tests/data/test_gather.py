"""Joining: headers once and agreed upon, everything else byte for byte; and the whole is what was divided."""

import gzip

import pysam
import pytest
from vcfs import vcf_of

from seqdiff.data.fasta import NO_RECORD
from seqdiff.data.gather import join_sequences, join_tables, join_variants, kind_of, one_kind
from seqdiff.data.scatter import scatter_sequences, scatter_variants
from seqdiff.data.tabix import VcfOutput
from seqdiff.data.vcf import Vcf, header
from seqdiff.errors import DataError

VCF_HEADER = ("##fileformat=VCFv4.2", "##contig=<ID=1,length=1000>", "##contig=<ID=2,length=1000>")


def files(folder, *contents):
    paths = [folder / f"{number}" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return [str(path) for path in paths]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\n>a\nA\n", "FASTA"), (b"@a\nA\n+\nI\n", "FASTQ"), (b"##fileformat=VCFv4.2\n", "VCF"),
        (b"# seqdiff 1\nname\tx\n", "table"), (b"mutant,score\n", "table"), (b'{"answers": {}}', "evaluation"),
        (b"PK\x03\x04...", "embeddings"), (b"PAR1...", "Parquet"), (b"", ""), (b" \n\n", ""), (NO_RECORD, ""),
    ],
)  # fmt: skip
def test_kinds_are_told_by_content(tmp_path, content, kind):
    (path,) = files(tmp_path, content)
    assert kind_of(path) == kind
    if not content.startswith(b"P"):
        assert kind_of(*files(tmp_path, gzip.compress(content))) == kind


def test_kinds_that_differ_are_refused_and_what_holds_nothing_is_passed_over(tmp_path):
    paths = files(tmp_path, b"", b">a\nA\n", NO_RECORD, b">b\nA\n")
    assert one_kind(paths) == ("FASTA", [paths[1], paths[3]])
    with pytest.raises(DataError, match=r"1 is FASTA, .*0 is a table: give files of one kind"):
        one_kind([paths[1], *files(tmp_path, b"name\tx\n")])
    with pytest.raises(DataError, match="there is nothing to join"):
        one_kind(files(tmp_path, b"", NO_RECORD))


@pytest.mark.parametrize("number", [1, 2, 7])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_what_was_divided_is_joined_again(tmp_path, number, pack):
    text = b"\n>a x\r\nACGT\r\n\r\nNN\n>b\n>c\nACGTACGT\rAC\n>d\nA"
    path = tmp_path / "in.fa"
    path.write_bytes(pack(text))
    scatter_sequences(path, tmp_path / "shards", number)
    _, held = one_kind([f"{tmp_path}/shards/{i}-of-{number}.fa" for i in range(1, number + 1)])
    join_sequences(held, tmp_path / "out.fa")
    assert (tmp_path / "out.fa").read_bytes() == text


def test_a_line_that_was_not_ended_is_where_another_follows(tmp_path):
    join_sequences(files(tmp_path, b">a\nAC", b">b\nGT\r\n", b">c\rA\r", b">d\nA"), tmp_path / "out.fa.gz")
    assert gzip.decompress((tmp_path / "out.fa.gz").read_bytes()) == b">a\nAC\n>b\nGT\r\n>c\rA\r>d\nA"


def test_tables_have_their_header_once(tmp_path):
    head = b"# seqdiff 0.1 seed=0\n# nats are of each region\nname\tnats\n"
    parts = [head + b"a\t1\nb\t2\n", head, head + b"#c\t3\n", head + b"d\t" + b"4" * (1 << 21) + b"\n"]
    join_tables(files(tmp_path, *parts), tmp_path / "out.tsv")
    assert (tmp_path / "out.tsv").read_bytes() == head + b"".join(part.removeprefix(head) for part in parts)
    for other in (head.replace(b"seed=0", b"seed=1"), head.replace(b"\tnats", b"\tbits"), b"name\tnats\n", head[:40]):
        with pytest.raises(DataError, match=r"has another header than .*were they made by the same command and model"):
            join_tables(files(tmp_path, parts[0], other + b"z\t9\n"), tmp_path / "other.tsv")
    assert not (tmp_path / "other.tsv").exists()


def test_nothing_of_tables_that_differ_goes_to_standard_output(tmp_path, capfdbinary):
    with pytest.raises(DataError, match="has another header"):
        join_tables(files(tmp_path, b"name\tnats\na\t1\n", b"name\tbits\nb\t1\n"), None)
    assert capfdbinary.readouterr().out == b""


def test_a_file_that_is_cut_short_leaves_no_output(tmp_path):
    whole = gzip.compress(b">a\n" + b"ACGT" * 100_000)
    for join in (join_sequences, join_tables):
        with pytest.raises(DataError, match="truncated"):
            join(files(tmp_path, b">a\nA\n", whole[: len(whole) // 2]), tmp_path / "out.fa")
        assert not (tmp_path / "out.fa").exists()


@pytest.mark.parametrize("number", [1, 3, 40])
def test_a_vcf_is_joined_with_its_index_to_the_same_bytes(tmp_path, number):
    rows = [(c, 20 * i, "A", "C", ".", "GT", "0|1") for c in "12" for i in range(1, 15)]
    path = vcf_of(tmp_path / "in.vcf", *rows, samples=("s",), header=VCF_HEADER)
    with Vcf(path) as vcf, VcfOutput(tmp_path / "whole.vcf.gz") as out:
        out.write(header(vcf.meta, vcf.columns))
        for record in vcf.records():
            out.write_record(record, b"\t".join(record.columns) + b"\n")
    scatter_variants(path, tmp_path / "shards", number)
    join_variants([f"{tmp_path}/shards/{i}-of-{number}.vcf.gz" for i in range(1, number + 1)], tmp_path / "out.vcf.gz")
    for ending in ("vcf.gz", "vcf.gz.tbi"):
        assert (tmp_path / f"out.{ending}").read_bytes() == (tmp_path / f"whole.{ending}").read_bytes()
    with pysam.VariantFile(str(tmp_path / "out.vcf.gz")) as file:
        assert len(list(file.fetch("2", 100, 200))) == 5


def test_headers_of_vcfs_must_agree_but_for_free_lines(tmp_path):
    one = vcf_of(tmp_path / "1.vcf", ("1", 5, "A", "C"), header=(*VCF_HEADER, "##bcftoolsCommand=view 1"))
    two = vcf_of(tmp_path / "2.vcf", ("1", 7, "A", "C"), header=(*VCF_HEADER, "##bcftoolsCommand=view 2"))
    join_variants([str(one), str(two)], tmp_path / "out.vcf")
    assert (tmp_path / "out.vcf").read_bytes() == one.read_bytes() + two.read_bytes().splitlines(True)[-1]
    vcf_of(two, ("1", 7, "A", "C"), header=VCF_HEADER[:2])
    with pytest.raises(
        DataError, match=r"2\.vcf lacks a line of the header of .*1\.vcf: '##contig=<ID=2,length=1000>'"
    ):
        join_variants([str(one), str(two)], tmp_path / "other.vcf")
    vcf_of(two, ("1", 7, "A", "C", ".", "GT", "0|1"), header=VCF_HEADER, samples=("s",))
    with pytest.raises(DataError, match=r"other columns or samples than .*1\.vcf: 'FORMAT s', not ''"):
        join_variants([str(one), str(two)], tmp_path / "other.vcf")
    assert not (tmp_path / "other.vcf").exists()


def test_a_vcf_out_of_order_has_no_index_and_says_so(tmp_path, caplog):
    one = vcf_of(tmp_path / "1.vcf", ("2", 5, "A", "C"), header=VCF_HEADER)
    two = vcf_of(tmp_path / "2.vcf", ("1", 7, "A", "C"), ("2", 7, "A", "C"), header=VCF_HEADER)
    join_variants([str(one), str(two)], tmp_path / "out.vcf.gz")
    assert not (tmp_path / "out.vcf.gz.tbi").exists()
    assert "has no index: 2 comes again at line 7" in caplog.text
