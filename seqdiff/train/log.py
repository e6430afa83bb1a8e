"""What a run says while it trains: metrics.jsonl for machines, a bar or lines on stderr for people."""

import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from seqdiff.alphabet import Alphabet
from seqdiff.files import replacing
from seqdiff.train.append import Appended
from seqdiff.train.events import Events


class Metrics:
    """Appends one JSON object a line, and the same to the events of TensorBoard where those are wanted."""

    def __init__(self, path: Path):
        self._path = path
        self._files: list[Appended | Events] = []

    def open(
        self, *, up_to_step: int, earlier: Sequence[Mapping[str, Any]], events: Callable[[int], Events] | None = None
    ) -> None:
        """Begin after `up_to_step`: lines of later steps, which a resumed run writes again, are dropped. `events` are
        made from that step."""
        with replacing(self._path) as file:
            file.write_text("".join(json.dumps(row) + "\n" for row in earlier if row["step"] <= up_to_step))
        self._lines = Appended(self._path)
        self._files = [self._lines]
        if events:
            self._files.append(events(up_to_step))

    def write(self, *, step: int, **values: Any) -> None:
        """One line, now or as soon as it can be written."""
        self._lines.write(json.dumps({"step": step, **values}).encode() + b"\n")
        for events in self._files[1:]:
            events.write(step, **values)

    def flush(self) -> None:
        """See that every line is on the disk. Raises DataError where it cannot be."""
        for file in self._files:
            file.flush()

    def close(self) -> None:
        for file in self._files:
            file.close()


def by_symbol(learned: Mapping[str, Sequence[float]], alphabet: Alphabet) -> dict[str, dict[str, float]]:
    """What has a number of each symbol, with their names.

    >>> from seqdiff.alphabet import DNA
    >>> by_symbol({"powers": [1.0, 0.9, 0.9, 1.0]}, DNA)
    {'powers': {'A': 1.0, 'C': 0.9, 'G': 0.9, 'T': 1.0}}
    """
    return {name: dict(zip(alphabet.names, values, strict=True)) for name, values in learned.items()}


class Display:
    """Loss in bits per symbol, tokens per second and time left: a bar on a terminal, else a line now and then."""

    seconds_between_lines = 20.0

    def __init__(self, name: str, unit: str, steps: int, start: int, quiet: bool = False):
        self.unit, self.steps, self.quiet = unit, steps, quiet
        self._last_line = time.monotonic()
        self._started, self._start = time.monotonic(), start
        self._valid = ""
        self._bar: Progress | None = None
        if not quiet and sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("[bold]{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.fields[loss]}"),
                TextColumn("{task.fields[speed]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._task = self._bar.add_task(f"train {name}", total=steps, completed=start, loss="", speed="")
            self._bar.start()

    def step(self, step: int, nats: float, tokens_per_second: float) -> None:
        loss = f"{nats / math.log(2):.4f} bits/{self.unit}{self._valid}"
        speed = f"{tokens_per_second / 1000:,.1f}k tokens/s"
        if self._bar is not None:
            self._bar.update(self._task, completed=step, loss=loss, speed=speed)
        elif not self.quiet and time.monotonic() - self._last_line > self.seconds_between_lines:
            self._last_line = time.monotonic()
            left = (self._last_line - self._started) / max(1, step - self._start) * (self.steps - step)
            self._say(f"step {step:,}/{self.steps:,}  {loss}  {speed}  {_duration(left)} left")

    def validation(self, step: int, nats: float, error: float | None) -> None:
        bits = nats / math.log(2)
        plus_minus = "" if error is None else f" ± {error / math.log(2):.4f}"
        self._valid = f" (valid {bits:.4f})"
        if not self.quiet:
            self._say(f"step {step:,}/{self.steps:,}  validation {bits:.4f}{plus_minus} bits/{self.unit}")

    def _say(self, line: str) -> None:
        if self._bar is not None:
            self._bar.console.print(line, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()


def _duration(seconds: float) -> str:
    """
    >>> _duration(3725), _duration(65)
    ('1:02:05', '1:05')
    """
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
