"""The verbs of a model say what the commands say, in the words of Python."""

import copy
import io
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from stories import SETTINGS
from typer.testing import CliRunner

import seqdiff
from seqdiff import recipe
from seqdiff.checkpoint import Provenance
from seqdiff.cli import app
from seqdiff.diffusion.likelihood import Chain, Elbo
from seqdiff.diffusion.samplers import Best, Confident
from seqdiff.errors import DataError, UsageError
from seqdiff.inference.changes import VariantScorer
from seqdiff.model import Model, filling

LETTERS = {"a": "ACGTNNNNNNACGTGTGTGCNNCA", "b": "GGGGCNNRYACACACA", "none": "NNNNN"}


@pytest.fixture(scope="module")
def model():
    return seqdiff.load("human-chr20", "cpu")


@pytest.fixture(scope="module")
def fasta(tmp_path_factory):
    path = tmp_path_factory.mktemp("verbs") / "in.fa"
    path.write_text("".join(f">{name}\n{letters}\n" for name, letters in LETTERS.items()))
    return path


def run(*words):
    result = CliRunner().invoke(app, [*map(str, words), "--device", "cpu", "-q"])
    assert result.exit_code == 0, result.output
    return result.stdout


def table(text):
    return pd.read_csv(io.StringIO(text), sep="\t", comment="#", na_values=".", keep_default_na=False)


def letters_of(text):
    return text.splitlines()[1::2]


@pytest.mark.parametrize(
    ("options", "keywords"),
    [
        (["--seed", 3], {"seed": 3}),
        (["--sampler", "fast", "--temperature", 0.7], {"sampler": "fast", "temperature": 0.7}),
        (["--sampler", "confident", "--steps", 3], {"sampler": Confident(steps=3)}),
        (["--steps", 2, "--top-p", 0.9], {"steps": 2, "top_p": 0.9}),
        (["--region", "a:2-9"], {"regions": ["a:2-9"]}),
        (["--gc", "40-60%", "--forbid", "EcoRI"], {"design": seqdiff.design(gc="40-60%", forbid=["EcoRI"])}),
        (["--gc", "0.4-0.6", "--particles", 3], {"design": seqdiff.design(gc=(0.4, 0.6)), "particles": 3}),
    ],
)
def test_infill_is_the_command(model, fasta, options, keywords):
    expected = letters_of(run("infill", "--fasta", fasta, *options))
    assert model.infill(LETTERS, **keywords) == expected
    assert [each.sequence.decode() for each in model.infill(fasta, **keywords)] == expected


def test_samples_are_the_command(model, fasta):
    expected = letters_of(run("infill", "--fasta", fasta, "--samples", 2))
    several = model.infill(LETTERS, samples=2)
    assert [text for fillings in several for text in fillings] == expected
    assert [len(fillings) for fillings in several] == [2, 2, 2]
    assert model.infill(LETTERS, samples=1) == [[each[0]] for each in several]


@pytest.mark.parametrize(
    ("options", "arguments", "keywords"),
    [
        ([], (), {}),
        (["--draws", 8, "--seed", 2], (), {"draws": 8, "seed": 2}),
        (["--method", "chain", "--orders", 2], ("chain",), {"orders": 2}),
        (["--method", "chain", "--order", "left-to-right"], (Chain(order="left-to-right"),), {}),
        (["--method", "pseudo"], ("pseudo",), {}),
        (["--region", "a:1-4", "--region", "b:1-5"], (), {"regions": ["a:1-4", ("b", 0, 5)]}),
    ],
)
def test_score_is_the_command(model, fasta, options, arguments, keywords):
    expected = table(run("score", "--fasta", fasta, *options))
    found = model.score(LETTERS, *arguments, **keywords)
    assert found.name.tolist() == (["a", "b"] if "regions" in keywords else list(LETTERS))
    pd.testing.assert_frame_equal(found, expected, atol=1e-4, check_dtype=False, rtol=0)


def test_scores_have_the_index_of_a_series(model):
    series = pd.Series(["ACGT", "GGCC"], index=["x", "y"])
    assert model.score(series).index.tolist() == ["x", "y"]
    frame = pd.DataFrame({"sequence": series}).join(model.score(series)[["nats", "se"]])
    assert frame.nats.notna().all()


