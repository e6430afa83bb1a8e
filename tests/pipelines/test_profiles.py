"""The profiles: jobs of a workflow by SLURM, and what SLURM and Kubernetes are asked for."""

import sys
from pathlib import Path

import pytest

SLURM = ("--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "5")


@pytest.fixture
def slurm(project):
    text = f"#!{sys.executable} -S\n" + (Path(__file__).parent / "slurm.py").read_text()
    for name in ("sbatch", "srun", "sacct", "sacctmgr", "scontrol", "sinfo", "squeue", "scancel"):
        project.command(name, text)
    return project


@pytest.fixture
def gaps(project, tiny_model):
    (project.path / "gaps.fa").write_text(">a\nACGTTGCAACGTNNGCAACGTTGCA\n>b\nACGTTNCA\n")
    project.config(
        workflow="infill", out="out", fasta="gaps.fa", model=str(tiny_model), shards=1, seed=7, threads=3, runtime=45
    )


@pytest.mark.slow
def test_jobs_by_slurm_give_what_one_command_gives(slurm, gaps, tiny_model):
    env = {"SBATCH_PARTITION": "gpu", "SBATCH_ACCOUNT": "lab"}
    slurm.snakemake(*SLURM, profile="slurm", env=env)
    submitted = (slurm.path / "sbatch.txt").read_text().splitlines()
    assert len(submitted) == 3
    filling = next(line for line in submitted if "rule_infill" in line)
    for word in ("-p gpu", "-A lab", "-t 45", "--mem 1000", "--cpus-per-task=3"):
        assert word in filling
    slurm.seqdiff("infill", "--fasta", "gaps.fa", "--model", tiny_model, "--seed", 7, "-@", 1, "-o", "whole.fa.gz")
    assert slurm.bytes("out/filled.fa.gz") == slurm.bytes("whole.fa.gz")


def test_what_slurm_is_asked_for(slurm, project, recipe_file):
    slurm.config(workflow="pretrain", out="out", fasta="genome.fa", recipe="tiny.yaml", gpus=4, threads=16, mem_mb=9000)
    said = slurm.snakemake("--dry-run", profile="slurm")
    jobs = {job.split(":")[0]: job for job in said.split("\nrule ")[1:]}
    for word in ("threads: 16", "gpu=4", "mem_mb=9000", "runtime=2880", "--processes 4 -@ 16"):
        assert word in jobs["train"]
    assert "gpu=1," in jobs["evaluate"]
    assert "gpu=" not in jobs["index"]


def test_what_kubernetes_is_asked_for(project, recipe_file):
    pytest.importorskip("snakemake_storage_plugin_fs", reason="the extra `pipelines` has it")
    project.config(
        workflow="pretrain", out="out", genome="human-chr20", recipe="demo", gpus=2, run=f"{project.path}/volume/run"
    )
    (project.path / "volume/seqdiff").mkdir(parents=True)
    env = {"SEQDIFF_VOLUME": f"claim:{project.path}/volume"}
    said = project.snakemake("--dry-run", profile="kubernetes", env=env)
    training = said[said.index("rule train") :]
    assert "gpu=2" in training
    assert "gpu_manufacturer=nvidia" in training
    assert f"--out {project.path}/volume/run --resume" in training
