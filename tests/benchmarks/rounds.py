"""Timing by turns: every contender once a round, so that whatever slows the machine slows them all.

Ratios are taken within a round and summed up by their median; the fastest and the slowest round stand beside it.
"""

import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from seqdiff import allocator


def prepare(threads: int, *, keep_freed: bool) -> None:
    """Threads, and whether memory is kept as seqdiff's commands do; what else runs in the process then has it too.

    That alone makes rivals in plain torch up to three times as fast: their tensors are the largest.
    """
    torch.set_num_threads(threads)
    if keep_freed:
        allocator.keep_freed()


def interleaved(contenders: dict[str, Callable[[], object]], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Seconds a call, for each contender a list with one entry a round.

    A turn is as many calls as fit into `seconds`, at least one. A first call of each, which may compile, is not
    counted.
    """
    for call in contenders.values():
        call()
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, call in contenders.items():
            calls, begin = 0, time.perf_counter()
            while calls == 0 or time.perf_counter() - begin < seconds:
                call()
                calls += 1
            taken[name].append((time.perf_counter() - begin) / calls)
    return taken


def summary(values: list[float], digits: int = 2) -> str:
    """The median of the rounds, and their range.

    >>> summary([2000.0, 3000.0, 4500.0], digits=0)
    '3,000 (2,000 to 4,500)'
    """
    middle, low, high = (f"{value:,.{digits}f}" for value in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({low} to {high})"


def ratio(slower: list[float], faster: list[float]) -> str:
    """How many times as fast: a `summary` of the ratios in each round."""
    return summary([one / other for one, other in zip(slower, faster, strict=True)])


def milliseconds(times: list[float]) -> str:
    """The median."""
    return f"{1000 * statistics.median(times):9.1f} ms"


def machine() -> str:
    """One line to print beside the figures: what they were measured on, and how busy it was."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = ", ".join(f"{one:.2f}" for one in os.getloadavg())
    here = f"{processor()}, {cores} cores, load {load}; torch {torch.__version__}, {torch.get_num_threads()} threads"
    return f"{here}; {allocator.status()}"


def processor() -> str:
    """The processor's name where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