def test_embed_is_the_command(model, fasta, tmp_path):
    for per, options in (("mean", {}), ("residue", {}), ("window", {"window": 5, "stride": 2})):
        out = tmp_path / f"{per}.npz"
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        run("embed", "--fasta", fasta, "--per", per, *words, "-o", out)
        with np.load(out) as file:
            expected, offsets = file["embeddings"], file["offsets"]
        found = model.embed(LETTERS, per=per, **options)
        if per == "mean":
            np.testing.assert_array_equal(found, expected)
        else:
            assert [len(each) for each in found] == np.diff(offsets).tolist()
            np.testing.assert_array_equal(np.concatenate(found), expected)


def test_sample_is_the_command(model, monkeypatch):
    expected = letters_of(run("sample", "-n", 2, "--length", "20-40", "--seed", 7, "--sampler", "fast"))
    assert model.sample(2, (20, 40), "fast", seed=7) == expected
    designed = letters_of(run("sample", "-n", 1, "--length", 18, "--gc", "50-60%"))
    assert model.sample(1, 18, design=seqdiff.design(gc="50-60%")) == designed
    assert [len(each) for each in model.sample(2, np.int64(5))] == [5, 5]
    assert model.sample(0, 5) == []
    monkeypatch.setattr(filling, "DNA_LENGTH", 12)
    assert [len(each) for each in model.sample(1)] == [12]


def test_nothing_in_nothing_out(model):
    assert model.infill([]) == []
    assert model.embed([]).shape == (0, 112)
    assert model.embed([], per="residue") == []
    for arguments in ({}, {"method": "chain"}, {"method": "pseudo"}):
        columns = list(model.score(["AC"], **arguments).columns)
        empty = model.score([], **arguments)
        assert (len(empty), list(empty.columns)) == (0, columns)


@pytest.fixture
def told():
    genomes = {name: {"genome": "human-chr20"} for name in ("human", "other")}
    loaded = recipe.parse(SETTINGS | {"data": {"kind": "species", "genomes": genomes, "context": 32}}, "told")
    torch.manual_seed(0)
    network = loaded.network()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    return Model(network, loaded, Provenance("told", 24, "", "", 0, None), torch.device("cpu"))


