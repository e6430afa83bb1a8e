"""A folder to start workflows in: a tiny genome, a tiny model, and seqdiff as a command that writes down its calls."""

import importlib.util
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from stories import SETTINGS, tiny_recipe, write_genome
from typer.testing import CliRunner

from seqdiff.cli import app
from seqdiff.train.loop import train

if importlib.util.find_spec("snakemake") is None:  # `make test` installs it
    collect_ignore_glob = ["*"]

PIPELINES = Path(__file__).parents[2] / "pipelines"
BIN = Path(sys.executable).parent

# Writes down how it was called, and fails where the file `fail` names a word of the call.
CALLED = f"""#!/bin/sh
echo "$*" >> calls.txt
if [ -e fail ]; then
  case "$*" in *"$(cat fail)"*) echo "loading" >&2; echo "seqdiff: error: no space left on device" >&2; exit 1;; esac
fi
exec {BIN}/seqdiff "$@"
"""


class Project:
    """A folder of someone who runs workflows."""

    def __init__(self, path: Path):
        self.path = path
        (path / "bin").mkdir()
        self.command("seqdiff", CALLED)

    def command(self, name: str, text: str) -> None:
        """A program that is found first."""
        file = self.path / "bin" / name
        file.write_text(text)
        file.chmod(file.stat().st_mode | stat.S_IXUSR)

    def config(self, **values: object) -> Path:
        path = self.path / "config.yaml"
        path.write_text(yaml.safe_dump({"threads": 1, "device": "cpu", "mem_mb": 1000} | values))
        return path

    def words(self, *words: str, profile: str = "default", cores: int = 1) -> list[str]:
        """A command line of snakemake, as `make pipeline` gives it, with config.yaml."""
        config = [] if "--configfile" in words else ["--configfile", "config.yaml"]
        local = ["--cores", str(cores)] if profile == "default" else []
        profile_words = ["--workflow-profile", str(PIPELINES / "profiles" / profile)]
        return [
            sys.executable, "-m", "snakemake", "--snakefile", str(PIPELINES / "Snakefile"),
            *profile_words, *local, *config, *words,
        ]  # fmt: skip

    @property
    def environment(self) -> dict[str, str]:
        paths = os.pathsep.join([str(self.path / "bin"), str(BIN), os.environ["PATH"]])
        return os.environ | {"PATH": paths, "OMP_NUM_THREADS": "1"}

    def snakemake(self, *words: str, code: int | None = 0, env: dict[str, str] | None = None, **how: object) -> str:
        """What snakemake said, on either stream."""
        done = subprocess.run(
            self.words(*words, **how), cwd=self.path, env=self.environment | (env or {}), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=900,
        )  # fmt: skip
        assert code is None or done.returncode == code, done.stdout
        return done.stdout

    def killed(self, when: Callable[[], bool]) -> None:
        """Start the workflow and kill it, with all of its processes, as soon as something is so."""
        with subprocess.Popen(
            self.words(), cwd=self.path, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:  # fmt: skip
            until = time.monotonic() + 600
            while not when():
                assert process.poll() is None, "the workflow ended before it could be killed"
                assert time.monotonic() < until
                time.sleep(0.01)
            os.killpg(process.pid, signal.SIGKILL)

    def calls(self) -> list[str]:
        """How seqdiff was called since the last time this was asked."""
        file = self.path / "calls.txt"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return lines

    def seqdiff(self, *words: str) -> None:
        """The command itself, in this process, in the folder."""
        here = os.getcwd()
        os.chdir(self.path)
        try:
            result = CliRunner().invoke(app, [*map(str, words), "-q"])
        finally:
            os.chdir(here)
        assert result.exit_code == 0, result.output

    def bytes(self, name: str) -> bytes:
        return (self.path / name).read_bytes()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """A run directory."""
    folder = tmp_path_factory.mktemp("model")
    train(tiny_recipe(write_genome(folder / "genome.fa")), folder / "run", device="cpu", quiet=True)
    return folder / "run"


@pytest.fixture
def project(tmp_path):
    write_genome(tmp_path / "genome.fa")
    return Project(tmp_path)


@pytest.fixture
def recipe_file(project):
    """A recipe of a short training, with a save early on."""
    training = SETTINGS["training"] | {"steps": 300, "save_every": 20, "validate_every": 20}
    data = {"kind": "dna", "fasta": "elsewhere.fa", "context": 32, "splits": {"valid": 0.1, "test": 0.1}}
    path = project.path / "tiny.yaml"
    path.write_text(yaml.safe_dump(SETTINGS | {"data": data, "training": training}))
    return path
