"""Fused kernels for CPUs: written in numba, so that nobody needs a compiler."""

import functools
import logging
import re
from importlib.metadata import PackageNotFoundError, version

# Its fork handler has to be there before anything forks.
from seqdiff.denoisers.kernels import threads as threads
from seqdiff.errors import SeqdiffError

logger = logging.getLogger("seqdiff")

OLDEST = (0, 62)
"""numba 0.62 brought LLVM 20 and its pointers without types."""


@functools.cache
def unavailable() -> str | None:
    """Why the kernels cannot be used in this process, or None.

    The first call fetches and runs a small kernel, so that a numba that does not work here is known before anything
    depends on it. numba itself is imported only to compile.
    """
    try:
        found = version("numba")
    except PackageNotFoundError:
        return "numba is not installed: pip install numba"
    if tuple(int(part) for part in re.findall(r"\d+", found)[:2]) < OLDEST:
        return f"numba {found} is too old: pip install 'numba>={OLDEST[0]}.{OLDEST[1]}'"
    try:
        from seqdiff.denoisers.kernels import probe

        probe.check()
    except Exception as error:  # whatever a package raises that does not fit its neighbours
        logger.debug("the CPU kernels cannot be used", exc_info=True)
        return f"the CPU kernels do not work here ({in_a_line(error.__cause__ or error)})"
    return None


def in_a_line(error: BaseException) -> str:
    """What went wrong, the kind of error before it unless it is one of ours, whose message is whole."""
    first = str(error).strip().partition("\n")[0]
    return first if isinstance(error, SeqdiffError) else f"{type(error).__name__}: {first}"


def described() -> str:
    """What they run on, only where `unavailable` gives None: "vectors of 16 floats, 2 threads"."""
    from seqdiff.denoisers.kernels import vectors

    return f"vectors of {vectors.LANES} floats, {threads.described()}"


def cache() -> str:
    """The folder where compiled kernels are kept, or why there is none."""
    if reason := unavailable():
        return f"nothing is compiled: {reason}"
    from seqdiff.denoisers.kernels import store

    return store.status()
