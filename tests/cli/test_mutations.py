"""seqdiff variants --mutations: tables in, tables out, with a network of known answers."""

import csv
import gzip
import io
import os

import pandas as pd
import pytest
from damage import bend
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from protein_models import constant, family_model, protein_model
from typer.testing import CliRunner

from seqdiff import model as models
from seqdiff.alphabet import ALIGNED
from seqdiff.cli import app
from seqdiff.errors import DataError

WILD = "HPETLVKVKDAEDQLGARVGYIELDLNSGKILESFRPEERFPM"
NETWORK, LOG = constant()
ADDED = ["llr", "se", "method", "llr_per_residue", "reason"]


@pytest.fixture(autouse=True)
def loaded(monkeypatch):
    """The model that a command loads."""
    model = protein_model(NETWORK)
    monkeypatch.setattr(models, "load", lambda run, device: model)
    return model


@pytest.fixture
def wild(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wt.fa").write_text(f">BLAT_ECOLX/24-66 beta-lactamase\n{WILD[:20]}\n{WILD[20:].lower()}*\n")
    return tmp_path


def run(*arguments, code=0, stdin=None):
    words = ["--fasta", "wt.fa", *map(str, arguments)]
    result = CliRunner().invoke(app, ["variants", *words], input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.stderr
    return result


def table(text, separator="\t"):
    return list(csv.DictReader(io.StringIO(text), delimiter=separator))


def llr(*pairs):
    return pytest.approx(sum(LOG[after] - LOG[before] for before, after in pairs), abs=1e-5)


def test_rows_come_out_as_they_went_in_with_columns_of_their_own(wild):
    text = 'mutant,DMS_score,note\nV29A,0.50,"a, b"\nH24A:P25G,-1e3,\nV29*,,x\nV29=,1,\nWT,1,\nV29del,0.1,\n'
    (wild / "in.csv").write_text(text)
    result = run("--mutations", "in.csv", "--first-residue", "24", "-o", "out.csv")
    rows = table((wild / "out.csv").read_text(), ",")
    assert list(rows[0]) == ["mutant", "DMS_score", "note", *ADDED]
    assert [[row[name] for name in ("mutant", "DMS_score", "note")] for row in rows] == list(csv.reader(
        io.StringIO(text)))[1:]  # fmt: skip
    assert float(rows[0]["llr"]) == llr("VA")
    assert float(rows[0]["llr_per_residue"]) == pytest.approx(float(rows[0]["llr"]) / 43, rel=1e-4)
    assert float(rows[1]["llr"]) == llr("HA", "PG")
    assert float(rows[5]["llr"]) == pytest.approx(-LOG["V"], abs=4 * float(rows[5]["se"]) + 1e-5)
    assert [row["method"] for row in rows] == ["masked-marginal", "chain", "", "", "", "elbo"]
    assert [row["reason"] for row in rows] == ["", "", "stop", "", "", ""]
    assert [row["llr"] for row in rows[2:5]] == ["", "0", "0"]
    assert "scored 5 of 6 mutants" in result.stderr
    assert "without a score: 1 stop" in result.stderr


@pytest.mark.parametrize("name", ["x.tsv", "x.tsv.gz", "x.csv", "x.csv.gz"])
def test_the_name_of_the_output_says_what_is_written(wild, name):
    run("--mutations", "-", "-o", name, "-q", stdin="mutant;score\nH1A;2\n")
    data = (wild / name).read_bytes()
    text = (gzip.decompress(data) if name.endswith("gz") else data).decode()
    (row,) = table(text, "," if "csv" in name else "\t")
    assert (row["mutant"], row["score"]) == ("H1A", "2")
    assert float(row["llr"]) == llr("HA")


def test_whole_sequences_of_any_length_are_scored(wild):
    swapped, shorter = WILD[:4] + "A" + WILD[5:], WILD[:4] + WILD[7:]
    text = (
        f"mutated_sequence,DMS_score\n{swapped},1\n{shorter.lower()},2\n{WILD},3\n{WILD[:9]}*A,4\n{WILD[:9]}X,5\n,6\n"
    )
    rows = table(run("--mutations", "-", "-q", stdin=text).stdout)
    assert float(rows[0]["llr"]) == llr("LA")
    deleted = -sum(LOG[letter] for letter in WILD[4:7])
    assert float(rows[1]["llr"]) == pytest.approx(deleted, abs=4 * float(rows[1]["se"]) + 1e-4)
    costs = sum(map(LOG.get, shorter)) / 40 - sum(map(LOG.get, WILD)) / 43
    assert float(rows[1]["llr_per_residue"]) == pytest.approx(costs, abs=0.02)
    assert [row["reason"] for row in rows[2:]] == ["", "stop", "unknown_letter", "empty"]
    # as in ProteinGym's first tables of insertions and deletions
    same = run("--mutations", "-", "-q", stdin=text.replace("mutated_sequence", "mutant")).stdout
    assert [row["llr"] for row in table(same)] == [row["llr"] for row in rows]


def test_a_sequence_that_its_mutations_do_not_make_is_an_error(wild):
    other = WILD[:5] + "A" + WILD[6:]
    text = f"mutant,mutated_sequence\nV6A,{other}\nV6G,{other}\n"
    assert "line 3: 'V6G' does not make its mutated_sequence" in run("--mutations", "-", code=1, stdin=text).stderr
    rows = table(run("--mutations", "-", "--check-ref", "warn", stdin=text).stdout)
    assert [row["reason"] for row in rows] == ["", "sequence_differs"]


def test_whole_sequences_of_another_construct_are_pointed_out(wild):
    text = f"mutated_sequence\n{WILD[3:9]}A{WILD[10:]}\n{WILD[3:20]}G{WILD[21:]}\n"
    said = run("--mutations", "-", stdin=text).stderr
    assert "all whole sequences have 40 residues, and BLAT_ECOLX/24-66 has 43" in said
    assert "whole sequences" not in run("--mutations", "-", stdin=f"mutated_sequence\n{WILD}\n{WILD[1:]}\n").stderr


def test_mutants_that_do_not_fit_get_a_hint_and_nothing_is_written(wild):
    text = "mutant\n" + "".join(f"{letter}{24 + i}{'A' if letter != 'A' else 'G'}\n" for i, letter in enumerate(WILD))
    (wild / "in.csv").write_text(text)
    error = run("--mutations", "in.csv", "-o", "out.tsv", code=1).stderr
    assert "mutants do not fit the wild type: line 2: 'H24A', but residue 24 is L" in error
    assert "with --first-residue 24 all 43 fit" in error
    assert not (wild / "out.tsv").exists()
    run("--mutations", "in.csv", "--first-residue", "24", "-o", "out.tsv")
    assert len(table((wild / "out.tsv").read_text())) == 43


def test_mutants_that_do_not_fit_are_left_out_or_get_no_score_where_that_is_asked_for(wild):
    text = "mutant,n\nH1A,1\nA1H,2\nH0A,3\nH99A,4\n"
    error = run("--mutations", "-", code=1, stdin=text).stderr
    assert "3 of 4 mutants do not fit" in error
    assert "line 4: 'H0A', but the residues are numbered 1 to 43" in error
    warned = run("--mutations", "-", "--check-ref", "warn", stdin=text)
    rows = table(warned.stdout)
    assert [row["reason"] for row in rows] == ["", "ref_mismatch", "outside_the_protein", "outside_the_protein"]
    assert "gave no score to what does not fit" in warned.stderr
    excluded = run("--mutations", "-", "--check-ref", "exclude", stdin=text)
    assert [row["n"] for row in table(excluded.stdout)] == ["1"]
    assert "left out what does not fit" in excluded.stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("mutant\n", "no rows"),
        ("variant,score\nH1A,1\n", "no column 'mutant' (like A24G:K30R) and no 'mutated_sequence'; it has 'variant'"),
        ("mutant,a\nH1A,1\nP2A\n", "line 3: 1 cell, but the header has 2 cells"),
        ("mutant\nfoo\nbar\n", "none of the 2 cells of 'mutant' can be read as a mutant, the first 'foo'"),
        ("mutant,llr\nH1A,1\n", "it has a column 'llr' already; give --prefix"),
    ],
)
def test_tables_that_cannot_be_used_are_refused(wild, text, says):
    code = 2 if "--prefix" in says else 1
    assert says in " ".join(run("--mutations", "-", "-o", "o.tsv", code=code, stdin=text).stderr.split())
    assert not (wild / "o.tsv").exists()


