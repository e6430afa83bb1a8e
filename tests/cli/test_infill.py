"""infill and sample in this process, with the model that ships: evidence, samplers, reports, and their wrong use."""

import copy
import dataclasses

import numpy as np
import pytest
from Bio.Restriction import DpnII, EcoRI, RestrictionBatch
from Bio.Seq import Seq
from typer.testing import CliRunner

from seqdiff import model as models
from seqdiff.alphabet import DNA, PROTEIN
from seqdiff.cli import app, options
from seqdiff.config import members
from seqdiff.diffusion.samplers import PRESETS, SamplerConfig

READS = b"@r1 x\nACGTNRACGTACGATCGATCGATTTAGCAC\n+\nIIII!III5555+++IIIIIIIIIIII!!!\n@r2\nACGT\n+\nIIII\n"


@pytest.fixture(scope="module", autouse=True)
def loaded_once():
    model = models.load(device="cpu")
    other = copy.copy(model)
    other.recipe = model.recipe.model_copy(update={"data": _Protein(model.recipe.data)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "load", lambda run, device: other if str(run) == "protein" else model)
        yield


@dataclasses.dataclass
class _Protein:
    data: object
    alphabet = PROTEIN


@pytest.fixture
def reads(tmp_path):
    (tmp_path / "reads.fq").write_bytes(READS)
    return tmp_path / "reads.fq"


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def run(*words):
    result = invoke(*words)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def fails(*words, code):
    result = invoke(*words)
    assert result.exit_code == code, result.stderr
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    return result.stderr


def table(path):
    header, *rows = (line for line in path.read_text().splitlines() if not line.startswith("# "))
    return [dict(zip(header.split("\t"), row.split("\t"))) for row in rows]


def test_soft_evidence_keeps_what_is_trusted_and_writes_posteriors(reads, tmp_path):
    out = tmp_path / "out.tsv"
    run("infill", "--fasta", reads, "--soft-evidence", "-o", out)
    rows = table(out)
    assert [int(row["position"]) for row in rows] == [5, 6, *range(9, 16), 28, 29, 30]
    chances = np.array([[float(row[f"p_{base}"]) for base in "ACGT"] for row in rows])
    assert chances[1, [1, 3]].tolist() == [0, 0]  # R is A or G
    called = DNA.encode(READS.split(b"\n")[1])
    for row, chance in list(zip(rows, chances))[2:6]:
        assert chance.argmax() == called[int(row["position"]) - 1]
        assert chance.max() > 0.9  # Phred 20
    sequence, quality = run("infill", "--fasta", reads, "--soft-evidence").splitlines()[1:4:2]
    before = READS.split(b"\n")
    trusted = [i for i, q in enumerate(before[3]) if q - 33 >= 30 and i != 5]
    assert all(sequence[i] == chr(before[1][i]) and quality[i] == chr(before[3][i]) for i in trusted)
    assert ord(quality[8]) - 33 >= 15


def test_trusted_quality_says_which_letters_are_drawn_again(reads, tmp_path):
    counts = []
    for quality in (0, 11, 93):
        run("infill", "--fasta", reads, "--soft-evidence", "--trusted-quality", quality, "--report", tmp_path / "r.tsv",
            "-o", tmp_path / "o.fq")  # fmt: skip
        counts.append([int(row["filled"]) for row in table(tmp_path / "r.tsv")])
    assert counts == [[2, 0], [8, 0], [30, 4]]


def test_the_report_has_a_line_a_filling(reads, tmp_path):
    asked = ["infill", "--fasta", reads, "--soft-evidence", "--report", tmp_path / "r.tsv", "--samples", 2]
    run(*asked, "-o", tmp_path / "o.fq")
    plain = table(tmp_path / "r.tsv")
    assert [(row["name"], row["replicate"], row["filled"]) for row in plain] == [
        ("r1", "1", "12"), ("r1", "2", "12"), ("r2", "1", "0"), ("r2", "2", "0"),
    ]  # fmt: skip
    assert [row["ess"] for row in plain] == ["."] * 4
    assert float(plain[0]["log_weight"]) < 0
    assert plain[2]["log_weight"] == "0.000000"
    assert plain[2]["calls"] == "0"
    run(*asked, "-o", tmp_path / "o.fq", "--exact-evidence", "--particles", 8)
    exact = table(tmp_path / "r.tsv")
    assert [1 < float(row["ess"]) <= 8 for row in exact[:2]] == [True, True]
    assert exact[2]["ess"] == "."
    spread = abs(float(exact[0]["log_weight"]) - float(exact[1]["log_weight"]))
    assert spread < abs(float(plain[0]["log_weight"]) - float(plain[1]["log_weight"])) + 0.5
    run("infill", "--fasta", reads, "--report", tmp_path / "r.tsv", "--sampler", "remask", "-o", tmp_path / "o.fq")
    assert [row["log_weight"] for row in table(tmp_path / "r.tsv")] == [".", "."]


def test_exact_evidence_is_the_same_in_any_order(reads, tmp_path):
    records = [*READS.replace(b"@r2", b"@r3 again").split(b"@")[1:], b"r2\nNNNRYACGTACKM\n+\nIIIIIIIIIIIII\n"]
    outputs = []
    for order in (records, records[::-1]):
        (tmp_path / "in.fq").write_bytes(b"".join(b"@" + record for record in order))
        asked = ("--exact-evidence", "--soft-evidence", "--particles", 5)
        outputs.append(sorted(run("infill", "--fasta", tmp_path / "in.fq", *asked).split("@")))
    assert outputs[0] == outputs[1]


def test_every_sampler_and_preset_by_name(reads, tmp_path):
    kinds = [*members(SamplerConfig), *PRESETS]
    for name in kinds:
        text = run("infill", "--fasta", reads, "--sampler", name, "-q").splitlines()[1]
        assert "N" not in text
    for command in ("infill", "sample"):
        words = " ".join(run(command, "--help").split())
        said = words[words.index("--sampler") :].split("--steps")[0]
        assert [name for name in kinds if name not in said] == []
    assert options.sampler("fast", ["grid=cosine"], steps=3) == PRESETS["fast"].model_copy(
        update={"steps": 3, "grid": "cosine"}
    )


def test_a_long_record_is_filled_stride_by_stride(tmp_path):
    out = [run("sample", "--length", 1100, "--steps", 2, "--stride", stride, "-q") for stride in (500, 900)]
    assert out[0] != out[1]
    assert [len("".join(text.splitlines()[1:])) for text in out] == [1100, 1100]
    result = invoke("sample", "--length", 60, "--sampler", "fast", "--stride", 20)
    assert "--stride changes nothing" in result.stderr
    assert "sees 1,024 letters, so give 1 to 1023" in fails("sample", "--stride", 1024, code=2)


def test_guidance(reads):
    alone = run("infill", "--fasta", reads)
    assert run("infill", "--fasta", reads, "--guidance", 1, "--unconditional", "x") == alone
    for weight, words in ((-1, "a guidance weight is"), ("nan", "a guidance weight is")):
        assert words in fails("infill", "--fasta", reads, f"--guidance={weight}", "--unconditional", "x", code=2)
    assert "give --label, or the other run" in fails("infill", "--fasta", reads, "--guidance", 2, code=2)
    assert "give --guidance as well" in fails("sample", "--unconditional", "x", code=2)
    assert "of DNA and protein" in fails("sample", "--guidance", 2, "--unconditional", "protein", code=2)


def test_a_logo_of_every_gap(reads, tmp_path):
    run("infill", "--fasta", reads, "-o", tmp_path / "o.fq", "--logo", tmp_path / "l.png")
    assert (tmp_path / "l.png").read_bytes().startswith(b"\x89PNG")
    (tmp_path / "whole.fa").write_text(">a\nACGT\n")
    result = invoke("infill", "--fasta", tmp_path / "whole.fa", "--logo", tmp_path / "none.png")
    assert "no record has a gap, so" in result.stderr
    assert not (tmp_path / "none.png").exists()


def test_samples_are_written_as_the_output_is_named(tmp_path):
    for name, begins in (
        ("a.fq.gz", b"\x1f\x8b"),
        ("a.fq", b"@sample1\n"),
        ("a.fa", b">sample1\n"),
        ("a", b">sample1\n"),
    ):
        invoke("sample", "--length", 5, "--sampler", "fast", "-q", "-o", tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(begins)
    assert run("sample", "--length", 5, "--sampler", "fast", "-q", "--format", "fastq").startswith("@sample1\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--trusted-quality", "20"], "--trusted-quality: it says which letters are drawn again, so give --soft-"),
        (["--particles", "4"], "--particles: it is for --exact-evidence, --gc, --forbid and --translate"),
        (["--exact-evidence", "--sampler", "particles"], "--sampler says which one fills the rest"),
        (["--exact-evidence", "--set", "finish=exact"], "no such setting"),
        (["--exact-evidence", "--sampler", "best"], "--sampler best draws nothing that could be weighed"),
        (["--samples", "2", "--sampler", "best"], "--samples 2: --sampler best draws nothing"),
        (["--temperature", "0.5", "--sampler", "best"], "change nothing about which letter is the most probable"),
        (["--logo", "a.jpg"], "--logo a.jpg: a file that ends in .png"),
        (["--logo", "a.png", "-o", "a.png"], "--logo a.png: give it a file of its own"),
        (["--report", "a", "-o", "a"], "--report a: give it a file of its own"),
        (["--report", "-"], "--report -: give it a file of its own"),
        (["--report", "./reads.fq"], "--report reads.fq: give it a file of its own"),
        (["--format", "table", "-o", "reads.fq"], "-o reads.fq: give it a file of its own"),
        (["--region", "r2:1-2", "--bed", "here.bed", "-o", "./here.bed"], "-o here.bed: give it a file of its own"),
    ],
)
def test_wrong_usage_is_said(reads, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    assert said in fails("infill", "--fasta", reads, *words, code=2)
    assert [path.name for path in tmp_path.iterdir()] == ["reads.fq"]


def test_soft_evidence_of_fasta_is_refused_before_any_output(tmp_path):
    (tmp_path / "a.fa").write_text(">a\nACGT\n")
    message = fails("infill", "--fasta", tmp_path / "a.fa", "--soft-evidence", "-o", tmp_path / "o.fa", code=1)
    assert "record 'a' has no base qualities: soft evidence is read from FASTQ" in message
    assert not (tmp_path / "o.fa").exists()


def test_a_report_appears_whole_or_not_at_all(reads, tmp_path, monkeypatch):
    (tmp_path / "r.tsv").write_text("precious")
    monkeypatch.setattr(models.Model, "infill_records", lambda *given, **named: iter([None]))
    result = invoke("infill", "--fasta", reads, "-o", tmp_path / "o.fq", "--report", tmp_path / "r.tsv")
    assert isinstance(result.exception, AttributeError)
    assert (tmp_path / "r.tsv").read_text() == "precious"
    assert not (tmp_path / "o.fq").exists()


@pytest.fixture
def gap(tmp_path):
    (tmp_path / "gap.fa").write_text(">r a gap\nACGAATNNNNNNNN\nNNNNNNNNNNNNNNNNNNNNNNNNGAT\n>s\nACGTNNNNNN\n")
    (tmp_path / "p.fa").write_text(">r start=7\nMKWSEQ*\n")
    return tmp_path / "gap.fa"


def joined(text):
    return ["".join(record.splitlines()[1:]) for record in text.split(">")[1:]]


def test_designed_dna_is_what_was_asked_for(gap, tmp_path):
    asked = ["--gc", "40%-60%", "--forbid", "EcoRI", "--forbid", "GATC", "--translate", tmp_path / "p.fa"]
    text = run("infill", "--fasta", gap, *asked, "--particles", 4, "--report", tmp_path / "r.tsv", "-q")
    long, short = joined(text)
    assert text.startswith(">r a gap\nACGAAT")
    assert str(Seq(long[6:27]).translate()) == "MKWSEQ*"
    for sequence, filled in ((long, long[6:38]), (short, short[4:])):
        assert not any(RestrictionBatch([EcoRI, DpnII]).search(Seq(sequence)).values())
        assert 0.4 <= sum(filled.count(base) for base in "GC") / len(filled) <= 0.6
    rows = table(tmp_path / "r.tsv")
    assert [row["constraints"].split()[1:] for row in rows] == [["forbidden=0", "proteins=1"], ["forbidden=0"]]
    assert all(0 < float(row["ess"]) <= 4 and float(row["log_weight"]) < 0 for row in rows)
    stdin = CliRunner().invoke(
        app, ["infill", "--fasta", "-", *map(str, asked), "--particles", "4", "-q"], input=gap.read_bytes()
    )
    assert stdin.stdout == text


def test_samples_are_designed_too(tmp_path):
    (tmp_path / "one.fa").write_text(">any name\nMKW*\n")
    (tmp_path / "two.fa").write_text(">sample2 strand=- start=3\nMKW*\n")
    for proteins, coding in (("one.fa", [True, True]), ("two.fa", [False, True])):
        out = joined(run("sample", "-n", 2, "--length", 20, "--translate", tmp_path / proteins, "--particles", 2, "-q"))
        forward = [str(Seq(text[:12]).translate()) == "MKW*" for text in out]
        backward = [str(Seq(text[2:14]).reverse_complement().translate()) == "MKW*" for text in out]
        assert (forward if proteins == "one.fa" else backward) == coding
    shortest = run("sample", "--translate", tmp_path / "one.fa", "--particles", 1, "-q").split("\n", 1)[1].strip()
    assert str(Seq(shortest).translate()) == "MKW*"


def test_another_genetic_code(gap, tmp_path):
    asked = ("--translate", tmp_path / "p.fa", "--genetic-code", 2, "--particles", 2, "-q")
    assert str(Seq(joined(run("infill", "--fasta", gap, *asked))[0][6:27]).translate(table=2)) == "MKWSEQ*"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--gc", "half"], 2, "--gc half: write it as 0.4-0.6 or 40%-60%"),
        (["--gc", "60-40%"], 2, "--gc 60-40%: from low to high, between 0 and 1"),
        (["--gc", "40-60"], 2, "with %, if these are percentages"),
        (["--gc", "0.55-0.58"], 1, "record 's': --gc 0.55-0.58 cannot be met, whatever is filled in"),
        (["--forbid", "EcoR9"], 2, "--forbid EcoR9: neither a word of the letters"),
        (["--forbid", "N"], 2, "any letters at all are such a word"),
        (["--forbid", "W", "--forbid", "S"], 1, "record 'r': --forbid W, --forbid S could each be met alone"),
        (["--translate", "none.fa"], 1, "none.fa"),
        (["--translate", "odd.fa"], 1, "odd.fa: protein 'r' has 'U' at position 2, which no codon of genetic code 1"),
        (["--translate", "other.fa"], 1, "other.fa: there is no record 't' to code for this protein"),
        (["--translate", "long.fa"], 1, "record 's': the protein MKW at 4 takes the letters up to 12"),
        (["--translate", "given.fa"], 1, "record 'r': ACG at 1-3 cannot code for M, letter 1 of the protein M at 1"),
        (["--translate", "p.fa", "--genetic-code", "99"], 2, "--genetic-code 99: there is no such NCBI table"),
        (["--genetic-code", "2"], 2, "--genetic-code: it says how proteins are read, so give --translate"),
        (["--gc", "0-1", "--sampler", "exact"], 2, "--sampler: with --gc, --forbid or --translate letters are filled"),
        (["--gc", "0-1", "--steps", "3"], 2, "--steps: with --gc, --forbid or --translate"),
        (["--gc", "0-1", "--guidance", "1", "--unconditional", "protein"], 2, "of DNA and protein"),
    ],
)
def test_a_design_that_makes_no_sense_is_said_before_any_output(gap, tmp_path, monkeypatch, words, code, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd.fa").write_text(">r\nMU\n")
    (tmp_path / "other.fa").write_text(">t\nM\n")
    (tmp_path / "long.fa").write_text(">s start=4\nMKW\n")
    (tmp_path / "given.fa").write_text(">r\nM\n")
    before = {path.name for path in tmp_path.iterdir()}
    assert said in fails("infill", "--fasta", gap, *words, "-o", "out.fa", code=code)
    assert {path.name for path in tmp_path.iterdir()} == before


def test_samples_of_a_design_that_makes_no_sense(tmp_path):
    (tmp_path / "p.fa").write_text(">sample3\nMKW\n>sample1\nM\n")
    message = fails("sample", "-n", 2, "--translate", tmp_path / "p.fa", code=1)
    assert "there is no record 'sample3' to code for this protein" in message
    assert "there are sample1, sample2" in message
    assert "cannot be met" in fails("sample", "--length", 3, "--gc", "0.4-0.6", code=1)


def test_designs_are_for_dna(gap, monkeypatch):
    monkeypatch.setattr(models, "load", lambda run, device, load=models.load: load("protein", device))
    for command in (["infill", "--fasta", gap], ["sample"]):
        assert "--gc, --forbid and --translate are for DNA; the model was trained on protein" in fails(
            *command, "--gc", "0.4-0.6", code=2
        )


def test_a_given_site_is_warned_of(tmp_path):
    (tmp_path / "a.fa").write_text(">a\nGAATTCNNNN\n")
    result = invoke("infill", "--fasta", tmp_path / "a.fa", "--forbid", "EcoRI", "--particles", 2)
    assert result.exit_code == 0
    assert result.stderr.count("record 'a': EcoRI stands in letters that are given, and stays, at 1") == 1
