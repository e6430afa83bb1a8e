"""Measured mutants, made so that the right answers are known."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from protein_models import constant, family_model, protein_model
from questions import keeps_the_contract
from scipy.stats import spearmanr
from typer.testing import CliRunner

from seqdiff import model as models
from seqdiff.alphabet import ALIGNED, PROTEIN
from seqdiff.cli import app
from seqdiff.errors import DataError
from seqdiff.evaluate import Assay
from seqdiff.evaluate.proteingym import MEASURES

WILD = "HPETLVKVKDAEDQLGARVG"
NETWORK, LOG = constant()
SINGLES = [f"{a}{i + 1}{b}" for i, a in enumerate(WILD) for b in PROTEIN.symbols if b != a]


def truth(cell):
    return sum(LOG[one[-1]] - LOG[one[0]] for one in cell.split(":"))


@pytest.fixture
def files(tmp_path):
    """380 single mutants whose fitness follows the network's score, with noise."""
    rng = np.random.default_rng(0)
    fitness = [truth(cell) + rng.normal(0, 0.5) for cell in SINGLES]
    rows = [f"{cell},{value:.6f},{int(value > 0)}" for cell, value in zip(SINGLES, fitness, strict=True)]
    (tmp_path / "wt.fa").write_text(f">wild\n{WILD}\n")
    (tmp_path / "assay.csv").write_text("\n".join(["mutant,DMS_score,DMS_score_bin", *rows]) + "\n")
    return tmp_path, np.array(fitness)


def ask(folder, model=None, **settings):
    given = {"mutations": folder / "assay.csv", "fasta": folder / "wt.fa", "resamples": 200} | settings
    return Assay(**given).ask(model or protein_model(NETWORK))


def test_the_numbers_are_those_of_the_scores_and_beat_blosum(files):
    folder, fitness = files
    summary = ask(folder).summary
    scores = [truth(cell) for cell in SINGLES]
    (everything,) = summary["classes"]
    model = everything["results"]["model"]
    assert model["spearman"]["value"] == pytest.approx(spearmanr(scores, fitness)[0], abs=1e-6)
    assert model["spearman"]["low"] < model["spearman"]["value"] < model["spearman"]["high"]
    assert (everything["mutants"], everything["sites"], everything["fit"]) == (380, 20, int((fitness > 0).sum()))
    lead = everything["results"]["minus BLOSUM62"]["spearman"]
    blosum = everything["results"]["BLOSUM62"]["spearman"]["value"]
    assert lead["value"] == pytest.approx(model["spearman"]["value"] - blosum)
    assert lead["low"] > 0
    assert set(model) == set(MEASURES)
    assert summary["methods"] == {"masked-marginal": 380}
    assert json.loads(json.dumps(summary)) == summary


def test_blocks_of_sites_give_wider_intervals_than_mutants_would(files):
    """Fitness that differs by site alone: twenty sites are the sample, not 380 mutants."""
    folder, _ = files
    rng = np.random.default_rng(3)
    level = dict(zip(range(1, 21), rng.normal(size=20), strict=True))
    rows = [f"{cell},{level[int(cell[1:-1])] + rng.normal(0, 0.01)}" for cell in SINGLES]
    (folder / "assay.csv").write_text("\n".join(["mutant,DMS_score", *rows]) + "\n")
    of = ask(folder).summary["classes"][0]["results"]["model"]["spearman"]
    assert of["high"] - of["low"] > 0.3  # with 380 independent mutants it would be 0.2


def test_without_a_bin_fit_is_what_is_above_the_median(files):
    folder, fitness = files
    text = (folder / "assay.csv").read_text().replace("DMS_score_bin", "other")
    (folder / "assay.csv").write_text(text)
    summary = ask(folder).summary
    assert summary["fit"] == "at or above the median measurement"
    assert summary["classes"][0]["fit"] == (fitness >= np.median(fitness)).sum()
    assert ask(folder, bin_column="other").summary["fit"] == "other"


def test_numbers_of_mutations_and_other_lengths_are_judged_each(files):
    folder, _ = files
    rng = np.random.default_rng(1)
    doubles = [f"{SINGLES[i]}:{SINGLES[i + 19 * 5]}" for i in range(0, 200, 5)]
    deletions = [f"{WILD[i]}{i + 1}del" for i in range(19)] + ["WT"]
    rows = [f"{cell},{truth(cell) + rng.normal(0, 0.2)}" for cell in SINGLES + doubles]
    (folder / "assay.csv").write_text("\n".join(["mutant,DMS_score", *rows]) + "\n")
    found = ask(folder).summary
    assert [(row["class"], row["mutants"]) for row in found["classes"]] == [
        ("all", 420), ("1 mutation", 380), ("2 mutations", 40)
    ]  # fmt: skip
    assert found["score"] == "llr"
    with (folder / "assay.csv").open("a") as file:
        file.writelines(f"{cell},-1.5\n" for cell in deletions)
    found = ask(folder, scorer={"draws": 8}).summary
    assert [(row["class"], row["mutants"]) for row in found["classes"]][:3] == [
        ("all", 440), ("other lengths", 19), ("1 mutation", 380)
    ]  # fmt: skip
    assert not found["classes"][1]["judged"]
    assert found["score"] == "llr_per_residue"  # lengths differ
    assert "BLOSUM62" not in found["classes"][0]["results"]  # which has no score for a deletion
    assert "BLOSUM62" in found["classes"][2]["results"]


