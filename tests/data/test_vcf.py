import gzip

import pytest
from vcfs import COLUMNS, vcf_of

from seqdiff.data.output import bgzf_block
from seqdiff.data.source import BGZF_END
from seqdiff.data.vcf import Vcf, VcfRecord, header
from seqdiff.errors import DataError

HEAD = b"##fileformat=VCFv4.2\n" + COLUMNS.encode() + b"\n"
ROW = b"1\t7\trs1\tA\tC,<DEL>\t50\tPASS\tDP=3;DB\n"


def read(path):
    with Vcf(path) as vcf:
        return [record.columns for record in vcf.records()]


@pytest.mark.parametrize("shape", [bytes, gzip.compress, lambda text: bgzf_block(text) + BGZF_END])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_text_compression_and_newlines_are_the_same(tmp_path, shape, newline):
    (tmp_path / "a").write_bytes(shape((HEAD + ROW).replace(b"\n", newline)))
    assert read(tmp_path / "a") == [ROW[:-1].split(b"\t")]


def test_a_line_without_its_newline_and_empty_lines_at_the_end_are_fine(tmp_path):
    for name, text in (("a", HEAD + ROW[:-1]), ("b", HEAD + ROW + b"\n\n")):
        (tmp_path / name).write_bytes(text)
        assert len(read(tmp_path / name)) == 1


