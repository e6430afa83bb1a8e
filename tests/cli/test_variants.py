"""seqdiff variants: VCF in, VCF or table out, with a network of known answers."""

import gzip
import math
import os
import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pysam
import pytest
from damage import bend
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracles import Constant
from typer.testing import CliRunner
from vcfs import COLUMNS, genome_of, vcf_of

import seqdiff
from seqdiff import model as models
from seqdiff.cli import app
from seqdiff.data.output import bgzf_block
from seqdiff.data.source import BGZF_END
from seqdiff.errors import DataError
from seqdiff.inference import variants as in_order

SHARES = [0.1, 0.2, 0.3, 0.4]
LOG = dict(zip("ACGT", map(math.log, SHARES)))
LLR = {ref + alt: LOG[alt] - LOG[ref] for ref in "ACGT" for alt in "ACGT"}
TEXT = "ACGTTGCAACGTNNACGGTCA" * 20
ROWS = [
    ("chr1", 1, "A", "C", "DP=3;DB", "GT:DP", "0|1:3", "1|1:."),
    ("chr1", 2, "C", "A,G,*", ".", "GT", "0|2", "0|0"),
    ("chr1", 5, "TGC", "T", "DP=7", "GT", "0/1", "./."),
    ("chr1", 9, "ACG", "TCA", ".", "GT", "0|0", "0|0"),
    ("chr1", 13, "N", "A", ".", "GT", "0|0", "0|0"),
    ("chr1", 20, "C", "<DEL>", "END=30;SVTYPE=DEL", "GT", "0|0", "0|0"),
    ("chr1", 21, "A", ".", ".", "GT", "0|0", "0|0"),
    ("chr2", 4, "t", "g", ".", "GT", "1|0", "1|0"),
]  # fmt: skip
TABLE = ["contig", "pos", "id", "ref", "alt", "llr", "se", "method", "context", "reason"]
HAPLOTYPES = [*TABLE[:1], "start", "end", "variants", "copies", "llr", "sum_of_single", *TABLE[6:]]
HEADER = [
    "##fileformat=VCFv4.2", "##contig=<ID=chr1,length=420>", "##contig=<ID=chr2,length=4>",
    '##INFO=<ID=DP,Number=1,Type=Integer,Description="Depth, with = and ;">',
    '##INFO=<ID=DB,Number=0,Type=Flag,Description="dbSNP">',
    '##INFO=<ID=END,Number=1,Type=Integer,Description="End">',
    '##INFO=<ID=SVTYPE,Number=1,Type=String,Description="Kind">',
    '##ALT=<ID=DEL,Description="Deletion">',
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
    '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Depth">',
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def loaded():
    """The shipped model with a network that always says the same, and a short context."""
    model = models.load(device="cpu")
    model.denoise = Constant(SHARES)
    model.denoise.hollow = model.denoise.equivariant = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "load", lambda run, device: model)
        patch.setattr(models.Model, "context", 64)
        yield model


@pytest.fixture
def files(tmp_path):
    genome_of(tmp_path / "ref.fa", chr1=TEXT, chr2="ACGT")
    return SimpleNamespace(
        folder=tmp_path,
        fasta=tmp_path / "ref.fa",
        vcf=vcf_of(tmp_path / "in.vcf", *ROWS, samples=["S1", "S2"], header=HEADER),
        out=tmp_path / "out.vcf",
    )


