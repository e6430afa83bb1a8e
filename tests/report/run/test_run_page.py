import hashlib
import json
from dataclasses import replace

import pytest
import torch
from report.page.pages import keeps_the_contract

from seqdiff import recipe
from seqdiff.checkpoint import Provenance
from seqdiff.diffusion.processes import Autoregressive
from seqdiff.errors import DataError
from seqdiff.report.page import Picture, Table, render
from seqdiff.report.run import Run, run_page
from seqdiff.report.run.answers import SAYS
from seqdiff.report.run.run import plus_minus
from seqdiff.report.run.training import baselines, seconds

FINISHED = Provenance("DNA", 512, "x.fa, 6,000 bases", "abc", 2000, 1.29, 0.002)


@pytest.fixture(scope="module")
def whole(summaries, metrics, tmp_path_factory) -> Run:
    """A run of which everything is known."""
    path = tmp_path_factory.mktemp("run") / "model.safetensors"
    path.write_bytes(b"weights")
    answers = {name: summaries[name] for name in ("likelihood", "recovery", "calibration", "spectra")}
    tables = {name: Table(f"Numbers of {name}", ("", "bits"), (("row", "1.0"),)) for name in answers}
    files = {"weights": path, "metrics": path.with_name("metrics.jsonl")}
    position = {"where": {"device": "the CPU", "precision": "float32"}, "memory": 300 * 2**20}
    return Run(
        "mine", recipe.load("demo"), metrics, position, FINISHED, 415_296, answers=answers, tables=tables, files=files
    )


@pytest.fixture(scope="module")
def text(whole) -> str:
    return render(run_page(whole))


@pytest.fixture(scope="module")
def bare(whole) -> Run:
    """The same without figures, which take their time."""
    return replace(whole, rows=(), answers={}, tables={}, files={})


def shown(run: Run) -> str:
    found = render(run_page(run))
    keeps_the_contract(found)
    return found


def test_a_run_of_which_everything_is_known(whole, text):
    assert keeps_the_contract(text).words["h2"] == [
        "What was trained on what", "Training", "Held-out likelihood", "Gaps recovered", "Calibration",
        "Samples beside held-out sequences", "Speed and memory", "Recipe", "Provenance",
    ]  # fmt: skip
    assert "415,296" in text
    assert "300 MiB" in text
    assert "the CPU, float32" in text
    assert "Numbers of recovery" in text
    assert "kind: hollow-convolution" in text
    assert torch.__version__ in text
    assert hashlib.sha256(b"weights").hexdigest() in text
    assert "metrics.jsonl</td>" not in text  # which is not there


def test_the_same_run_has_the_same_page(bare, metrics):
    young = replace(bare, rows=metrics[:9])
    assert shown(young) == shown(young)


def test_the_sentences_say_what_the_numbers_do(whole, text):
    assert "A held-out base costs the model at most 1.8691 ± 0.0051 bits" in text
    assert "the difference is −0.0051 ± 0.0021, so that the model is better than it" in text
    likelihood = dict(whole.answers["likelihood"])
    for bits, verdict in ((0.0051, "worse than"), (0.001, "no different from")):
        says, _ = SAYS["likelihood"](whole, likelihood | {"difference": {"bits": bits, "se": 0.0021}})
        assert f"the model is {verdict} it" in says
    summary = run_page(whole).summary
    assert all("±" in value for name, value in summary.items() if "noise" not in name and name != "parameters")
    says, _ = SAYS["likelihood"](whole, likelihood | {"exact": True})
    assert "costs the model exactly 1.8691" in says


def test_an_answer_that_lacks_a_number_is_said(whole):
    likelihood = {key: value for key, value in whole.answers["likelihood"].items() if key != "model"}
    with pytest.raises(DataError, match="lacks 'model': it is of another version"):
        run_page(replace(whole, answers=whole.answers | {"likelihood": likelihood}))


def test_markov_chains_stand_beside_the_curve(whole, text):
    assert baselines(whole.answers["likelihood"]) == {"Markov, order 0": 1.9704, "Markov, order 11": 1.8742}
    assert baselines(None) == {}
    assert "Markov, order 11" in text


def test_a_run_without_a_model_says_so(bare, metrics):
    young = replace(bare, provenance=None, parameters=None)
    found = shown(replace(young, rows=metrics[:30]))
    assert "There is no model yet: training stands at step 290 of 1,500" in found
    assert "Held-out likelihood: there is no model yet." in found
    assert "training has logged nothing yet" in shown(young)


