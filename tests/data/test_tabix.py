import os

import pysam
import pytest
from vcfs import COLUMNS

from seqdiff.data.tabix import VcfOutput
from seqdiff.data.vcf import VcfRecord
from seqdiff.errors import DataError

HEAD = f"##fileformat=VCFv4.2\n##contig=<ID=1>\n##contig=<ID=2>\n{COLUMNS}\n".encode()


def write(path, *places, info=b".", alt=b"T"):
    with VcfOutput(path) as out:
        out.write(HEAD)
        for number, (contig, position) in enumerate(places, 5):
            columns = [contig.encode(), str(position).encode(), b".", b"A", alt, b".", b".", info]
            record = VcfRecord(number, columns)
            out.write_record(record, record.with_info({}))


def test_the_index_finds_every_record(tmp_path):
    write(tmp_path / "a.vcf.gz", *(("1", p) for p in range(1, 40_000, 7)), ("2", 5))
    assert sorted(os.listdir(tmp_path)) == ["a.vcf.gz", "a.vcf.gz.tbi"]
    with pysam.VariantFile(str(tmp_path / "a.vcf.gz")) as vcf:
        assert [record.pos for record in vcf.fetch("1", 35_000, 35_010)] == [35_001, 35_008]
        assert [record.pos for record in vcf.fetch("2")] == [5]


def test_contigs_past_what_tbi_can_hold_get_csi(tmp_path):
    write(tmp_path / "a.vcf.gz", ("1", 600_000_000))
    assert sorted(os.listdir(tmp_path)) == ["a.vcf.gz", "a.vcf.gz.csi"]
    with pysam.VariantFile(str(tmp_path / "a.vcf.gz")) as vcf:
        assert [record.pos for record in vcf.fetch("1", 599_999_990, 600_000_010)] == [600_000_000]
    write(tmp_path / "a.vcf.gz", ("1", 5), alt=b"<DEL>", info=b"END=600000000")
    assert sorted(os.listdir(tmp_path)) == ["a.vcf.gz", "a.vcf.gz.csi"]
    write(tmp_path / "a.vcf.gz", ("1", 5))
    assert sorted(os.listdir(tmp_path)) == ["a.vcf.gz", "a.vcf.gz.tbi"]


@pytest.mark.parametrize(
    ("places", "what"),
    [([("1", 5), ("1", 4)], "line 6 lies before"), ([("1", 5), ("2", 1), ("1", 9)], "1 comes again at line 7")],
)
def test_what_is_not_sorted_has_no_index_and_loses_the_old_one(tmp_path, caplog, places, what):
    write(tmp_path / "a.vcf.gz", ("1", 1))
    write(tmp_path / "a.vcf.gz", *places)
    assert os.listdir(tmp_path) == ["a.vcf.gz"]
    assert what in caplog.text
    with pysam.VariantFile(str(tmp_path / "a.vcf.gz")) as vcf:
        assert [(record.contig, record.pos) for record in vcf] == places


def test_plain_output_has_no_index(tmp_path):
    write(tmp_path / "a.vcf", ("1", 1))
    assert os.listdir(tmp_path) == ["a.vcf"]


def test_after_an_error_file_and_index_stand_as_before(tmp_path):
    write(tmp_path / "a.vcf.gz", ("1", 1))
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}

    def interrupted():
        with VcfOutput(tmp_path / "a.vcf.gz") as out:
            out.write(HEAD * 10_000)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before


def test_a_file_that_cannot_be_indexed_does_not_appear(tmp_path, monkeypatch):
    def broken(*_, **__):
        raise OSError("no room")

    write(tmp_path / "a.vcf.gz", ("1", 1))
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    monkeypatch.setattr(pysam, "tabix_index", broken)
    with pytest.raises(DataError, match=r"a\.vcf\.gz cannot be indexed: no room"):
        write(tmp_path / "a.vcf.gz", ("1", 2))
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before


def test_the_telomere_is_indexed_in_silence(tmp_path, capfd):
    write(tmp_path / "a.vcf.gz", ("1", 0), ("1", 5))
    assert capfd.readouterr().err == ""
    with pysam.TabixFile(str(tmp_path / "a.vcf.gz")) as index:
        assert len(list(index.fetch("1"))) == 2