def run(*arguments, code=0, stdin=None):
    result = CliRunner().invoke(app, ["variants", *map(str, arguments)], input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.stderr
    return result


def test_lines_come_out_as_they_went_in_with_fields_of_their_own(files):
    run("--vcf", files.vcf, "--fasta", files.fasta, "-o", files.out)
    before, after = (path.read_text().splitlines() for path in (files.vcf, files.out))
    declared = [line for line in after if line.startswith("##INFO=<ID=SEQDIFF_")]
    assert [line for line in after if line not in declared and line[0] == "#"] == [
        line for line in before if line[0] == "#"
    ]
    assert len(declared) == 5
    assert f"seqdiff {seqdiff.__version__}" in declared[0]
    assert "model demo" in declared[0]
    for old, new in zip(before[len(HEADER) + 1 :], after[len(HEADER) + 6 :], strict=True):
        old, new = old.split("\t"), new.split("\t")
        info, _, ours = new.pop(7).partition("SEQDIFF")
        assert ours
        assert (info.rstrip(";") or ".", new) == (old.pop(7), old)


def test_scores_are_those_of_the_network(files):
    run("--vcf", files.vcf, "--fasta", files.fasta, "-o", files.out)
    with pysam.VariantFile(str(files.out)) as vcf:
        records = [dict(record.info) for record in vcf]
    first, second, deletion, several, unknown, symbolic, nothing, other = records
    assert first["DP"] == 3
    assert first["DB"] is True
    assert first["SEQDIFF_LLR"] == pytest.approx([LLR["AC"]], abs=1e-4)
    assert first["SEQDIFF_METHOD"] == ("marginal",)
    assert first["SEQDIFF_CONTEXT"] == (64,)
    assert first["SEQDIFF_SE"] == (0,)
    assert "SEQDIFF_REASON" not in first
    assert second["SEQDIFF_LLR"][:2] == pytest.approx([LLR["CA"], LLR["CG"]], abs=1e-4)
    assert second["SEQDIFF_LLR"][2] is None
    assert second["SEQDIFF_REASON"] == (".", ".", "overlapping_deletion")
    assert deletion["SEQDIFF_LLR"] == pytest.approx([-LOG["G"] - LOG["C"]], abs=1e-4)
    assert deletion["SEQDIFF_METHOD"] == ("elbo",)
    assert several["SEQDIFF_LLR"] == pytest.approx([LLR["AT"] + LLR["GA"]], abs=1e-4)
    assert several["SEQDIFF_METHOD"] == ("chain",)
    assert [each["SEQDIFF_REASON"] for each in (unknown, symbolic, nothing)] == [
        ("unknown_letter",), ("symbolic",), ("no_alternate",)
    ]  # fmt: skip
    assert {each["SEQDIFF_LLR"] for each in (unknown, symbolic, nothing)} == {(None,)}
    assert other["SEQDIFF_LLR"] == pytest.approx([LLR["TG"]], abs=1e-4)
    assert other["SEQDIFF_CONTEXT"] == (4,)


def test_every_way_in_and_out_gives_the_same_lines(files):
    run("--vcf", files.vcf, "--fasta", files.fasta, "-o", files.out)
    expected = files.out.read_bytes()
    arguments = ["--fasta", files.fasta]
    assert run("--vcf", files.vcf, *arguments).stdout_bytes == expected
    assert run("--vcf", files.vcf, *arguments, "-o", "-").stdout_bytes == expected
    for data in (files.vcf.read_bytes(), gzip.compress(files.vcf.read_bytes())):
        assert run("--vcf", "-", *arguments, stdin=data).stdout_bytes == expected
    packed = files.folder / "packed.vcf.gz"
    run("--vcf", files.vcf, *arguments, "-o", packed)
    assert gzip.decompress(packed.read_bytes()) == expected
    windows = files.folder / "windows.vcf"
    windows.write_bytes(files.vcf.read_bytes().replace(b"\n", b"\r\n"))
    assert run("--vcf", windows, *arguments).stdout_bytes == expected


def test_scoring_again_replaces_the_fields(files):
    run("--vcf", files.vcf, "--fasta", files.fasta, "-o", files.out)
    once = files.out.read_bytes()
    run("--vcf", files.out, "--fasta", files.fasta, "-o", files.out)
    assert files.out.read_bytes() == once
    again = run("--vcf", files.out, "--fasta", files.fasta, "--method", "marginal").stdout
    assert again.count("##INFO=<ID=SEQDIFF_LLR,") == 1
    assert again.splitlines()[-1].count("SEQDIFF_LLR") == 1
    assert "other_method" in again


def test_bgzip_has_an_index(files):
    out = files.folder / "out.vcf.gz"
    run("--vcf", files.vcf, "--fasta", files.fasta, "-o", out)
    assert (files.folder / "out.vcf.gz.tbi").exists()
    with pysam.VariantFile(str(out)) as vcf:
        assert [record.pos for record in vcf.fetch("chr1", 4, 13)] == [5, 9, 13]
        assert [record.pos for record in vcf.fetch("chr2")] == [4]


def test_what_is_not_sorted_is_scored_in_its_order_without_an_index(files):
    vcf_of(files.vcf, *ROWS[::-1], samples=["S1", "S2"], header=HEADER)
    out = files.folder / "out.vcf.gz"
    result = run("--vcf", files.vcf, "--fasta", files.fasta, "-o", out)
    assert "has no index" in result.stderr
    assert not (files.folder / "out.vcf.gz.tbi").exists()
    lines = [line for line in gzip.decompress(out.read_bytes()).decode().splitlines() if line[0] != "#"]
    assert [line.split("\t")[1] for line in lines] == [str(row[1]) for row in ROWS[::-1]]


def table(text):
    comment, columns, *rows = text.splitlines()
    assert comment.startswith(f"# seqdiff {seqdiff.__version__} ")
    return [dict(zip(columns.split("\t"), row.split("\t"), strict=True)) for row in rows]


def test_a_table_has_a_line_an_allele(files):
    out = files.folder / "out.tsv.gz"
    run("--vcf", files.vcf, "--fasta", files.fasta, "-o", out)
    assert {path.name for path in files.folder.iterdir()} == {"ref.fa", "ref.fa.seqdiff", "in.vcf", "out.tsv.gz"}
    rows = table(gzip.decompress(out.read_bytes()).decode())
    assert [(row["contig"], row["pos"], row["alt"]) for row in rows[:4]] == [
        ("chr1", "1", "C"), ("chr1", "2", "A"), ("chr1", "2", "G"), ("chr1", "2", "*")
    ]  # fmt: skip
    assert list(rows[0]) == TABLE
    assert float(rows[0]["llr"]) == pytest.approx(LLR["AC"], abs=1e-4)
    assert rows[3] | {"id": "."} == dict(
        contig="chr1", pos="2", id=".", ref="C", alt="*", llr=".", se=".", method=".", context=".",
        reason="overlapping_deletion",
    )  # fmt: skip


def test_what_has_no_score_is_counted(files):
    message = run("--vcf", files.vcf, "--fasta", files.fasta).stderr
    assert "scored 6 of 10 alleles; without a score: 1 no_alternate, 1 overlapping_deletion, 1 symbolic" in message


def test_another_reference_is_an_error_or_said_or_left_out(files):
    rows = [*ROWS[:2], ("chr1", 4, "A", "C", ".", "GT", "0|0", "0|1"), *ROWS[2:]]
    vcf_of(files.vcf, *rows, samples=["S1", "S2"], header=HEADER)
    files.out.write_text("precious")
    arguments = ["--vcf", files.vcf, "--fasta", files.fasta, "-o", files.out]
    message = run(*arguments, code=1).stderr
    assert "line 14: chr1:4: REF is 'A', but" in message
    assert "has 'T'" in message
    assert files.out.read_text() == "precious"
    message = run(*arguments, "--check-ref", "warn").stderr
    assert "gave no score to 1 records with another REF; the first: " in message
    lines = [line for line in files.out.read_text().splitlines() if line[0] != "#"]
    assert len(lines) == len(rows)
    assert "SEQDIFF_REASON=ref_mismatch" in lines[2]
    message = run(*arguments, "--check-ref", "exclude").stderr
    assert "left out 1 records with another REF" in message
    assert len(files.out.read_text().splitlines()) == len(HEADER) + 6 + len(rows) - 1


def test_haplotypes_are_a_table(files):
    rows = [row for row in ROWS if row[4] != "<DEL>"]
    rows[2] = (*rows[2][:6], "0/1", "0|0")
    rows.insert(2, ("chr1", 3, "G", "T", ".", "GT", "0/1", "0|0"))
    vcf_of(files.vcf, *rows, samples=["S1", "S2"], header=HEADER)
    result = run("--vcf", files.vcf, "--fasta", files.fasta, "--haplotypes")
    assert (
        "left out 1 genotypes of several variants whose phase is not known, first that of S1 at chr1:1" in result.stderr
    )
    rows = table(result.stdout)
    assert list(rows[0]) == HAPLOTYPES
    assert [(row["contig"], row["start"], row["end"], row["variants"], row["copies"]) for row in rows] == [
        ("chr1", "1", "1", "1:A>C", "2"), ("chr2", "4", "4", "4:t>g", "2"),
    ]  # fmt: skip
    assert float(rows[0]["llr"]) == float(rows[0]["sum_of_single"]) == pytest.approx(LLR["AC"], abs=1e-4)


def test_saturation_has_every_substitution(files):
    out = files.folder / "map.tsv"
    picture = files.folder / "map.png"
    run("--saturate", "chr1:9-16", "--fasta", files.fasta, "-o", out, "--figure", picture)
    rows = table(out.read_text())
    assert list(rows[0]) == ["contig", "pos", "ref", "alt", "llr"]
    expected = [(str(p), TEXT[p - 1], alt) for p in range(9, 17) for alt in "ACGT" if alt != TEXT[p - 1]]
    assert [(row["pos"], row["ref"], row["alt"]) for row in rows] == expected
    for row in rows:
        if row["ref"] == "N":
            assert row["llr"] == "."
        else:
            assert float(row["llr"]) == pytest.approx(LLR[row["ref"] + row["alt"]], abs=1e-4)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_saturation_of_a_bed_is_a_sorted_vcf_with_an_index(files):
    bed = files.folder / "spans.bed"
    bed.write_text("chr2\t0\t4\nchr1\t30\t33\nchr1\t0\t2\nchr1\t1\t4\n")
    out = files.folder / "map.vcf.gz"
    run("--saturate", bed, "--fasta", files.fasta, "-o", out)
    with pysam.VariantFile(str(out)) as vcf:
        records = [(record.contig, record.pos, record.ref, record.alts) for record in vcf]
        assert vcf.header.contigs["chr1"].length == 420
    places = [("chr1", p) for p in (1, 2, 3, 4, 31, 32, 33)] + [("chr2", p) for p in (1, 2, 3, 4)]
    assert [record[:2] for record in records] == places
    assert records[0][2:] == ("A", ("C", "G", "T"))
    assert (files.folder / "map.vcf.gz.tbi").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --vcf FILE, --mutations FILE or --saturate"),
        (["--vcf", "in.vcf", "--saturate", "chr1"], "one of them"),
        (["--vcf", "in.vcf", "-o", "out.bcf"], "name it .vcf.gz, .vcf, .tsv"),
        (["--vcf", "in.vcf", "-o", "out"], "name it .vcf.gz, .vcf, .tsv"),
        (["--vcf", "in.vcf", "-o", "out.vcf.GZ"], "name it .vcf.gz, .vcf, .tsv"),
        (["--vcf", "in.vcf", "--haplotypes", "-o", "out.vcf"], "name the output .tsv"),
        (["--saturate", "chr1", "--haplotypes"], "from the samples of a --vcf"),
        (["--vcf", "in.vcf", "--figure", "a.png"], "--figure: it belongs to --saturate"),
        (["--vcf", "in.vcf", "--clip"], "--clip: it belongs to --saturate"),
        (["--saturate", "chr1", "--figure", "a.pdf"], "ends in .png"),
        (["--vcf", "in.vcf", "--check-ref", "maybe"], "choose one of error, warn, exclude"),
        (["--vcf", "in.vcf", "--method", "magic"], "choose one of auto, marginal, chain, elbo"),
        (["--vcf", "in.vcf", "--draws", "12"], "--draws 12: a multiple of 8, like 8"),
        (["--saturate", "empty.bed"], "holds no span"),
        (["--vcf", "in.vcf", "--method", "marginal", "--draws", "16"], "--draws: single substitutions are scored by"),
        (["--vcf", "in.vcf", "--method", "chain", "--draws", "16"], "--draws: --method chain has none"),
        (["--vcf", "in.vcf", "--method", "elbo", "--orders", "4"], "--orders: --method elbo has none"),
        (["--saturate", "chr1", "--orders", "4"], "--orders: single substitutions are scored by"),
        (["--saturate", "chr1", "--check-ref", "warn"], "--check-ref: it is of the REF of a --vcf"),
        (["--saturate", "spans.tsv", "-o", "./spans.tsv"], "-o spans.tsv: give it a file of its own"),
        (["--saturate", "spans.bed", "--figure", "a.png"], "a heat map is of one span"),
    ],
)
def test_wrong_usage_is_refused(files, monkeypatch, arguments, message):
    monkeypatch.chdir(files.folder)
    Path("empty.bed").write_text("#\n")
    Path("spans.bed").write_text("chr1\t0\t2\nchr1\t5\t6\n")
    assert message in " ".join(run(*arguments, "--fasta", "ref.fa", code=2).stderr.split())


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("1", 1, "A", "C")], "there is no contig '1'; did you mean 'chr1'?"),
        ([("chr1", 421, "A", "C")], "runs past the end of chr1 (420)"),
        ([("chr1", 1, "A", "E")], "'E' is no allele"),
    ],
)
@pytest.mark.parametrize("way", ["file", "stdin"])
def test_bad_records_fail_with_file_and_line(files, rows, message, way):
    vcf_of(files.vcf, *[row[:5] for row in ROWS[:1]], *rows)
    files.out.write_text("precious")
    stdin = files.vcf.read_bytes() if way == "stdin" else None
    result = run("--vcf", "-" if stdin else files.vcf, "--fasta", files.fasta, "-o", files.out, code=1, stdin=stdin)
    assert message in result.stderr
    assert ("standard input, line 4" if stdin else "in.vcf, line 4") in result.stderr
    assert files.out.read_text() == "precious"


