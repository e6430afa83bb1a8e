import gzip

import pytest

from seqdiff.alphabet import DNA, PROTEIN
from seqdiff.data.labelled import Labelled, identity, read_labelled
from seqdiff.errors import DataError


def write(path, text: str):
    path.write_text(text)
    return path


def rows(*labels: str) -> Labelled:
    return Labelled("x.csv", [b"ACGT"] * len(labels), list(labels), list(range(2, 2 + len(labels))))


def test_rows_come_as_they_stand(tmp_path):
    path = write(tmp_path / "x.csv", "id,sequence,label\na,ACGT,1.0\n\nb, acNn ,0\n")
    found = read_labelled(path, DNA)
    assert (found.sequences, found.labels, found.lines) == ([b"ACGT", b"acNn"], ["1", "0"], [2, 4])
    assert [record.name for record in found.records()] == ["line2", "line4"]
    assert found.select([1]).labels == ["0"]


def test_other_columns_tabs_and_gzip(tmp_path):
    path = tmp_path / "x.tsv.gz"
    path.write_bytes(gzip.compress(b"dna\tkind\nACGT\tpromoter\nGGGG\tnone\n"))
    assert read_labelled(path, DNA, sequence="dna", label="kind").labels == ["promoter", "none"]


def test_the_stop_of_a_protein_goes(tmp_path):
    assert read_labelled(write(tmp_path / "x.csv", "sequence,label\nMKV*,0.5\n"), PROTEIN).sequences == [b"MKV"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sequence,labels\nACGT,1\n", r"x.csv has no column 'label'; it has 'sequence', 'labels'"),
        ("seq,label\nACGT,1\n", r"x.csv has no column 'sequence'"),
        ("sequence,label\nACGT,1\n,0\n", r"line 3: no sequence: fill the cell"),
        ("sequence,label\nACGT, \n", r"line 2: no label"),
        ("sequence,label\nACGT,1\nACEF,0\n", r"line 3, column 'sequence': 'E' at position 3 is no letter of DNA"),
        ("sequence,label\nAC GT,1\n", r"' ' at position 3"),
    ],
)
def test_what_is_wrong_has_its_line(text, says, tmp_path):
    with pytest.raises(DataError, match=says):
        read_labelled(write(tmp_path / "x.csv", text), DNA)


@pytest.mark.parametrize(
    ("labels", "task"),
    [
        (("0", "1"), "classification"),
        (("a", "0.5"), "classification"),
        (("0.5", "1"), "regression"),
        (tuple(map(str, range(20))), "classification"),
        (tuple(map(str, range(21))), "regression"),
        (("nan", "1"), "regression"),
        (("nan", "a"), "classification"),
    ],
)
def test_the_task_is_told_from_the_labels(labels, task):
    assert rows(*labels).task() == task


def test_classes_are_in_order_and_known_from_training():
    assert rows("10", "9", "9", "-1").classes() == ("-1", "9", "10")
    assert rows("b", "10", "a").classes() == ("10", "a", "b")
    assert rows("b", "a", "b").indices(("a", "b")).tolist() == [1, 0, 1]
    with pytest.raises(DataError, match=r"line 3: the label 'c' is none of those in the training rows \('a', 'b'\)"):
        rows("a", "c").indices(("a", "b"))
    with pytest.raises(DataError, match="every label is 'a'"):
        rows("a", "a").classes()


def test_a_regression_needs_numbers():
    assert rows("0.5", "-2").numbers().tolist() == [0.5, -2]
    for label in ("high", "nan", "inf"):
        with pytest.raises(DataError, match=rf"line 3: the label '{label}' is no number"):
            rows("1", label).numbers()


def test_the_same_sequence_on_either_strand_in_either_case():
    assert identity(b"ACCG", DNA) == identity(b"cggt", DNA) != identity(b"GCCA", DNA)
    assert identity(b"RA", DNA) == identity(b"NA", DNA)
    assert identity(b"mkv", PROTEIN) == b"MKV"


def test_dna_for_a_model_of_proteins_is_pointed_out(tmp_path, caplog):
    read_labelled(write(tmp_path / "p.csv", "sequence,label\nMKVLAW,1\nMSTNPK,0\n"), PROTEIN)
    assert not caplog.records
    read_labelled(write(tmp_path / "d.csv", "sequence,label\nACGTNA,1\nGGTCAT,0\n"), PROTEIN)
    assert "is this DNA?" in caplog.text
