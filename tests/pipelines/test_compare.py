"""The workflow compare: each system a job, all of them in one folder at the same time, then the table."""

import csv

import pytest
import yaml
from stories import SETTINGS


@pytest.fixture
def comparison(project):
    base = SETTINGS | {
        "data": {"kind": "dna", "fasta": "genome.fa", "context": 32, "splits": {"valid": 0.1, "test": 0.1}},
        "training": SETTINGS["training"] | {"steps": 4, "validate_every": 2},
    }
    values = {
        "kind": "compare", "schema": 1, "name": "tiny", "base": base, "budget": {"tokens": 1024},
        "systems": [{"name": "a"}, {"name": "b", "set": {"denoiser.kernel": 3}}, {"name": "c"}],
        "evaluation": {"letters": 100, "order": 1, "strata": 1}, "samples": {"number": 2, "word": 1, "length": 8},
    }  # fmt: skip
    (project.path / "tiny.yaml").write_text(yaml.safe_dump(values))
    project.config(workflow="compare", out="out", comparison="tiny.yaml", systems=["a", "b"])


def rows_of(path):
    with open(path, newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file, delimiter="\t")}


@pytest.mark.slow
def test_systems_trained_side_by_side_are_in_one_table(project, comparison):
    project.snakemake(cores=2)
    assert len(project.calls()) == 3
    table = rows_of(project.path / "out/table.tsv")
    assert [table[name]["state"] for name in "abc"] == ["measured", "measured", "waiting"]
    for name in "ab":  # what a job of its own measured is what the table of all says
        alone = rows_of(project.path / f"out/systems/{name}.tsv")[name]
        assert alone["bits"] == table[name]["bits"] != ""
    assert {path.suffix for path in (project.path / "out").glob("table.*")} == {".tsv", ".md", ".json", ".png"}


def test_a_system_that_there_is_not(project, comparison):
    said = project.snakemake("--dry-run", "--config", "systems=[a,d]", code=1)
    assert "systems: tiny.yaml has no system d; it has a, b, c" in said
