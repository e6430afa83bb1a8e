from pathlib import Path

import pytest
import torch

from seqdiff import devices
from seqdiff.errors import UsageError


def test_auto_is_what_is_there():
    assert devices.find("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["warp-drive", "cuda:99", "xla", ""])
def test_a_device_that_is_not_here_is_wrong_usage(name):
    with pytest.raises(UsageError, match="not usable here"):
        devices.find(name)


CPU, GPU = torch.device("cpu"), torch.device("cuda")


def test_bfloat16_that_a_cpu_emulates_falls_back_and_says_so(monkeypatch, caplog):
    monkeypatch.setattr(devices, "has_bfloat16", lambda: False)
    assert devices.autocast_dtype("bfloat16", CPU) is None
    assert "the run uses float32" in caplog.text
    assert devices.autocast_dtype("bfloat16", GPU) == torch.bfloat16


def test_bfloat16_of_the_cpus_own_is_used(monkeypatch, caplog):
    monkeypatch.setattr(devices, "has_bfloat16", lambda: True)
    assert devices.autocast_dtype("bfloat16", CPU) == torch.bfloat16
    assert not caplog.text


def test_float32_is_no_autocast():
    assert devices.autocast_dtype("float32", CPU) is None
    assert devices.autocast_dtype("float32", GPU) is None


@pytest.mark.parametrize(
    ("machine", "avx512_bf16", "amx", "onednn", "has"),
    [
        ("x86_64", False, False, True, False),  # AVX-512 without BF16: oneDNN says yes and emulates
        ("x86_64", True, False, True, True),
        ("x86_64", False, True, True, True),
        ("aarch64", False, False, True, True),
        ("aarch64", False, False, False, False),
    ],
)
def test_what_multiplies_bfloat16(monkeypatch, machine, avx512_bf16, amx, onednn, has):
    monkeypatch.setattr(devices.platform, "machine", lambda: machine)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: onednn)
    assert devices.has_bfloat16() == has


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="no /proc/cpuinfo")
def test_this_cpu_is_what_the_system_says():
    flags = Path("/proc/cpuinfo").read_text().split()
    assert devices.has_bfloat16() == bool({"avx512_bf16", "amx_bf16", "bf16"} & set(flags))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux says it in a file as well")
def test_the_memory_of_this_process_is_in_bytes_and_the_most_there_was():
    found = devices.peak_memory(CPU)
    (most,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    assert found == pytest.approx(int(most.split()[1]) * 1024, rel=0.05)
