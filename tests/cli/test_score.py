"""seqdiff score: what each method writes, what is refused, and that nothing is written before that is known."""

import math

import pytest
import torch
from typer.testing import CliRunner

from seqdiff import model as models
from seqdiff.cli import app
from seqdiff.data.fasta import Record
from seqdiff.diffusion.likelihood import Chain, Elbo, Pseudo

RECORDS = {"a": "ACGTTGCATGCATGACTAGCNTGCATCG", "none": "NNNN", "b": "ACG"}


@pytest.fixture(scope="module")
def model():
    return models.load(device="cpu")


@pytest.fixture(autouse=True)
def loaded_once(model, monkeypatch):
    monkeypatch.setattr(models, "load", lambda run, device: model)


@pytest.fixture
def fasta(tmp_path):
    path = tmp_path / "in.fa"
    path.write_text("".join(f">{name} some words\n{text}\n" for name, text in RECORDS.items()))
    return path


def run(*arguments, stdin=None):
    return CliRunner().invoke(app, ["score", "-q", *map(str, arguments)], input=stdin)


def table(result):
    """Comment lines, and rows as dicts."""
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    comments = [line for line in lines if line.startswith("#")]
    columns, *rows = [line.split("\t") for line in lines[len(comments) :]]
    return comments, [dict(zip(columns, row, strict=True)) for row in rows]


def refused(*arguments):
    result = run(*arguments)
    assert result.exit_code in (1, 2)
    assert result.stdout == ""
    return result.exit_code, result.stderr


def test_the_bound_with_its_interval(fasta, model):
    (header,), rows = table(run("--fasta", fasta, "--draws", "16", "--seed", "3"))
    assert "method=elbo draws=16 strata=4 replicates=4 seed=3 model=demo context=1024" in header
    assert [(row["name"], row["length"], row["scored"]) for row in rows] == [
        ("a", "28", "27"), ("none", "4", "0"), ("b", "3", "3"),
    ]  # fmt: skip
    assert list(rows[1].values())[3:] == ["."] * 6
    expected = model.score_records(
        (Record(name, name, text.encode()) for name, text in RECORDS.items()),
        Elbo(strata=4, replicates=4), seed=3,
    )  # fmt: skip
    for row, result in zip(rows, expected, strict=True):
        if result.nats is not None:
            assert float(row["nats"]) == pytest.approx(result.nats, abs=1e-4)
            assert float(row["bits_per_base"]) == pytest.approx(result.nats / result.scored / math.log(2), abs=1e-5)
            assert float(row["perplexity"]) == pytest.approx(math.exp(result.nats / result.scored), abs=1e-5)
    low, nats, high = (float(rows[0][column]) for column in ("low95", "nats", "high95"))
    assert nats - low == pytest.approx(high - nats, abs=2e-4)
    assert high - nats > 1.96 * float(rows[0]["se"])
    assert rows[2]["low95"] == rows[2]["nats"] == rows[2]["high95"]  # all seven masks: exact


def test_the_chain_rule_adds_its_spread_and_the_mixture(fasta, model):
    (header,), rows = table(run("--fasta", fasta, "--method", "chain", "--orders", "5"))
    assert "method=chain order=random orders=5 seed=0" in header
    row = rows[0]
    assert float(row["se"]) == pytest.approx(float(row["sd_orders"]) / 5**0.5, abs=1e-4)
    assert float(row["sd_orders"]) > 0
    assert 0 < float(row["nats"]) - float(row["multi_order_nats"]) < math.log(5)
    assert set(list(rows[1].values())[3:]) == {"."}
    _, (one, *_) = table(run("--fasta", fasta, "--method", "chain", "--orders", "1"))
    assert [one[column] for column in ("se", "low95", "high95", "sd_orders")] == ["."] * 4


@pytest.mark.parametrize("order", ["left-to-right", "right-to-left"])
def test_a_given_order_is_exact(fasta, model, order):
    (header,), rows = table(run("--fasta", fasta, "--method", "chain", "--order", order))
    assert f"method=chain order={order} seed=0" in header
    assert rows[0]["low95"] == rows[0]["nats"] == rows[0]["high95"] == rows[0]["multi_order_nats"]
    (expected,) = model.score([RECORDS["a"]], Chain(order=order)).itertuples()
    assert float(rows[0]["nats"]) == pytest.approx(expected.nats, abs=1e-4)


def test_the_pseudo_likelihood_is_called_a_score_and_has_columns_of_its_own(fasta, model):
    comments, rows = table(run("--fasta", fasta, "--method", "pseudo"))
    assert "method=pseudo seed=0" in comments[0]
    assert comments[1] == (
        "# pseudo_nats is a score, not a likelihood: each letter given all others, no bound on -log p"
    )
    assert list(rows[0]) == ["name", "length", "scored", "pseudo_nats", "pseudo_nats_per_base"]
    (expected,) = model.score([RECORDS["a"]], Pseudo()).itertuples()
    assert float(rows[0]["pseudo_nats"]) == pytest.approx(expected.pseudo_nats, abs=1e-4)
    assert float(rows[0]["pseudo_nats_per_base"]) == pytest.approx(expected.pseudo_nats / 27, abs=1e-5)


