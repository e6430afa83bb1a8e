import importlib.util
import subprocess
import sys

import pytest
import torch
from scans import arguments

from seqdiff.denoisers import kernels, paths
from seqdiff.denoisers.scan import cuda, selective_scan
from seqdiff.errors import ConfigError

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def nothing_asked_for(monkeypatch):
    monkeypatch.delenv(paths.VARIABLE, raising=False)
    monkeypatch.setattr(paths, "_said", set())


@pytest.fixture
def with_kernels(monkeypatch):
    monkeypatch.setattr(kernels, "unavailable", lambda: None)


@pytest.fixture
def without_kernels(monkeypatch):
    monkeypatch.setattr(kernels, "unavailable", lambda: "numba is not installed: pip install numba")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_cpus_take_the_kernels(with_kernels, dtype):
    assert paths.choose(CPU, dtype) == ("cpu", "fused kernels")


def test_double_precision_is_for_checking(with_kernels, monkeypatch):
    monkeypatch.setenv(paths.VARIABLE, "cpu")
    for device in (CPU, GPU):
        assert paths.choose(device, torch.float64).name == "reference"


def test_without_kernels_plain_torch_takes_over_and_says_so_once(without_kernels, caplog):
    for _ in range(3):
        path = paths.choose(CPU, torch.float32)
    assert path == ("reference", "numba is not installed: pip install numba")
    assert caplog.text.count("pip install numba") == 1


def test_a_path_that_was_asked_for_is_taken_in_silence(with_kernels, monkeypatch, caplog):
    monkeypatch.setenv(paths.VARIABLE, "reference")
    assert paths.choose(CPU, torch.float32) == ("reference", "it was asked for")
    monkeypatch.setenv(paths.VARIABLE, "auto")
    assert paths.choose(CPU, torch.float32).name == "cpu"
    assert not caplog.text


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("fast", "SEQDIFF_PATH=fast: choose one of auto, reference, cpu, cuda"),
        ("cpu", "SEQDIFF_PATH=cpu cannot be: numba is not installed"),
        ("cuda", "SEQDIFF_PATH=cuda cannot be: tensors are on cpu"),
    ],
)
def test_a_path_that_cannot_be_is_an_error(without_kernels, monkeypatch, word, message):
    monkeypatch.setenv(paths.VARIABLE, word)
    with pytest.raises(ConfigError, match=message):
        paths.choose(CPU, torch.float32)


def test_use_is_for_a_while(with_kernels, monkeypatch):
    monkeypatch.setenv(paths.VARIABLE, "cpu")
    with paths.use("reference"):
        assert paths.choose(CPU, torch.float32).name == "reference"
        with paths.use("cpu"):
            assert paths.choose(CPU, torch.float32).name == "cpu"
        assert paths.choose(CPU, torch.float32).name == "reference"
    assert paths.choose(CPU, torch.float32).name == "cpu"


def test_use_of_what_is_not_there_is_an_error(without_kernels):
    with pytest.raises(ConfigError, match="the path cpu cannot be taken: numba is not installed"), paths.use("cpu"):
        pass


def test_the_dispatch_goes_where_the_choice_says(monkeypatch):
    given = {name: tensor.detach() for name, tensor in arguments(3).items()}
    monkeypatch.setattr(paths, "choose", lambda device, dtype: paths.Path("cuda", ""))
    monkeypatch.setattr(cuda, "selective_scan", lambda *args, **settings: "from there")
    assert selective_scan(**given) == "from there"


@pytest.mark.skipif(importlib.util.find_spec("mamba_ssm") is not None, reason="mamba-ssm is installed")
def test_a_gpu_without_mamba_ssm_takes_plain_torch(caplog):
    cuda._import.cache_clear()
    path = paths.choose(GPU, torch.float32)
    assert path.name == "reference"
    assert path.why.startswith("mamba-ssm is not installed")


def test_importing_seqdiff_imports_nothing_optional():
    code = """if True:
        import sys
        import seqdiff.cli, seqdiff.model, seqdiff.train.loop
        names = ("torch._dynamo", "numba", "mamba_ssm", "causal_conv1d", "triton", "einops")
        print([name for name in names if name in sys.modules])
    """
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
