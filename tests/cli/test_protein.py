"""Proteins on the command line: what ships, a translated stop, DNA in the wrong place, a run of one's own."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from seqdiff import model as models
from seqdiff.checkpoint import RunFolder
from seqdiff.cli import app
from seqdiff.train.log import Metrics

TINY = [
    "denoiser={kind: convolution, width: 16, hidden: 16, depth: 2}", "process={kind: masked}", "data.context=24",
    "training={steps: 8, batch_size: 4, learning_rate: 1.0e-2, validate_every: 4, validation_windows: 8, "
    "save_every: 2, log_every: 1, ema: 0.5}",
]  # fmt: skip


@pytest.fixture(scope="module")
def shipped():
    return models.load("protein-demo", device="cpu")


@pytest.fixture
def fasta(tmp_path):
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), rng.integers(6, 40))) for _ in range(150)]
    path = tmp_path / "mine.fa"
    path.write_text("".join(f">r{i}\n{text}*\n" for i, text in enumerate(texts)))
    return path


def run(*arguments, stdin=None):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)


def settings(*more):
    return [part for setting in [*TINY, *more] for part in ("--set", setting)]


def test_the_model_that_ships_is_that_of_its_recipe(shipped):
    assert shipped.recipe.name == "protein-demo"
    assert shipped.alphabet.name == "protein"
    data = shipped.recipe.data.open()
    assert shipped.provenance.data_checksum == data.checksum
    assert shipped.facts["lengths"] == data.facts["lengths"]
    assert shipped.provenance.nats_per_symbol / np.log(2) < 4.1


def test_a_stop_at_the_end_is_no_letter(tmp_path):
    (tmp_path / "with.fa").write_text(">a\nMKVXXLAC*\n>b\nmkvla\n")
    (tmp_path / "without.fa").write_text(">a\nMKVXXLAC\n>b\nmkvla\n")
    for command in ("score", "infill"):
        one, two = (
            run(command, "-q", "--model", "protein-demo", "--fasta", tmp_path / f"{name}.fa")
            for name in ("with", "without")
        )
        assert one.exit_code == 0, one.stderr
        assert one.stdout == two.stdout != ""
    piped = run("score", "-q", "--model", "protein-demo", "--fasta", "-", stdin=(tmp_path / "with.fa").read_text())
    assert piped.stdout == run("score", "-q", "--model", "protein-demo", "--fasta", tmp_path / "without.fa").stdout
    quality = run("infill", "-q", "--model", "protein-demo", "--fasta", tmp_path / "with.fa", "--format", "fastq")
    assert [len(line) for line in quality.stdout.splitlines()[1::2]][:2] == [8, 8]


@pytest.mark.parametrize(
    ("text", "model", "what"),
    [
        (">a\nMK*V\n", "protein-demo", "has '*' at position 3, no letter of protein: a stop codon inside"),
        (">a\nMK-V\n", "protein-demo", "train a family on it"),
        (">a\nMKLV\n", "human-chr20", "is this a protein? A model of proteins reads it: --model protein-demo"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path, text, model, what):
    (tmp_path / "x.fa").write_text(text)
    result = run("score", "--model", model, "--fasta", tmp_path / "x.fa")
    assert result.exit_code == 1
    assert what in result.stderr
    assert result.stdout == ""


def test_dna_in_the_place_of_proteins_is_doubted(tmp_path):
    (tmp_path / "x.fa").write_text(">a\n" + "ACGTN" * 20 + "\n")
    result = run("score", "--model", "protein-demo", "--fasta", tmp_path / "x.fa")
    assert result.exit_code == 0
    assert "is this DNA?" in result.stderr


def test_proteins_of_ones_own_from_training_to_evaluation(fasta, tmp_path):
    table = tmp_path / "c.tsv"
    table.write_text("".join(f"r{i - i % 2}\tr{i}\n" for i in range(150)))
    own = settings("data.proteins=null", f"data.fasta={fasta}", "data.splits={valid: 0.2, test: 0.2}")
    out = tmp_path / "run"
    result = run("train", "protein-demo", *own, "--clusters", table, "--out", out, "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    assert "held out by clusters" in result.stderr
    assert RunFolder(out).read_recipe().data.clusters == table
    answers = tmp_path / "a.json"
    small = ("likelihood.order=1", "likelihood.bases=300", "recovery.lengths=[1]", "recovery.apart=4",
             "recovery.gaps=40", "recovery.order=1", "calibration.bases=300")  # fmt: skip
    few = [part for setting in small for part in ("--set", setting)]
    result = run("evaluate", out, "-q", "-o", answers, *few)
    assert result.exit_code == 0, result.stderr
    assert "not a bound" in result.stdout
    likelihood = json.loads(answers.read_text())["answers"]["likelihood"]
    assert likelihood["unit"] == "residue"
    assert likelihood["sample"] < likelihood["windows"]


def test_a_run_stopped_in_an_epoch_goes_on_to_the_last_bit(fasta, tmp_path, monkeypatch):
    own = settings("data.proteins=null", f"data.fasta={fasta}", "data.splits={valid: 0.2, test: 0.2}")
    write = Metrics.write

    def stopping(metrics, **row):
        if row["step"] == 5:
            raise KeyboardInterrupt
        write(metrics, **row)

    def curve(name):
        rows = RunFolder(tmp_path / name).read_metrics()
        return [{key: value for key, value in row.items() if key != "tokens_per_second"} for row in rows]

    command = ("train", "protein-demo", *own, "-q", "--device", "cpu", "--resume", "--out")
    assert run(*command, tmp_path / "whole").exit_code == 0
    monkeypatch.setattr(Metrics, "write", stopping)  # after the save at step 4
    assert run(*command, tmp_path / "parts").exit_code != 0
    assert len(curve("parts")) < len(curve("whole")) == 10
    monkeypatch.setattr(Metrics, "write", write)
    assert run(*command, tmp_path / "parts").exit_code == 0
    assert curve("parts") == curve("whole")


def test_clusters_twice_or_of_dna_are_refused(tmp_path):
    both = run("train", "protein-demo", "--clusters", "a.tsv", "--set", "data.clusters=b.tsv", "--out", tmp_path / "r")
    assert (both.exit_code, "give one of them" in both.stderr) == (2, True)
    dna = run("train", "demo", "--clusters", "a.tsv", "--out", tmp_path / "r")
    assert (dna.exit_code, "data.clusters: no such setting" in dna.stderr) == (2, True)
    assert not (tmp_path / "r").exists()


def test_genomes_list_has_the_proteins_and_index_encodes_them(fasta):
    listed = run("genomes", "list").stdout
    assert "swissprot-sample\t1210468\t" in listed
    indexed = run("genomes", "index", "--proteins", fasta)
    assert indexed.stdout.startswith("proteins\t150\nresidues\t")


def test_a_vcf_says_nothing_of_proteins(tmp_path):
    head = '##fileformat=VCFv4.2\n##INFO=<ID=AF,Number=1,Type=Float,Description="x">\n'
    columns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    (tmp_path / "x.vcf").write_text(head + columns + "a\t1\t.\tA\tC\t.\t.\tAF=0.1\n")
    (tmp_path / "x.fa").write_text(">a\nAAAA\n")
    files = ("--vcf", tmp_path / "x.vcf", "--fasta", tmp_path / "x.fa")
    result = run("evaluate", "protein-demo", "variants", *files, "--positive", "AF<0.5", "--negative", "AF>0.5")
    assert result.exit_code == 1
    assert "variants of a VCF are of DNA" in result.stderr
