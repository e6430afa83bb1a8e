"""The workflow proteins: a model a family, and one table of how well they rank what was measured."""

import csv

import pytest
from family import QUERY, toy_rows, write_family


@pytest.fixture
def families(project):
    rows = toy_rows()
    lines = ["name\talignment\twild_type\tassay\tfirst_residue"]
    for name in ("left", "right"):
        write_family(project.path / f"{name}.a2m", rows)
        (project.path / f"{name}.fa").write_text(f">{QUERY}\n{rows[0]}\n")
        mutants = [(f"{old}{24 + i}{new}", i % 5 - (new == "W")) for i, old in enumerate(rows[0]) for new in "ADKW"]
        table = "".join(f"{mutant},{score}\n" for mutant, score in mutants if mutant[0] != mutant[-1])
        (project.path / f"{name}.csv").write_text("mutant,fitness\n" + table)
        lines.append(f"{name}\t{name}.a2m\t{name}.fa\t{name}.csv\t24")
        rows = [row[::-1] for row in rows]
    (project.path / "families.tsv").write_text("\n".join(lines) + "\n")
    training = {
        "training.steps": 20,
        "training.batch_size": 32,
        "training.validate_every": 20,
        "training.save_every": 20,
    }
    project.config(
        workflow="proteins", out="out", families="families.tsv", settings=training, score_column="fitness", seed=2
    )


@pytest.mark.slow
def test_a_family_from_its_alignment_to_the_table(project, families):
    said = project.snakemake("--dry-run")
    assert [said.count(f"\nrule {rule}:") for rule in ("train", "variants", "evaluate", "metrics")] == [2, 2, 2, 1]
    assert "seqdiff gather out/evaluations/left.json out/evaluations/right.json -o out/metrics.tsv" in said
    table = project.path / "families.tsv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:2]))
    project.snakemake(cores=2)
    with open(project.path / "out/metrics.tsv", newline="") as file:
        rows = list(csv.DictReader((line for line in file if line[0] != "#"), delimiter="\t"))
    assert len(rows) == 1
    assert float(rows[0]["spearman"]) <= 1
    assert project.bytes("out/metrics.png").startswith(b"\x89PNG")
    assert "llr" in (project.path / "out/scored/left.tsv").read_text()
    assert (project.path / "out/runs/left/recipe.yaml").read_text().count("\nseed: 2\n") == 1


def test_a_wrong_table_is_refused_before_anything_starts(project, families):
    table = project.path / "families.tsv"
    good = table.read_text()
    table.write_text(good + "left\tgone.a2m\tleft.fa\t\t\n" + "a b\tleft.a2m\tleft.fa\tleft.csv\tx\n")
    said = project.snakemake("--dry-run", code=1)
    assert "families.tsv, line 4: no assay" in said
    assert "families.tsv, line 4: alignment: gone.a2m: no such file" in said
    assert "families.tsv, line 4: a second family is called left" in said
    assert "families.tsv, line 5: 'a b' does not match" in said
    assert "families.tsv, line 5: 'x' does not match" in said
    table.write_text(good.replace("alignment", "alignmnet"))
    said = project.snakemake("--dry-run", code=1)
    assert "families.tsv: alignmnet: no column of this name is known; it is a TSV of name, alignment" in said