def test_what_has_no_score_or_no_measurement_is_counted(files):
    folder, _ = files
    with (folder / "assay.csv").open("a") as file:
        file.write("H1*,1,1\nP2A,,\nH1X,2,1\nA3G,1,1\nE3A,nan,0\n")
    with pytest.raises(DataError, match="1 of 385 mutants do not fit"):
        ask(folder)
    answer = ask(folder, check_ref="warn")
    assert answer.summary["counts"] == {
        "mutants": 385, "unscored: stop": 1, "unscored: unknown_letter": 1, "unscored: ref_mismatch": 1, "unmeasured": 2
    }  # fmt: skip
    assert "380 of 385 mutants (1 unscored: stop" in answer.table().title


@pytest.mark.parametrize(
    ("change", "settings", "says"),
    [
        (
            ("DMS_score,", "fitness,"),
            {},
            "no column 'DMS_score'; it has 'mutant', 'fitness', 'DMS_score_bin': say",
        ),
        (("H1A,", "H1A,high"), {}, "line 2: DMS_score is 'high"),
        ((",0\n", ",2\n"), {}, "DMS_score_bin is '2', not 1 (fit) or 0"),
        (("", ""), {"bin_column": "fit"}, "no column 'fit'"),
        (("", ""), {"fewest": 500}, "only 380 mutants have a score and a measurement"),
    ],
)
def test_tables_that_cannot_be_judged_are_refused(files, change, settings, says):
    folder, _ = files
    (folder / "assay.csv").write_text((folder / "assay.csv").read_text().replace(*change))
    with pytest.raises(DataError) as error:
        ask(folder, **settings)
    assert says in str(error.value)


class Alignment:
    """The data of a family, as far as the question needs it."""

    checksum, source = "", "an alignment"

    def profile(self):
        return np.exp(np.tile([LOG[letter] for letter in PROTEIN.symbols], (len(WILD), 1)))


def test_the_profile_of_a_family_is_a_rival_where_the_alignment_is_at_hand(files, caplog):
    folder, fitness = files
    network, _ = constant(ALIGNED)
    model = family_model(network, WILD)
    given = {"mutations": folder / "assay.csv", "fasta": folder / "wt.fa", "resamples": 100}
    found = Assay(**given).ask(model, Alignment()).summary["classes"][0]["results"]
    expected = spearmanr([truth(cell) for cell in SINGLES], fitness)[0]
    assert found["site-independent"]["spearman"]["value"] == pytest.approx(expected, abs=1e-6)
    other = Alignment()
    other.checksum = "of another alignment"
    with caplog.at_level(logging.INFO, "seqdiff"):
        logging.getLogger("seqdiff").propagate = True
        found = Assay(**given).ask(model, other).summary["classes"][0]["results"]
    assert "site-independent" not in found
    assert "is not the alignment that was trained on" in caplog.text


def run(*words, code=0):
    result = CliRunner().invoke(app, ["evaluate", *map(str, words)])
    assert result.exit_code == code, result.output
    return result


def test_variants_with_mutations_is_asked_on_the_command_line(files, monkeypatch):
    folder, _ = files
    monkeypatch.setattr(models, "load", lambda run, device: protein_model(NETWORK))
    monkeypatch.chdir(folder)
    Path("run").mkdir()
    Path("run/model.safetensors").write_bytes(b"what names the weights")
    words = ("variants", "--mutations", "assay.csv", "--fasta", "wt.fa", "--method", "masked-marginal-single")
    result = run("run", *words, "--set", "assay.resamples=100", "-o", "e.json", "--figures", "pictures")
    assert "minus BLOSUM62" in result.stdout
    assert "380 of 380 mutants" in " ".join(result.stdout.split())
    answer = json.loads((folder / "e.json").read_text())["answers"]["assay"]
    assert answer["methods"] == {"masked-marginal-single": 380}
    assert (folder / "pictures" / "assay.png").read_bytes().startswith(b"\x89PNG")
    same = ("assay", *words[1:-2], "--set", "assay.scorer={method: masked-marginal-single}")
    assert run("run", *same, "--set", "assay.resamples=100").stdout == result.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("likelihood", "--mutations", "x.csv"), "--mutations is for the question variants with --mutations"),
        (("variants", "--first-residue", "24"), "--first-residue is for the question variants with --mutations"),
        (("variants", "--method", "chain"), "--method is for the question variants with --mutations"),
        (("variants", "--mutations", "x.csv"), "assay: give --fasta"),
        (("variants", "--mutations", "x.csv", "--vcf", "x.vcf"), "--vcf is for the question variants, which is not"),
        (("variants", "--mutations", "x.csv", "--method", "marginal"), "--method marginal: choose one of auto, wt-"),
    ],
)
def test_words_that_make_no_sense_together_are_refused(words, says):
    assert says in " ".join(run("nowhere", *words, code=2).stderr.split())


def test_it_keeps_the_contract(files):
    folder, _ = files
    given = {"mutations": folder / "assay.csv", "fasta": folder / "wt.fa", "resamples": 100}
    keeps_the_contract("assay", given, protein_model(NETWORK), None, folder)
