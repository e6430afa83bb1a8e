"""Where tensors are computed: a device by name, the number of threads, what a precision may be."""

import logging

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


def make_deterministic(device: torch.device) -> None:
    """Ask cuDNN for the same result every time, so that a resumed run on one GPU follows the same curve."""
    if device.type == "cuda":
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """The dtype of autocast, or None for plain float32. bfloat16 on a CPU is slower, so it falls back, loudly."""
    if precision == "float32":
        return None
    if device.type == "cpu":
        logger.warning("precision bfloat16 is for GPUs; on this CPU the run uses float32")
        return None
    return torch.bfloat16
