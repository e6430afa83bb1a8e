"""Fused kernels for CPUs."""


def unavailable() -> str | None:
    """Why the kernels cannot be used, or None."""
    return "this version has no CPU kernels"


def cache() -> str:
    """The folder where compiled kernels are kept, or why there is none."""
    return "nothing is compiled"
