"""Ctrl-C and SIGTERM as a wish: the run ends after its step, saved."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class Received:
    """The number of the signal that has come, 0 for none."""

    number = 0


@contextmanager
def stop_wishes() -> Iterator[Received]:
    """Turn the first Ctrl-C or SIGTERM into a wish to stop; a second one acts at once, as it did before."""
    received = Received()
    before = {}

    def wish(number: int, frame: object) -> None:
        received.number = number
        signal.signal(number, before[number])

    for number in (signal.SIGINT, signal.SIGTERM):
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
