"""seqdiff doctor"""

import logging
import os
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from seqdiff import __version__, allocator
from seqdiff.cli import options
from seqdiff.errors import ConfigError

if TYPE_CHECKING:
    import torch

PACKAGES = ("torch", "numpy", "numba", "mamba-ssm", "causal-conv1d")


def command() -> None:
    """Say what seqdiff runs on here: versions, devices, which code computes the selective scan, and why.

    Put its output into a bug report. The exit code is 1 if a device cannot be used as it was asked for, and 2
    if what was asked for (SEQDIFF_PATH, SEQDIFF_MALLOC) is no choice at all.

    Example: seqdiff doctor
    """
    options.start(threads=None, quiet=True, verbose=False)
    logging.getLogger("seqdiff").setLevel(logging.ERROR)  # what it would warn of is said in the list
    refused = False
    for name, value in _facts():
        print(f"{name:<16}{value}")
        refused |= value.startswith(REFUSED)
    if refused:
        raise typer.Exit(1)


def brief() -> None:
    """The same in a few lines, and with the same exit code, for `seqdiff --version -v`."""
    logging.getLogger("seqdiff").setLevel(logging.ERROR)
    refused = False
    for name, value in _facts():
        if name.startswith("scan on"):
            failed = value.startswith(REFUSED)
            refused |= failed
            print(f"{name}: {value if failed else 'path ' + value.replace(': ', ', ', 1)}")
        elif name in ("python", *PACKAGES):
            print(f"{name} {value}")
    if refused:
        raise typer.Exit(1)


REFUSED = "cannot run: "


def _facts() -> Iterator[tuple[str, str]]:
    import torch

    from seqdiff import devices
    from seqdiff.denoisers import kernels

    yield "seqdiff", f"{__version__} in {Path(__file__).parents[1]}"
    yield "python", f"{platform.python_version()} ({sys.executable})"
    yield "platform", platform.platform()
    for package in PACKAGES:
        yield package, _version(package)
    capability = torch.backends.cpu.get_cpu_capability()
    bfloat16 = "bfloat16 of its own" if devices.has_bfloat16() else "no bfloat16 of its own: float32 instead"
    yield "cpu", f"{_cpu_name()}, {capability}, {bfloat16}"
    yield "threads", f"{torch.get_num_threads()} on {_cores()} cores{_set('OMP_NUM_THREADS')}"
    yield "scan on cpu", _scan(torch.device("cpu"))
    yield "kernel cache", kernels.cache()
    yield "memory", allocator.status()
    if not torch.cuda.is_available():
        built = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
        yield "gpu", f"none found; this torch was built {built}"
    for i in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(i)
        own = "bfloat16" if torch.cuda.get_device_capability(i) >= (8, 0) else "no bfloat16 of its own"
        yield f"cuda:{i}", f"{about.name}, {about.total_memory / 2**30:.0f} GiB, sm_{about.major}{about.minor}, {own}"
        yield f"scan on cuda:{i}", _scan(torch.device("cuda", i))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _scan(device: "torch.device") -> str:
    import torch

    from seqdiff.denoisers import kernels, paths

    # Double precision is computed whatever path is asked for: what this raises is a word that names none.
    paths.choose(device, torch.float64)
    try:
        name, why = paths.choose(device, torch.float32)
    except ConfigError as error:
        return f"{REFUSED}{error}"
    if name == "cpu":
        why = f"{why}, {kernels.described()}"
    return f"{name}: {why}{_set(paths.VARIABLE)}"


def _set(variable: str) -> str:
    return f" ({variable}={os.environ[variable]})" if os.environ.get(variable) else ""


def _cores() -> int:
    """Those that this process may use: a job of a cluster has fewer than the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
