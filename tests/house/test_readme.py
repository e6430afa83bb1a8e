"""The README is true: its commands parse, those on files that are there run, its targets and links exist."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from seqdiff.cli import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(?:bash|sh|console)\n(.*?)```", README, re.S)
LINES = [line.split("  #")[0].strip() for block in BLOCKS for line in block.replace("\\\n", " ").splitlines()]
COMMANDS = [line[line.index("seqdiff ") :] for line in LINES if re.match(r"(torchrun .*-m )?seqdiff ", line)]
TARGETS = [target for line in LINES if line.startswith("make ") for target in line.split()[1:] if "=" not in target]


def test_the_readme_shows_commands():
    assert len(COMMANDS) >= 5
    assert {"demo", "test"} <= set(TARGETS)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_seqdiff_command_of_the_readme_parses(line):
    words = shlex.split(line)[1:]
    words = words[: next((i for i, w in enumerate(words) if w in (">", "|", "<", "2>")), len(words))]
    command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        name, *words = words
        if name.startswith("-"):
            return
        command = command.commands[name]
    command.make_context(line, words)


@pytest.mark.parametrize("line", [c for c in COMMANDS if "genomes/examples/" in c or c.startswith("seqdiff sample")])
def test_commands_on_files_that_are_there_run(line, tmp_path):
    (tmp_path / "genomes").symlink_to(ROOT / "genomes")
    words = [sys.executable, "-m", *shlex.split(line)]
    result = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert result.stdout or [p for p in tmp_path.iterdir() if p.name != "genomes"]


@pytest.mark.parametrize("target", TARGETS)
def test_every_make_target_of_the_readme_exists(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M)


@pytest.mark.parametrize("link", re.findall(r"\]\((?!http|#)([^)#]+)\)", README))
def test_every_file_the_readme_links_to_exists(link):
    assert (ROOT / link).exists()
