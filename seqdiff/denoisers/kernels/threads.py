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

_forked = False


def run(function: int, shared: int, tasks: int) -> None:
    """Call the function at an address, with an address, on torch's number of threads or, for one task, on this one.

    Other Python threads go on meanwhile, and may do the same.
    """
    threads = torch.get_num_threads()
    parallel = _parallel() if threads > 1 and tasks > 1 and not _forked else None
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
    logger.info("torch comes without OpenMP: the CPU kernels run on one thread")
    return None


def _mark_child() -> None:
    global _forked
    _forked = True


os.register_at_fork(after_in_child=_mark_child)
