"""What becomes of memory that is freed: kept for the next tensor, where the C library is glibc.

glibc asks the system for every large block and gives it back as soon as it is freed; the system then clears the next
one page by page. A training step frees and asks for the same tensors again and again, so the command line tells
glibc to keep them. The price is that memory once used stays with the process. The library itself never does this.
"""

import ctypes
import os

from seqdiff.errors import ConfigError

VARIABLE = "SEQDIFF_MALLOC"
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
"""malloc.h's numbers for what mallopt sets."""
LARGEST = 2**31 - 1
"""mallopt takes an int."""
NEVER = -1
"""The trim threshold is unsigned inside of glibc, so this is the largest there is (mallopt(3): no trimming)."""
OTHERS = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_TOP_PAD_")
"""glibc's own variables for the same thing: who sets one of them has decided."""

_kept: bool | None = None


def keep_freed() -> None:
    """Let glibc keep what is freed, unless `left_alone` gives a reason. ConfigError if SEQDIFF_MALLOC is no choice."""
    global _kept
    if left_alone() is None:
        mallopt = ctypes.CDLL(None).mallopt
        # Older releases refuse more than 32 MiB (half of HEAP_MAX_SIZE): there, no block is mapped on its own at all.
        unmapped = mallopt(M_MMAP_THRESHOLD, LARGEST) or mallopt(M_MMAP_MAX, 0)
        _kept = bool(mallopt(M_TRIM_THRESHOLD, NEVER) and unmapped)


def left_alone() -> str | None:
    """Why freed memory goes back to the system, or None when it can be kept."""
    wanted = os.environ.get(VARIABLE) or "keep"
    if wanted not in ("keep", "system"):
        raise ConfigError(f"{VARIABLE}={wanted}: choose keep or system")
    if wanted == "system":
        return f"{VARIABLE}=system"
    if not _is_glibc():
        return "the C library is not glibc"
    if "malloc" in os.environ.get("LD_PRELOAD", ""):
        return "LD_PRELOAD brings another allocator"
    if "glibc.malloc." in os.environ.get("GLIBC_TUNABLES", ""):
        return "GLIBC_TUNABLES is set"
    return next((f"{name} is set" for name in OTHERS if name in os.environ), None)


def status() -> str:
    """One clause for a person."""
    reason = left_alone() or {True: None, False: "glibc refused", None: "only the command line keeps it"}[_kept]
    kept = f"freed memory is kept for the next tensor ({VARIABLE}=system turns this off)"
    return kept if reason is None else f"freed memory goes back to the system: {reason}"


def _is_glibc() -> bool:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, ValueError, OSError):  # Windows, macOS, musl
        return False
