"""What `pip install` gives works by itself: recipes, registry, models, genome and pages come from the package."""

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = {"configs": "seqdiff/shared/configs", "genomes": "seqdiff/shared/genomes", "seqdiff": "seqdiff"}
"""Folders of the repository, and where the package has them."""

COMMANDS = """
import json, sys, pathlib
from typer.testing import CliRunner
import seqdiff
from seqdiff.cli import app
from seqdiff.resources import folder, shipped_runs

said = {"file": seqdiff.__file__, "models": shipped_runs(), "genomes": str(folder("genomes"))}
example = {name: str(folder("genomes") / "examples" / name) for name in ("gaps.fa", "variants.vcf", "proteins.fa")}
genome = str(folder("genomes") / "human-chr20.fa.gz")
tiny = ["training.steps=2", "data.context=64", "training.batch_size=2", "training.validate_every=2",
        "training.validation_windows=2", "denoiser.depth=1", "training.warmup_steps=1"]
for words in (
    ["genomes", "list"],
    ["genomes", "fetch", "human-chr20"],
    ["infill", "--fasta", example["gaps.fa"], "-o", "filled.fa", "--sampler", "fast", "--steps", "1"],
    ["variants", "--vcf", example["variants.vcf"], "--fasta", genome, "-o", "v.tsv"],
    ["score", "--fasta", example["proteins.fa"], "--model", "protein-demo", "--draws", "2", "-o", "scores.tsv"],
    ["train", "demo", "--out", "run", "-q", "--device", "cpu", *(word for one in tiny for word in ("--set", one))],
    ["sample", "--model", "run", "--length", "8"],
    ["report", "v.tsv", "-o", "page.html"],
    ["compare", "--help"],
):
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, (words, result.output)
    said[" ".join(words[:2])] = result.stdout
foreign = [name for name, module in sys.modules.items() if (name + ".").startswith("seqdiff.")
           and not str(module.__file__).startswith(str(pathlib.Path(seqdiff.__file__).parent))]
print(json.dumps(said | {"foreign": foreign}))
"""


def build(kind: str, source: Path, folder: Path) -> Path:
    words = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)]
    subprocess.run(words, cwd=source, check=True, capture_output=True)
    (built,) = folder.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as file:
        return set(file.namelist())


def tracked(*folders: str) -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z", *folders], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a clone")
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]


def test_everything_that_the_repository_has_of_it_is_in_the_wheel(wheel):
    there = names(wheel)
    for folder, inside in DATA.items():
        missing = {name for name in tracked(folder) if inside + name.removeprefix(folder) not in there}
        assert not {name for name in missing if not name.endswith(".gitkeep")}
    assert not {name for name in there if "cache" in name or name.endswith((".pyc", ".seqdiff", ".lock"))}
    assert not {name for name in there if not name.startswith(("seqdiff/", "seqdiff-"))}


def test_a_wheel_from_the_source_distribution_is_the_same(wheel, tmp_path):
    with tarfile.open(build("sdist", ROOT, tmp_path / "sdist")) as file:
        file.extractall(tmp_path, filter="data")
    (unpacked,) = (path for path in tmp_path.glob("seqdiff-*") if path.is_dir())
    assert names(build("wheel", unpacked, tmp_path / "again")) == names(wheel)
    assert (unpacked / "tests").is_dir()
    assert (unpacked / "docs").is_dir()


def test_commands_run_from_the_wheel_in_an_empty_folder(wheel, tmp_path):
    site, here = tmp_path / "site", tmp_path / "here"
    here.mkdir()
    with zipfile.ZipFile(wheel) as file:
        file.extractall(site)
    environment = os.environ | {
        "PYTHONPATH": str(site), "SEQDIFF_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)
    }  # fmt: skip
    ran = subprocess.run([sys.executable, "-c", COMMANDS], cwd=here, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    said = json.loads(ran.stdout.splitlines()[-1])
    assert said["file"] == str(site / "seqdiff" / "__init__.py")
    assert said["foreign"] == []
    assert said["models"] == ["human-chr20", "protein-demo"]
    assert said["genomes"] == str(site / "seqdiff" / "shared" / "genomes")
    assert "human-chr20" in said["genomes list"]
    assert str(site) in said["genomes fetch"]
    assert len(said["sample --model"].splitlines()[-1]) == 8
    filled = "".join(line for line in (here / "filled.fa").read_text().splitlines() if not line.startswith(">"))
    assert filled
    assert not set(filled.upper()) - set("ACGT")
    assert sorted(path.name for path in here.iterdir()) == ["filled.fa", "page.html", "run", "scores.tsv", "v.tsv"]
    assert not [*site.rglob("*.seqdiff*")], "nothing but what pip knows of is written into the package"
    version = [sys.executable, "-m", "seqdiff", "--version"]
    said = subprocess.run(version, cwd=here, env=environment, capture_output=True, text=True).stdout
    assert said.startswith("seqdiff ")