def test_a_second_model_adds_columns_beside_those_of_the_first(wild):
    run("--mutations", "-", "-o", "one.tsv", "-q", stdin="mutant\nH1A\n")
    (row,) = table(run("--mutations", "one.tsv", "--prefix", "b_", "-q").stdout)
    assert list(row) == ["mutant", *ADDED, *("b_" + name for name in ADDED)]
    assert row["llr"] == row["b_llr"]


def test_another_column_may_have_the_mutations(wild):
    text = "hgvs_pro,mutant\np.His1Ala,nonsense\n"
    (row,) = table(run("--mutations", "-", "--column", "hgvs_pro", "-q", stdin=text).stdout)
    assert float(row["llr"]) == llr("HA")
    assert "no column 'variant'" in run("--mutations", "-", "--column", "variant", code=1, stdin=text).stderr
    text = f"seq\n{WILD[:4]}A{WILD[5:]}\n"
    (row,) = table(run("--mutations", "-", "--column", "seq", "-q", stdin=text).stdout)
    assert float(row["llr"]) == llr("LA")


def test_the_wild_type_is_one_record_of_a_protein(wild):
    (wild / "two.fa").write_text(f">a\n{WILD}\n>b\nMKV\n")
    ask = ("--mutations", "-", "--fasta", "two.fa")
    assert "two.fa holds 2 records: say which with --record, of a, b" in run(*ask, code=1, stdin="mutant\nM1A\n").stderr
    (row,) = table(run(*ask, "--record", "b", "-q", stdin="mutant\nM1A\n").stdout)
    assert float(row["llr"]) == llr("MA")
    assert "has no record 'c'; it has a, b" in run(*ask, "--record", "c", code=1, stdin="mutant\nM1A\n").stderr
    (wild / "dna.fa").write_text(">x\n" + "ACGT" * 30)
    assert "is DNA by its letters" in run("--mutations", "-", "--fasta", "dna.fa", code=1, stdin="mutant\nM1A\n").stderr
    (wild / "odd.fa").write_text(">x\nMK-V\n")
    assert "'-'" in run("--mutations", "-", "--fasta", "odd.fa", code=1, stdin="mutant\nM1A\n").stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--mutations", "x.csv", "--saturate", "x"], "one of them"),
        (["--mutations", "x.csv", "--haplotypes"], "--haplotypes: haplotypes are read"),
        (["--mutations", "x.csv", "--clip"], "--clip: it belongs to --saturate"),
        (["--mutations", "x.csv", "-o", "x.vcf"], "name it .tsv, .csv"),
        (["--mutations", "x.csv", "--method", "marginal"], "choose one of auto, wt-marginal, masked-marginal"),
        (["--mutations", "x.csv", "--method", "chain", "--draws", "8"], "--draws: mutants are, by --method chain"),
        (["--mutations", "x.csv", "--method", "elbo", "--orders", "8"], "--orders: mutants are, by --method elbo"),
        (["--mutations", "x.csv", "--draws", "10"], "--draws 10: a multiple of 4, like 8"),
        (["--mutations", "-", "--fasta", "-"], "only one of them can be stdin"),
        (["--mutations", "x.csv", "--figure", "x.pdf"], "a file that ends in .png"),
        (["--vcf", "x.vcf", "--first-residue", "2"], "--first-residue: it is of proteins"),
        (["--vcf", "x.vcf", "--method", "masked-marginal"], "choose one of auto, marginal, chain, elbo"),
        (["--saturate", "BLAT_ECOLX/24-66", "--column", "x"], "--column: it changes nothing with --saturate"),
        (["--saturate", "BLAT_ECOLX/24-66:30-40", "--orders", "4"], "--orders: single substitutions are"),
        (["--saturate", "x", "--method", "chain", "--orders", "4"], "--orders: single substitutions are"),
    ],
)
def test_wrong_usage_is_refused(wild, words, says):
    (wild / "x.csv").write_text("mutant\nH1A\n")
    assert says in " ".join(run(*words, code=2).stderr.split())


