"""infill --insert and the lengths of sample, in this process, with the model that ships."""

import copy
import dataclasses

import pytest
from typer.testing import CliRunner

from seqdiff import model as models
from seqdiff.cli import app

# A young Alu without the three letters CGA after letter 24: AluY has them, AluS has five others.
ALU = "GAGGCCGAGGCGGGCGGATCA" + "GGTCAGGAGATCGAGACCATCCTGGCTAACACGGTGAAACCC"
LENGTHS = [[40, 10], [55, 30], [60, 60]]


@pytest.fixture(scope="module", autouse=True)
def loaded_once():
    model = models.load(device="cpu")

    def told(**facts):
        other = copy.copy(model)
        other.provenance = dataclasses.replace(model.provenance, facts=facts)
        return other

    others = {
        "whole": told(lengths=LENGTHS),
        "family": told(query={"name": "q", "first": 1, "sequence": "ACGTACGT"}),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "load", lambda run, device: others.get(str(run), model))
        yield


@pytest.fixture
def alu(tmp_path):
    (tmp_path / "alu.fa").write_text(f">alu cut\n{ALU[:40]}\n{ALU[40:]}\n>other\nACGTNACG\n")
    return tmp_path / "alu.fa"


def invoke(*words, **settings):
    return CliRunner().invoke(app, [str(word) for word in words], **settings)


def run(*words, **settings):
    result = invoke(*words, **settings)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def fails(*words, code=2):
    result = invoke(*words)
    assert result.exit_code == code, result.stderr
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    return result.stderr


def records(text):
    return {each.split("\n", 1)[0]: "".join(each.split("\n")[1:]) for each in text.split(">")[1:]}


def table(path):
    header, *rows = path.read_text().splitlines()
    return [dict(zip(header.split("\t"), row.split("\t"))) for row in rows]


def test_the_missing_letters_of_a_known_repeat_are_found(alu, tmp_path):
    asked = ["infill", "--fasta", alu, "--insert", "alu:21:0-6"]
    files = ["--insert-table", tmp_path / "t.tsv", "--report", tmp_path / "r.tsv"]
    result = invoke(*asked, *files, "--insert-choose", "best", "--insert-draws", 16)
    assert result.exit_code == 0, result.stderr
    assert "compared 7 lengths in" in result.stderr
    found = records(result.stdout)
    assert list(found) == ["alu cut insert=21:3", "other"]
    filled = found["alu cut insert=21:3"]
    assert filled[:21] + filled[24:] == ALU
    assert found["other"].startswith("ACGT")
    rows = table(tmp_path / "t.tsv")
    assert [(row["record"], row["position"], row["length"]) for row in rows] == [
        ("alu", "21", str(n)) for n in range(7)
    ]
    assert sum(float(row["posterior"]) for row in rows) == pytest.approx(1, abs=1e-4)
    assert max(rows, key=lambda row: float(row["posterior"]))["length"] == "3"
    assert rows[3]["nats"] == rows[3]["se"] == "0.0000"
    assert {row["prior"] for row in rows} == {"0.142857"}
    assert [row["inserted"] for row in table(tmp_path / "r.tsv")] == ["21:3", "."]


def test_every_sample_has_a_length_of_its_own_and_stdin_is_read(alu):
    asked = [
        "--insert",
        "2:0-4",
        "--insert",
        "alu:30:2",
        "--samples",
        4,
        "--insert-draws",
        8,
        "--sampler",
        "fast",
        "-q",
    ]
    text = run("infill", "--fasta", alu, *asked)
    names = list(records(text))
    assert [name.split(" insert=")[0] for name in names[:4]] == [f"alu_sample{n} cut" for n in range(1, 5)]
    assert all(",30:2" in name for name in names[:4])
    assert len({name.split("insert=")[1] for name in names[4:]}) > 1
    for name, sequence in records(text).items():
        lengths = [int(each.split(":")[1]) for each in name.split("insert=")[1].split(",")]
        assert len(sequence) == (len(ALU) if name.startswith("alu") else 8) + sum(lengths)
    assert run("infill", "--fasta", "-", *asked, input=alu.read_bytes()) == text


