import logging

import numpy as np
import pytest
from labelled import HEADER, substitutions
from questions import Bounded
from sklearn.metrics import average_precision_score, roc_auc_score

from seqdiff.alphabet import DNA
from seqdiff.data.genome import Genome
from seqdiff.data.intervals import Interval
from seqdiff.data.variants import Change
from seqdiff.errors import DataError
from seqdiff.evaluate import Variants
from seqdiff.evaluate.variants import _blocks, _trained_on


class Knowing(Bounded):
    """A model that answers with the chain's exact posteriors, on one strand: the chain runs in one direction."""

    alphabet, batch_tokens = DNA, 16_384

    def __init__(self, chain):
        self.denoise = OneStrand(chain)


class OneStrand:
    equivariant, symbols = True, 4

    def __init__(self, chain):
        self.chain = chain

    def __call__(self, tokens, time=None):
        return self.chain(tokens)


@pytest.fixture(scope="module")
def knowing(chain) -> Knowing:
    return Knowing(chain)


@pytest.fixture(scope="module")
def summary(variants, knowing, data) -> dict:
    return Variants(**variants).ask(knowing, data).summary


def of(summary: dict, name: str = "all") -> dict:
    (found,) = (row for row in summary["classes"] if row["class"] == name)
    return found


def exact(variants, chain, data) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores and the letters changed, by the chain's own transitions."""
    step = chain.transition.log().numpy()
    letters = {letter: i for i, letter in enumerate("ACGT")}
    tokens = data.genome.tokens(Interval("c", 0, data.genome.contigs["c"])).astype(int)
    rows = [line.split("\t") for line in variants["vcf"].read_text().splitlines() if not line.startswith("#")]
    places = np.array([int(row[1]) - 1 for row in rows])
    ref, alt = (np.array([letters[row[column]] for row in rows]) for column in (3, 4))
    before, after = tokens[places - 1], tokens[places + 1]
    llr = step[before, alt] + step[alt, after] - step[before, ref] - step[ref, after]
    return np.array([row[7].endswith("BAD=1") for row in rows]), -llr, np.stack([ref, alt], 1)


def test_a_model_that_knows_gets_the_exact_areas(summary, variants, chain, data):
    bad, score, letters = exact(variants, chain, data)
    for name, which in (("all", bad | True), ("transversion", letters.sum(1) % 2 == 1)):
        found = of(summary, name)
        assert (found["positives"], found["negatives"]) == (bad[which].sum(), (~bad[which]).sum())
        assert found["model"]["auroc"]["value"] == pytest.approx(roc_auc_score(bad[which], score[which]), abs=1e-3)
        assert found["model"]["auprc"]["value"] == pytest.approx(
            average_precision_score(bad[which], score[which]), abs=1e-3
        )
        assert found["chance"] == pytest.approx(bad[which].mean())
    everything = of(summary)["model"]["auroc"]
    assert everything["low"] < everything["value"] < everything["high"]
    assert everything["low"] > 0.5


def test_the_rival_knows_as_much_and_the_difference_is_paired(summary):
    found = of(summary)
    assert summary["markov_order"] == 1
    assert abs(found["difference"]["auroc"]["value"]) < 0.02
    width = {who: found[who]["auroc"]["high"] - found[who]["auroc"]["low"] for who in ("model", "markov", "difference")}
    assert width["difference"] < 0.5 * min(width["model"], width["markov"])


def test_the_sign_is_never_turned(summary, variants, knowing, data):
    swapped = variants | {"label": None, "positive": "BAD==0", "negative": "BAD==1"}
    found = of(Variants(**swapped).ask(knowing, data).summary)
    assert found["model"]["auroc"]["value"] == pytest.approx(1 - of(summary)["model"]["auroc"]["value"])
    assert found["model"]["auroc"]["value"] < 0.5


def test_frequencies_label_as_well_and_neither_order_nor_batches_matter(summary, variants, knowing, data, tmp_path):
    lines = variants["vcf"].read_text().splitlines()
    records = [line for line in lines if not line.startswith("#")]
    np.random.default_rng(0).shuffle(records)
    (tmp_path / "y.vcf").write_text(HEADER + "\n".join(records) + "\n")
    other = {"vcf": tmp_path / "y.vcf", "label": None, "positive": "AF<0.001", "negative": "AF>=0.05"}
    few_at_once = Knowing(knowing.denoise.chain)
    few_at_once.batch_tokens = 256
    assert Variants(**(variants | other)).ask(few_at_once, data).summary["classes"] == summary["classes"]