def test_samples_have_names(tmp_path):
    with Vcf(vcf_of(tmp_path / "a.vcf", samples=["NA1", "NA2"])) as vcf:
        assert vcf.samples == ["NA1", "NA2"]
        assert list(vcf.records()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty"),
        (b">chr1\nACGT\n", "line 1: a VCF begins with ##fileformat=VCF"),
        (ROW, "line 1: a VCF begins with .* is its header missing"),
        (HEAD.split(b"\n", 1)[1] + ROW, "line 1: a VCF begins with"),
        (b"##fileformat=GFF\n", "line 1: .* this is no VCF"),
        (HEAD.split(b"\n")[0] + b"\n##INFO=<ID=X>\n", "breaks off before the #CHROM line"),
        (HEAD.split(b"\n")[0] + b"\n" + ROW, "line 2: .* there is no header line before it"),
        (HEAD.replace(b"\tINFO", b""), "line 2: .* its columns are others"),
        (HEAD[:-1] + b"\tNA1\n", "line 2: column 9 is FORMAT, not 'NA1'"),
        (HEAD + b"1\t7\t.\tA\tC\n", "line 3: .* has 5 columns, the header has 8: is the file cut short"),
        (HEAD + ROW[:-1] + b"\tGT\t0|1\n", "line 3: .* has 10 columns, the header has 8"),
        (HEAD + ROW.replace(b"\t", b" "), "line 3: .* divided by blanks"),
        (HEAD + ROW + b"\n" + ROW, "line 4: an empty line between records"),
        (HEAD + ROW + HEAD + ROW, "line 4: a second header '##fileformat.*bcftools concat"),
        (HEAD + b"\t7\t.\tA\tC\t.\t.\t.\n", "line 3: CHROM '' is no name"),
        (HEAD + b"1\t-7\t.\tA\tC\t.\t.\t.\n", "line 3: POS '-7' is no whole number"),
        (HEAD + b"1\t1e3\t.\tA\tC\t.\t.\t.\n", "line 3: POS '1e3' is no whole number"),
        (HEAD + b"1\t" + b"9" * 30 + b"\t.\tA\tC\t.\t.\t.\n", "line 3: POS '9"),
        (HEAD + b"1\t7\t.\t\tC\t.\t.\t.\n", "line 3: REF '' is no allele"),
        (HEAD + b"1\t7\t.\t.\tC\t.\t.\t.\n", "line 3: REF '.' is no allele"),
        (HEAD + b"1\t7\t.\tA\t\t.\t.\t.\n", "line 3: ALT '': '' is no allele"),
        (HEAD + b"1\t7\t.\tA\tC,.\t.\t.\t.\n", "line 3: ALT 'C,.': '.' is no allele"),
        (HEAD + b"1\t7\t.\tA\tC,E\t.\t.\t.\n", "line 3: ALT 'C,E': 'E' is no allele"),
        (HEAD + b"1\t7\t.\tA\t\xff\t.\t.\t.\n", r"line 3: ALT '\\xff': '\\xff' is no allele"),
        (HEAD + b"1\t7\t.\tA\tC\t.\t.\t\n", "line 3: INFO is empty: write ."),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(tmp_path, text, message):
    (tmp_path / "bad.vcf").write_bytes(text)
    with pytest.raises(DataError, match=message) as error:
        read(tmp_path / "bad.vcf")
    assert str(tmp_path / "bad.vcf") in str(error.value)


@pytest.mark.parametrize(
    "alt", ["*", ".", "<DEL>", "<INS:ME:ALU>", "<*>", "G]17:198982]", "]13:1]T", "[<c>:1[A", ".A", "A.", "acgtnR"]
)
def test_every_kind_of_allele_is_read(tmp_path, alt):
    assert read(vcf_of(tmp_path / "a.vcf", ("1", 7, "a", alt)))[0][4].decode() == alt


def test_binary_vcf_is_refused_with_the_way_to_convert_it(tmp_path):
    (tmp_path / "a.bcf").write_bytes(bgzf_block(b"BCF\2\2" + bytes(40)) + BGZF_END)
    with pytest.raises(DataError, match=r"bcftools view \S*a\.bcf \| seqdiff variants --vcf -"):
        read(tmp_path / "a.bcf")


def test_a_truncated_file_fails(tmp_path):
    whole = gzip.compress(HEAD + ROW * 5000)
    (tmp_path / "a.vcf.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="truncated"):
        read(tmp_path / "a.vcf.gz")


def test_info_is_added_at_the_end_and_replaced_where_it_was():
    def line(info, fields):
        return VcfRecord(1, [*b"1 5 . A T . .".split(), info, b"GT\t0|1"]).with_info(fields).split(b"\t")[7]

    assert line(b".", {b"X": b"1"}) == b"X=1"
    assert line(b"DP=3;XX=2;X;DB", {b"X": b"1", b"Y": b"2"}) == b"DP=3;XX=2;DB;X=1;Y=2"
    assert line(b"X=1;DP=3", {b"X": None}) == b"DP=3"
    assert line(b"X=1", {b"X": None}) == b"."


def test_a_semicolon_at_the_end_of_info_leaves_no_empty_field():
    record = VcfRecord(9, b"1 5 . A T . . DP=3;".split())
    assert record.with_info({b"X": b"1"}).split()[7] == b"DP=3;X=1"


def test_everything_but_info_stays_byte_for_byte():
    raw = b"c\xe9\t007\t.\tAcg\tT\t1e-3\ta;b\tA=\xff\tGT:GL\t0|1:.,1\t./.\n"
    columns = raw[:-1].split(b"\t", 8)
    assert VcfRecord(1, columns).with_info({b"X": b"1"}) == raw.replace(b"\xff\t", b"\xff;X=1\t")


def test_fields_are_declared_once():
    meta = [b"##fileformat=VCFv4.3", b'##INFO=<ID=DP,Number=1,Type=Integer,Description="depth">', b"##contig=<ID=1>"]
    once = header(meta, [b"#CHROM"], [("X", "A", "Float", "first")]).splitlines()
    assert once == [*meta[:2], b'##INFO=<ID=X,Number=A,Type=Float,Description="first">', meta[2], b"#CHROM"]
    again = header(once[:-1], [b"#CHROM"], [("X", "A", "Float", "second")])
    assert again == b"\n".join(once).replace(b"first", b"second") + b"\n"
