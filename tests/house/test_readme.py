"""The README and its pages are true: commands parse, targets and links exist. test_docs.py runs the commands."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from seqdiff.cli import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [block for page in PAGES for block in re.findall(r"```(?:bash|sh|console)\n(.*?)```", page.read_text(), re.S)]
LINKS = [
    pytest.param(page.parent / link, id=f"{page.name}-{link}")
    for page in PAGES
    for link in re.findall(r"\]\((?!http|#)([^)#]+)\)", page.read_text())
]
LINES = [line.split("  #")[0].strip() for block in BLOCKS for line in block.replace("\\\n", " ").splitlines()]
COMMANDS = [line[line.index("seqdiff ") :] for line in LINES if re.match(r"(torchrun .*-m )?seqdiff ", line)]
MADE = [word for line in LINES if line.startswith("make ") for word in shlex.split(line)[1:]]
TARGETS = [word for word in MADE if "=" not in word]


def test_the_pages_show_commands():
    assert len(COMMANDS) >= 5
    assert {"demo", "test"} <= set(TARGETS)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_seqdiff_command_of_the_pages_parses(line):
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
def test_every_make_target_of_the_pages_exists(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M)


@pytest.mark.parametrize("link", LINKS)
def test_every_file_that_is_linked_to_exists(link):
    assert link.exists()


def test_the_readme_leads_to_every_page():
    linked = set(re.findall(r"\]\((docs/[^)#]+\.md)\)", PAGES[0].read_text()))
    assert linked == {f"docs/{page.name}" for page in PAGES[1:]}
