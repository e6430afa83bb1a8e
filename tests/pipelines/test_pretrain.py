"""The workflow pretrain: a training that is killed goes on from its last save, to the same weights."""

import json

import pytest
from safetensors import safe_open


def weights(run):
    """All of a model file, bit by bit; the order of its header is any."""
    with safe_open(run / "model.safetensors", "np") as file:
        return file.metadata(), {name: file.get_tensor(name).tobytes() for name in file.keys()}  # noqa: SIM118


@pytest.fixture
def pretraining(project, recipe_file):
    return project.config(
        workflow="pretrain", out="out", fasta="genome.fa", recipe="tiny.yaml", questions=["likelihood"],
        evaluation={"likelihood.order": 2, "likelihood.bases": 256},
    )  # fmt: skip


@pytest.mark.slow
def test_a_training_that_is_killed_ends_with_the_weights_of_one_that_is_not(project, pretraining):
    run = project.path / "out/run"

    def training():
        metrics = run / "metrics.jsonl"
        return (run / "resume/state.safetensors").exists() and metrics.read_text().count("\n") > 25

    project.killed(when=training)
    assert (run / "metrics.jsonl").read_text().count("\n") < 300  # of 315
    assert not (run / "trained").exists()

    project.snakemake("--unlock")
    said = project.snakemake()
    assert "--out out/run --resume" in said
    assert [call.split()[0] for call in project.calls()] == ["genomes", "train", "train", "evaluate", "report"]
    assert "resuming out/run after step" in (project.path / "out/logs/train.log").read_text()

    data = ("--set", "data.genome=null", "--set", "data.fasta=genome.fa")
    project.seqdiff("train", "tiny.yaml", *data, "--device", "cpu", "-@", 1, "--out", "undisturbed")
    assert weights(project.path / "out/run") == weights(project.path / "undisturbed")
    answers = json.loads(project.bytes("out/evaluation.json"))["answers"]
    assert list(answers) == ["likelihood"]
    assert project.bytes("out/report.html").startswith(b"<!DOCTYPE html>")
    assert project.bytes("out/contigs.tsv") == b"chrA\t6000\n"
    assert "Nothing to be done" in project.snakemake()


def test_what_is_trained_on(project, pretraining):
    said = project.snakemake("--dry-run", "--config", "fasta=", "genome=human-chr20", "seed=4", "gpus=8", "device=cuda")
    assert "seqdiff genomes fetch human-chr20 > out/genome.path" in said
    assert "seqdiff genomes index human-chr20 > out/contigs.tsv" in said
    assert "seqdiff train tiny.yaml --set data.genome=human-chr20  --seed 4 --device cuda --processes 8" in said
    said = project.snakemake("--dry-run", "--config", "genome=human-chr20", "run=kept/run")
    assert "genomes fetch" not in said  # a copy of one's own, with the splits of the registry
    assert "--set data.genome=human-chr20 --set data.fasta=genome.fa" in said
    assert "seqdiff evaluate kept/run likelihood" in said
