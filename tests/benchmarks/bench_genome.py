"""Reading genomes: how long encoding takes, and random windows a second beside other readers.

python tests/benchmarks/bench_genome.py encode [--gigabases 3.1]   wall time and peak memory, in a process of its own
python tests/benchmarks/bench_genome.py windows                    seqdiff, pyfaidx, pysam and Biopython in one run

The FASTA is synthetic: hg38's chromosome sizes, 50 letters a line, half of them lower-case, N at the
ends of chromosomes. It lies in a temporary folder (TMPDIR) and is deleted.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import numpy as np

HG38 = {
    "chr1": 248_956_422, "chr2": 242_193_529, "chr3": 198_295_559, "chr4": 190_214_555, "chr5": 181_538_259,
    "chr6": 170_805_979, "chr7": 159_345_973, "chr8": 145_138_636, "chr9": 138_394_717, "chr10": 133_797_422,
    "chr11": 135_086_622, "chr12": 133_275_309, "chr13": 114_364_328, "chr14": 107_043_718,
    "chr15": 101_991_189, "chr16": 90_338_345, "chr17": 83_257_441, "chr18": 80_373_285, "chr19": 58_617_616,
    "chr20": 64_444_167, "chr21": 46_709_983, "chr22": 50_818_468, "chrX": 156_040_895, "chrY": 57_227_415,
    "chrM": 16_569,
}  # fmt: skip
WIDTH = 50
BLOCK = 200_000  # lines written at once

ENCODE = """
import sys, time
from seqdiff.data.genome import Genome
begin = time.perf_counter()
genome = Genome.open(sys.argv[1])
print(time.perf_counter() - begin, sum(genome.contigs.values()), genome.checksum)
"""


def write_fasta(path: Path, contigs: dict[str, int]) -> None:
    rng = np.random.default_rng(0)
    lines = np.full((BLOCK, WIDTH + 1), ord("\n"), np.uint8)
    lines[:, :-1] = rng.choice(np.frombuffer(b"ACGTacgt", np.uint8), (BLOCK, WIDTH))
    with open(path, "wb") as file:
        for name, length in contigs.items():
            file.write(b">%s\n" % name.encode())
            unknown = min(10_000, length) // WIDTH
            file.write((b"N" * WIDTH + b"\n") * unknown)
            whole, rest = divmod(length - unknown * WIDTH, WIDTH)
            while whole:
                rows = min(whole, BLOCK)
                file.write(lines[:rows])
                whole -= rows
            if rest:
                file.write(b"N" * rest + b"\n")


def scaled(letters: float, names: list[str]) -> dict[str, int]:
    """hg38's chromosomes in proportion, with this many letters in all."""
    scale = letters / sum(HG38[name] for name in names)
    return {name: max(1, round(HG38[name] * scale)) for name in names}