def test_regions_past_the_end_are_refused_or_cut(files):
    message = run("--saturate", "chr2:3-9", "--fasta", files.fasta, code=1).stderr
    assert "runs past the end of chr2" in message
    assert len(table(run("--saturate", "chr2:3-9", "--fasta", files.fasta, "--clip").stdout)) == 6


GOOD = "".join(
    "\t".join([contig, str(position), ".", ref, alt, ".", "PASS", *rest]) + "\n"
    for contig, position, ref, alt, *rest in ROWS
    if len(ref) == len(alt) == 1 or not alt.isalpha()
)
GOOD = ("\n".join(HEADER) + f"\n{COLUMNS}\tFORMAT\tS1\tS2\n{GOOD}").encode()


@st.composite
def bent(draw):
    data = bend(draw, GOOD)
    match draw(st.sampled_from(["plain", "gzip", "bgzip"])):
        case "gzip":
            data = gzip.compress(data, mtime=0)
        case "bgzip":
            data = bgzf_block(data) + draw(st.sampled_from([BGZF_END, b""]))
        case _:
            return data
    return bend(draw, data) if draw(st.booleans()) else data


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    path = tmp_path_factory.mktemp("reference") / "ref.fa"
    genome_of(path, chr1=TEXT, chr2="ACGT")
    return path


@settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=bent(), check_ref=st.sampled_from(["error", "warn", "exclude"]), kind=st.sampled_from(["vcf", "tsv"]))
def test_a_damaged_vcf_ends_well_or_with_one_message(reference, data, check_ref, kind):
    with tempfile.TemporaryDirectory() as name:
        source, out = Path(name) / "in", Path(name) / f"out.{kind}"
        source.write_bytes(data)
        out.write_text("precious")
        arguments = ["--vcf", source, "--fasta", reference, "-o", out, "-q", "--check-ref", check_ref]
        arguments += ["--haplotypes"] if kind == "tsv" else []
        result = CliRunner().invoke(app, ["variants", *map(str, arguments)])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert {path.name for path in Path(name).iterdir()} == {"in", out.name}
        assert result.stdout == ""
        if result.exit_code:
            assert result.exit_code == 1
            assert "seqdiff: error: " in result.stderr
            assert out.read_text() == "precious"
        else:
            assert out.read_bytes().startswith(b"##fileformat=VCF" if kind == "vcf" else b"# seqdiff")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b">a\nACG7\n", "no letter of DNA"),
        (b">a\nA\n>a\nC\n", "was taken by the contig"),
        (b"\x1f\x8b\x08", "truncated"),
    ],
)
def test_a_damaged_fasta_fails_before_any_output(files, data, message):
    files.fasta.write_bytes(data)
    files.out.write_text("precious")
    assert message in run("--vcf", files.vcf, "--fasta", files.fasta, "-o", files.out, code=1).stderr
    assert files.out.read_text() == "precious"


