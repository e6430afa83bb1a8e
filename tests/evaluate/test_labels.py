import pytest

from seqdiff.data.vcf import VcfRecord
from seqdiff.errors import DataError, UsageError
from seqdiff.evaluate.labels import Expression, Labels, fields

META = [
    b"##fileformat=VCFv4.2",
    b'##INFO=<ID=AF,Number=A,Type=Float,Description="frequency">',
    b'##INFO=<ID=AD,Number=R,Type=Integer,Description="depth of each allele, REF first">',
    b'##INFO=<ID=DP,Number=1,Type=Integer,Description="depth">',
    b'##INFO=<ID=CLNSIG,Number=.,Type=String,Description="clinical significance">',
    b'##INFO=<ID=GL,Number=G,Type=Float,Description="of genotypes">',
    b'##INFO=<ID=DB,Number=0,Type=Flag,Description="in dbSNP">',
    b'##FILTER=<ID=q10,Description="low quality">',
]


def record(info: str, alternates: str = "C", filters: str = "PASS", quality: str = "30") -> VcfRecord:
    return VcfRecord(9, f"1\t5\trs1;x\tA\t{alternates}\t{quality}\t{filters}\t{info}".encode().split(b"\t", 8))


def holds(expression: str, *args, **settings) -> list[bool]:
    labels = Labels(Expression.parse(expression), Expression.parse("DP==-1"), fields(META), "x.vcf")
    found = labels.of(record(*args, **settings))
    assert not any(negative for _, negative in found)
    return [positive for positive, _ in found]


@pytest.mark.parametrize(
    ("expression", "info", "expected"),
    [
        ("AF<0.001", "AF=0.0009", True), ("AF<0.001", "AF=0.001", False), ("AF<=0.001", "AF=1e-3", True),
        ("AF > 0.05", "AF=.06", True), ("AF>=0.05", "AF=0.05", True), ("AF>=0.05", "AF=0.049", False),
        ("AF==0.5", "AF=0.50", True), ("AF!=0.5", "AF=0.50", False), ("AF!=0.5", "AF=0.51", True),
        ("DP>9", "DP=10", True), ("INFO/DP>9", "DP=10", True), ("DP>9 && AF<0.1", "DP=10;AF=0.2", False),
        ("DP>9&&AF<0.1", "DP=10;AF=0.02", True), ("DB", "DP=1;DB", True), ("DB", "DP=1", False),
        ("DP", "DP=1", True), ("DP", "DB", False), ("AF<0.001", "DP=3", False), ("AF<0.001", "AF=.", False),
        ("AF!=0.5", "DP=3", False), ("AF<0.1", ".", False), ("CLNSIG==Pathogenic", "CLNSIG=Pathogenic", True),
        ("CLNSIG==Pathogenic", "CLNSIG=Benign,Pathogenic", True),
        ("CLNSIG!=Pathogenic", "CLNSIG=Benign,Pathogenic", False),
        ("CLNSIG==Pathogenic", "CLNSIG=Likely_pathogenic", False),
        ("CLNSIG=='Likely_pathogenic'", "CLNSIG=Likely_pathogenic", True),
        ("FILTER==PASS", "DP=1", True), ("FILTER!=PASS", "DP=1", False), ("ID==x", "DP=1", True),
        ("QUAL>=30", "DP=1", True),
    ],
)  # fmt: skip
def test_conditions(expression, info, expected):
    assert holds(expression, info) == [expected]


def test_values_of_alleles_are_taken_allele_by_allele():
    assert holds("AF<0.1", "AF=0.5,0.01,.", alternates="C,G,T") == [False, True, False]
    assert holds("AD>5", "AD=9,1,7", alternates="C,G") == [False, True]
    assert holds("DP>5", "DP=7", alternates="C,G") == [True, True]
    assert holds("AF<0.1", "AF=.", alternates="C,G") == [False, False]


def test_what_is_missing_in_a_column_is_neither_this_nor_that():
    assert holds("FILTER!=PASS", "DP=1", filters=".") == [False]
    assert holds("FILTER!=PASS", "DP=1", filters="q10;s50") == [True]
    assert holds("QUAL<100", "DP=1", quality=".") == [False]


def test_both_kinds_and_neither_are_told():
    labels = Labels(Expression.parse("AF<0.5"), Expression.parse("AF>0.1"), fields(META), "x.vcf")
    assert labels.of(record("AF=0.05,0.3,0.6", alternates="C,G,T")) == [(True, False), (True, True), (False, True)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no condition"), ("AF<", "no condition"), ("AF<0.1 &&", "no condition"), ("AF=0.1", "no condition"),
        ("AF<0.1 || DP>3", "is no number"), ("AF===1", "no operator ==="), ("AF=<1", "no condition"),
        ("<0.1", "no condition"),
        ("DB==1", "is a flag"), ("CLNSIG<3", "is text"), ("AF<common", "is no number"), ("GL>0", "for each genotype"),
    ],
)  # fmt: skip
def test_expressions_that_make_no_sense_are_refused(text, says):
    with pytest.raises(UsageError, match=says):
        holds(text, "AF=0.1")


def test_unknown_keys_name_those_that_are_there():
    with pytest.raises(DataError, match=r"x\.vcf: its header declares no INFO field 'EAS_AF'\. There are AF, AD, DP"):
        holds("EAS_AF<0.1", "AF=0.1")


def test_values_that_are_not_what_the_header_says_name_the_line():
    with pytest.raises(DataError, match=r"x\.vcf, line 9: AF=rare is no number"):
        holds("AF<0.1", "AF=rare")
    with pytest.raises(DataError, match=r"line 9: 'AF=0\.1': Number=A is 2 values here, one for each alternate"):
        holds("AF<0.1", "AF=0.1", alternates="C,G")
