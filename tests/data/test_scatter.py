"""Division of files: every byte is kept, in order, and what is wrong with a file is said before there is any shard."""

import gzip
import os
from itertools import pairwise

import pytest
from damage import damaged
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vcfs import vcf_of

from seqdiff.data.fasta import NO_RECORD, read_records
from seqdiff.data.intervals import NO_SPAN, is_without_span, read_bed
from seqdiff.data.scatter import scatter_sequences, scatter_variants
from seqdiff.data.source import Source
from seqdiff.data.vcf import Vcf
from seqdiff.errors import DataError, UsageError

RAGGED = b"\n >a one\r\nACGTN\r\n\r\nNN\r\n>b\nacgt\n>c\rNNNNNNNNNNNN\r>d\n>e x\nAC\n\nGT"
READS = b"@r1\nACGT\n+\n@III\n\n@r2 x\r\nAC\r\nGT\r\n+r2 x\r\nII\r\nII\r\n@r3\n\n+\n\n@r4\nNNNNN\n+\n!!!!!"


def shards(folder, ending="fa"):
    count = len([name for name in os.listdir(folder) if name.endswith(f".{ending}")])
    return [(folder / f"{number}-of-{count}.{ending}").read_bytes() for number in range(1, count + 1)]


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize(("text", "ending", "records"), [(RAGGED, "fa", 5), (READS, "fq", 4)])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_shards_are_the_file_byte_for_byte(tmp_path, text, ending, records, number, pack):
    (tmp_path / "in").write_bytes(pack(text))
    done = scatter_sequences(tmp_path / "in", tmp_path / "out", number)
    assert (done.shards, done.records, done.empty) == (number, records, max(0, number - records))
    found = shards(tmp_path / "out", ending)
    assert len(found) == number == len(os.listdir(tmp_path / "out"))
    assert b"".join(part for part in found if part != NO_RECORD) == text
    assert [part == NO_RECORD for part in found] == sorted(part == NO_RECORD for part in found)
    read = [record for path in range(1, number + 1) for record in read_records(
        tmp_path / "out" / f"{path}-of-{number}.{ending}")]  # fmt: skip
    assert read == list(read_records(tmp_path / "in"))


def test_work_is_letters_or_unknown_letters_of_dna_and_of_proteins(tmp_path):
    path = tmp_path / "in.fa"
    path.write_bytes(b">a\nNNNNNNNNNN\n>b\nACGTU" + b"acgt" * 50 + b"\n>c\nRYACGTNN\n>d\nAC\n")
    scatter_sequences(path, tmp_path / "letters", 2)
    assert [part.count(b">") for part in shards(tmp_path / "letters")] == [2, 2]
    scatter_sequences(path, tmp_path / "unknown", 2, by="unknown")
    assert [part.count(b">") for part in shards(tmp_path / "unknown")] == [1, 3]
    path.write_bytes(b">a\nMEEPX\n>b\nMKVLWAANRY\n>c\nEXBZJ\n")
    scatter_sequences(path, tmp_path / "protein", 2, by="unknown")
    assert [part.count(b">") for part in shards(tmp_path / "protein")] == [2, 1]


def test_spans_go_with_their_records_and_are_the_work(tmp_path):
    (tmp_path / "in.fa").write_bytes(b">a\nACGTACGT\n>b\nAC\n>c\nACGTACGTAC\n>d\nA\n")
    (tmp_path / "in.bed").write_bytes(b"# made by hand\nc\t0\t10\tfirst\r\na\t0\t1\nc\t2\t3\n")
    scatter_sequences(tmp_path / "in.fa", tmp_path / "out", 3, bed=tmp_path / "in.bed")
    assert shards(tmp_path / "out", "bed") == [b"a\t0\t1\n", b"c\t0\t10\tfirst\nc\t2\t3\n", NO_SPAN]
    assert [part.count(b">") for part in shards(tmp_path / "out")] == [2, 1, 1]
    assert [is_without_span(tmp_path / "out" / f"{i}-of-3.bed") for i in (1, 2, 3)] == [False, False, True]
    assert read_bed(tmp_path / "out" / "3-of-3.bed") == []
    (tmp_path / "in.bed").write_bytes(b"e\t0\t10\n")
    with pytest.raises(DataError, match=r"in\.bed, line 1: there is no contig 'e'"):
        scatter_sequences(tmp_path / "in.fa", tmp_path / "other", 3, bed=tmp_path / "in.bed")
    (tmp_path / "in.bed").write_bytes(b"# none\n")
    with pytest.raises(UsageError, match="holds no span"):
        scatter_sequences(tmp_path / "in.fa", tmp_path / "other", 3, bed=tmp_path / "in.bed")
    assert sorted(os.listdir(tmp_path)) == ["in.bed", "in.fa", "out"]


@pytest.mark.parametrize("duplicates", ["first", "rename"])
@pytest.mark.parametrize("number", [1, 2, 4])
def test_names_that_come_again(tmp_path, duplicates, number):
    path = tmp_path / "in.fa"
    path.write_bytes(b">a\nA\n>b x\nCC\n>a y\nG\nGG\n>a_2\nTTTT\n>b x\nA\n>b\nCC\n>c\nG\n")
    with pytest.raises(DataError, match=r"line 5: the name 'a' was taken by the record at line 1; use --duplicates"):
        scatter_sequences(path, tmp_path / "out", number)
    scatter_sequences(path, tmp_path / "out", number, duplicates=duplicates)
    read = [record for path in range(1, number + 1) for record in read_records(
        tmp_path / "out" / f"{path}-of-{number}.fa")]  # fmt: skip
    assert read == list(read_records(path, duplicates=duplicates))