def test_python_has_the_same_scores(files, loaded):
    from seqdiff.data.variants import Variant

    run("--vcf", files.vcf, "--fasta", files.fasta, "-o", files.folder / "out.tsv")
    rows = table((files.folder / "out.tsv").read_text())
    found = loaded.variants(files.vcf, files.fasta)
    for column in ("contig", "pos", "ref", "alt"):
        assert found[column].astype(str).tolist() == [row[column] for row in rows]
    written = ["." if math.isnan(llr) else f"{llr:.4f}" for llr in found.llr]
    assert written == [row["llr"].replace("-0.0000", "0.0000") for row in rows]
    pd.testing.assert_frame_equal(loaded.variants(found, files.fasta), found)
    tuples = found[["contig", "pos", "ref", "alt", "id"]].itertuples(index=False, name=None)
    pd.testing.assert_frame_equal(loaded.variants(list(tuples), files.fasta), found)
    assert loaded.variants([Variant("chr2", 3, "T", "A")], files.fasta).llr[0] == pytest.approx(LLR["TA"], abs=1e-4)
    other = [("chr2", 4, "G", "A")]
    assert loaded.variants(other, files.fasta, check_ref="warn").reason[0] == "ref_mismatch"
    assert loaded.variants(other, files.fasta, check_ref="exclude").empty
    with pytest.raises(DataError, match=r"line 1: chr2:4: REF is 'G'.*\(check_ref warn or exclude goes on"):
        loaded.variants(other, files.fasta)


