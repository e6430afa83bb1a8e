"""Whether all processes of a training are alive: each of them says so every second where they have met.

A process that is killed takes no leave: by gloo the others notice by their connections, by nccl they wait for it, and
for one that is stopped, or whose machine is gone, they wait in any case. Here a thread of each process looks after the
others, says which one is missing, and ends its process when that still waits.
"""

import contextlib
import hashlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from torch.distributed import Store, TCPStore

from seqdiff.errors import SeqdiffError, TrainingError
from seqdiff.train.rank import Rank

SECONDS = 1.0
"""Between two beats."""
PATIENCE = 20
"""Beats of one's own without one of another, after which it is taken for dead."""
PATIENCE_WHILE_WRITING = 1800
"""The same of one that has said that it writes a file, which may hold up all of its threads."""
LINGER = 3.0
"""Seconds that the first process waits for the others to have said why they end."""
AGAIN = "Start it again with --resume: it goes on from its last save"
GRACE = 10.0
"""Seconds for the process to notice by itself and to leave in order, before it is ended."""


class ToldElsewhere(SeqdiffError):
    """The end of a process, of which another one tells why."""

    def __init__(self, message: str, exit_code: int):
        super().__init__(message)
        self.exit_code = exit_code


class Heartbeat:
    """The thread of one process. Counts its own beats, not seconds: who has been stopped with all others goes on."""

    def __init__(self, me: Rank, place: Store):
        self.me = me
        self._place = place
        """Where all have met. It is this process's own if it is the first one, and is kept to the end of it."""
        # A connection of its own: that of the group may be waiting for something.
        self._store = TCPStore(me.address, me.port, is_master=False, timeout=timedelta(seconds=60))
        self._prefix = f"seqdiff-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}-"
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._patience = PATIENCE
        self._seen = {rank: ("", 0) for rank in range(me.world) if rank != me.rank}
        self._lost: str | None = None
        self._store.set(self._at(self._key(me.rank)), f"0 {PATIENCE}")
        self._beats = 0
        self._threads = [
            threading.Thread(target=run, daemon=True, name=run.__name__) for run in (self._beat, self._watch)
        ]

    def start(self) -> None:
        """To be called when all processes have one."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """The process is about to end. The first one, where all meet, does so after the others."""
        self._over.set()
        self._linger()
        for thread in self._threads:
            thread.join(SECONDS)

    def _linger(self) -> None:
        self._say(f"over-{self.me.rank}", "")
        others = [self._at(f"over-{rank}") for rank in self._seen]
        with contextlib.suppress(RuntimeError):
            for _ in range(int(LINGER / 0.05) if self.me.rank == 0 else 0):
                if self._store.check(others):
                    break
                time.sleep(0.05)

    @contextlib.contextmanager
    def patience(self) -> Iterator[None]:
        """While a file is written."""
        self._patience = PATIENCE_WHILE_WRITING
        self._say(self._key(self.me.rank), f"write {self._patience}")
        try:
            yield
        finally:
            self._patience = PATIENCE

    def leave(self, error: BaseException) -> BaseException:
        """What to raise for an error of this process: itself, or the same without a word where another one says that
        very message. The others hear of it."""
        message = str(error).strip().split("\n")[0] or type(error).__name__
        self._say(f"left-{self.me.rank}", message)
        if isinstance(error, SeqdiffError) and not self._first(str(error)):
            return ToldElsewhere(str(error), error.exit_code)
        return error

    def explain(self, error: Exception) -> SeqdiffError:
        """Why something that all processes do together has failed: which of them is gone."""
        for _ in range(int(GRACE / SECONDS) - 1):
            if missing := self._missing(5):
                break
            time.sleep(SECONDS)
        else:
            first = str(error).strip().split("\n")[0]
            missing = f"the processes have lost each other ({first}): is the network between their machines all right?"
        return self._news(missing)

    def _news(self, missing: str) -> SeqdiffError:
        """For the first to know it a message, if nobody else tells it: a launcher, or the process itself."""
        first = self._first(missing)
        self._say(f"left-{self.me.rank}", missing)  # so that who misses this one knows what it all began with
        if self.me.launcher or "stopped with an error" in missing or not first:
            return ToldElsewhere(missing, 1)
        return TrainingError(f"{missing}. {AGAIN}")

    def _beat(self) -> None:
        """Say that this process is alive, and look after the others, until one is missing."""
        while not self._over.wait(SECONDS) and self._lost is None:
            self._beats += 1
            if self.me.launcher and os.getppid() != self.me.launcher:
                # Nobody is left to tell this process to stop, so it is told now.
                os.kill(os.getpid(), signal.SIGTERM)
                self.me = replace(self.me, launcher=0)
            self._say(self._key(self.me.rank), f"{self._beats} {self._patience}")
            self._lost = self._missing()
        # The main thread finds out by itself, unless it waits for ever.
        if not self._over.wait(GRACE):
            self._end(self._news(self._lost))

    def _watch(self) -> None:
        """Look after the thread that beats: it waits for ever where the first process, with all that is said, stands
        still."""
        last, silent = 0, 0
        while not self._over.wait(SECONDS):
            last, silent = self._beats, silent + 1 if self._beats == last else 0
            if silent >= PATIENCE:
                where = f"process 1 of {self.me.world}, where all met, does not answer: it or its machine is stopped"
                tells = not self.me.launcher and (self.me.local == 0 or self.me.rank == 1)
                self._end(TrainingError(f"{where}. {AGAIN}") if tells else ToldElsewhere(where, 1))

    def _end(self, news: SeqdiffError) -> None:
        """End the process, whatever it waits for."""
        if not isinstance(news, ToldElsewhere):
            print(f"seqdiff: error: {news}", file=sys.stderr, flush=True)
        threading.Thread(target=self._linger, daemon=True).start()
        time.sleep(LINGER)
        os._exit(1)

    def _missing(self, patience: int | None = None) -> str | None:
        """Which process is gone, in words; None while all beat. Asked once a beat."""
        with self._lock:
            try:
                for rank, (last, silent) in self._seen.items():
                    who = f"process {rank + 1} of {self.me.world}"
                    if self._store.check([self._at(f"left-{rank}")]):
                        why = self._store.get(self._at(f"left-{rank}")).decode()
                        return f"{who} stopped with an error: {why}"
                    beat = self._store.get(self._at(self._key(rank))).decode()
                    silent = silent + 1 if beat == last else 0
                    self._seen[rank] = beat, silent
                    if silent >= (patience or int(beat.split()[1])):
                        return f"{who} does not answer: it was killed or stopped, or its machine is gone"
            except RuntimeError:
                if self._over.is_set():
                    return None
                return f"process 1 of {self.me.world} is gone, where all met: it was killed, or its machine is gone"
        return None

    def _first(self, message: str) -> bool:
        """Whether no other process has told this; where that cannot be known, one of each machine tells it."""
        name = self._at(f"told-{hashlib.sha256(message.encode()).hexdigest()}")
        try:
            return self._store.compare_set(name, "", str(self.me.rank)).decode() == str(self.me.rank)
        except RuntimeError:
            return self.me.local == 0 or self.me.rank == 1

    def _say(self, name: str, what: str) -> None:
        with contextlib.suppress(RuntimeError):  # the place is gone: the next look finds that out
            self._store.set(self._at(name), what)

    def _key(self, rank: int) -> str:
        return f"beat-{rank}"

    def _at(self, name: str) -> str:
        return self._prefix + name
