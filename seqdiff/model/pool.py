"""Worker processes of this machine: tasks go out, results come back in the order of the tasks.

    tasks -> (each to the next worker that is free) -> results, in order        at most IN_FLIGHT tasks a worker at once

Workers are fresh Python processes, neither forked (torch hangs there) nor running the caller's main module again, so a
pool works from a script, a notebook and a command alike. Each builds one object, and then answers tasks with it. They
end with the pool, and by themselves when the process that started them is gone, however it went.
"""

import contextlib
import io
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, NoReturn

from seqdiff.errors import SeqdiffError

log = logging.getLogger("seqdiff")

IN_FLIGHT = 2
"""Tasks a worker has: one that it computes, and one that it finds when that is done."""
AHEAD = 4
"""Tasks a worker may be ahead of the first one that is not done, whose results wait for it in memory."""
HELD = 1 << 28
"""Bytes of results that may wait for their turn; past them only the worker whose turn it is is heard."""
EVERY = 0.1
"""Seconds between what a worker says of its progress."""
PATIENCE = 5.0
"""Seconds a worker has to end by itself."""


class WorkerLost(SeqdiffError):
    """A worker process ended before its work was done."""


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    line: Connection
    tasks: list[int] = field(default_factory=list)
    """The numbers of those it has, in the order in which they were given to it."""


class Pool:
    """Some worker processes, as a context manager; `build` is called in each of them with its number, and gives what
    answers its tasks.

    What it gives is called with the arguments of a task and `progress`, and returns an iterable of results.
    """

    def __init__(self, size: int, build: Callable[[int], Callable[..., Any]], *, threads: int | None = None):
        """`threads` are those of each worker, for torch and what else reads OMP_NUM_THREADS."""
        self.size, self._build, self._threads = size, build, threads
        self._workers: list[_Worker] = []

    def __enter__(self) -> "Pool":
        try:
            for _ in range(self.size):
                self._workers.append(self._start())
            for number, worker in enumerate(self._workers):
                self._send(worker, (number, self._build, log.getEffectiveLevel()))
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def ordered(
        self, tasks: Iterable[tuple[Any, ...]], progress: Callable[[float], None] | None = None
    ) -> Iterator[Any]:
        """What the tasks, each some arguments, give one after the other, in their order. `progress` gets what they say
        is done.

        The first error in the order of the tasks is raised, after the results and with what was logged up to there;
        an error of the tasks themselves comes after the results of those before it. Raises WorkerLost where a process
        is killed.
        """
        self._forget()
        tasks = iter(tasks)
        heard: dict[int, deque[tuple[int, str, Any]]] = {}
        given, first, held = 0, 0, 0
        last: int | None = None
        while first != last:
            while last is None and given < first + AHEAD * self.size and (free := self._free()):
                heard[given] = deque()
                try:
                    task = next(tasks)
                except StopIteration:
                    last = given
                except Exception as error:
                    heard[given].append((0, "error", error))
                    given = last = given + 1
                else:
                    self._send(free, task)
                    free.tasks.append(given)
                    given += 1
            while first != last and heard[first]:
                size, kind, what = heard[first].popleft()
                held -= size
                match kind:
                    case "part":
                        yield what
                    case "log":
                        log.handle(what)
                    case "error":
                        raise what
                    case "done":
                        del heard[first]
                        first += 1
                        if first not in heard:
                            break
            if first in (last, given):
                continue
            for worker in self._speaking(first, held):
                size, kind, what = self._heard(worker)
                if kind == "progress":
                    if progress:
                        progress(what)
                    continue
                number = worker.tasks[0]
                heard[number].append((size, kind, what))
                held += size
                if kind in ("done", "error"):
                    worker.tasks.pop(0)
                if kind == "error":  # what comes after it is not asked for
                    last = number + 1 if last is None else min(last, number + 1)

    def _forget(self) -> None:
        """Waits for what was asked before and not wanted any more, after an error."""
        while busy := {worker.line: worker for worker in self._workers if worker.tasks}:
            for line in wait(list(busy)):
                if self._heard(busy[line])[1] in ("done", "error"):
                    busy[line].tasks.pop(0)

    def _free(self) -> _Worker | None:
        least = min(self._workers, key=lambda worker: len(worker.tasks))
        return least if len(least.tasks) < IN_FLIGHT else None

    def _speaking(self, first: int, held: int) -> list[_Worker]:
        """Workers that have something to say. Where much is held already, the one whose turn it is: the others wait."""
        lines = {worker.line: worker for worker in self._workers if held < HELD or worker.tasks[:1] == [first]}
        return [lines[line] for line in wait(list(lines))]

    def _heard(self, worker: _Worker) -> tuple[int, str, Any]:
        try:
            message = worker.line.recv_bytes()
        except (EOFError, OSError):
            self._lost(worker)
        return len(message), *pickle.loads(message)

    def _send(self, worker: _Worker, message: tuple[Any, ...]) -> None:
        try:
            worker.line.send_bytes(pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL))
        except (BrokenPipeError, ConnectionResetError):
            self._lost(worker)

    def _lost(self, worker: _Worker) -> NoReturn:
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.process.wait(PATIENCE)
        code = worker.process.returncode
        how = f"exit code {code}" if code is None or code >= 0 else signal.strsignal(-code) or f"signal {-code}"
        why = ", as the system does where memory runs out" if code == -signal.SIGKILL else ""
        raise WorkerLost(
            f"a worker process ended before its work was done ({how}{why}): use fewer --processes, or a machine with "
            "more memory"
        )

    def _start(self) -> _Worker:
        ours, theirs = socket.socketpair()
        environment = dict(os.environ)
        if self._threads is not None:
            environment |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(self._threads))
        with ours, theirs:
            # Ctrl-C reaches all processes of a terminal; until a worker can ignore it, it has to wait.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
            try:
                process = subprocess.Popen(
                    [sys.executable, "-c", f"{_MAIN}({theirs.fileno()}, {sys.path!r})"],
                    pass_fds=[theirs.fileno()], env=environment, stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                )  # fmt: skip
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            return _Worker(process, Connection(ours.detach()))

    def _end(self) -> None:
        """Closes the lines, which ends workers that are idle; who still computes is killed."""
        for worker in self._workers:
            worker.line.close()
            worker.process.kill()
        for worker in self._workers:
            worker.process.wait()
        self._workers.clear()


