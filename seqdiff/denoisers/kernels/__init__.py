"""Fused kernels for CPUs."""


def unavailable() -> str | None:
    """Why the kernels cannot be used, or None."""
    return "this version has no CPU kernels"
