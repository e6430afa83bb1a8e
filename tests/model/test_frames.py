"""Variants and mutants as Python programs hold them."""

import numpy as np
import pandas as pd
import pytest

from seqdiff.data.variants import Variant
from seqdiff.errors import DataError
from seqdiff.model.frames import alleles, mutants


def lines(given):
    with alleles(given) as (_, records):
        return [b" ".join(record.columns[:5]).decode() for record in records]


def test_variants_are_read_from_rows_of_any_kind():
    expected = ["chr1 5 . A T", "chr1 9 rs1 AC A"]
    frame = pd.DataFrame(
        {"#CHROM": ["chr1"] * 2, "POS": [5, 9], "ID": [None, "rs1"], "REF": ["A", "AC"], "ALT": ["T", "A"]}
    )
    assert lines(frame) == expected
    assert lines(frame.rename(columns=str.lower).rename(columns={"#chrom": "contig"})) == expected
    assert lines(frame.astype({"POS": float})) == expected
    assert lines([("chr1", 5, "A", "T"), ("chr1", np.int64(9), "AC", "A", "rs1")]) == expected
    assert lines([Variant("chr1", 4, "A", "T")]) == expected[:1]
    assert lines([(1, 5, "A", None), ("1", 5, "A", "C,<DEL>")]) == ["1 5 . A .", "1 5 . A C,<DEL>"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (pd.DataFrame({"chrom": ["1"], "pos": [1], "ref": ["A"]}), "no column 'alt'; they have chrom, pos, ref"),
        ([("1", 5, "A")], r"line 1: \('1', 5, 'A'\) is no variant: write \(contig, pos, ref, alt\)"),
        (["1:5:A:T"], "is no variant"),
        ([("1", 5, "A", "T"), ("1", -5, "A", "T")], "line 2: POS '-5' is no whole number"),
        ([("1", 2.5, "A", "T")], "POS '2.5'"),
        ([("1", 5, "A1", "T")], "REF 'A1' is no allele"),
        ([("1", 5, "A", "T T")], "ALT 'T T'"),
        ([("chr 1", 5, "A", "T")], "CHROM 'chr 1' is no name"),
    ],
)
def test_what_is_no_variant_is_refused(given, message):
    with pytest.raises(DataError, match=message):
        lines(given)


def test_mutants_are_read_from_rows_of_any_kind():
    table, frame = mutants(iter(["A2G", "WT"]), None)
    assert (table.columns, table.rows, frame) == (["mutant"], [["A2G"], ["WT"]], None)
    given = pd.DataFrame({"mutant": ["A2G", None], "score": [0.5, np.nan]}, index=[4, 7])
    table, frame = mutants(given, None)
    assert (table.columns, table.rows) == (["mutant", "score"], [["A2G", "0.5"], ["", ""]])
    assert frame is given
    with pytest.raises(TypeError, match="a mutant is a text like 'A24G:K30R', not 7"):
        mutants(["A2G", 7], None)
