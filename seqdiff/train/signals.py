"""Ctrl-C, SIGTERM and SIGHUP as a wish: the run ends after its step, saved."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

TWICE = 2.0
"""Seconds within which a signal comes twice that was meant once: from the terminal, and from torchrun, which hears it
there as well and passes it on."""


class Received:
    """The number of the signal that has come, 0 for none."""

    number = 0


@contextmanager
def stop_wishes() -> Iterator[Received]:
    """Turn the first Ctrl-C, SIGTERM or SIGHUP into a wish to stop; a later one acts at once, as it did before.

    A SIGHUP that is ignored stays so: nohup has asked for it.
    """
    received = Received()
    before: dict[int, Any] = {}
    first = 0.0

    def wish(number: int, frame: object) -> None:
        nonlocal first
        if not received.number:
            received.number, first = number, time.monotonic()
        elif time.monotonic() - first > TWICE:
            signal.signal(number, before[number])
            signal.raise_signal(number)

    heard = () if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else (signal.SIGHUP,)
    for number in (signal.SIGINT, signal.SIGTERM, *heard):
        before[number] = signal.getsignal(number) or signal.SIG_DFL
    try:
        for number in before:
            signal.signal(number, wish)
    except ValueError:
        before.clear()  # not in the main thread: whoever is there handles signals
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