def encode(gigabases: float) -> None:
    contigs = scaled(gigabases * 1e9, list(HG38))
    needed = sum(contigs.values()) * 2.1
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < needed * 1.2:
        sys.exit(
            f"{tempfile.gettempdir()} has {free / 1e9:.1f} GB free and this needs {needed / 1e9:.1f}: "
            "set TMPDIR to a roomier folder, or give --gigabases"
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "synthetic.fa"
        write_fasta(path, contigs)
        os.sync()
        with open(path, "rb", buffering=0) as file:  # the time to beat: only reading it
            begin = time.perf_counter()
            while file.read(1 << 20):
                pass
            reading = time.perf_counter() - begin
        process = subprocess.Popen([sys.executable, "-c", ENCODE, str(path)], stdout=subprocess.PIPE, text=True)
        seconds, letters, checksum = process.stdout.read().split()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
        print(f"letters       {int(letters):,} in {len(contigs)} contigs, {path.stat().st_size:,} bytes")
        speed = int(letters) / float(seconds) / 1e6
        print(f"encoding      {float(seconds):.1f} s ({speed:.0f} Mb/s)")
        print(f"processor     {usage.ru_utime + usage.ru_stime:.1f} s")
        print(f"only reading  {reading:.1f} s")
        print(f"peak memory   {usage.ru_maxrss / 2**10:.0f} MiB, of the whole process")
        print(f"encoded file  {Path(f'{path}.seqdiff').stat().st_size:,} bytes, checksum {checksum}")


Read = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


def readers(path: Path) -> dict[str, Read]:
    """Each takes contig indices, starts and a length and gives codes (n, length): what training asks for."""
    import pyfaidx
    import pysam
    from Bio import SeqIO

    from seqdiff.alphabet import DNA
    from seqdiff.data.contigs import code_table
    from seqdiff.data.genome import Genome

    table = np.frombuffer(code_table(DNA), np.uint8)
    genome, faidx = Genome.open(path), pyfaidx.Fasta(str(path), as_raw=True)
    samtools, biopython = pysam.FastaFile(str(path)), SeqIO.index(str(path), "fasta")
    names = list(genome.contigs)

    def by_text(fetch: Callable[[str, int, int], bytes]) -> Read:
        def read(contigs: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
            rows = np.empty((len(starts), length), np.uint8)
            for row, contig, start in zip(rows, contigs.tolist(), starts.tolist(), strict=True):
                row[:] = table[np.frombuffer(fetch(names[contig], start, start + length), np.uint8)]
            return rows

        return read

    return {
        "seqdiff": genome.gather,
        "pyfaidx as_raw + table": by_text(lambda name, start, end: faidx[name][start:end].encode()),
        "pysam + table": by_text(lambda name, start, end: samtools.fetch(name, start, end).encode()),
        "Biopython SeqIO.index": by_text(lambda name, start, end: bytes(biopython[name].seq[start:end])),
    }


def windows(megabases: int, rounds: int, seconds: float) -> None:
    # Without chrM, which is shorter than a window.
    contigs = scaled(megabases * 1e6, [name for name in HG38 if name != "chrM"])
    sizes = np.array(list(contigs.values()))
    rng = np.random.default_rng(1)

    def draw(count: int, length: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = rng.choice(sizes.size, count, p=sizes / sizes.sum())
        return chosen, rng.integers(0, sizes[chosen] - length)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "synthetic.fa"
        write_fasta(path, contigs)
        contenders = readers(path)
        for length in (1024, 32_768):
            probe = draw(3, length)
            expected = contenders["seqdiff"](*probe, length)
            for reader, read in contenders.items():
                assert np.array_equal(read(*probe, length), expected), f"{reader} reads something else"
            rates: dict[str, list[float]] = {reader: [] for reader in contenders}
            for _ in range(rounds):
                for reader, read in contenders.items():
                    batch = 1 if "Biopython" in reader else 64
                    drawn = cycle([draw(batch, length) for _ in range(200)])
                    done, begin = 0, time.perf_counter()
                    while time.perf_counter() - begin < seconds:
                        read(*next(drawn), length)
                        done += batch
                    rates[reader].append(done / (time.perf_counter() - begin))
            ours = statistics.median(rates["seqdiff"])
            print(f"\nrandom windows of {length:,} bases, {megabases} Mb, median of {rounds} interleaved rounds")
            for reader, measured in rates.items():
                rate = statistics.median(measured)
                print(f"  {reader:24} {rate:12,.0f} windows/s   seqdiff is {ours / rate:10.1f} times as fast")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    parsed = commands.add_parser("encode")
    parsed.add_argument("--gigabases", type=float, default=3.1)
    parsed = commands.add_parser("windows")
    parsed.add_argument("--megabases", type=int, default=50)
    parsed.add_argument("--rounds", type=int, default=5)
    parsed.add_argument("--seconds", type=float, default=0.5)
    options = vars(parser.parse_args())
    {"encode": encode, "windows": windows}[options.pop("command")](**options)


if __name__ == "__main__":
    main()
