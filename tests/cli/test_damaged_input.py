"""Damaged input through whole commands: done, or one message; the previous output whole, nothing beside it."""

import tempfile
from pathlib import Path

import pytest
from damage import damaged
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from seqdiff import model as models
from seqdiff.cli import app

COMMANDS = {
    "infill": ["infill", "--steps", "1", "-q"],
    "fastq": ["infill", "--steps", "1", "-q", "--format", "fastq"],
    "soft": ["infill", "--steps", "1", "-q", "--soft-evidence"],
    "exact": ["infill", "--steps", "1", "-q", "--exact-evidence", "--particles", "2"],
    "design": ["infill", "-q", "--forbid", "EcoRI", "--gc", "0-1", "--particles", "1"],
    "region": ["infill", "--steps", "1", "-q", "--region", "a:2-3"],
    "score": ["score", "--draws", "2", "-q"],
    "score a region": ["score", "--method", "pseudo", "-q", "--region", "a:2-3"],
}


@pytest.fixture(scope="module", autouse=True)
def loaded_once():
    model = models.load(device="cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "load", lambda run, device: model)
        yield


@settings(max_examples=250, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=damaged(), command=st.sampled_from(sorted(COMMANDS)), duplicates=st.sampled_from(["error", "rename"]))
def test_a_command_ends_well_or_with_one_message(data, command, duplicates):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").write_bytes(data)
        (folder / "out").write_text("precious")
        arguments = ["--fasta", folder / "in", "-o", folder / "out", "--duplicates", duplicates]
        result = CliRunner().invoke(app, [*COMMANDS[command], *map(str, arguments)])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert {p.name for p in folder.iterdir()} == {"in", "out"}
        if result.exit_code:
            assert result.exit_code == 1
            assert result.stderr.startswith("seqdiff: ")
            assert "seqdiff: error: " in result.stderr
            assert (folder / "out").read_text() == "precious"
        else:
            assert (folder / "out").read_bytes() != b"precious"
        assert result.stdout == ""