def test_an_output_over_its_input_is_refused(wild):
    (wild / "x.csv").write_text("mutant\nH1A\n")
    assert "give it a file of its own" in run("--mutations", "x.csv", "-o", "./x.csv", code=2).stderr
    assert (wild / "x.csv").read_text() == "mutant\nH1A\n"


def test_a_model_of_dna_is_refused(wild, monkeypatch):
    monkeypatch.undo()
    os.chdir(wild)
    said = run("--mutations", "-", "--model", "human-chr20", code=2, stdin="mutant\nH1A\n").stderr
    assert "mutations are of a protein, and demo is a model of DNA" in " ".join(said.split())


def test_without_a_model_it_is_the_one_of_proteins_that_ships(wild, monkeypatch, loaded):
    asked = []
    monkeypatch.setattr(models, "load", lambda run, device: asked.append(run) or loaded)
    assert "protein-demo" in run("--mutations", "-", stdin="mutant\nH1A\n").stderr
    assert asked == ["protein-demo"]


def test_the_span_in_a_name_is_proposed_where_few_mutants_are_right(wild):
    said = run("--mutations", "-", code=1, stdin="mutant\nH24A\nW25A\nP25A\n").stderr
    assert "with --first-residue 24, 2 of 3 fit" in said


def test_a_wt_marginal_needs_a_network_that_learned_it(wild, monkeypatch):
    words = ("--mutations", "-", "--method", "wt-marginal", "-q")
    (row,) = table(run(*words, stdin="mutant\nH1A\n").stdout)
    assert row["method"] == "wt-marginal"
    for process, code in ((["process.estimator=exact-count"], 2), (["process={kind: mlm}"], 0)):
        network, _ = constant()
        del network.hollow
        model = protein_model(network, settings=process)
        monkeypatch.setattr(models, "load", lambda run, device, model=model: model)
        result = run(*words, code=code, stdin="mutant\nH1A\n")
        assert code == 0 or "use masked-marginal" in result.stderr


