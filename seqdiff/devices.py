"""Where tensors are computed: a device by name, the number of threads, what a precision may be."""

import contextlib
import logging
import os
import platform
import resource
from pathlib import Path

import torch

from seqdiff.errors import UsageError

logger = logging.getLogger("seqdiff")


def find(name: str = "auto") -> torch.device:
    """`auto` is the first GPU if there is one, else the CPU. UsageError for a device that is not here.

    >>> find("cpu")
    device(type='cpu')
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda"):
            raise RuntimeError("only CPUs and CUDA GPUs are supported")
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0].split(": ")[-1][:100]
        raise UsageError(f"--device {name}: not usable here ({reason}); use cpu, cuda, cuda:N or auto") from error
    return device


def name(device: torch.device) -> str:
    """What computes, for people: `the CPU`, or what its maker calls a GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU"


def memory(device: torch.device) -> int | None:
    """Bytes of memory that the device has, or this process may use of it; None where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    limits = []
    with contextlib.suppress(ValueError, OSError, AttributeError):
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with contextlib.suppress(ValueError, OSError):  # of a container; "max" where it has none
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(limits, default=None)


def peak_memory(device: torch.device) -> int:
    """Bytes of memory that this process has taken so far at most: of a GPU, in tensors there; else all of its own."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if platform.system() == "Darwin" else most * 1024  # there in bytes, elsewhere in KiB


def make_deterministic(device: torch.device) -> None:
    """Ask cuDNN for the same result every time, so that a resumed run on one GPU follows the same curve."""
    if device.type == "cuda":
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """The dtype of autocast, or None for plain float32, to which bfloat16 falls back, loudly, where it is emulated.

    A CPU with bfloat16 of its own trained the transformer (.7M and 3.2M parameters) 1.6 times and the convolution
    (.45M) 1.4 times as fast as in float32; on one without, everything took 9.7 times as long.
    """
    if precision == "float32":
        return None
    if device.type == "cpu" and not has_bfloat16():
        logger.warning(
            "precision bfloat16 is emulated on this CPU, many times slower than float32: the run uses float32"
        )
        return None
    return torch.bfloat16


def has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 itself: AVX-512 BF16 or AMX on x86, BF16 on Arm."""
    # oneDNN's own answer (mkldnn._is_mkldnn_bf16_supported) is yes for every AVX-512, where it emulates.
    if platform.machine() in ("aarch64", "arm64"):
        return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    # torch has no public name for it in every version: where these are missing, float32 is the safe answer.
    asked = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(supported() for supported in asked if supported)
