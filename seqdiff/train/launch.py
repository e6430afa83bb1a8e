"""One training on several processes of this machine: start them, watch over them, end them together.

What torchrun does, but for three things that a training is better without: a process told to stop has all the time it
needs to save (torchrun kills it after 30 seconds), signals reach it once, and an error is one message. `rank` reads
what both set.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from seqdiff.errors import TrainingError
from seqdiff.train.rank import Rank

GRACE = 20.0
"""Seconds in which the others notice that one of them has gone, and leave by themselves; after a third more they are
killed."""
POLL = 0.1
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""That mean: stop."""


def launch(arguments: Sequence[str], processes: int, *, killed: Callable[[], str]) -> int:
    """Run `python -m seqdiff ARGUMENTS` as so many processes; returns the exit code of the training.

    A process that fails says why itself; TrainingError for one that was killed, with what to do about it, which
    `killed` says then. Each begins with SIGNALS blocked, and lets them in when it knows what to do about them.
    Ctrl-C, SIGTERM and SIGHUP are passed on, once, and the processes save and stop; a second one ends them at once.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "seqdiff", *arguments]
    children: list[subprocess.Popen[bytes]] = []
    try:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            for rank in range(processes):
                me = Rank(rank, processes, rank, "127.0.0.1", port, os.getpid())
                # In a session of its own a process does not hear the terminal, which tells everybody.
                children.append(
                    subprocess.Popen(
                        command, env=os.environ | me.environment, stdin=subprocess.DEVNULL, start_new_session=True
                    )
                )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return _watch(children, killed)
    finally:
        _signal(children, signal.SIGKILL)
        for child in children:
            child.wait()


def _watch(children: list[subprocess.Popen[bytes]], killed: Callable[[], str]) -> int:
    """Wait for the end of all, which is the end of one; returns its exit code."""
    first: tuple[int, int] | None = None
    """The process that failed first, and its code."""
    since, told = 0.0, False
    stuck: list[int] = []
    """Processes that had to be ended."""
    while True:
        try:
            while (codes := [child.poll() for child in children]) and None in codes:
                failed = next(((rank, code) for rank, code in enumerate(codes) if code), None)
                if first is None and failed is not None:
                    first, since = failed, time.monotonic()
                waited = 0.0 if first is None else time.monotonic() - since
                if waited > GRACE:
                    stuck = stuck or [rank for rank, code in enumerate(codes) if code is None]
                    _signal(children, signal.SIGTERM if waited < GRACE * 4 / 3 else signal.SIGKILL)
                time.sleep(POLL)
            break
        except BaseException as stop:  # Ctrl-C, or what the command line makes of SIGTERM and SIGHUP
            if told or (not isinstance(stop, KeyboardInterrupt) and not stop.args):
                raise
            told = True
            _signal(children, signal.SIGINT if isinstance(stop, KeyboardInterrupt) else signal.SIGTERM)
    if first is None:
        first = next(((rank, code) for rank, code in enumerate(codes) if code), (0, 0))
    rank, code = first
    if code < 0:
        name = signal.Signals(-code).name
        why = f"was ended by {name}" + " (out of memory?)" * (name == "SIGKILL")
    elif stuck:
        rank, why = stuck[0], "did not answer any more"
    else:
        return code
    raise TrainingError(f"process {rank + 1} of {len(children)} {why}, and the others were ended with it; {killed()}")


def _signal(children: list[subprocess.Popen[bytes]], number: signal.Signals) -> None:
    for child in children:
        if child.poll() is None:
            child.send_signal(number)
