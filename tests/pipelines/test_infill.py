"""The workflow infill: a shard that fails takes no other along, and the result is that of one command."""

import gzip

import pytest


@pytest.fixture
def gaps(project, tiny_model):
    text = "".join((project.path / "genome.fa").read_text().splitlines()[1:])
    records = []
    for number, length in enumerate((40, 700, 90, 5, 300)):
        letters = list(text[number * 800 : number * 800 + length])
        letters[length // 3 : length // 3 + 9] = "NNNNRNNNN"[: length - length // 3]
        records.append(f">record{number}\n{''.join(letters)}\n")
    (project.path / "gaps.fa").write_text("".join(records))
    return project.config(workflow="infill", out="out", fasta="gaps.fa", model=str(tiny_model), shards=2, seed=7)


@pytest.mark.slow
def test_a_shard_that_fails_takes_no_other_along_and_is_all_that_is_done_again(project, gaps, tiny_model):
    (project.path / "fail").write_text("2-of-2.fa")
    said = project.snakemake(code=1)
    assert "out/logs/infill/2-of-2.log" in said
    assert "seqdiff: error: no space left on device" in said
    assert said.count("seqdiff: error:") < 4
    filled = sorted(path.name for path in (project.path / "out/filled-2").iterdir())
    assert filled == ["1-of-2.fa"]
    assert sum("infill" in call for call in project.calls()) == 2

    (project.path / "fail").unlink()
    project.snakemake()
    assert [call.split()[0] for call in project.calls()] == ["infill", "gather"]
    project.seqdiff("infill", "--fasta", "gaps.fa", "--model", tiny_model, "--seed", 7, "-@", 1, "-o", "whole.fa.gz")
    assert project.bytes("out/filled.fa.gz") == project.bytes("whole.fa.gz")
    assert b"N" not in gzip.decompress(project.bytes("out/filled.fa.gz")).replace(b"record", b"").upper()
    assert not list((project.path / "out").glob("*/*-of-2.fa"))  # shards are gone

    said = project.snakemake()
    assert "Nothing to be done" in said
    assert project.calls() == []
    assert (project.path / "out/benchmarks/infill/1-of-2.tsv").read_text().startswith("s\t")


def test_each_shard_is_one_job_and_each_job_one_command(project, gaps):
    (project.path / "spans.bed").write_text("record1\t5\t9\n")
    said = project.snakemake("--dry-run", "--config", "shards=5", "form=table", "sampler=best", "bed=spans.bed")
    commands = [line.removeprefix("Shell command: ") for line in said.splitlines() if "Shell command: seqdiff" in line]
    assert [command.split()[1] for command in commands] == ["scatter", *["infill"] * 5, "gather"]
    assert "--bed spans.bed -n 5 --out out/shards-5" in commands[0]
    filling = next(command for command in commands if "4-of-5.fa " in command)
    assert "--bed out/shards-5/4-of-5.bed" in filling
    assert "--sampler best --seed 7" in filling
    assert "--format table" in filling
    assert commands[-1].split()[2:7] == [f"out/filled-5/{k}-of-5.tsv" for k in range(1, 6)]
