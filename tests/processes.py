"""Trains recipes by processes that are forked, not started, so that a test pays for one import of torch.

Jobs come as JSON lines on stdin: {"recipe": FILE, "out": FOLDER, "world": 4, "set": [...], "resume": true, "stop": 5}.
With `stop` the training is told to stop at that step. Answers are JSON lines: the exit code of each process.
"""

import json
import os
import socket
import subprocess
import sys
import traceback
from contextlib import contextmanager


def trained(jobs, timeout=900):
    """Run the jobs one after the other; for each the exit codes of its processes, and what all said on stderr."""
    lines = "".join(json.dumps(job) + "\n" for job in jobs)
    result = subprocess.run(
        [sys.executable, __file__], input=lines, capture_output=True, text=True, timeout=timeout,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()], result.stderr


def main():
    # Once for all.
    import torch
    import torch._dynamo
    import torch.distributed.fsdp
    import torch.distributed.tensor
    import torch.nn.parallel

    import seqdiff.train.loop  # noqa: F401

    torch.set_num_threads(1)
    for line in sys.stdin:
        job = json.loads(line)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        children = [_fork(job, rank, port) for rank in range(job["world"])]
        print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]), flush=True)


def _fork(job, rank, port):
    if child := os.fork():
        return child
    code = 1
    try:
        from seqdiff.train.rank import Rank

        if job["world"] > 1:
            os.environ.update(Rank(rank, job["world"], rank, "127.0.0.1", port).environment)
        _train(job, rank)
        code = 0
    except BaseException:
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(code)


def _train(job, rank):
    from seqdiff import recipe
    from seqdiff.train import loop

    if "stop" in job and rank == job["world"] - 1:
        loop.stop_wishes = lambda: _wish(job["stop"])
    made = recipe.load(job["recipe"], job.get("set", []))
    loop.train(made, job["out"], resume=job.get("resume", False), device="cpu", quiet=True)


@contextmanager
def _wish(steps):
    """A SIGTERM after so many steps of this process."""

    class Received:
        asked = 0

        @property
        def number(self):
            self.asked += 1
            return 15 if self.asked >= steps else 0

    yield Received()


if __name__ == "__main__":
    main()
