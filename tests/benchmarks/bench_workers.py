"""What --processes buys: each verb by one process of one thread, one of N threads, and N processes of one thread.

    python tests/benchmarks/bench_workers.py [--processes 2] [--records 200] [--model RUN]

Records are pieces of the human genome that ships. All three write the same bytes, or this stops. Wall clock and CPU
seconds are of whole commands, with starting Python and torch, which every process does: the last line is that alone.
"""

import argparse
import gzip
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from seqdiff import resources


def write_inputs(folder: Path, records: int) -> None:
    """Records of 200 to 3,000 bases with gaps of 20, and as many variants of 20,000 bases."""
    rng = random.Random(0)
    text = gzip.decompress((resources.folder("genomes") / "human-chr20.fa.gz").read_bytes())
    letters = text.split(b"\n", 1)[1].replace(b"\n", b"").decode().upper()
    letters = letters[len(letters) // 2 :]
    with open(folder / "x.fa", "w") as file:
        for number in range(records):
            length = rng.randrange(200, 3000)
            start = rng.randrange(len(letters) - length)
            gap = rng.randrange(length - 20)
            piece = letters[start : start + length]
            file.write(f">r{number}\n{piece[:gap]}{'N' * 20}{piece[gap + 20 :]}\n")
    reference = letters[:20_000]
    (folder / "reference.fa").write_text(f">c\n{reference}\n")
    places = sorted(rng.sample(range(len(reference)), records * 10))
    with open(folder / "x.vcf", "w") as file:
        file.write("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
        for place in places:
            ref = reference[place]
            alt = rng.choice("ACGT".replace(ref, "")) if place % 20 else ref + "GA"
            file.write(f"c\t{place + 1}\t.\t{ref}\t{alt}\t.\t.\t.\n")


VERBS = {
    "infill": ("infill --fasta x.fa --steps 16", "out.fa"),
    "score": ("score --fasta x.fa --draws 8", "out.tsv"),
    "variants": ("variants --vcf x.vcf --fasta reference.fa", "out.vcf.gz"),
    "embed": ("embed --fasta x.fa", "out.npz"),
    "starting": ("score --fasta reference.fa --region c:1-2", "out.tsv"),
}


def measured(words: list[str], folder: Path, out: str) -> tuple[float, float, bytes]:
    """Wall clock, CPU seconds of all its processes, and what was written."""
    begin = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "seqdiff", *words, "-q", "-o", out], cwd=folder)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    if status:
        raise SystemExit(f"{' '.join(words)} failed")
    return time.perf_counter() - begin, usage.ru_utime + usage.ru_stime, (folder / out).read_bytes()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--processes", type=int, default=2)
    options.add_argument("--records", type=int, default=200)
    options.add_argument("--model", help="a run; default: the model that ships")
    asked = options.parse_args()
    many = str(asked.processes)
    ways = {
        "1 thread": ["-@", "1"],
        f"{many} threads": ["-@", many],
        f"{many} processes": ["-@", many, "--processes", many],
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(folder, asked.records)
        for verb, (command, out) in VERBS.items():
            words = command.split() + (["--model", str(Path(asked.model).absolute())] if asked.model else [])
            found = {way: measured(words + more, folder, out) for way, more in ways.items()}
            if len({written for _, _, written in found.values()}) > 1:
                raise SystemExit(f"{verb}: what was written differs")
            first = found["1 thread"][0]
            told = (
                f"{way} {wall:6.1f} s ({cpu:6.1f} s CPU, x{first / wall:.2f})" for way, (wall, cpu, _) in found.items()
            )
            print(f"{verb:9}", *told, sep="   ", flush=True)


if __name__ == "__main__":
    main()
