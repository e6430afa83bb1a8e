"""Peak memory of commands against the size of their input, each in a process of its own.

python tests/benchmarks/bench_memory.py records [infill score variants ...] [--megabases 1 10 100 1000]
python tests/benchmarks/bench_memory.py one [infill ...] [--megabases 1 10 100 250]      one record, like a chromosome
python tests/benchmarks/bench_memory.py reads [infill ...] [--megabases 1 10 100 1000]   FASTQ, 150 letters each

Drawn bases in records of a megabase (or one, or reads), a share of them N in gaps of 100 (a read: its last two);
variants: a VCF as large as the FASTA, of 5,000 lines at most, as of a cohort. The network is one that does nothing,
with the context of the model that ships: what is left is reading, laying out, and writing. `more` is what the command
needs beyond what loading it takes. Memory of its own is counted: pages of a mapped genome are the system's.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

RECORD = 1_000_000
GAP = 100
READ = 150
VARIANTS = 5_000
WIDTH = 60

COMMANDS = {
    "infill": "infill --fasta {fasta} -q --sampler best -o {out}.fa",
    "table": "infill --fasta {fasta} -q --sampler best -o {out}.tsv",
    "score": "score --fasta {fasta} -q --draws 8 -o {out}.tsv",
    "embed": "embed --fasta {fasta} -q -o {out}.npz",
    "variants": "variants --vcf {vcf} --fasta {fasta} -q -o {out}.vcf.gz",
    "scatter": "scatter --fasta {fasta} -n 8 -q --by unknown --out {out}",
    "gather": "gather {fasta} {fasta2} -q -o {out}.fa",
}

RUN = """
import sys, threading, time
import torch
from bench_memory import Nothing
from seqdiff import model as models
from seqdiff.cli import app

held = 0

def watch():
    "Memory of its own, in KiB: pages of mapped files are the system's to take away"
    global held
    while True:
        status = open("/proc/self/status").read()
        held = max(held, int(status.split("RssAnon:")[1].split()[0]))
        time.sleep(0.01)

threading.Thread(target=watch, daemon=True).start()
torch.set_num_threads(1)
model = models.load(device="cpu")
model.denoise = model.denoiser = Nothing()
models.load = lambda run, device: model
model.infill([("ACGTN" * 40)], seed=1)
time.sleep(0.1)
before = held
app(sys.argv[1:], standalone_mode=False)
print(before, held)
"""


class Nothing(torch.nn.Module):
    """A network without work."""

    symbols, hollow, equivariant, reach, width = 4, True, True, None, 8

    def forward(self, tokens: torch.Tensor, time: torch.Tensor | None = None) -> torch.Tensor:
        return torch.zeros(*tokens.shape, 4)

    def hidden(self, tokens: torch.Tensor, time: torch.Tensor | None = None) -> torch.Tensor:
        return torch.zeros(*tokens.shape, self.width)


def letters(rng: np.random.Generator, length: int, share: float) -> np.ndarray:
    """Bases with gaps."""
    text = rng.choice(np.frombuffer(b"ACGT", np.uint8), length)
    for start in rng.integers(0, max(1, length - GAP), round(length * share / GAP)):
        text[start : start + GAP] = ord("N")
    return text


def write_fasta(path: Path, bases: int, record: int, share: float) -> Path:
    rng = np.random.default_rng(0)
    with open(path, "wb") as file:
        for number, first in enumerate(range(0, bases, record), 1):
            file.write(b">chr%d\n" % number)
            for start in range(first, min(first + record, bases), RECORD):
                text = letters(rng, min(RECORD, bases - start, first + record - start), share)
                whole = len(text) // WIDTH * WIDTH
                lines = np.full((len(text) // WIDTH, WIDTH + 1), ord("\n"), np.uint8)
                lines[:, :-1] = text[:whole].reshape(-1, WIDTH)
                file.write(lines.tobytes() + bytes(text[whole:]))
                if whole < len(text) and start + RECORD < first + record:
                    file.write(b"\n")
            file.write(b"\n")
    return path


def write_reads(path: Path, bases: int) -> Path:
    rng = np.random.default_rng(0)
    with open(path, "wb") as file:
        for number in range(bases // READ):
            if number % 10_000 == 0:
                text = rng.choice(np.frombuffer(b"ACGT", np.uint8), (10_000, READ))
                text[:, -2:] = ord("N")
            file.write(b"@read.%d\n%b\n+\n%b\n" % (number, text[number % 10_000].tobytes(), b"I" * READ))
    return path


def write_vcf(path: Path, fasta: Path, bases: int) -> Path:
    """As many bytes of substitutions, whose REF is what the FASTA has, spread over its records."""
    from seqdiff.data.fasta import read_records

    count = min(VARIANTS, bases // 100)
    genotypes = b"\t0|1" * max(1, (bases // count - 50) // 4)
    samples = b"\t".join(b"s%d" % number for number in range(genotypes.count(b"\t")))
    with open(path, "wb") as file:
        file.write(b"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t%b\n" % samples)
        for record in read_records(fasta):
            for place in range(10, len(record.sequence), bases // count):
                ref = record.sequence[place : place + 1]
                alt = b"A" if ref != b"A" else b"C"
                line = (record.name.encode(), place + 1, ref, alt, genotypes)
                file.write(b"%b\t%d\t.\t%b\t%b\t50\tPASS\tAF=0.5\tGT%b\n" % line)
    return path


def measure(commands: list[str], kind: str, megabases: list[int], share: float) -> None:
    from rounds import machine

    print(machine())
    print(f"{'command':10} {'megabases':>9} {'seconds':>8} {'peak MiB':>9} {'more MiB':>9}")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for size in megabases:
            bases = size * 1_000_000
            if kind == "reads":
                fasta = write_reads(place / "a.fq", bases)
            else:
                fasta = write_fasta(place / "a.fa", bases, bases if kind == "one" else RECORD, share)
            paths = {"fasta": fasta, "fasta2": place / "b", "vcf": place / "a.vcf", "out": place / "out"}
            paths["fasta2"].unlink(missing_ok=True)
            os.link(fasta, paths["fasta2"])
            if "variants" in commands:
                write_vcf(paths["vcf"], fasta, bases)
            for command in commands:
                begin = time.perf_counter()
                words = COMMANDS[command].format(**paths).split()
                printed = subprocess.run(
                    [sys.executable, "-c", RUN, *words], env=environment, check=True, stdout=subprocess.PIPE, text=True
                ).stdout  # fmt: skip
                before, peak = (int(number) / 1024 for number in printed.split()[-2:])
                seconds = time.perf_counter() - begin
                print(f"{command:10} {size:9,} {seconds:8.0f} {peak:9,.0f} {peak - before:9,.0f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["records", "one", "reads"])
    parser.add_argument("commands", nargs="*", metavar="command", help=", ".join(COMMANDS))
    parser.add_argument("--megabases", type=int, nargs="+")
    parser.add_argument("--share", type=float, default=0.01)
    options = parser.parse_args()
    sizes = {"records": [1, 10, 100, 1000], "one": [1, 10, 100, 250], "reads": [1, 10, 100, 1000]}
    measure(
        options.commands or ["infill", "variants"],
        options.kind,
        options.megabases or sizes[options.kind],
        options.share,
    )


if __name__ == "__main__":
    main()
