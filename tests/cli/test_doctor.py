from types import SimpleNamespace

import mamba_stand_in
import pytest
import torch
from typer.testing import CliRunner

from seqdiff import __version__, allocator
from seqdiff.cli import app
from seqdiff.denoisers import kernels, paths
from seqdiff.denoisers.scan import cuda


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    for name in (paths.VARIABLE, allocator.VARIABLE, "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)


def run(*words):
    result = CliRunner().invoke(app, words)
    return result, dict(line.split(None, 1) for line in result.stdout.replace("scan on ", "scan-on-").splitlines())


def test_it_says_what_computes_the_scan_and_why(monkeypatch):
    monkeypatch.setattr(kernels, "unavailable", lambda: "numba is not installed: pip install numba")
    result, facts = run("doctor")
    assert result.exit_code == 0
    assert not result.stderr
    assert facts["scan-on-cpu"] == "reference: numba is not installed: pip install numba"
    assert facts["seqdiff"].startswith(__version__)
    assert facts["torch"] == torch.__version__
    assert int(facts["threads"].split()[0]) == torch.get_num_threads()
    monkeypatch.setattr(kernels, "unavailable", lambda: None)
    monkeypatch.setattr(kernels, "described", lambda: "vectors of 8 floats, 2 threads")
    assert run("doctor")[1]["scan-on-cpu"] == "cpu: fused kernels, vectors of 8 floats, 2 threads"


def test_what_the_environment_asks_for_is_shown(monkeypatch):
    monkeypatch.setenv(paths.VARIABLE, "reference")
    monkeypatch.setenv(allocator.VARIABLE, "system")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    _, facts = run("doctor")
    assert facts["scan-on-cpu"] == "reference: it was asked for (SEQDIFF_PATH=reference)"
    assert facts["memory"] == "freed memory goes back to the system: SEQDIFF_MALLOC=system"
    assert facts["threads"].endswith("(OMP_NUM_THREADS=3)")


def test_an_empty_variable_is_as_good_as_none(monkeypatch):
    monkeypatch.setenv(paths.VARIABLE, "")
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    assert "(SEQDIFF_PATH" not in run("doctor")[1]["scan-on-cpu"]
    assert run("doctor")[1]["threads"].endswith(" cores")


def test_what_cannot_run_is_shown_and_is_a_failure(monkeypatch):
    monkeypatch.setenv(paths.VARIABLE, "cuda")
    result, facts = run("doctor")
    assert result.exit_code == 1
    assert run("--version", "-v")[0].exit_code == 1
    assert facts["scan-on-cpu"] == "cannot run: SEQDIFF_PATH=cuda cannot be: tensors are on cpu"


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        (paths.VARIABLE, "SEQDIFF_PATH=fast: choose one of auto, reference, cpu, cuda"),
        (allocator.VARIABLE, "SEQDIFF_MALLOC=fast: choose keep or system"),
    ],
)
def test_a_word_that_is_no_choice_is_wrong_usage(monkeypatch, variable, message):
    monkeypatch.setenv(variable, "fast")
    for words in (["doctor"], ["--version", "-v"]):
        result, _ = run(*words)
        assert result.exit_code == 2
        assert message in result.stderr


def test_every_gpu_is_listed(monkeypatch):
    about = SimpleNamespace(name="NVIDIA H100", total_memory=80 * 2**30, major=9, minor=0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: about)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    mamba_stand_in.install(monkeypatch)
    cuda._import.cache_clear()
    _, facts = run("doctor")
    cuda._import.cache_clear()
    for name in ("cuda:0", "cuda:1"):
        assert facts[name] == "NVIDIA H100, 80 GiB, sm_90, bfloat16"
        assert facts[f"scan-on-{name}"] == "cuda: mamba-ssm and causal-conv1d"


def test_the_version_in_short(monkeypatch):
    monkeypatch.setattr(kernels, "unavailable", lambda: None)
    monkeypatch.setattr(kernels, "described", lambda: "vectors of 8 floats, 2 threads")
    result, facts = run("--version", "-v")
    assert result.exit_code == 0
    assert facts["seqdiff"] == __version__
    assert facts["torch"] == torch.__version__
    assert facts["scan-on-cpu:"] == "path cpu, fused kernels, vectors of 8 floats, 2 threads"
    assert "memory" not in facts


def test_verbose_alone_is_wrong_usage():
    result = CliRunner().invoke(app, ["-v", "doctor"])
    assert result.exit_code == 2
    assert "-v belongs behind the command" in result.stderr
