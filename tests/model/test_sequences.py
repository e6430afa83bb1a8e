"""What Python programs hold goes in, and comes back as what it was."""

import copy
import io

import numpy as np
import pandas as pd
import pytest
from Bio import SeqIO
from Bio.Seq import MutableSeq, Seq
from Bio.SeqFeature import SeqFeature, SimpleLocation
from Bio.SeqRecord import SeqRecord

import seqdiff
from seqdiff.data.fasta import Record
from seqdiff.errors import DataError, UsageError
from seqdiff.model.sequences import given, records_of, spans_of

GAPS = {"a": "ACGTNNNNacgtnn", "b": "RYSWKM", "c": ""}


@pytest.fixture(scope="module")
def model():
    return seqdiff.load("human-chr20", "cpu")


@pytest.fixture
def fasta(tmp_path):
    path = tmp_path / "gaps.fa"
    path.write_text("".join(f">{name} of a test\n{letters}\n" for name, letters in GAPS.items()))
    return path


def test_each_comes_back_as_what_it_was(model):
    letters = list(GAPS.values())
    texts = model.infill(letters, seed=1)
    assert all(isinstance(text, str) for text in texts)
    assert texts[0][:4] == "ACGT"
    assert texts[0][8:12] == "acgt"
    assert texts[0][12:].islower()
    assert not {"N", "n"} & set(texts[0])
    assert model.infill(np.array(letters), seed=1) == texts
    assert model.infill(pd.Series(letters, index=[7, 8, 9]), seed=1) == texts
    assert model.infill(pd.DataFrame({"s": letters}), seed=1) == texts
    assert model.infill((each for each in letters), seed=1) == texts
    assert model.infill([each.encode() for each in letters], seed=1) == [text.encode() for text in texts]
    for kind in (Seq, MutableSeq):
        found = model.infill([kind(each) for each in letters], seed=1)
        assert [type(each) for each in found] == [kind] * 3
        assert [str(each) for each in found] == texts


def test_names_decide_what_is_drawn_however_they_are_given(model, fasta):
    by_name = model.infill(GAPS, seed=2)
    assert [str(each.sequence, "ascii") for each in model.infill(fasta, seed=2)] == by_name
    assert [str(each.sequence, "ascii") for each in model.infill(seqdiff.read(fasta), seed=2)] == by_name
    assert [str(each.seq) for each in model.infill(SeqIO.parse(fasta, "fasta"), seed=2)] == by_name
    assert by_name != model.infill(list(GAPS.values()), seed=2)
    numbered = {f"sequence{number}": letters for number, letters in enumerate(GAPS.values(), 1)}
    assert model.infill(numbered, seed=2) == model.infill(list(GAPS.values()), seed=2)


def test_names_that_come_twice_are_drawn_for_apart():
    records = [SeqRecord(Seq("NNNN"), id=name) for name in ("a", "a", "a_2", "a", "<unknown id>")]
    assert [record.name for record in records_of(records)] == ["a", "a_2", "a_2_2", "a_3", "sequence5"]
    assert [each.original.id for each in given(records)] == ["a", "a", "a_2", "a", "<unknown id>"]


def test_a_record_of_biopython_keeps_what_it_has(model):
    record = SeqRecord(
        Seq("ACGTNNGGCA"), id="x", name="y", description="x of a test", dbxrefs=["GEO:1"],
        features=[SeqFeature(SimpleLocation(4, 6, strand=1), type="gap")], annotations={"molecule_type": "DNA"},
        letter_annotations={"phred_quality": [30] * 4 + [2, 2] + [31] * 4, "structure": "..((()))).."[:10]},
    )  # fmt: skip
    before = copy.deepcopy(record)
    (filled,) = model.infill([record], seed=3)
    assert str(filled.seq[:4] + filled.seq[6:]) == "ACGTGGCA"
    assert set(str(filled.seq[4:6])) <= set("ACGT")
    assert (filled.id, filled.name, filled.description, filled.dbxrefs) == ("x", "y", "x of a test", ["GEO:1"])
    assert filled.annotations == {"molecule_type": "DNA"}
    assert str(filled.features[0].extract(filled.seq)) == str(filled.seq[4:6])
    quality = filled.letter_annotations["phred_quality"]
    assert quality[:4] + quality[6:] == [30] * 4 + [31] * 4
    assert all(0 <= each < 30 for each in quality[4:6])  # of letters that were drawn: less sure than those read
    assert filled.letter_annotations["structure"] == record.letter_annotations["structure"]
    assert str(record.seq) == str(before.seq)
    assert record.letter_annotations == before.letter_annotations
    out = io.StringIO()
    SeqIO.write(model.infill([record], samples=2)[0], out, "fastq")
    assert out.getvalue().count("@x of a test\n") == 2
    plain = model.infill([SeqRecord(Seq("ANA"), id="x")])[0]
    assert not plain.letter_annotations