def test_a_vcf_has_its_header_in_every_shard(tmp_path):
    rows = [("1", 10 * i, "A", "C,G" if i % 3 else "C", ".", "GT", f"0|{i % 2}") for i in range(1, 30)]
    path = vcf_of(tmp_path / "in.vcf", *rows, samples=("s",), header=("##fileformat=VCFv4.2", "##x=1"))
    text = path.read_bytes()
    header = text[: text.index(b"1\t10\t")]
    for kind, content in ((path, text), (tmp_path / "crlf.vcf", text.replace(b"\n", b"\r\n") + b"\r\n")):
        kind.write_bytes(content)
        done = scatter_variants(kind, tmp_path / "out", 4)
        assert (done.records, done.empty) == (29, 0)
        assert done.largest < 0.28
        parts = [gzip.decompress(part) for part in shards(tmp_path / "out", "vcf.gz")]
        head = content[: content.index(b"1\t10\t")]
        assert all(part.startswith(head) for part in parts)
        assert head + b"".join(part.removeprefix(head) for part in parts) == content
    path.write_bytes(header)
    assert scatter_variants(path, tmp_path / "out", 3).empty == 3
    for part in shards(tmp_path / "out", "vcf.gz"):
        assert gzip.decompress(part) == header


def test_records_that_lie_close_stay_together_where_that_is_asked(tmp_path):
    places = [(c, p) for c in "12" for p in (100, 150, 190, 400, 430, 900, 905, 906, 907, 908)]
    path = vcf_of(tmp_path / "in.vcf", *((c, p, "A", "C") for c, p in places))
    scatter_variants(path, tmp_path / "out", 6, apart=60)
    groups = []
    for number in range(1, 7):
        with Vcf(tmp_path / "out" / f"{number}-of-6.vcf.gz") as vcf:
            groups.append([(record.contig, record.start + 1) for record in vcf.records()])
    assert [place for group in groups for place in group] == places
    for one, other in pairwise(groups):
        assert one[-1][0] != other[0][0] or other[0][1] - one[-1][1] >= 60
    assert all(groups)
    scatter_variants(path, tmp_path / "out", 6, apart=10_000)
    assert sum(gzip.decompress(part).count(b"\tC\t") > 0 for part in shards(tmp_path / "out", "vcf.gz")) == 2


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([("1", 9, "A", "C"), ("1", 8, "A", "C")], "line 4 lies before the line above it.*bcftools sort"),
        ([("1", 9, "A", "C"), ("2", 8, "A", "C"), ("1", 10, "A", "C")], "1 comes again at line 5"),
        ([("1", 2**29, "A", "C")], "reaches to position 536,870,913, and a .tbi index to 536,870,912"),
    ],
)
def test_what_could_have_no_index_is_refused_where_that_is_asked(tmp_path, rows, says):
    path = vcf_of(tmp_path / "in.vcf", *rows)
    with pytest.raises(DataError, match=says):
        scatter_variants(path, tmp_path / "out", 2, tabix=True)
    assert not (tmp_path / "out").exists()
    assert scatter_variants(path, tmp_path / "out", 2).records == len(rows)
    good = vcf_of(tmp_path / "good.vcf", ("2", 8, "A", "C"), ("2", 8, "A", "G"), ("1", 7, "A", "C"))
    assert scatter_variants(good, tmp_path / "out", 2, tabix=True).records == 3


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(data=damaged(), number=st.integers(1, 4))
def test_a_damaged_file_is_refused_as_the_commands_refuse_it(tmp_path, data, number):
    path, out = tmp_path / "in", tmp_path / "out"
    path.write_bytes(data)

    def read():
        try:
            return list(read_records(path)), None
        except DataError as error:
            return None, str(error)

    expected, error = read()
    if error or not expected:
        with pytest.raises(DataError):
            scatter_sequences(path, out, number)
        assert not out.exists()
        return
    scatter_sequences(path, out, number)
    found = [record for name in sorted(os.listdir(out)) for record in read_records(out / name)]
    assert found == expected
    with Source(path) as source:
        assert b"".join((out / n).read_bytes() for n in sorted(os.listdir(out))).replace(NO_RECORD, b"") == b"".join(
            source.blocks()
        )
    for name in os.listdir(out):
        (out / name).unlink()
    out.rmdir()


def test_a_file_that_changes_meanwhile_is_refused(tmp_path):
    path = tmp_path / "in.fa"
    path.write_bytes(RAGGED * 1)

    def grows(done):
        if done > len(RAGGED):
            path.write_bytes(RAGGED + b"\n>z\nA\n")

    with pytest.raises(DataError, match="was changed while it was divided"):
        scatter_sequences(path, tmp_path / "out", 2, progress=grows)
    assert os.listdir(tmp_path) == ["in.fa"]


def test_a_shard_without_a_record_is_not_divided_again(tmp_path):
    (tmp_path / "in.fa").write_bytes(NO_RECORD)
    with pytest.raises(DataError, match="is a shard without a record"):
        scatter_sequences(tmp_path / "in.fa", tmp_path / "out", 2)
