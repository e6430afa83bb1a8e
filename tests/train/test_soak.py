"""The soak test, of which `make soak` is an hour, with two of its hazards and the SIGTERM at its end."""

import subprocess
import sys
from pathlib import Path

SOAK = Path(__file__).parents[1] / "soak.py"


def test_a_training_that_is_disturbed_ends_as_one_that_is_not(tmp_path):
    hazards = ["save", "truncate"]
    done = subprocess.run(
        [sys.executable, SOAK, "--out", tmp_path / "soak", "--width", "16", "--every", "0.3", "--hazards", *hazards],
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same to the last bit" in done.stdout
    assert all(f"{hazard:<8} at step" in done.stdout for hazard in hazards)