def test_a_family_knows_the_columns_of_its_query_alone(wild, monkeypatch):
    network, log = constant(ALIGNED)
    model = family_model(network, WILD[5:30], first=29)
    monkeypatch.setattr(models, "load", lambda run, device: model)
    text = "mutant\nH24A\nV29A\nV29A:K30R\nV29A:H24A\nV29del\nV29_K30del:K32A\nV29_K30insA\nV29delinsAA\n"
    assert "with --first-residue 24 all 8 fit" in run("--mutations", "-", code=1, stdin=text).stderr
    result = run("--mutations", "-", "--first-residue", "24", stdin=text)
    rows = table(result.stdout)
    assert [row["reason"] for row in rows] == [
        "outside_the_alignment",
        "",
        "",
        "outside_the_alignment",
        "",
        "",
        *["indel"] * 2,
    ]
    assert float(rows[4]["llr"]) == pytest.approx(log["-"] - log["V"], abs=1e-5)  # a gap is a letter of its column
    both = 2 * log["-"] + log["A"] - log["V"] - 2 * log["K"]
    assert float(rows[5]["llr"]) == pytest.approx(both, abs=1e-5)
    assert float(rows[1]["llr"]) == pytest.approx(log["A"] - log["V"], abs=1e-5)
    assert float(rows[2]["llr"]) == pytest.approx(log["A"] - log["V"] + log["R"] - log["K"], abs=1e-5)
    assert "25 of 43 residues of BLAT_ECOLX/24-66 stand in the 25 columns of the family of query" in result.stderr
    (wild / "wt.fa").write_text(">other\n" + "WCMYHWCMY" * 5)
    assert "of its residues in common with query" in run("--mutations", "-", code=1, stdin="mutant\nW1A\n").stderr


