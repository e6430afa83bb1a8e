"""What seqdiff embed takes: letters a second, and memory as the file grows a hundred times.

    python tests/benchmarks/bench_embed.py [--records 1000] [--per mean|residue] [--suffix .npz|.parquet] [--model RUN]

Batches are full from a file of 65,536 letters on.

Each line is one process of its own; memory is its largest resident set, as the system counts it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

LENGTH = 101


def write_fasta(path: Path, records: int) -> int:
    """Random records of 101 letters; their letters in all."""
    rng = np.random.default_rng(0)
    with open(path, "wb") as file:
        for number in range(records):
            file.write(b">record%d\n%s\n" % (number, bytes(rng.choice(list(b"ACGT"), LENGTH).tolist())))
    return records * LENGTH


def measured(command: list[str]) -> tuple[float, float]:
    """Seconds, and MiB at most."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return time.perf_counter() - begin, usage.ru_maxrss / 1024


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--records", type=int, default=1000, help="of the smallest file")
    options.add_argument("--per", default="mean")
    options.add_argument("--suffix", default=".npz")
    options.add_argument("--model", help="a run; default: the model that ships")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        fasta, out = Path(folder) / "x.fa", Path(folder) / f"e{asked.suffix}"
        empty = 0.0
        for times in (1, 10, 100):
            letters = write_fasta(fasta, asked.records * times)
            command = [sys.executable, "-m", "seqdiff", "embed", "-q", "-@", "1", "--fasta", str(fasta),
                       "--per", asked.per, "-o", str(out)]  # fmt: skip
            command += ["--model", asked.model] if asked.model else []
            seconds, memory = measured(command)
            empty = empty or seconds  # mostly starting up
            rate = letters / max(seconds - empty, 1e-9) if times > 1 else float("nan")
            size, written = fasta.stat().st_size / 2**20, out.stat().st_size / 2**20
            print(f"{letters:>10,} letters ({size:6.2f} MiB)  {seconds:6.1f} s  {rate:>8,.0f} letters/s after start-up"
                  f"  {memory:6.0f} MiB at most  {written:7.1f} MiB written", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
