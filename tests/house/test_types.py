"""What users' type checkers see of seqdiff."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
from pathlib import Path

import pandas as pd
from Bio.SeqRecord import SeqRecord

import seqdiff
from seqdiff.sklearn import Embedder

model: seqdiff.Model = seqdiff.load("human-chr20", device="cpu")
filled: list[str] = model.infill(["ACGTNN"], "exact", temperature=0.9, seed=1)
several: list[list[str]] = model.infill(["ACGTNN"], samples=3)
named: list[str] = model.infill({"a": "ACGTNN"}, regions=["a:1-2"])
records: list[seqdiff.Record] = model.infill(Path("gaps.fa"))
read: list[seqdiff.Record] = model.infill(seqdiff.read("gaps.fa"))


def fill(given: list[SeqRecord]) -> list[SeqRecord]:
    return model.infill(given, design=seqdiff.design(gc=(0.4, 0.6)))


scores: pd.DataFrame = model.score(filled, "chain", orders=2)
variants: pd.DataFrame = model.variants([("chr1", 5, "A", "T")], "hg38.fa", check_ref="warn")
mutants: pd.DataFrame = seqdiff.load("protein-demo").mutations(["A2G"], "wt.fa")
rows: int = model.embed(filled).shape[0]
residues: int = len(model.embed(filled, per="residue")[0])
new: list[str] = model.sample(2, (10, 20))
embedder: Embedder = Embedder("human-chr20", strand="forward").fit(filled)
try:
    seqdiff.Recipe.model_validate({})
except seqdiff.SeqdiffError as error:
    code: int = error.exit_code

wrong: list[int] = model.infill(["ACGTNN"])  # wrong
model.infill(["ACGTNN"], temprature=0.9)  # wrong
model.variants([], "hg38.fa", check_ref="skip")  # wrong
model.embed(filled, per="letter")  # wrong
seqdiff.nothing  # wrong
seqdiff.load(7)  # wrong
"""


def test_scripts_and_the_public_names_are_type_checked(tmp_path):
    """One strict run of mypy for both: a script that uses every verb, all of whose errors are found, and the names
    themselves, which have none."""
    root = Path(__file__).parents[2]
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    wrong = {number for number, line in enumerate(SCRIPT.splitlines(), 1) if line.endswith("# wrong")}
    public = ["seqdiff/__init__.py", "seqdiff/model", "seqdiff/sklearn.py", "seqdiff/errors.py", "seqdiff/alphabet.py"]
    words = ["mypy", "--no-color-output", "--config-file", "pyproject.toml"]
    environment = os.environ | {"MYPYPATH": str(root)}
    result = subprocess.run(
        [sys.executable, "-m", *words, str(script), *public, "seqdiff/recipe"],
        capture_output=True, text=True, cwd=root, env=environment,
    )  # fmt: skip
    found = [line for line in result.stdout.splitlines() if ": error:" in line]
    assert [line for line in found if "script.py" not in line] == [], result.stdout
    assert {int(line.split(":")[1]) for line in found} == wrong, result.stdout
    assert (root / "seqdiff" / "py.typed").exists()