def test_a_class_is_told(told):
    label, other = told.labels[:2]
    plain, first = told.infill(["NNNNNN"], seed=1), told.infill(["NNNNNN"], label=label, seed=1)
    assert first == told.labelled(label).infill(["NNNNNN"], seed=1)
    assert first == told.infill(["NNNNNN"], label=label, guidance=1.0, seed=1)
    assert told.score(["ACGT"], label=label).nats[0] != told.score(["ACGT"], label=other).nats[0]
    assert told.sample(2, 6, label=label, guidance=2.0, seed=1) != plain
    with pytest.raises(UsageError, match=r"^label nothing: .* knows no such class"):
        told.infill(["N"], label="nothing")
    with pytest.raises(UsageError, match="give a label, or the other model as unconditional"):
        told.infill(["N"], guidance=1.0)
    with pytest.raises(UsageError, match="so give guidance as well"):
        told.infill(["N"], unconditional=told)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.infill(["N"], "nearest"), "sampler 'nearest': choose one of fast, ancestral, exact"),
        (lambda m: m.infill(["N"], "exact", steps=3), "steps=3: the sampler exact has no such setting; it has temp"),
        (lambda m: m.infill(["N"], steps=0), r"steps=0: .*greater than or equal to 1"),
        (lambda m: m.infill(["N"], Best(), temperature=2.0), "temperature=2.0: give it to the sampler itself"),
        (lambda m: m.infill(["N"], samples=0), "samples=0: one at least"),
        (lambda m: m.infill(["N"], "best", samples=2), "samples=2: the sampler best draws nothing"),
        (lambda m: m.infill(["N"], "fast", design=seqdiff.design(gc="0-1")), "leave sampler out"),
        (lambda m: m.infill(["N"], particles=3), "particles=3: the sampler ancestral has no such setting"),
        (lambda m: seqdiff.design(), "give gc, forbid or translate"),
        (lambda m: seqdiff.design(forbid="EcoRI"), r"give a list of words or enzymes: \['EcoRI'\]"),
        (lambda m: seqdiff.design(gc="x"), "^gc x: write it as 0.4-0.6"),
        (lambda m: seqdiff.design(gc="0-1", genetic_code=2), "give translate as well"),
        (lambda m: m.sample(-1, 5), "count=-1"),
        (lambda m: m.sample(1, 0), "length=0: from the shortest to the longest, from 1 on"),
        (lambda m: m.sample(1, (5, 3)), "from the shortest to the longest"),
        (lambda m: m.sample(2, 5, "best"), "draws nothing"),
        (lambda m: m.score(["A"], "likelihood"), "method 'likelihood': choose one of elbo, chain, pseudo"),
        (lambda m: m.score(["A"], orders=3), "orders=3: it is not for the method elbo"),
        (lambda m: m.score(["A"], draws=7), "^draws 7: use a multiple of"),
        (lambda m: m.score(["A"], draws=1), "draws=1: two at least"),
        (lambda m: m.score(["A"], "chain", order="up"), "order='up'"),
        (lambda m: m.score(["A"], "chain", order="left-to-right", orders=2), "orders=2: there is one order"),
        (lambda m: m.score(["A"], Elbo(), draws=8), "draws: it belongs to a method by name"),
        (lambda m: m.embed(["A"], per="letter"), "per='letter': choose one of mean, residue, window"),
        (lambda m: m.embed(["A"], window=3), "window=3: not per='mean'"),
        (lambda m: m.embed(["A"], per="window"), "needs a window"),
        (lambda m: m.embed(["A"], per="window", window=3, stride=4), "stride=4: it is for a window"),
        (lambda m: m.embed(["A"], strand="reverse"), "strand='reverse': both or forward"),
        (lambda m: m.variants([], "x.fa", "exact"), "method='exact'"),
        (lambda m: m.variants([], "x.fa", VariantScorer(), draws=16), "draws: it belongs to a method by name"),
        (lambda m: m.variants([], "x.fa", check_ref="skip"), "check_ref='skip': choose one of error"),
        (lambda m: m.mutations(["A1G"], "x.fa", record="a"), "no such file|there is no"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_said_in_the_words_of_python(model, call, message):
    with pytest.raises((UsageError, DataError), match=message) as caught:
        call(model)
    assert "--" not in str(caught.value)


def test_copies_and_threads_say_the_same(model):
    expected = model.infill(LETTERS, seed=1)
    assert pickle.loads(pickle.dumps(model)).infill(LETTERS, seed=1) == expected
    assert copy.deepcopy(model).infill(LETTERS, seed=1) == expected
    scores = model.score(LETTERS)
    with ThreadPoolExecutor(3) as pool:
        filled = [pool.submit(model.infill, LETTERS, seed=1) for _ in range(3)]
        scored = [pool.submit(model.score, LETTERS) for _ in range(3)]
        assert all(each.result() == expected for each in filled)
        assert all(each.result().equals(scores) for each in scored)
    assert seqdiff.load("human-chr20", "cpu").infill(LETTERS, seed=1) == expected


def test_what_is_of_another_type_is_said(model):
    with pytest.raises(TypeError, match="the path of the reference's FASTA, not dict"):
        model.variants([("a", 1, "A", "G")], {"a": "ACGT"})
    with pytest.raises(TypeError, match="wild_type: a str is the path"):
        model.mutations(["M1A"], "MEEP" * 300)


def test_a_model_says_what_it_is(model):
    assert repr(model) == "<seqdiff.Model demo: DNA, context 1,024, 415,296 parameters, on cpu>"


def test_public_names_are_what_they_say():
    for name in seqdiff.__all__:
        assert getattr(seqdiff, name) is not None
    assert set(seqdiff.__all__) == set(seqdiff._HOMES)
    assert set(seqdiff.__all__) <= set(dir(seqdiff))
    assert (seqdiff.DNA.symbols, seqdiff.PROTEIN.size) == ("ACGT", 20)
    with pytest.raises(AttributeError):
        seqdiff.nothing  # noqa: B018


def test_processes_say_the_same(model, tmp_path):
    several = {f"s{number}": letters for number, letters in enumerate(list(LETTERS.values()) * 30)}
    assert model.score(several, processes=2).equals(model.score(several))
    for verb in (model.infill, model.score, model.embed):
        with pytest.raises(UsageError, match="processes=0: one at least"):
            verb(LETTERS, processes=0)
