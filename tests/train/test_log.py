import io
import json
import math
import sys

import pytest

from seqdiff.errors import DataError
from seqdiff.train.log import Display, Metrics


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_line_says_loss_speed_and_time_left(capsys, monkeypatch):
    display = Display("tiny", "base", steps=1000, start=0)
    monkeypatch.setattr(Display, "seconds_between_lines", -1)
    display.step(250, 1.9 * math.log(2), 12_345.6)
    line = capsys.readouterr().err
    assert line.startswith("step 250/1,000  1.9000 bits/base  12.3k tokens/s  ")
    assert line.endswith(" left\n")


def test_lines_come_now_and_then_only(capsys):
    display = Display("tiny", "base", steps=1000, start=0)
    for step in range(1, 100):
        display.step(step, 1.0, 1.0)
    display.validation(100, 1.25, 0.01)
    assert capsys.readouterr().err == "step 100/1,000  validation 1.8034 ± 0.0144 bits/base\n"


def test_a_terminal_gets_a_bar_with_the_same(monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    display = Display("tiny", "base", steps=10, start=0)
    display.step(5, 1.9 * math.log(2), 12_345.6)
    display.close()
    shown = terminal.getvalue()
    for part in ("train tiny", "50%", "1.9000 bits/base", "12.3k tokens/s"):
        assert part in shown


def test_quiet_is_quiet(capsys):
    display = Display("tiny", "base", steps=10, start=0, quiet=True)
    display.step(5, 1.0, 1.0)
    display.validation(5, 1.0, 0.1)
    display.close()
    assert capsys.readouterr().err == ""


def test_metrics_go_on_after_a_step(tmp_path):
    path = tmp_path / "metrics.jsonl"
    metrics = Metrics(path)
    metrics.open(up_to_step=2, earlier=[{"step": 1}, {"step": 2}, {"step": 3}])
    metrics.write(step=3, new=True)
    metrics.close()
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"step": 1}, {"step": 2}, {"step": 3, "new": True},
    ]  # fmt: skip


def test_lines_that_a_full_disk_does_not_take_are_written_when_there_is_room(tmp_path, caplog):
    path = tmp_path / "metrics.jsonl"
    metrics = Metrics(path)
    metrics.open(up_to_step=0, earlier=[])
    metrics.write(step=1)
    there, metrics._file = metrics._file, open("/dev/full", "wb", buffering=0)  # noqa: SIM115
    for step in (2, 3):
        metrics.write(step=step)
    assert caplog.text.count("the disk is full") == 1
    with pytest.raises(DataError, match=r"metrics.jsonl: cannot be written: the disk is full"):
        metrics.flush()
    metrics._file = there
    metrics.write(step=4)
    metrics.flush()
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3, 4]


def test_a_line_that_a_disk_took_half_of_is_completed(tmp_path):
    path = tmp_path / "metrics.jsonl"
    metrics = Metrics(path)
    metrics.open(up_to_step=0, earlier=[])

    class Half:
        def write(self, data):
            return there.write(data[:5])

    there, metrics._file = metrics._file, Half()
    metrics.write(step=1, value=2)
    assert path.read_text() == '{"step": 1, "value": 2}\n'
