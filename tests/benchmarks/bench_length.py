"""Time and memory of a training step of Caduceus PS against length: `python tests/benchmarks/bench_length.py`

One sequence a batch, with and without checkpointing, every point in a process of its own. Memory is how far a step
raises the process above what it held with the network built and a short step taken. --json keeps the figures,
--figure draws them.
"""

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from rounds import machine, prepare
from training import Training, caduceus

from seqdiff.denoisers import paths


def point(length: int, width: int, depth: int, steps: int, *, checkpoint: bool) -> dict:
    """Median seconds of a step, and MiB."""
    network = caduceus(width, depth)
    network.activation_checkpointing = checkpoint
    Training(network, 1, 64).step()
    training, before = Training(network, 1, length), memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew (proc(5))
    times = []
    for _ in range(steps + 1):
        begin = time.perf_counter()
        training.step()
        times.append(time.perf_counter() - begin)
    return {
        "length": length,
        "checkpoint": checkpoint,
        "seconds": statistics.median(times[1:]),
        "mebibytes": memory("VmHWM") - before,
    }


def memory(which: str, source: str = "/proc/self/status") -> float:
    """MiB of this process, now (VmRSS) or at its peak (VmHWM), or of the machine (Linux, proc(5))."""
    lines = Path(source).read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(which)) / 2**10


def measure(lengths: list[int], options: list[str]) -> list[dict]:
    """All points, shortest first, a line each as it comes."""
    print(f"  {'length':>8}  {'checkpointing':13} {'ms a step':>10} {'us a token':>10} {'MiB':>8} {'KiB a token':>11}")
    points = []
    for length, checkpoint in itertools.product(sorted(lengths), (False, True)):
        line = f"  {length:>8,}  {'yes' if checkpoint else 'no':13}"
        a_base = max((one["mebibytes"] / one["length"] for one in points if one["checkpoint"] == checkpoint), default=0)
        if a_base * length > memory("MemAvailable", "/proc/meminfo"):
            print(f"{line} not measured: it needs about {a_base * length:,.0f} MiB, which are not free")
            continue
        own = ["--point", str(length), *["--checkpoint"] * checkpoint]
        run = subprocess.run([sys.executable, __file__, *own, *options], stdout=subprocess.PIPE, text=True)
        if run.returncode:
            sys.exit(f"{line} ended with {run.returncode}")
        points.append(json.loads(run.stdout.splitlines()[-1]))
        seconds, mebibytes = points[-1]["seconds"], points[-1]["mebibytes"]
        a_token = 1e6 * seconds / length, 2**10 * mebibytes / length
        print(f"{line} {1e3 * seconds:10,.0f} {a_token[0]:10.0f} {mebibytes:8,.0f} {a_token[1]:11.1f}")
    return points


def draw(path: Path, points: list[dict], title: str) -> None:
    """Time and memory against length on logarithmic axes, beside lines of slope one."""
    from seqdiff.report import style

    lengths = sorted({point["length"] for point in points})
    panels = {
        "Seconds a training step": lambda point: point["seconds"],
        "Memory of a training step, GiB": lambda point: point["mebibytes"] / 2**10,
    }
    with style.figure(path, 8.0, 3.6) as figure:
        for axes, (label, value) in zip(figure.subplots(1, 2), panels.items(), strict=True):
            for checkpoint, colour, name in ((False, style.BLUE, "as it is"), (True, style.ORANGE, "checkpointing")):
                own = [point for point in points if point["checkpoint"] == checkpoint]
                if own:
                    line = [value(own[0]) * length / own[0]["length"] for length in lengths]
                    axes.plot(lengths, line, ":", color=style.FLOOR, linewidth=1)
                    axes.plot([one["length"] for one in own], [*map(value, own)], "o-", color=colour, label=name)
            axes.plot([], [], ":", color=style.FLOOR, linewidth=1, label="in proportion to length")
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            axes.set_xticks(lengths, [f"{length:,}" for length in lengths])
            axes.yaxis.set_major_formatter("{x:g}")
            axes.minorticks_off()
            axes.set_xlabel("bases in the sequence")
            axes.set_title(label)
        figure.axes[0].legend()
        figure.suptitle(title, fontsize=8, color=style.GREY)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[1024, 8192, 32_768, 131_072])
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--point", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--checkpoint", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    prepare(given.threads, keep_freed=True)
    if given.point:
        print(json.dumps(point(given.point, given.width, given.depth, given.steps, checkpoint=given.checkpoint)))
        return
    path = paths.choose(torch.device("cpu"), torch.float32).name
    network = f"Caduceus PS, width {given.width}, depth {given.depth}, one sequence a batch, float32, path {path}"
    print(f"{network}; {machine()}")
    options = [f"--{name}={getattr(given, name)}" for name in ("width", "depth", "steps", "threads")]
    points = measure(given.lengths, options)
    if given.json:
        given.json.write_text(json.dumps({"network": network, "machine": machine(), "points": points}, indent=1) + "\n")
    if given.figure:
        draw(given.figure, points, f"{network}, {given.threads} threads")


if __name__ == "__main__":
    main()