def test_reads_keep_their_qualities(tmp_path):
    (tmp_path / "r.fq").write_text("@r\nACGTACGT\n+\nIIIIIIII\n")
    asked = ["--insert", "4:3", "--sampler", "best", "-q"]
    for more in ([], ["--soft-evidence"]):
        name, sequence, _, quality = run("infill", "--fasta", tmp_path / "r.fq", *asked, *more).splitlines()
        assert name == "@r insert=4:3"
        assert (sequence[:4], sequence[7:]) == ("ACGT", "ACGT")
        assert quality[:4] == quality[7:] == "IIII"
        assert len(quality) == 11


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--insert", "x"], "--insert x: write it as POSITION:MIN-MAX"),
        (["--insert", "3:0-513"], "at most 512 can be inserted"),
        (["--insert", "3:0-2", "--region", "alu:1-2"], "--insert and --region: the length would be chosen without"),
        (["--insert", "3:0-2", "--gc", "0.4-0.6"], "--insert and --gc"),
        (["--insert", "3:0-2", "--forbid", "EcoRI"], "--insert and --forbid"),
        (["--insert", "3:0-2", "--insert-choose", "worst"], "choose one of sample, best"),
        (["--insert", "3:0-2", "--insert-prior", "lengths"], "was not trained on whole sequences"),
        (["--insert", "3:0-2", "--insert-table", "alu.fa"], "--insert-table alu.fa: give it a file of its own"),
        (["--insert", "3:0-2", "--model", "family"], "is of a family, whose sequences all have 8 columns"),
        (["--insert", "3:2", "--insert-draws", "32"], "--insert-draws: every --insert says one length"),
        (["--insert-draws", "32"], "--insert-draws: it is about lengths that --insert leaves open"),
        (["--insert-choose", "best"], "--insert-choose: it is about lengths"),
        (["--insert-prior", "uniform"], "--insert-prior: it is about lengths"),
        (["--insert-table", "t.tsv"], "--insert-table: it is about lengths"),
    ],
)
def test_wrong_usage_is_said(alu, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    assert said in fails("infill", "--fasta", alu, *words, "-o", "out.fa")
    assert [path.name for path in tmp_path.iterdir()] == ["alu.fa"]


def test_what_fits_no_record_is_said_before_any_output(alu, tmp_path):
    for words, said in (("Alu:3:0-2", "did you mean 'alu'"), ("9:0-2", "record 'other' has 8 letters")):
        assert said in fails("infill", "--fasta", alu, "--insert", words, "-o", tmp_path / "o.fa", code=1)
    assert [path.name for path in tmp_path.iterdir()] == ["alu.fa"]


def test_a_table_is_not_left_behind_by_a_failure(alu, tmp_path, monkeypatch):
    monkeypatch.setattr(models.Model, "infill_records", lambda *given, **named: iter([None]))
    invoke(
        "infill", "--fasta", alu, "--insert", "alu:3:1", "--insert-table", tmp_path / "t.tsv", "-o", tmp_path / "o.fa"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["alu.fa"]


def test_the_prior_is_of_whole_sequences_where_the_model_knows_them(alu, tmp_path):
    asked = ["infill", "--fasta", alu, "--insert", "other:4:40-56", "--insert-draws", 8, "--sampler", "best", "-q",
             "--model", "whole", "--insert-table", tmp_path / "t.tsv"]  # fmt: skip
    run(*asked)
    prior = [float(row["prior"]) for row in table(tmp_path / "t.tsv")]
    assert 7 < prior.index(max(prior)) < 15  # 8 letters are there, most sequences have 60
    run(*asked, "--insert-prior", "uniform")
    assert len({row["prior"] for row in table(tmp_path / "t.tsv")}) == 1


def sampled(*words):
    return [
        len(sequence) for sequence in records(run("sample", "--sampler", "fast", "--steps", 1, "-q", *words)).values()
    ]


def test_samples_are_as_long_as_the_training_sequences():
    drawn = sampled("-n", 12, "--model", "whole")
    assert set(drawn) == {40, 55, 60} or set(drawn) == {55, 60}
    assert sampled("-n", 3, "--model", "whole") == drawn[:3]
    assert set(sampled("-n", 6, "--model", "whole", "--length", "41-59")) == {55}
    assert sampled("-n", 2, "--model", "whole", "--length", "7") == [7, 7]
    assert sampled("-n", 2, "--model", "family") == sampled("-n", 2, "--model", "family", "--length", "8") == [8, 8]


def test_without_known_lengths_a_range_is_even_and_dna_has_512():
    drawn = sampled("-n", 8, "--length", "10-13")
    assert set(drawn) <= {10, 11, 12, 13}
    assert len(set(drawn)) > 1
    assert sampled() == [512]
    result = invoke("sample", "--model", "whole", "--length", "1-9", "--steps", 1)
    assert "no training sequence has 1 to 9 letters: all these lengths are equally likely" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--length", "0"], "--length 0: write it as N or MIN-MAX"),
        (["--length", "x"], "--length x: write it as N or MIN-MAX"),
        (["--length", "5-"], "--length 5-: write it as N or MIN-MAX"),
        (["--length", "9-5"], "swap the two numbers"),
        (["-n", "100000", "--length", "1-1000000"], "that is more than 10,000,000,000 letters"),
        (["--model", "family", "--length", "9"], "have the 8 columns of a family: leave --length out"),
    ],
)
def test_lengths_that_are_none(words, said):
    assert said in fails("sample", *words)
