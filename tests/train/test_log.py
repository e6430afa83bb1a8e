import io
import json
import math
import sys

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