def test_regions_by_name_and_by_bed_are_the_same_lines(fasta, tmp_path):
    bed = tmp_path / "regions.bed"
    bed.write_text("b\t0\t2\na\t4\t9\nnone\t1\t3\na\t0\t28\n")
    regions = ["--region", "b:1-2", "--region", "a:5-9", "--region", "none:2-3", "--region", "a"]
    by_name = run("--fasta", fasta, *regions)
    assert run("--fasta", fasta, "--bed", bed).stdout == by_name.stdout
    assert run("--fasta", "-", "--bed", bed, stdin=fasta.read_text()).stdout == by_name.stdout
    _, rows = table(by_name)
    assert [(row["name"], row["start"], row["end"], row["scored"]) for row in rows] == [
        ("a", "5", "9", "5"), ("a", "1", "28", "27"), ("none", "2", "3", "0"), ("b", "1", "2", "2"),
    ]  # fmt: skip
    assert rows[2]["nats"] == "."
    _, whole = table(run("--fasta", fasta))
    assert float(rows[1]["nats"]) == pytest.approx(float(whole[0]["nats"]), abs=3 * float(rows[1]["se"]) + 0.5)


def test_regions_past_the_end_are_refused_or_cut(fasta):
    code, message = refused("--fasta", fasta, "--region", "a:20-40")
    assert code == 1
    assert "region 'a:20-40' runs past the end of a (28); shorten it, or use --clip" in message
    _, (row,) = table(run("--fasta", fasta, "--region", "a:20-40", "--clip"))
    assert (row["start"], row["end"]) == ("20", "28")
    assert "there is no contig 'chr9'" in refused("--fasta", fasta, "--region", "chr9:1-2")[1]


def test_scores_are_not_written_over_what_was_read(fasta, tmp_path):
    (tmp_path / "link.fa").symlink_to(fasta)
    (tmp_path / "r.bed").write_text("a\t0\t9\n")
    for arguments in ["-o", fasta], ["-o", tmp_path / "link.fa"], ["--bed", "r.bed", "-o", "r.bed"]:
        code, message = refused("--fasta", fasta, *arguments)
        assert code == 2
        assert message == f"seqdiff: error: -o {arguments[-1]}: give it a file of its own\n"
    assert fasta.read_text().startswith(">a some words")


def test_a_region_longer_than_the_context_is_refused(tmp_path):
    path = tmp_path / "long.fa"
    path.write_text(f">short\nACGT\n>long\n{'ACGT' * 500}\n")
    code, message = refused("--fasta", path, "--region", "short:1-2", "--region", "long:11-1500")
    assert code == 1
    assert "region long:11-1,500 has 1,490 letters, more than the model looks at together (1,024)" in message


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--method", "mle"], "--method mle: choose one of elbo, chain, pseudo"),
        (["--method", "chain", "--draws", "32"], "--draws: it is for --method elbo, not for chain"),
        (["--method", "pseudo", "--draws", "32"], "--draws: it is for --method elbo, not for pseudo"),
        (["--orders", "3"], "--orders: it is for --method chain, not for elbo"),
        (["--order", "random"], "--order: it is for --method chain, not for elbo"),
        (["--method", "pseudo", "--order", "random"], "--order: it is for --method chain, not for pseudo"),
        (["--method", "chain", "--order", "inside-out"], "--order inside-out: choose one of random, left-to-right"),
        (["--method", "chain", "--order", "left-to-right", "--orders", "2"], "there is one order left-to-right"),
        (["--draws", "9"], "--draws 9: use a multiple of 4, like 8"),
        (["--draws", "5"], "--draws 5: use a multiple of 2, like 4"),
        (["--clip"], "--clip: it cuts regions"),
        (["--bed", "-"], "only one of them can be stdin"),
    ],
)
def test_settings_that_would_be_ignored_are_refused(fasta, arguments, says):
    code, message = refused("--fasta", "-" if "-" in arguments else fasta, *arguments)
    assert code == 2
    assert says in message


@pytest.mark.parametrize("method", ["elbo", "chain", "pseudo"])
def test_nothing_is_written_if_the_network_gives_no_numbers(fasta, model, method, monkeypatch):
    network = model.denoiser.network

    def broken(tokens, time=None):
        return torch.full((*tokens.shape, 4), torch.nan)

    monkeypatch.setattr(model.denoiser, "network", broken)
    code, message = refused("--fasta", fasta, "--method", method)
    assert code == 1
    assert "the network's output is not a number" in message
    assert network is not broken


def test_draws_of_a_network_that_is_not_hollow_are_stratified_more_finely(fasta, model, monkeypatch):
    monkeypatch.setattr(model.denoiser, "hollow", False)
    (header,), _ = table(run("--fasta", fasta))
    assert "draws=32 strata=16 replicates=2" in header
