"""Tables of scored mutants: which columns are read."""

import numpy as np
import pytest

from seqdiff.data.scored_mutants import MutantScores
from seqdiff.errors import DataError

ADDED = "llr,se,method,llr_per_residue,reason"


def read(path, **options):
    with MutantScores(path, **options) as scores:
        return scores, list(scores.pieces())


def test_columns_are_found_by_their_names_and_mutations_by_what_they_say(tmp_path):
    path = tmp_path / "t.csv"
    added = ",".join(f"m_{name}" for name in ADDED.split(","))
    path.write_text(f'id,change,DMS_score,{added}\nx,p.Ala24Gly,0.5,-1,0,chain,-0.1,\n"a, b",A24*,,,,,,stop\n')
    scores, (piece,) = read(path)
    assert (scores.prefix, scores.column, scores.measured) == ("m_", "change", "DMS_score")
    assert piece.mutants == ["p.Ala24Gly", "A24*"]
    assert np.allclose(piece.llr, [-1, np.nan], equal_nan=True)
    assert np.allclose(piece.measured, [0.5, np.nan], equal_nan=True)
    assert piece.reasons == ["", "stop"]


def test_another_column_may_have_the_measurement(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(f"mutant,fit,{ADDED}\nA24G,3,-1,0,chain,-0.1,\n")
    assert read(path)[0].measured is None
    assert read(path, measured="fit")[1][0].measured.tolist() == [3]


def test_other_scorings_are_named(tmp_path):
    path = tmp_path / "t.tsv"
    columns = ["mutant", *ADDED.split(","), *(f"b_{name}" for name in ADDED.split(","))]
    path.write_text("\t".join(columns) + "\nA24G" + "\t-1\t0\tchain\t-0.1\t" * 2 + "\n")
    assert (read(path)[0].prefix, read(path)[0].others) == ("", ["b_"])


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        ("mutant,score\nA24G,1\n", {}, "has no scores .*seqdiff variants --mutations"),
        (f"mutant,{ADDED}\nA24G,1,0,chain,0.1,\n", {"measured": "fit"}, "has no column 'fit'; it has 'mutant', 'llr'"),
        (f"mutant,{ADDED}\nA24G,one,0,chain,0.1,\n", {}, "line 2: llr 'one' is no number"),
        (f"mutant,DMS_score,{ADDED}\nA24G,high,1,0,chain,0.1,\n", {}, "line 2: DMS_score 'high' is no number"),
        (f"mutant,{ADDED}\nA24G,1,0\n", {}, "line 2: 3 cells, but the header has 6"),
        (f"mutant,{ADDED}\n", {}, "but no rows"),
    ],
)
def test_what_is_damaged_is_an_error(tmp_path, text, options, says):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=says):
        read(path, **options)
