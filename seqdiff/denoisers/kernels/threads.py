"""On which threads a kernel runs: those of torch's own OpenMP, so that the two never fight for the cores.

GCC's, LLVM's and Intel's OpenMP all have GOMP_parallel, which runs one C function on many threads. In a process that
was forked, GCC's waits for threads that the fork did not copy: there a kernel runs on the calling thread alone.
"""

import ctypes
import functools
import logging
import os
from collections.abc import Callable

import torch

logger = logging.getLogger("seqdiff")

FORKED = "this process was forked, and the threads of OpenMP do not come along"
NO_OPENMP = "torch comes without OpenMP"

_forked = False
_said = False


def described() -> str:
    """On how many threads kernels run now, and why on one alone where torch has more."""
    threads = torch.get_num_threads()
    if threads > 1 and _forked:
        return f"1 thread, for {FORKED}"
    if threads > 1 and _parallel() is None:
        return f"1 thread, for {NO_OPENMP}"
    return f"{threads} threads" if threads > 1 else "1 thread"


def run(function: int, shared: int, tasks: int) -> None:
    """Call the function at an address, with an address, on torch's number of threads or, for one task, on this one.

    Other Python threads go on meanwhile, and may do the same.
    """
    threads = torch.get_num_threads()
    several = threads > 1 and tasks > 1
    if several and _forked:
        _say()
    parallel = _parallel() if several and not _forked else None
    if parallel is None:
        _ONE(function)(shared)
    else:
        # As many as torch takes even for fewer tasks: GCC's OpenMP ends the threads that a smaller team leaves over.
        parallel(function, shared, threads, 0)


_ONE = ctypes.CFUNCTYPE(None, ctypes.c_int64)


@functools.cache
def _parallel() -> Callable[[int, int, int, int], None] | None:
    """GOMP_parallel of the OpenMP that torch itself is linked with, or None."""
    for library in (torch._C.__file__, None):
        try:
            found = ctypes.CDLL(library).GOMP_parallel
        except (OSError, AttributeError):
            continue
        found.restype, found.argtypes = None, (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
        return found
    logger.info("%s: the CPU kernels run on one thread", NO_OPENMP)
    return None


def _say() -> None:
    """Once in each child."""
    global _said
    if not _said:
        _said = True
        logger.info("%s: the CPU kernels run on one thread in it", FORKED)


def _mark_child() -> None:
    global _forked, _said
    _forked, _said = True, False


os.register_at_fork(after_in_child=_mark_child)