def test_memory_does_not_grow_with_the_number_of_records(files, monkeypatch):
    monkeypatch.setattr(in_order, "AT_ONCE", 20)
    run("--vcf", files.vcf, "--fasta", files.fasta, "-o", files.folder / "out.vcf.gz", "-q")  # imports what is needed
    peaks = []
    for count in (40, 500):
        rows = [("chr1", 1 + n % 10, TEXT[n % 10], "ACGT".replace(TEXT[n % 10], "")[n % 3]) for n in range(count)]
        vcf_of(files.vcf, *rows)
        tracemalloc.start()
        run("--vcf", files.vcf, "--fasta", files.fasta, "-o", files.folder / "out.vcf.gz", "-q")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 300 * 1024  # the text itself, read in blocks, and half of what all records would take


def test_the_command_runs_in_a_process_of_its_own(files):
    command = [sys.executable, "-m", "seqdiff", "variants", "--vcf", files.vcf, "--fasta", files.fasta, "--draws", "8"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([*map(str, command)], capture_output=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr.decode()
    assert b"the model that ships with seqdiff" in done.stderr
    lines = [line for line in done.stdout.decode().splitlines() if line[0] != "#"]
    assert [line.split("\t")[:5] for line in lines] == [[row[0], str(row[1]), ".", *row[2:4]] for row in ROWS]
    assert all("SEQDIFF_LLR=" in line for line in lines)
