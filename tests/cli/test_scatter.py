"""scatter and gather in this process, and what commands make of shards beside what they make of the whole."""

import gzip
import hashlib
import io
import os
import sys

import numpy as np
import pytest
from typer.testing import CliRunner
from vcfs import vcf_of

from seqdiff import model as models
from seqdiff.cli import app


@pytest.fixture(scope="module", autouse=True)
def loaded_once():
    model = models.load(device="cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "load", lambda run, device: model)
        yield


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def run(*words):
    result = invoke(*words)
    assert result.exit_code == 0, result.output
    return result.stdout


def fails(*words, code):
    result = invoke(*words)
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)
    return result.stderr


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def contigs(tmp_path_factory):
    """Contigs of many lengths, with gaps, ambiguity codes, lower case and empty ones."""
    rng = np.random.default_rng(3)
    path = tmp_path_factory.mktemp("contigs") / "contigs.fa.gz"
    records = []
    for number in range(16):
        length = (0, 1, 30, 120, 1100)[(number + number // 5) % 5]
        letters = rng.choice(np.frombuffer(b"ACGTacgt", np.uint8), length)
        for start in rng.integers(0, max(1, length), 2 if number % 3 else 0):
            letters[start : start + int(rng.integers(1, 9))] = rng.choice(np.frombuffer(b"NnRY", np.uint8))
        text, width = letters.tobytes(), int(rng.choice([10, 60, 2000]))
        lines = b"".join(text[i : i + width] + b"\n" for i in range(0, length, width))
        records.append(b">contig_%d of an assembly\n%b" % (number, lines))
    path.write_bytes(gzip.compress(b"".join(records)))
    return path


def shards(folder, number, ending):
    return [folder / f"{i}-of-{number}.{ending}" for i in range(1, number + 1)]


COMMANDS = {
    "fasta": (["infill", "--sampler", "fast"], "fa", 3),
    "fastq": (["infill", "--format", "fastq", "--samples", 2, "--sampler", "fast"], "fq.gz", 2),
    "table": (["infill", "--sampler", "best"], "tsv.gz", 18),
    "score": (["score", "--draws", 8], "tsv", 3),
    "embed": (["embed"], "npz", 18),
}


@pytest.mark.parametrize("kind", COMMANDS)
def test_shards_come_to_the_whole(contigs, tmp_path, kind):
    command, ending, number = COMMANDS[kind]
    by = ["--by", "unknown"] if command[0] == "infill" else []
    run("scatter", "--fasta", contigs, "-n", number, "--out", tmp_path / "shards", *by)
    reports = []
    for path in shards(tmp_path / "shards", number, "fa"):
        name = path.name.removesuffix("fa")
        report = ["--report", tmp_path / "reports" / f"{name}tsv"] if command[0] == "infill" else []
        reports += report[1:]
        run(*command, "--fasta", path, "-q", "-o", tmp_path / "parts" / f"{name}{ending}", *report)
    run("gather", tmp_path / "parts", "-o", tmp_path / f"joined.{ending}")
    report = ["--report", tmp_path / "report.tsv"] if reports else []
    run(*command, "--fasta", contigs, "-q", "-o", tmp_path / f"whole.{ending}", *report)
    assert digest(tmp_path / f"joined.{ending}") == digest(tmp_path / f"whole.{ending}")
    if reports:
        run("gather", *reports, "-o", tmp_path / "joined.tsv")
        assert digest(tmp_path / "joined.tsv") == digest(tmp_path / "report.tsv")


def test_spans_of_shards_come_to_the_whole(contigs, tmp_path):
    lengths = run("score", "--fasta", contigs, "-q", "--draws", 8).splitlines()[2:]
    lengths = {line.split("\t")[0]: int(line.split("\t")[1]) for line in lengths}
    bed = tmp_path / "spans.bed"
    chosen = [name for name, length in lengths.items() if length >= 120][:3]
    bed.write_text("".join(f"{name}\t{start}\t{start + 9}\n" for name in reversed(chosen) for start in (100, 20)))
    run("scatter", "--fasta", contigs, "-n", 5, "--out", tmp_path / "shards", "--bed", bed)
    without = 0
    for command in (["infill", "--sampler", "fast"], ["score", "--draws", 8]):
        parts = tmp_path / command[0]
        for path in shards(tmp_path / "shards", 5, "fa"):
            spans = path.with_suffix(".bed")
            without += spans.read_text().startswith("#seqdiff")
            ending = "fa" if command[0] == "infill" else "tsv"
            run(*command, "--fasta", path, "--bed", spans, "-q", "-o", parts / f"{path.stem}.{ending}")
        run("gather", parts, "-o", tmp_path / f"joined-{command[0]}")
        run(*command, "--fasta", contigs, "--bed", bed, "-q", "-o", tmp_path / f"whole-{command[0]}")
        assert digest(tmp_path / f"joined-{command[0]}") == digest(tmp_path / f"whole-{command[0]}")
    assert without >= 2


def test_an_empty_file_and_a_bed_without_spans_stay_errors(tmp_path):
    (tmp_path / "empty.fa").write_bytes(b"")
    assert "is empty: there is no record in it" in fails("infill", "--fasta", tmp_path / "empty.fa", code=1)
    (tmp_path / "a.fa").write_bytes(b">a\nACGT\n")
    (tmp_path / "a.bed").write_bytes(b"# none\n")
    message = fails("infill", "--fasta", tmp_path / "a.fa", "--bed", tmp_path / "a.bed", code=2)
    assert "a.bed: holds no span" in message


def test_shards_of_variants_come_to_the_whole(tmp_path):
    number = 3
    rng = np.random.default_rng(0)
    letters = "".join(rng.choice(list("ACGT"), 4000))
    (tmp_path / "ref.fa").write_text(f">1\n{letters}\n>2\n{letters[::-1]}\n")
    text = {"1": letters, "2": letters[::-1]}
    rows = [
        (c, place + 1, text[c][place], "ACGT".replace(text[c][place], "")[place % 3] + "GG" * (place % 5 == 0), ".",
         "GT", ("0|1", "1|1")[place % 2])
        for c in "12" for place in np.unique(rng.integers(600, 3400, 5)).tolist()
    ]  # fmt: skip
    path = vcf_of(tmp_path / "calls.vcf.gz", *rows, samples=("s",))
    apart = ["--apart", 300]
    for kind, ending in (([], "vcf.gz"), (["--haplotypes"], "tsv")):
        run("scatter", "--vcf", path, "-n", number, "--out", tmp_path / "shards", *apart * bool(kind))
        parts = tmp_path / f"parts-{ending}"
        for shard in shards(tmp_path / "shards", number, "vcf.gz"):
            name = f"{shard.name.removesuffix('vcf.gz')}{ending}"
            run("variants", "--vcf", shard, "--fasta", tmp_path / "ref.fa", "-q", "-o", parts / name, *kind)
        run("gather", parts, "-o", tmp_path / f"joined.{ending}")
        run("variants", "--vcf", path, "--fasta", tmp_path / "ref.fa", "-q", "-o", tmp_path / f"whole.{ending}", *kind)
        assert digest(tmp_path / f"joined.{ending}") == digest(tmp_path / f"whole.{ending}")
    assert digest(tmp_path / "joined.vcf.gz.tbi") == digest(tmp_path / "whole.vcf.gz.tbi")


def test_standard_input_is_divided_and_named_in_errors(tmp_path, monkeypatch):
    def given(data):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        return ["scatter", "--fasta", "-", "-n", 2, "--out", tmp_path / "out"]

    runner = CliRunner()
    for data, code in ((b">a\nAC\n>b\nN\n", 0), (b">a\nAC\n>a\nN\n", 1), (b"", 1)):
        result = runner.invoke(app, [str(word) for word in given(data)], input=data)
        assert result.exit_code == code
        if code:
            assert "standard input" in result.stderr
            assert "/tmp" not in result.stderr
    assert sorted(os.listdir(tmp_path / "out")) == ["1-of-2.fa", "2-of-2.fa"]


def test_wrong_use_of_scatter(contigs, tmp_path):
    out = ["-n", 2, "--out", tmp_path / "out"]
    for words, message in (
        ([], "give --fasta FILE or --vcf FILE"),
        (["--fasta", "a", "--vcf", "b"], "give --fasta FILE or --vcf FILE"),
        (["--vcf", contigs, "--by", "letters"], "--by: it is of --fasta"),
        (["--vcf", contigs, "--duplicates", "first"], "--duplicates: it is of --fasta"),
        (["--fasta", contigs, "--apart", 9], "--apart: it is of --vcf"),
        (["--fasta", contigs, "--tabix"], "--tabix: it is of --vcf"),
        (["--fasta", contigs, "--by", "size"], "--by size: choose one of letters, unknown"),
        (["--fasta", contigs, "--bed", "x", "--by", "unknown"], "--by: with --bed"),
        (["--fasta", "-", "--bed", "-"], "only one of them can be stdin"),
    ):
        assert message in fails("scatter", *words, *out, code=2)
    assert "there is no file" in fails("scatter", "--fasta", tmp_path / "nothing.fa", *out, code=1)
    assert "NUL bytes" in fails("scatter", "--fasta", _with(tmp_path / "x", b">a\n\0"), *out, code=1)
    assert "begins with ##fileformat" in fails("scatter", "--vcf", contigs, *out, code=1)
    backwards = vcf_of(tmp_path / "b.vcf", ("1", 9, "A", "C"), ("1", 8, "A", "C"))
    assert "lies before the line above" in fails("scatter", "--vcf", backwards, "--tabix", *out, code=1)
    (tmp_path / "taken").write_text("")
    message = fails("scatter", "--fasta", contigs, "-n", 2, "--out", tmp_path / "taken" / "x", code=1)
    assert "taken is not a folder" in message
    assert not (tmp_path / "out").exists()


def _with(path, data):
    path.write_bytes(data)
    return path