def test_a_record_of_a_file_keeps_its_header_and_gets_qualities_where_it_had_them(model, tmp_path):
    path = tmp_path / "reads.fq"
    path.write_text("@r 1:N\nACNNT\n+\nIIIII\n")
    (record,) = model.infill(path, seed=1)
    assert record.header == "r 1:N"
    assert record.quality[:2] + record.quality[4:] == b"III"
    assert record.quality[2:4] != b"II"
    (doubted,) = model.infill([Record("r", "r", b"ACGTA", b"I!I!I")], trusted_quality=20, seed=5)
    assert doubted.sequence[::2] == b"AGA"


def test_only_the_regions_are_filled(model):
    filled = model.infill({"a": "A" * 30, "b": "C" * 10}, regions=["a:3-12", ("b", 0, 2)], seed=1)
    assert filled[0][:2] + filled[0][12:] == "A" * 20
    assert set(filled[0]) != {"A"}
    assert filled[1][2:] == "C" * 8
    assert spans_of([("a", 2, 12)], [Record("a", "a", b"A" * 30)]) == spans_of(
        ["a:3-12"], [Record("a", "a", b"A" * 30)]
    )


@pytest.mark.parametrize(
    ("sequences", "error", "message"),
    [
        ("ACGT", TypeError, r"\[sequence\] for a single one; a file: pathlib.Path"),
        (Seq("ACGT"), TypeError, "for a single one"),
        (SeqRecord(Seq("ACGT")), TypeError, "for a single one"),
        (Record("a", "a", b"ACGT"), TypeError, "for a single one"),
        (7, TypeError, "give a list of sequences, not int"),
        ({"ACGT", "GG"}, TypeError, "a set has no order"),
        ([7], TypeError, "sequence1 is of type int"),
        (["A", None], DataError, r"sequence2 is missing \(None\)"),
        (pd.Series(["A", float("nan")]), DataError, r"sequence2 is missing \(nan\)"),
        ([SeqRecord(Seq(None, 5), id="u")], DataError, "u has a length but no letters"),
        (["ACGJ"], DataError, "sequences: record 'sequence1' has 'J' at position 4"),
        (["MEEP"], DataError, "is this a protein"),
        (["Aéa"], DataError, "position 2"),
    ],
)
def test_what_is_no_sequence_is_refused(model, sequences, error, message):
    for verb in (model.infill, model.score, model.embed):
        with pytest.raises(error, match=message):
            verb(sequences)


def test_regions_that_are_not_there(model):
    with pytest.raises(DataError, match="there is no contig 'x'"):
        model.infill(GAPS, regions=["x:1-2"])
    with pytest.raises(DataError, match="runs past the end of a"):
        model.score(GAPS, regions=["a:1-99"])
    with pytest.raises(TypeError, match="a list of regions"):
        model.infill(GAPS, regions="a:1-2")
    with pytest.raises(UsageError, match="none is given"):
        model.infill(GAPS, regions=[])


def test_a_stop_at_the_end_of_a_protein_goes():
    proteins = seqdiff.load("protein-demo", "cpu")
    record = SeqRecord(Seq("MAXKL*"), id="p", letter_annotations={"note": "abcdef"})
    (filled,) = proteins.infill([record], seed=1)
    assert len(filled) == 5
    assert filled.letter_annotations["note"] == "abcde"
