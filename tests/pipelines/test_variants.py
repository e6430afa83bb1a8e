"""The workflow variants: killed half-way it is finished by the same command, to the same bytes."""

import pytest
from vcfs import vcf_of


@pytest.fixture
def calls(project, tiny_model):
    text = "".join((project.path / "genome.fa").read_text().splitlines()[1:])
    rows = [("chrA", at, text[at - 1], "ACGT"[("ACGT".index(text[at - 1]) + 1) % 4]) for at in range(100, 5000, 400)]
    rows.append(("chrA", 5000, text[4999:5003], text[4999]))
    vcf_of(project.path / "calls.vcf", *rows)
    project.config(
        workflow="variants", out="out", vcf="calls.vcf", fasta="genome.fa", model=str(tiny_model), shards=3, seed=3
    )


@pytest.mark.slow
def test_killed_half_way_it_is_finished_to_the_same_bytes(project, calls, tiny_model):
    def scoring():
        file = project.path / "calls.txt"
        return file.exists() and sum(line.startswith("variants") for line in file.read_text().splitlines()) == 2

    project.killed(when=scoring)
    project.calls()
    assert not (project.path / "out/scored.vcf.gz").exists()
    assert len(list((project.path / "out/scored-3").glob("*.vcf.gz"))) == 1

    said = project.snakemake(code=1)  # who knows whether the other one is dead
    assert "--unlock" in said
    project.snakemake("--unlock")
    project.snakemake(cores=2)
    assert sorted(call.split()[0] for call in project.calls()) == ["gather", "variants", "variants"]
    words = ("variants", "--vcf", "calls.vcf", "--fasta", "genome.fa", "--model", tiny_model, "--seed", 3, "-@", 1)
    project.seqdiff(*words, "-o", "whole.vcf.gz")
    assert project.bytes("out/scored.vcf.gz") == project.bytes("whole.vcf.gz")
    assert project.bytes("out/scored.vcf.gz.tbi") == project.bytes("whole.vcf.gz.tbi")


def test_a_vcf_that_could_have_no_index_is_refused_before_anything_is_scored(project, calls):
    lines = (project.path / "calls.vcf").read_text().splitlines(keepends=True)
    (project.path / "calls.vcf").write_text("".join([*lines[:-2], lines[-1], lines[-2]]))
    said = project.snakemake("--until", "scatter", code=1)
    assert "lies before the line above it" in said
    assert "bcftools sort" in said
    assert [call.split()[0] for call in project.calls()] == ["scatter"]
