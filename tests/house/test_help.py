"""Every command explains itself, with an example that parses."""

import re
import shlex

import pytest
from commands import commands
from typer.testing import CliRunner

from seqdiff.cli import app
from seqdiff.config import members
from seqdiff.imports import FormatConfig


@pytest.mark.parametrize(
    ("path", "command"), list(commands()), ids=lambda v: " ".join(v) if isinstance(v, tuple) else ""
)
def test_every_help_has_an_example_that_parses(path, command):
    result = CliRunner().invoke(app, [*path, "--help"])
    assert result.exit_code == 0
    example = " ".join(result.stdout.split("Example:")[1].split("\n\n")[0].split())  # long ones are wrapped
    words = shlex.split(example)
    assert tuple(words[: len(path) + 1]) == ("seqdiff", *path)
    command.make_context(" ".join(path), words[len(path) + 1 :])  # raises for an unknown option


def test_import_explains_every_format():
    """By hand, since no help waits for torch, which the formats need."""
    described = CliRunner().invoke(app, ["import", "--help"]).stdout.split("Example:")[0]
    assert re.findall(r"^ +([\w-]+): ", described, re.M) == list(members(FormatConfig))


def test_the_version():
    import seqdiff

    result = CliRunner().invoke(app, ["--version"])
    assert result.stdout == f"seqdiff {seqdiff.__version__}\n"
