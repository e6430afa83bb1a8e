"""The metrics of a run as TensorBoard shows them: `tensorboard --logdir runs`.

Written by the run itself and not by TensorBoard's writer, whose thread dies of a full disk and waits for as long as the
clock was set back. A record is framed by TensorBoard's package, its contents are built by torch.utils.tensorboard.
"""

import io
import math
import os
import socket
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from seqdiff.errors import ConfigError, DataError
from seqdiff.files import explain
from seqdiff.train.append import Appended

TAGS = {
    "nats_per_symbol": "loss/train (bits a {unit})", "nats_per_selected": "loss/train (bits a {unit})",
    "valid_nats_per_symbol": "loss/valid (bits a {unit})", "valid_nats_per_selected": "loss/valid (bits a {unit})",
    "valid_standard_error": "loss/valid, standard error (bits a {unit})",
    "learning_rate": "training/learning rate", "gradient_norm": "training/gradient norm",
    "tokens": "training/tokens", "tokens_per_second": "training/tokens a second",
}  # fmt: skip
"""Of the numbers of metrics.jsonl; what is in nats there is in bits here."""


def require() -> None:
    """ConfigError where the package is missing."""
    if find_spec("tensorboard") is None:
        raise ConfigError(
            "training.tensorboard: true needs the package tensorboard: pip install 'seqdiff[tensorboard]' (or leave it "
            "out: --set training.tensorboard=false)"
        )


class Events:
    """One file of events for each time that a run goes on, in `folder`. Steps after `up_to_step`, which a resumed run
    takes again, are withdrawn. `unit` is what the loss is of, `recipe` is shown as text."""

    def __init__(self, folder: Path, up_to_step: int, unit: str, recipe: str):
        self._unit = unit
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / _name(folder)
        except OSError as error:
            raise DataError(f"{folder}: cannot be written: {explain(error)}") from error
        self._file = Appended(path)
        from tensorboard.compat.proto.event_pb2 import SessionLog
        from torch.utils.tensorboard.summary import text

        self._write(0, file_version="brain.Event:2")
        self._write(up_to_step + 1, session_log=SessionLog(status=SessionLog.START))
        if not up_to_step:
            indented = "".join(f"    {line}\n" for line in recipe.splitlines())  # Markdown shows that as it is
            self._write(0, summary=text("recipe", indented))
        self.flush()

    def write(self, step: int, **values: Any) -> None:
        """One line of metrics.jsonl."""
        from torch.utils.tensorboard.summary import scalar

        for name, value in values.items():
            if isinstance(value, Mapping):
                for part, number in value.items():
                    self._write(step, summary=scalar(f"learned/{name}/{part}", number))
            elif value is not None:
                tag = TAGS.get(name, f"training/{name}").format(unit=self._unit)
                self._write(step, summary=scalar(tag, value / math.log(2) if "(bits" in tag else value))

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _write(self, step: int, **what: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        record = io.BytesIO()
        RecordWriter(record).write(Event(wall_time=time.time(), step=step, **what).SerializeToString())
        self._file.write(record.getvalue())


def _name(folder: Path) -> str:
    """A name after those that are there, since TensorBoard reads files in the order of their names, which begin with
    the time. Where the clock has been set back, the files that are there get names that begin with their numbers."""
    now = f"{int(time.time()):010d}"
    there = sorted(folder.glob("events.out.tfevents.*"))
    if there and there[-1].name.split(".")[3] >= now:
        for number, file in enumerate(there):
            os.replace(file, folder / f"events.out.tfevents.{number:010d}")
    return f"events.out.tfevents.{now}.{socket.gethostname()}.{os.getpid()}"
