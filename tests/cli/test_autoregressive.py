"""Left-to-right and ordered models as a user meets them: trained, evaluated, scored, sampled, infilled, variants."""

import json

import pytest
import yaml
from stories import tiny_recipe, write_genome
from typer.testing import CliRunner

from seqdiff.cli import app

RUNS = {
    "mamba": ({"kind": "autoregressive"}, {"kind": "mamba", "width": 16, "depth": 1, "causal": True}),
    "outside-in": (
        {"kind": "anyorder", "orders": "outside-in"},
        {"kind": "convolution", "width": 16, "hidden": 16, "depth": 2, "time_conditioning": True},
    ),
}


def run(*words):
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == 0, result.output
    return result


def fails(*words, code=2) -> str:
    result = CliRunner().invoke(app, list(map(str, words)))
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    (message,) = [line for line in result.stderr.splitlines() if line.startswith("seqdiff: error: ")]
    return message


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("orders")
    fasta = write_genome(folder / "genome.fa")
    for name, (process, network) in RUNS.items():
        recipe = tiny_recipe(fasta).model_dump(mode="json", by_alias=True)
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(recipe | {"denoiser": network, "process": process}))
        run("train", folder / f"{name}.yaml", "--out", folder / name, "-q")
    (folder / "reads.fa").write_text(">a\nACGTTGCANNNNNACGT\n>b\nACGTNNRNNN\n>c\nACGTTG\n")
    letters = "".join(line for line in fasta.read_text().splitlines() if line[0] != ">")
    rows = [("snv", 40, letters[39], "ACGT"[("ACGT".index(letters[39]) + 1) % 4])]
    rows.append(("del", 100, letters[99:102], letters[99]))
    lines = "\n".join(f"chrA\t{place}\t{name}\t{ref}\t{alt}\t.\t.\t." for name, place, ref, alt in rows)
    head = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    (folder / "calls.vcf").write_text(head + lines + "\n")
    return folder


def report(path):
    header, *lines = (text.split("\t") for text in path.read_text().splitlines())
    return {line[0]: dict(zip(header, line, strict=True)) for line in lines}


@pytest.mark.parametrize("name", RUNS)
def test_it_is_evaluated_by_its_own_bound(files, name):
    run("evaluate", files / name, "likelihood", "-q", "-o", files / "answer.json", "--set", "likelihood.bases=300")
    (answer,) = json.loads((files / "answer.json").read_text())["answers"].values()
    assert 1 < answer["model"]["bits"] < 3
    assert (answer["model"]["se_monte_carlo"] == 0) == (name == "mamba")


def test_a_left_to_right_model_scores_exactly_and_regions_given_what_stands_before(files):
    words = ("score", "--model", files / "mamba")
    header, _, a, b, c = run(*words, "--fasta", files / "reads.fa").stdout.splitlines()
    assert "process=autoregressive" in header
    assert "draws" not in header
    assert [line.split("\t")[4] for line in (a, b, c)] == ["0.0000"] * 3
    (files / "cut.fa").write_text(">a\nACGTTGCA\n")
    lines = [
        run(*words, "--fasta", files / file, "--region", "a:5-8").stdout.splitlines() for file in ("reads.fa", "cut.fa")
    ]
    assert lines[0][1].startswith("# nats are of each region given the letters before it")
    assert lines[0][3] == lines[1][3]


@pytest.mark.parametrize(("name", "sampler"), [("mamba", "forward"), ("outside-in", "ordered")])
def test_it_is_sampled_beyond_its_context_too_and_infilled_by_particles(files, name, sampler):
    words = ("sample", "--model", files / name, "-n", 2, "--seed", 4)
    first = run(*words, "--length", 20).stdout
    assert first == run(*words, "--length", 20, "--sampler", sampler).stdout
    assert all(len(s) == 20 and set(s) <= set("ACGT") for s in first.splitlines()[1::2])
    long = run(*words, "--length", 70).stdout
    assert sum(len(line) for line in long.splitlines() if line[0] != ">") == 140
    words = ("infill", "--model", files / name, "--fasta", files / "reads.fa", "--report", files / "report.tsv")
    filled = run(*words, "--sampler", sampler, "--particles", 4, "--top-p", 0.9).stdout.splitlines()
    assert filled == run(*words, "--sampler", sampler, "--set", "particles=4", "--top-p", 0.9).stdout.splitlines()
    assert filled[1].startswith("ACGTTGCA")
    assert filled[1].endswith("ACGT")
    assert filled[3][6] in "AG"
    assert filled[5] == "ACGTTG"
    table = report(files / "report.tsv")
    assert 1 <= float(table["b"]["ess"]) <= 4
    assert float(table["b"]["log_weight"]) < 0  # of the R at least
    assert table["c"]["calls"] == "0"
    quality = run(*words[:5], "--format", "fastq").stdout.splitlines()[3]
    assert quality[:8] == "I" * 8
    assert set(quality[8:13]) < set("!\"#$%&'()*+,-./0123456789")


def test_variants_are_scored_exactly_by_a_left_to_right_model_alone(files):
    words = ("variants", "--vcf", files / "calls.vcf", "--fasta", files / "genome.fa", "--model")
    lines = [line for line in run(*words, files / "mamba").stdout.splitlines() if line[0] != "#"]
    assert all("SEQDIFF_SE=0.0000;SEQDIFF_METHOD=exact" in line for line in lines)
    assert len(lines) == 2
    for given in (("--draws", 16), ("--method", "elbo"), ("--orders", 2)):
        assert "scores every variant exactly" in fails(*words, files / "mamba", *given)
    assert "does not learn to fill masks" in fails(*words, files / "outside-in")


def test_what_it_cannot_do_is_refused(files):
    model = ("--model", files / "mamba", "--fasta", files / "reads.fa")
    assert "does not learn to fill masks from both sides" in fails("score", *model, "--method", "pseudo")
    assert "--draws" in fails("score", *model, "--draws", 16)
    for option in (
        ("--sampler", "exact"),
        ("--exact-evidence",),
        ("--gc", "0.4-0.6"),
        ("--forbid", "EcoRI"),
        ("--insert", "a:3:0-2"),
    ):
        told = fails("infill", *model, *option)
        assert f"error: {option[0]}" in told
        assert "its own sampler forward" in told
    assert "--gc: " in fails("sample", *model[:2], "--gc", "0.4-0.6")
    assert "greater than or equal to 1" in fails("infill", *model, "--sampler", "forward", "--set", "particles=0")
    assert "--sampler forward" in fails("infill", *model, "--particles", 4)
    assert "the sampler forward is of process autoregressive" in fails("sample", "--sampler", "forward")
    assert "set denoiser.causal=true" in fails(
        "train", files / "mamba.yaml", "--out", files / "x", "--set", "denoiser.causal=false"
    )
