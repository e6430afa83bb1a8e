"""The commands that the README shows run, in a folder with nothing in it."""

import re
import shlex
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


@pytest.mark.parametrize("target", TARGETS)
def test_every_make_target_of_the_readme_exists(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M)


@pytest.mark.parametrize("link", re.findall(r"\]\((?!http|#)([^)#]+)\)", README))
def test_every_file_the_readme_links_to_exists(link):
    assert (ROOT / link).exists()
