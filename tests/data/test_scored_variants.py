"""Scored variants as `seqdiff variants` writes them: from a VCF and from tables alike."""

import math

import numpy as np
import pytest
from vcfs import vcf_of

from seqdiff.data.scored_variants import NOT_SCORED, scored_table, scored_vcf
from seqdiff.errors import DataError

DECLARED = '##INFO=<ID=SEQDIFF_LLR,Number=A,Type=Float,Description="log p(ALT) - log p(REF); model demo, context 512">'
HEADER = ("##fileformat=VCFv4.2", DECLARED)


def test_alleles_of_a_vcf_with_all_their_fields(tmp_path):
    info = "DP=3;SEQDIFF_LLR=-1.5,.;SEQDIFF_SE=0.2000,.;SEQDIFF_METHOD=elbo,.;SEQDIFF_CONTEXT=512,.;"
    info += "SEQDIFF_REASON=.,symbolic"
    rows = (("1", 7, "A", "AC,<DEL>", info), ("2", 9, "C", "T", "XSEQDIFF_LLR=4"))
    by, pieces = scored_vcf(vcf_of(tmp_path / "a.vcf.gz", *rows, header=HEADER))
    (piece,) = pieces
    assert by == "log p(ALT) - log p(REF); model demo, context 512"
    assert (piece.contigs, piece.positions.tolist()) == (["1", "1", "2"], [7, 7, 9])
    assert piece.alts == ["AC", "<DEL>", "T"]
    assert np.allclose(piece.llr, [-1.5, math.nan, math.nan], equal_nan=True)
    assert (piece.methods, piece.contexts.tolist()) == (["elbo", "", ""], [512, 0, 0])
    assert piece.reasons == ["", "symbolic", NOT_SCORED]


def test_tables_have_the_same(tmp_path):
    table, saturated = tmp_path / "t.tsv", tmp_path / "s.tsv"
    head = "contig\tpos\tid\tref\talt\tllr\tse\tmethod\tcontext\treason\n"
    table.write_text(
        "# seqdiff model=demo\n"
        + head
        + "1\t7\trs1\tA\tC\t-1.5\t0.1\tchain\t512\t.\n1\t8\t.\tA\t*\t.\t.\t.\t.\toverlapping_deletion\n"
    )
    saturated.write_text("# seqdiff model=demo\ncontig\tpos\tref\talt\tllr\n1\t7\tA\tC\t-1.5\n")
    by, (piece,) = scored_table(table)
    assert by == "seqdiff model=demo"
    assert (piece.names, piece.reasons, piece.contexts.tolist()) == (
        ["rs1", "."],
        ["", "overlapping_deletion"],
        [512, 0],
    )
    (other,) = scored_table(saturated)[1]
    assert (other.llr.tolist(), other.methods, other.se.tolist()) == ([-1.5], ["marginal"], [0.0])


@pytest.mark.parametrize(
    ("info", "says"),
    [
        ("SEQDIFF_LLR=1,2", "line 4: SEQDIFF_LLR has 2 values for 1 alternate"),
        ("SEQDIFF_LLR=much", "line 4: the score 'much' is no number"),
        ("SEQDIFF_LLR=inf", "no number"),
        ("SEQDIFF_LLR=1;SEQDIFF_CONTEXT=x", "the context 'x'"),
    ],
)
def test_scores_that_are_none_are_an_error_with_their_line(tmp_path, info, says):
    path = vcf_of(tmp_path / "a.vcf", ("1", 7, "A", "C", info), header=HEADER)
    with pytest.raises(DataError, match=says):
        list(scored_vcf(path)[1])


def test_a_vcf_without_scores_says_which_command_makes_them(tmp_path):
    path = vcf_of(tmp_path / "a.vcf", ("1", 7, "A", "C"))
    with pytest.raises(DataError, match=r"no SEQDIFF_LLR in its header.*seqdiff variants --vcf"):
        scored_vcf(path)


def test_a_table_that_is_cut_short_is_an_error_with_its_line(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("contig\tpos\tref\talt\tllr\n1\t7\tA\tC\t-1\n1\t8\tA\n")
    with pytest.raises(DataError, match=r"line 3: .* has 3 columns, the header 5"):
        list(scored_table(path)[1])