def test_what_is_not_asked_has_its_reason(bare):
    assert "Calibration: it was not asked" in shown(bare)
    digits = shown(replace(bare, recipe=recipe.load("digits")))
    assert "Samples beside held-out sequences: images have no words" in digits
    of_order = replace(bare, recipe=bare.recipe.model_copy(update={"process": Autoregressive()}))
    assert "Gaps recovered: a model of process <code>autoregressive</code> does not fill masks." in shown(of_order)


def test_a_run_that_was_stopped_says_so(bare, metrics, text):
    assert "Training has not come to its end: step 290 of 1,500" in shown(replace(bare, rows=metrics[:30]))
    assert "has not come to its end" not in text


def test_a_model_without_a_training_says_so(bare):
    assert shown(bare).count("There are no lines of a training") == 2


def test_a_loss_that_is_no_bound_is_never_called_one(bare, metrics):
    rows = [
        {key.replace("nats_per_symbol", "nats_per_selected"): value for key, value in row.items()} for row in metrics
    ]
    found = shown(replace(bare, recipe=recipe.load("hg38-mlm"), rows=rows))
    assert "no bound on the likelihood" in found
    assert "bits per selected base" in found
    assert "best validation" not in found.split("<main")[0]


def test_doubts_and_what_is_missing_are_said_first(bare):
    doubts = ["the model was imported, and what it was trained on is not known"]
    found = shown(replace(bare, doubts=doubts, missing=["The data are gone."]))
    assert "The model was imported, and what it was trained on is not known: what is held out here" in found
    assert "The data are gone." in found
    assert found.count('class="warning"') == 2


def test_what_it_started_from_is_told_to_the_first(bare):
    first = {"run": "runs/a", "checksum": "aa11", "step": 10, "data": "first.fa", "start": None}
    second = {"run": "runs/b", "checksum": "bb22", "step": 20, "data": "second.fa", "start": first}
    found = shown(replace(bare, provenance=replace(FINISHED, start=second)))
    assert "runs/b, step 20, trained on second.fa" in found
    assert "started from, 2 runs back" in found
    assert "aa11" in found


RESOLVED = {"family": {"context": 263}, "text-demo": {"characters": "abc "}}
"""What a run's own recipe has, filled in from its data."""


@pytest.mark.parametrize("name", ["protein-demo", "family", "digits", "text-demo", "caduceus-demo", "hg38", "cifar10"])
def test_every_kind_of_run_has_a_page(name, bare):
    named = recipe.load(name)
    data = named.data.model_copy(update=RESOLVED.get(name, {}))
    found = shown(replace(bare, name=name, recipe=named.model_copy(update={"data": data}), provenance=None))
    assert "What was trained on what" in found


def test_facts_of_families_lengths_and_labels_are_told(bare):
    facts = {"query": {"name": "BLAT", "sequence": "M" * 263}, "lengths": [[7, 2], [50, 10], [900, 1]]}
    found = shown(replace(bare, provenance=replace(FINISHED, facts=facts)))
    assert "BLAT, 263 columns" in found
    assert "13, of 7 to 900 letters, half of them up to 50" in found


def test_images_are_embedded(bare):
    found = shown(replace(bare, pictures=[Picture("Drawn", "Sixteen digits.", b"\x89PNG")]))
    assert 'alt="Sixteen digits."' in found
    assert "data:image/png;base64,iVBORw" in found


def test_schedules_that_were_learned_are_drawn(bare, metrics):
    rows = [row | {"powers": {"A": 1.1, "C": 0.9, "G": 0.9, "T": 1.1}} for row in metrics[:5]]
    assert "Learned powers" in shown(replace(bare, rows=rows))


def test_other_answers_have_their_figures(bare, summaries):
    few = {name: summaries[name] for name in ("samplers", "variants", "assay", "probe", "couplings")}
    tables = {name: Table(name, ("", "x"), (("a", "1"),)) for name in summaries}
    found = keeps_the_contract(shown(replace(bare, answers=few, tables=tables))).words["h2"]
    assert found[2:7] == [
        "Samplers", "Variants told apart", "Mutants of an assay", "What the embeddings know", "Couplings",
    ]  # fmt: skip


def test_unknown_errors_and_no_gaps(bare, whole):
    def without(of: dict) -> dict:
        return of | {"se": None} if "se" in of else of

    answers = json.loads(json.dumps(dict(whole.answers)), object_hook=without)
    answers["recovery"]["gaps"] = []
    assert "1.8691 bits" in shown(replace(bare, answers=answers))
    assert plus_minus(1.5, None) == "1.5000"


def test_time_is_that_of_the_steps_alone(metrics):
    rows = [row for row in metrics if "tokens" in row]
    assert seconds(rows) == pytest.approx(rows[-1]["tokens"] / 35_000)
