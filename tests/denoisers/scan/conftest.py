from typing import NamedTuple

import mamba_stand_in
import pytest
import torch

from seqdiff.denoisers import kernels
from seqdiff.denoisers.scan import cuda, reference


class Computes(NamedTuple):
    """A path's two functions, and where its tensors are."""

    selective_scan: object
    mix: object
    device: str = "cpu"


@pytest.fixture
def stand_in(monkeypatch):
    """mamba-ssm and causal-conv1d as torch can do them, with all their demands."""
    cuda._import.cache_clear()
    mamba_stand_in.install(monkeypatch)
    yield mamba_stand_in
    cuda._import.cache_clear()


@pytest.fixture(params=["reference", "cpu", "cuda with a stand-in", "cuda"])
def path(request):
    """Every path that exists here."""
    match request.param:
        case "reference":
            return Computes(reference.selective_scan, reference.mix)
        case "cpu":
            if reason := kernels.unavailable():
                pytest.skip(reason)
            from seqdiff.denoisers.scan import cpu

            return Computes(cpu.selective_scan, cpu.mix)
        case "cuda":
            if not torch.cuda.is_available() or cuda.unavailable():
                pytest.skip("no GPU with mamba-ssm")
            return Computes(cuda.selective_scan, cuda.mix, "cuda")
        case _:
            request.getfixturevalue("stand_in")
            return Computes(cuda.selective_scan, cuda.mix)