_MAIN = (
    "import sys, signal\n"
    "for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP): signal.signal(each, signal.SIG_IGN)\n"
    "signal.pthread_sigmask(signal.SIG_SETMASK, ())\n"
    "def main(handle, path):\n"
    "    sys.path[:] = path\n"
    "    from seqdiff.model.pool import work\n"
    "    work(handle)\n"
    "main"
)
"""What a worker runs. Signals are for the process that started it, which ends its workers."""


def work(handle: int) -> None:
    """The life of a worker: build, then a task after the other, until there is no one to ask."""
    line = Connection(handle)
    inbox: deque[Any] = deque()
    there = threading.Semaphore(0)

    def listen() -> None:
        # Apart from the work, so that who sends never waits, and nothing is computed for a process that is gone.
        while True:
            try:
                inbox.append(line.recv_bytes())
            except (EOFError, OSError):
                os._exit(0)
            there.release()

    threading.Thread(target=listen, daemon=True).start()
    there.acquire()
    number, build, level = pickle.loads(inbox.popleft())
    log.handlers[:], log.propagate = [_Logged(level, line)], False
    log.setLevel(level)
    answer: Callable[..., Iterable[Any]] | None = None
    while True:
        there.acquire()
        task = pickle.loads(inbox.popleft())
        progress = _Progress(line)
        try:
            if answer is None:
                answer = build(number)
            for part in answer(*task, progress=progress):
                _tell(line, "part", part)
        except Exception as failure:
            progress.tell()
            _tell(line, "error", _portable(failure))
        else:
            progress.tell()
            _tell(line, "done")


class _Progress:
    """What is done, told a few times a second."""

    def __init__(self, line: Connection):
        self._line, self._done, self._told = line, 0.0, time.monotonic()

    def __call__(self, done: float) -> None:
        self._done += done
        if time.monotonic() - self._told > EVERY:
            self.tell()

    def tell(self) -> None:
        if self._done:
            _tell(self._line, "progress", self._done)
        self._done, self._told = 0.0, time.monotonic()


def _tell(line: Connection, kind: str, what: Any = None) -> None:
    try:
        line.send_bytes(pickle.dumps((kind, what), protocol=pickle.HIGHEST_PROTOCOL))
    except OSError:
        os._exit(0)


def _portable(error: Exception) -> Exception:
    """The error as it can be sent; of one that is no one's fault, where it happened goes with it."""
    if not isinstance(error, SeqdiffError | OSError):
        text = io.StringIO()
        traceback.print_exception(error, file=text)
        error.add_note(text.getvalue())
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


class _Logged(logging.Handler):
    """What a worker says goes where its results go."""

    def __init__(self, level: int, line: Connection):
        super().__init__(level)
        self._line = line

    def emit(self, record: logging.LogRecord) -> None:
        record.msg, record.args, record.exc_info = record.getMessage(), None, None
        _tell(self._line, "log", record)