def test_every_allele_is_counted_and_every_class_listed(data, knowing, tmp_path):
    tokens = data.genome.tokens(Interval("c", 0, data.genome.contigs["c"]))
    letters = data.genome.alphabet.decode(tokens).decode()
    lines = []
    for number, place in enumerate(range(50_300, 59_000, 400)):
        ref, bad = letters[place], number % 2
        other = [letter for letter in "ACGT" if letter != ref]
        alternates, info = f"{other[0]},{other[1]},<DEL>,{ref}A", f"AF=.,0.3,{bad},{bad};BAD=0,{bad},{bad},{bad}"
        lines.append(f"c\t{place + 1}\t.\t{ref}\t{alternates}\t.\t.\t{info}")
    (tmp_path / "x.vcf").write_text(HEADER + "\n".join(lines) + "\n")
    question = Variants(
        vcf=tmp_path / "x.vcf", fasta=data.genome.path, positive="AF>=0.2 && BAD==1", negative="AF<0.5", fewest=10,
        block=1000, order=1, scorer={"draws": 8},
    )  # fmt: skip
    answer = question.ask(knowing, data)
    rows = len(lines)
    assert answer.summary["counts"] == {
        "alleles": 4 * rows, "positive": rows, "negative": rows // 2 * 3, "both": rows // 2, "neither": rows,
        "other_reference": 0, "unscored: symbolic": rows,
    }  # fmt: skip
    listed = {row["class"]: (row["positives"], row["negatives"], row["judged"]) for row in answer.summary["classes"]}
    assert listed["insertion"] == (rows // 2, rows // 2, True)
    assert listed["MNV"] == listed["deletion"] == (0, 0, False)
    assert listed["SNV"] == (0, rows // 2, False)
    table = {row[0]: row for row in answer.table().rows}
    assert table["SNV"][3] == "too few to judge"


def test_few_blocks_have_no_interval(variants, knowing, data):
    answer = Variants(**(variants | {"block": 5000})).ask(knowing, data)
    found = of(answer.summary)
    assert answer.table().title.endswith("no interval from fewer than 5 blocks of 5,000 bases")
    assert found["judged"]
    assert found["model"]["auroc"]["low"] is None
    assert found["blocks"] < 5


def test_places_that_were_trained_on_are_said_and_set_apart(knowing, data, chain, variants, tmp_path, caplog):
    logging.getLogger("seqdiff").propagate = True
    (tmp_path / "x.vcf").write_text(
        variants["vcf"].read_text()
        + "\n".join(substitutions(data.genome, chain.transition.numpy(), range(1000, 9000, 80)))
        + "\n"
    )
    summary = Variants(**(variants | {"vcf": tmp_path / "x.vcf"})).ask(knowing, data).summary
    assert summary["trained_on"] == 100
    assert "100 of 413 variants lie where the model was trained" in caplog.text
    apart = of(summary, "not trained on")
    assert apart["positives"] + apart["negatives"] == 313
    caplog.clear()
    Variants(**variants).ask(knowing, data)
    assert "trained" not in caplog.text


def test_another_assembly_is_refused_or_left_out(variants, knowing, data, tmp_path, caplog):
    logging.getLogger("seqdiff").propagate = True
    lines = variants["vcf"].read_text().splitlines()
    fields = lines[10].split("\t")
    fields[3] = next(letter for letter in "ACGT" if letter not in fields[3:5])
    (tmp_path / "x.vcf").write_text("\n".join([*lines[:10], "\t".join(fields), *lines[11:]]) + "\n")
    wrong = variants | {"vcf": tmp_path / "x.vcf"}
    with pytest.raises(DataError, match=r"line 11: c:.*REF is"):
        Variants(**wrong).ask(knowing, data)
    counts = Variants(**wrong, check_ref="exclude").ask(knowing, data).summary["counts"]
    assert (counts["other_reference"], counts["alleles"]) == (1, len(lines) - 5)
    assert "left out 1 records whose REF is not the genome's" in caplog.text


@pytest.mark.parametrize(
    ("lines", "settings", "says"),
    [
        ("d\t5\t.\tA\tC\t.\t.\tBAD=1", {}, r"line 5: .*there is no contig 'd'"),
        ("c\t99999\t.\tA\tC\t.\t.\tBAD=1", {}, r"runs past the end of c"),
        (None, {"label": "GOOD"}, r"declares no INFO field 'GOOD'. There are AF, BAD"),
        (None, {"label": None, "positive": "AF>0.9", "negative": "AF<0.5"}, r"none of 313 .* is a positive \(AF>0.9\)"),
        (None, {"label": None, "positive": "AF>0.1", "negative": "AF>0.9"}, r"none of 313 alleles is a negative"),
        ("", {}, r"none of 0 alleles is a positive"),
        ("c\t50500\t.\tN\t<DEL>,*\t.\t.\tBAD=1,0", {}, r"none of the 2 labelled alleles has a score: 1 unscored: sym"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_judged_are_refused(lines, settings, says, variants, knowing, data, tmp_path):
    if lines is not None:
        (tmp_path / "x.vcf").write_text(HEADER + lines + "\n" * bool(lines))
        settings = {"vcf": tmp_path / "x.vcf"}
    with pytest.raises(DataError, match=says):
        Variants(**(variants | settings)).ask(knowing, data)


def test_labels_are_given_once():
    files = {"vcf": "x.vcf", "fasta": "x.fa"}
    with pytest.raises(ValueError, match="say what is positive"):
        Variants(**files, positive="AF<0.1")
    with pytest.raises(ValueError, match="--label KEY stands for"):
        Variants(**files, label="BAD", positive="AF<0.1")


def test_blocks_are_stretches_of_one_contig():
    changes = [Change(contig, start, b"A", b"C") for contig, start in
               (("b", 99), ("a", 100), ("a", 199), ("b", 0), ("a", 99), ("a", 200))]  # fmt: skip
    numbers = _blocks(changes, 100).tolist()
    assert numbers == [3, 1, 1, 3, 0, 2]


def test_contigs_of_another_genome_are_not_taken_for_those_trained_on(data, tmp_path):
    (tmp_path / "g.fa").write_text(">c\n" + "A" * 5000 + "\n>d\n" + "A" * 60_000 + "\n")
    other = Genome.open(tmp_path / "g.fa")
    changes = [Change("c", 100, b"A", b"C"), Change("d", 100, b"A", b"C")]
    assert not _trained_on(changes, other, data).any()
    places = [Change("c", start, b"A", b"C") for start in (0, 39_999, 40_000, 59_999)]
    assert _trained_on(places, data.genome, data).tolist() == [True, True, False, False]
