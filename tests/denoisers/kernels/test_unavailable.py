import os
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from seqdiff.denoisers import kernels
from seqdiff.denoisers.kernels import probe


@pytest.fixture(autouse=True)
def asked_anew():
    kernels.unavailable.cache_clear()
    yield
    kernels.unavailable.cache_clear()


def test_here_they_can_be_used():
    assert kernels.unavailable() is None
    assert Path(kernels.cache()).is_dir()


def test_without_numba(monkeypatch):
    def absent(package):
        raise PackageNotFoundError(package)

    monkeypatch.setattr(kernels, "version", absent)
    assert kernels.unavailable() == "numba is not installed: pip install numba"
    assert kernels.cache() == "nothing is compiled: numba is not installed: pip install numba"


@pytest.mark.parametrize("found", ["0.50.1", "0.61.2", "0.61.0rc1"])
def test_with_an_old_numba(monkeypatch, found):
    monkeypatch.setattr(kernels, "version", lambda package: found)
    assert kernels.unavailable() == f"numba {found} is too old: pip install 'numba>=0.62'"


def test_the_oldest_numba_is_the_one_that_is_installed_with_us():
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert f"numba>={kernels.OLDEST[0]}.{kernels.OLDEST[1]}" in project["dependencies"]


def test_kernels_that_compute_nonsense_are_not_used(monkeypatch):
    monkeypatch.setattr(probe, "forward", lambda *given: None)
    assert kernels.unavailable().startswith("the CPU kernels do not work here (softplus and its slope at")


SCAN = """if True:
    import logging, torch
    logging.basicConfig(format="%(message)s")
    from seqdiff.denoisers.scan import selective_scan
    one = torch.ones(1, 1, 3)
    for _ in range(2):
        print(selective_scan(one, one, torch.zeros(1, 1), one, one).tolist())
"""


def run(code, **environment):
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=os.environ | environment
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout, finished.stderr


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ('raise ImportError("Numba needs NumPy 2.5 or less. Got NumPy 2.6.")', "ImportError: Numba needs NumPy 2.5"),
        ('raise SystemError("initialization of _internal failed")', "SystemError: initialization of _internal failed"),
        ("", "AttributeError: module 'numba' has no attribute 'config'"),
    ],
)
def test_a_numba_that_does_not_fit_its_neighbours_is_a_reason_said_once(tmp_path, source, reason):
    (tmp_path / "numba").mkdir()
    (tmp_path / "numba" / "__init__.py").write_text(source)
    found = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    out, err = run(SCAN, PYTHONPATH=found, SEQDIFF_CACHE=str(tmp_path / "cache"))
    assert out == 2 * "[[[1.0, 2.0, 3.0]]]\n"
    assert err.count("\n") == 1
    assert f"plain torch, which is many times slower: the CPU kernels do not work here ({reason}" in err


def test_so_is_a_numba_that_was_told_not_to_compile(tmp_path):
    _, err = run(SCAN, NUMBA_DISABLE_JIT="1", SEQDIFF_CACHE=str(tmp_path))
    assert "NUMBA_DISABLE_JIT is set" in err


def test_importing_the_package_imports_no_compiler():
    code = "import sys, seqdiff.denoisers.kernels; print([n for n in ('numba', 'llvmlite') if n in sys.modules])"
    assert run(code) == ("[]\n", "")
