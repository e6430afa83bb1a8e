"""Configs: what is wrong with one is said before any job starts; those that ship run; the workflows are lint-clean."""

import subprocess
from pathlib import Path

import pytest
import yaml

from seqdiff.cli import mutations, variants
from seqdiff.model import choices

ROOT = Path(__file__).parents[2]
PIPELINES = ROOT / "pipelines"
WORKFLOWS = sorted(path.stem for path in (PIPELINES / "schemas").glob("*.yaml"))


def refused(project, *words, **config):
    """What snakemake says of a config, from its own error on."""
    project.config(**config)
    said = project.snakemake("--dry-run", *words, code=1)
    assert "Traceback" not in said
    assert "rule all" not in said
    return said[said.index("WorkflowError") :]


def test_everything_that_is_wrong_is_said_at_once(project):
    said = refused(
        project, workflow="variants", vcf="gone.vcf", shrads=3, model="human-chr21", method=3,
        check_ref="perhaps", threads=0, gpus=None,
    )  # fmt: skip
    assert "vcf: gone.vcf: no such file" in said
    assert "fasta: the workflow variants needs it: the genome that the VCF is of" in said
    assert "shrads: no such setting of the workflow variants; did you mean 'shards'?" in said
    assert "model: human-chr21: no such run directory" in said
    assert "no model that ships (human-chr20, protein-demo)" in said
    assert "method: 3 is not one of ['auto', 'marginal', 'chain', 'elbo']; it is how alleles are scored, as" in said
    assert "check_ref: 'perhaps' is not one of ['error', 'warn', 'exclude']" in said
    assert "threads: 0 is less than the minimum of 1" in said
    assert "gpus" not in said  # as if it were not there
    assert said.count("\n  ") == 7 + 2  # the errors, and where


def test_what_a_workflow_cannot_do_without(project):
    said = refused(project, workflow="pretrain", recipe="dmeo")
    assert "genome or fasta: the workflow pretrain needs one of them" in said
    assert "recipe: dmeo: none of this name ships; there are caduceus-demo," in said
    assert "the config does not say which workflow" in refused(project)


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_the_configs_that_ship_are_lint_clean_and_run(project, workflow):
    for name in ("genomes", "pipelines", "configs"):
        (project.path / name).symlink_to(ROOT / name)
    config = ("--configfile", f"pipelines/configs/{workflow}.yaml")
    assert "your workflow is in a good condition" in project.snakemake("--lint", *config, profile="none")
    said = project.snakemake("--dry-run", *config)
    commands = [line for line in said.splitlines() if line.startswith("Shell command: ") and "None" not in line]
    assert commands
    assert all(line.startswith("Shell command: seqdiff ") for line in commands)


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_every_setting_says_what_it_is_and_every_config_names_its_workflow(workflow):
    schema = yaml.safe_load((PIPELINES / "schemas" / f"{workflow}.yaml").read_text())
    assert schema["additionalProperties"] is False
    assert all(setting["description"] for setting in schema["properties"].values())
    words = {word for setting in schema["properties"].values() for word in setting}
    assert words <= {
        "description", "type", "default", "format", "const", "enum", "items", "minimum", "exclusiveMinimum",
        "minLength", "minItems", "uniqueItems", "pattern", "maximum",
    }  # fmt: skip
    assert schema["properties"]["workflow"]["const"] == workflow
    assert yaml.safe_load((PIPELINES / "configs" / f"{workflow}.yaml").read_text())["workflow"] == workflow


def test_a_value_that_the_command_would_refuse_is_said_before_any_job_starts(project):
    (project.path / "a.fa").write_text(">a\nACNT\n")
    said = refused(
        project, workflow="infill", fasta="a.fa", sampler="ancestrall", top_p=7, device="gpu0", shards=200_000
    )
    assert "sampler: 'ancestrall' is not one of ['fast'," in said
    assert "top_p: 7 is greater than the maximum of 1" in said
    assert "device: 'gpu0' does not match" in said
    assert "shards: 200000 is greater than the maximum of 10000" in said


@pytest.mark.parametrize(
    ("workflow", "setting", "values"),
    [
        ("infill", "sampler", tuple(choices.presets())),
        ("variants", "method", variants.METHODS),
        ("variants", "check_ref", variants.CHECKS),
        ("proteins", "method", mutations.METHODS),
    ],
)
def test_a_schema_knows_the_values_that_the_command_knows(workflow, setting, values):
    schema = yaml.safe_load((PIPELINES / "schemas" / f"{workflow}.yaml").read_text())
    assert sorted(schema["properties"][setting]["enum"]) == sorted(values)


def make(*words: str) -> subprocess.CompletedProcess:
    """What make would do, without installing anything."""
    stamps = ["-o", ".venv/.installed", "-o", ".venv/.pipelines"]
    return subprocess.run(["make", *stamps, *words], cwd=ROOT, capture_output=True, text=True)


def test_make_runs_them():
    said = make("-n", "pipeline", "NAME=infill", "PROFILE=slurm", "CORES=3", "ARGS=--unlock").stdout
    assert "--workflow-profile pipelines/profiles/slurm --cores 3" in said
    assert '--configfile "pipelines/configs/infill.yaml" --config workflow=infill --unlock' in said
    said = make("-n", "hg38", "GENOME=a copy.fa", "DRY=1").stdout
    assert "--dry-run --configfile pipelines/configs/hg38.yaml" in said
    assert '--config "fasta=a copy.fa"' in said
    assert "which one? make pipeline NAME=..., of compare infill" in make("pipeline").stdout
    done = make("pipeline", "NAME=infill", "CONFIG=gone.yaml")
    assert done.returncode != 0
    assert "gone.yaml: no such file" in done.stdout
    shown = make("help").stdout
    assert "make pipeline" in shown
    assert "make hg38" in shown
    assert {path.stem for path in (PIPELINES / "rules").glob("*.smk")} >= set(WORKFLOWS)
