"""What the page on processes says of adding one is true: one file, one line, and it trains."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def house(tmp_path):
    """A copy of the package with the process of the page added as the page says."""
    shutil.copytree(ROOT / "seqdiff", tmp_path / "seqdiff", ignore=shutil.ignore_patterns("__pycache__", "*.seqdiff*"))
    for folder in ("configs", "genomes"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    page = (ROOT / "docs" / "processes.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.S)
    processes = tmp_path / "seqdiff" / "diffusion" / "processes"
    (processes / "spans.py").write_text(code)
    init = (processes / "__init__.py").read_text()
    init = init.replace(
        "ProcessConfig = Annotated[\n    Masked\n", "ProcessConfig = Annotated[\n    Masked\n    | Spans\n"
    )
    assert "| Spans" in init
    init = init.replace("from pydantic import Field\n", "from pydantic import Field\n\nfrom .spans import Spans\n", 1)
    (processes / "__init__.py").write_text(init)
    return tmp_path


@pytest.mark.slow
def test_a_process_is_one_file_and_one_line(house):
    def run(*words):
        environment = os.environ | {"PYTHONPATH": str(house), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-m", "seqdiff", *words], cwd=house, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    small = ["process={kind: spans}", "denoiser={kind: convolution, width: 8, hidden: 4, depth: 2}", "data.context=64",
             "training.steps=3", "training.warmup_steps=1", "training.validation_windows=4"]  # fmt: skip
    run("train", "demo", "--out", "run", "-q", *(word for setting in small for word in ("--set", setting)))
    assert "kind: spans" in (house / "run" / "recipe.yaml").read_text()
    assert run("sample", "--model", "run", "--length", "20").startswith(">sample1")
