"""Commands answer without waiting for what they do not use."""

import json
import os
import subprocess
import sys

import pytest
from commands import commands

SLOW = ("torch", "scipy", "pandas", "sklearn", "matplotlib", "logomaker", "pysam", "Bio", "PIL", "numba", "jinja2")
DRAWING = {"matplotlib", "logomaker", "pandas", "sklearn", "jinja2", "seqdiff.train.loop", "seqdiff.evaluate"}
SCRIPT = """
import json, sys
from typer.testing import CliRunner
from seqdiff.cli import app

found = []
for words in json.loads(sys.argv[1]):
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, (words, result.output)
    found.append([name for name in json.loads(sys.argv[2]) if name in sys.modules])
print(json.dumps(found))
"""


def imported(folder, *lines: list[str]) -> list[set[str]]:
    """Which slow modules one process has imported after each of these commands."""
    words = [json.dumps(lines), json.dumps([*SLOW, *sorted(DRAWING)])]
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, *words], cwd=folder, env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return [set(each) for each in json.loads(ran.stdout.splitlines()[-1])]


def test_no_help_waits_for_anything(tmp_path):
    paths = [path for path, _ in commands()]
    assert len(paths) > 12
    asked = [["--version"], ["--help"], *([*path, "--help"] for path in paths)]
    assert imported(tmp_path, *asked) == [set()] * len(asked)


@pytest.fixture
def files(tmp_path):
    (tmp_path / "a.fa").write_text(">a\nACGTNNACGT\n>b\nGGCNCC\n")
    (tmp_path / "a.vcf").write_text(
        "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\na\t2\t.\tC\tT\t.\t.\t.\n"
    )
    return tmp_path


def test_what_needs_no_network_does_not_wait_for_torch(files):
    asked = [
        ["genomes", "list"],
        ["scatter", "--fasta", "a.fa", "-n", "2", "--out", "parts"],
        ["gather", "parts/1-of-2.fa", "parts/2-of-2.fa", "-o", "b.fa"],
        ["scatter", "--vcf", "a.vcf", "-n", "2", "--out", "variants"],
        ["gather", "variants/1-of-2.vcf.gz", "variants/2-of-2.vcf.gz", "-o", "b.vcf.gz"],
    ]
    for words, found in zip(asked, imported(files, *asked), strict=True):
        assert not found & {"torch", "matplotlib", "pandas", "scipy", "sklearn", "PIL"}, words


def test_what_asks_a_network_does_not_wait_for_drawing_training_or_tables(files):
    asked = [
        ["infill", "--fasta", "a.fa", "-o", "f.fa", "-q"],
        ["sample", "--length", "4", "-o", "s.fa", "-q"],
        ["embed", "--fasta", "a.fa", "-o", "e.npz", "-q"],
        ["variants", "--vcf", "a.vcf", "--fasta", "a.fa", "-o", "v.vcf.gz", "-q"],
        ["score", "--fasta", "a.fa", "-o", "s.tsv", "-q"],
    ]
    for words, found in zip(asked, imported(files, *asked), strict=True):
        assert not found & (DRAWING | {"Bio"} | (set() if words[0] == "score" else {"scipy"})), words
