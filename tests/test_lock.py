"""A folder is held by one process."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from seqdiff import lock
from seqdiff.errors import DataError, TrainingError


def test_the_second_is_refused_and_told_who_the_first_is(tmp_path):
    told = pytest.raises(TrainingError, match=f"process {os.getpid()} on .* is training into")
    with lock.held(tmp_path), told, lock.held(tmp_path):
        pass
    with lock.held(tmp_path):  # and free again
        pass
    assert (tmp_path / lock.NAME).read_text() == ""


def test_a_killed_process_leaves_no_lock(tmp_path):
    code = "import sys, time; from pathlib import Path; from seqdiff import lock\n"
    code += "with lock.held(Path(sys.argv[1])): print('held', flush=True); time.sleep(600)"
    process = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    with pytest.raises(TrainingError, match=f"process {process.pid} on"), lock.held(tmp_path):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    with lock.held(tmp_path):
        pass


@pytest.fixture
def no_locks(monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", flock)


def test_without_locks_a_living_process_of_this_machine_is_respected(tmp_path, no_locks):
    (tmp_path / lock.NAME).write_text(
        f"process {os.getppid()} on {lock.socket.gethostname()} since 2026-01-01 00:00 UTC\n"
    )
    with pytest.raises(TrainingError, match=f"process {os.getppid()} .* is training into"), lock.held(tmp_path):
        pass


def test_without_locks_a_dead_one_is_not_and_another_machine_is_warned_of(tmp_path, no_locks, caplog):
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    (tmp_path / lock.NAME).write_text(f"process {gone.pid} on {lock.socket.gethostname()} since 2026-01-01 00:00 UTC\n")
    with lock.held(tmp_path):
        pass
    assert caplog.text == ""
    (tmp_path / lock.NAME).write_text("process 1 on node17 since 2026-01-01 00:00 UTC\n")
    with lock.held(tmp_path):
        pass
    assert "without locks" in caplog.text
    assert "process 1 on node17 since 2026-01-01 00:00 UTC was the last to write" in caplog.text


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_written_is_said(tmp_path, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(lock.os, "open", refuse)
    with pytest.raises(DataError, match="cannot be written: no permission to write there"), lock.held(tmp_path):
        pass


def test_a_folder_that_is_moved_or_replaced_is_noticed(tmp_path):
    folder = tmp_path / "run"
    with lock.held(folder) as held:
        held.check()
        folder.rename(tmp_path / "moved")
        with pytest.raises(DataError, match="run: this folder was moved or removed"):
            held.check()
        folder.mkdir()
        (folder / lock.NAME).touch()
        with pytest.raises(DataError, match="moved or removed"):
            held.check()