def test_a_family_says_where_its_query_begins(wild, monkeypatch):
    network, _ = constant(ALIGNED)
    model = family_model(network, WILD, first=24)
    monkeypatch.setattr(models, "load", lambda run, device: model)
    said = run("--mutations", "-", code=1, stdin="mutant\nV29A\nH24A\nP25A\n").stderr
    assert "with --first-residue 24, as in the query of the family, all 3 fit" in said


def test_a_stretch_is_saturated_and_drawn(wild):
    result = run("--saturate", "BLAT_ECOLX/24-66:29-31", "--first-residue", "24", "--figure", "a.png")
    rows = table(result.stdout)
    assert len(rows) == 3 * 19
    assert [row["mutant"] for row in rows[:2]] == ["V29A", "V29C"]
    assert all(float(row["llr"]) == llr((row["mutant"][0], row["mutant"][-1])) for row in rows)
    assert (wild / "a.png").read_bytes().startswith(b"\x89PNG")
    assert len(table(run("--saturate", "BLAT_ECOLX/24-66", "-q").stdout)) == 43 * 19
    (wild / "a.bed").write_text("BLAT_ECOLX/24-66\t5\t7\nBLAT_ECOLX/24-66\t6\t8\n")
    assert len(table(run("--saturate", "a.bed", "-q").stdout)) == 3 * 19
    assert "numbered 24 to 66" in run("--saturate", "BLAT_ECOLX/24-66:3-30", "--first-residue", 24, code=2).stderr
    past = ("--saturate", "BLAT_ECOLX/24-66:66-80", "--first-residue", 24, "-q")
    assert "use --clip" in run(*past, code=1).stderr
    assert len(table(run(*past, "--clip").stdout)) == 19


def test_single_substitutions_of_a_table_are_drawn(wild):
    run("--mutations", "-", "--figure", "a.png", "-q", stdin="mutant\nV6A\nG20A:Y21A\nS28A\n")
    assert (wild / "a.png").read_bytes().startswith(b"\x89PNG")
    said = run("--mutations", "-", "--figure", "b.png", code=2, stdin="mutant\nV6A:K7R\n").stderr
    assert "no single substitution" in said
    assert not (wild / "b.png").exists()


def test_the_library_says_what_the_command_says(wild, loaded):
    (wild / "in.csv").write_text("mutant\nH1A\nV6A:K7R\nH1*\n")
    effects = loaded.mutations(wild / "in.csv", wild / "wt.fa")
    assert effects.llr.tolist()[:2] == [llr("HA"), llr("VA", "KR")]
    assert effects.reason.tolist()[2] == "stop"
    assert list(effects.columns) == ["mutant", "llr", "se", "method", "llr_per_residue", "reason"]
    pd.testing.assert_frame_equal(loaded.mutations(["H1A", "V6A:K7R", "H1*"], "wt.fa"), effects)
    frame = pd.DataFrame({"mutant": ["V6A:K7R", "H1A", "H2A"], "DMS_score": [0.5, 1.0, 2.0]}, index=["x", "y", "z"])
    with pytest.raises(DataError, match=r"1 of 3 mutants do not fit.*\(check_ref warn or exclude"):
        loaded.mutations(frame, wild / "wt.fa")
    scored = loaded.mutations(frame, wild / "wt.fa", check_ref="exclude", prefix="seqdiff_")
    assert scored.index.tolist() == ["x", "y"]
    assert scored.DMS_score.tolist() == [0.5, 1.0]
    assert scored.seqdiff_llr.tolist() == effects.llr.tolist()[1::-1]
    assert list(frame.columns) == ["mutant", "DMS_score"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_tables_are_scored_or_refused(wild, data):
    text = b"mutant,mutated_sequence,DMS_score\nH1A,,0.5\nV6A:K7R,,\n" + b",%b,1\n" % (WILD[:9].encode()) * 3
    (wild / "in.csv").write_bytes(bend(data.draw, text))
    result = CliRunner().invoke(app, ["variants", "--fasta", "wt.fa", "--mutations", "in.csv", "-o", "out.tsv", "-q"])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in (0, 1, 2)
    assert (result.exit_code == 0) == (wild / "out.tsv").exists()
    (wild / "out.tsv").unlink(missing_ok=True)
