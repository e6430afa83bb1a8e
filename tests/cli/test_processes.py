"""--processes: what several processes write is what one writes, byte for byte; how they fail, and how they end."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from seqdiff import model as models
from seqdiff.cli import app, options
from seqdiff.model.spread import Spread

LETTERS = "ACGT"


@pytest.fixture(scope="module")
def spread():
    """The model that ships, and three processes that have it: all commands here share them."""
    model = models.load(device="cpu")
    with Spread(model, 3, threads=1) as many, pytest.MonkeyPatch.context() as patch:

        @contextlib.contextmanager
        def shared(loaded, processes, threads):
            yield loaded if processes is None else many

        patch.setattr(models, "load", lambda run, device: model)
        patch.setattr(options, "spread", shared)
        yield


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("inputs"), random.Random(1)

    def sequence(length):
        return "".join(rng.choices(LETTERS, k=length))

    def record(number, length, gaps):
        letters = list(sequence(length))
        for _ in range(gaps):
            at = rng.randrange(length)
            letters[at : at + 3] = "N" * len(letters[at : at + 3])
        letters[length // 2] = "R"
        return f">r{number} what came\n{''.join(letters)}\n"

    lengths = [60, 40, 333, 1100, 21, 100] * 11 + [1030]
    (folder / "gaps.fa").write_text("".join(record(*each, 2) for each in enumerate(lengths)))
    few = list(enumerate(lengths))[:9]
    (folder / "few.fa").write_text("".join(record(*each, 2) for each in few))
    (folder / "reads.fq").write_text(
        "".join(f"@q{i}\nAC{sequence(20)}N{sequence(9)}\n+\n{'I' * 22}!{'5' * 9}\n" for i in range(70))
    )
    reference = sequence(6000)
    (folder / "reference.fa").write_text(f">c1\n{reference}\n")
    places = sorted(rng.sample(range(50, 5900), 170))
    header = "##fileformat=VCFv4.2\n##contig=<ID=c1,length=6000>\n"
    header += '##FORMAT=<ID=GT,Number=1,Type=String,Description="">\n'
    lines = [header + "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ts1\n"]
    for number, place in enumerate(places):
        ref = reference[place]
        alt = ref + "AC" if number % 40 == 7 else rng.choice(LETTERS.replace(ref, ""))
        lines.append(f"c1\t{place + 1}\t.\t{ref}\t{alt}\t.\t.\t.\tGT\t{number % 3 % 2}|1\n")
    (folder / "calls.vcf").write_text("".join(lines))
    return folder


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


COMMANDS = {
    "fasta": "infill --fasta gaps.fa --steps 2 -o OUT/a.fa --report OUT/r.tsv",
    "samples": "infill --fasta few.fa --steps 2 --samples 3 -o OUT/a.fa.gz",
    "table": "infill --fasta gaps.fa --sampler best -o OUT/a.tsv",
    "reads": "infill --fasta reads.fq --soft-evidence --steps 2 -o OUT/a.fq --seed 4",
    "insert": "infill --fasta few.fa --insert r1:5:0-3 --insert-draws 8 --steps 2 -o OUT/a.fa --insert-table OUT/i.tsv",
    "spans": "infill --fasta few.fa --region r2:20-30 --region r3:1000-1040 --steps 2 -o OUT/a.fa",
    "design": "infill --fasta few.fa --region r3:100-130 --gc 0.3-0.7 --particles 2 -o OUT/a.fa --report OUT/r.tsv",
    "elbo": "score --fasta gaps.fa --draws 8 -o OUT/a.tsv",
    "regions": "score --fasta few.fa --method pseudo --region r3:100-130 --region r0:2-30 -o OUT/a.tsv",
    "vcf": "variants --vcf calls.vcf --fasta reference.fa -o OUT/a.vcf.gz",
    "haplotypes": "variants --vcf calls.vcf --fasta reference.fa --haplotypes --method marginal -o OUT/a.tsv",
    "saturate": "variants --saturate c1:3000-3300 --fasta reference.fa -o OUT/a.tsv",
    "means": "embed --fasta gaps.fa -o OUT/a.npz",
    "windows": "embed --fasta gaps.fa --window 50 --stride 20 -o OUT/a.parquet",
    "residues": "embed --fasta few.fa --per residue -o OUT/a.npz",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_bytes_of_one_process(name, spread, inputs, tmp_path, monkeypatch):
    monkeypatch.chdir(inputs)
    wrote, said = [], []
    for processes in ((), ("--processes", "3")):
        out = tmp_path / str(len(wrote))
        out.mkdir()
        result = invoke(*COMMANDS[name].replace("OUT", str(out)).split(), "-q", *processes)
        assert result.exit_code == 0, result.stderr
        wrote.append({path.name: path.read_bytes() for path in out.iterdir()})
        said.append(result.stderr.replace(str(out), ""))
    assert wrote[0] == wrote[1]
    assert len(wrote[0]) == COMMANDS[name].count("OUT") + (name == "vcf")
    assert said[0] == said[1]


def test_an_error_is_the_same_and_nothing_is_written(spread, inputs, tmp_path, monkeypatch):
    monkeypatch.chdir(inputs)
    command = f"score --fasta gaps.fa --region r9:1-1100 --region r3:1-1100 -o {tmp_path}/o.tsv"
    one, many = (invoke(*command.split(), *more) for more in ((), ("--processes", "3")))
    assert (one.exit_code, one.stderr) == (many.exit_code, many.stderr)
    assert one.exit_code == 1
    assert not list(tmp_path.iterdir())


def test_where_it_would_change_nothing_it_is_refused(spread, tmp_path):
    (tmp_path / "a.txt").write_text("some text")
    assert "--processes" in invoke("score", "--text", tmp_path / "a.txt", "--processes", 2).stderr
    (tmp_path / "p.fa").write_text(">p\nMKV\n")
    result = invoke("variants", "--mutations", tmp_path / "a.txt", "--fasta", tmp_path / "p.fa", "--processes", 2)
    assert result.exit_code == 2
    assert "--processes" in result.stderr


def children(process):
    """The processes that a process has started."""
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(each) for each in found]


def computing(command, folder):
    """A command whose workers have begun to compute, and their ids."""
    process = subprocess.Popen(
        [sys.executable, "-m", "seqdiff", *command], cwd=folder, stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None:
        ids = children(process)
        with contextlib.suppress(FileNotFoundError):
            if len(ids) == 2 and all(_seconds(each) > 4 for each in ids):
                return process, ids
        time.sleep(0.1)
    raise AssertionError(process.stderr.read())


def _seconds(process):
    ticks = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def gone(ids, within=20.0):
    until = time.monotonic() + within
    while any(Path(f"/proc/{each}").exists() for each in ids) and time.monotonic() < until:
        time.sleep(0.1)
    return not any(Path(f"/proc/{each}").exists() for each in ids)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the workers in /proc")
def test_however_it_ends_no_worker_is_left(inputs, tmp_path):
    (tmp_path / "long.fa").write_text("".join(f">{i}\n{'ACGTTGCA' * 3000}\n" for i in range(60)))
    command = ["score", "--fasta", "long.fa", "--processes", "2", "-@", "2", "-q", "-o", "scores.tsv"]
    for number, whom, code, message in (
        (signal.SIGKILL, "worker", 1, "a worker process ended before its work was done"),
        (signal.SIGINT, "all", 130, "interrupted; nothing was left half-written"),
        (signal.SIGKILL, "command", -9, ""),
    ):
        process, ids = computing(command, tmp_path)
        for each in {"worker": ids[:1], "all": [*ids, process.pid], "command": [process.pid]}[whom]:
            os.kill(each, number)
        said = process.communicate(timeout=60)[1]
        assert process.returncode == code
        assert message in said
        assert "Traceback" not in said
        assert gone(ids)
        assert not (tmp_path / "scores.tsv").exists()
