import pytest
from Bio.Data.CodonTable import unambiguous_dna_by_id as tables
from Bio.Seq import Seq

from seqdiff.errors import DataError, UsageError
from seqdiff.inference.design import Coding, GeneticCode, read_codings

CODONS = [a + b + c for a in "ACGT" for b in "ACGT" for c in "ACGT"]
FREE = ["ACGT"] * 3


@pytest.mark.filterwarnings("ignore:This table contains")
@pytest.mark.parametrize("number", sorted(tables))
def test_codons_are_those_that_biopython_translates(number):
    code = GeneticCode(number)
    table = tables[number]
    both = {codon for codon in table.stop_codons if codon in table.forward_table}
    for letter in "ACDEFGHIKLMNPQRSTVWY":
        expected = {codon for codon in CODONS if str(Seq(codon).translate(table=number)) == letter}
        assert code.codons(letter) == (expected - both or expected)
    assert code.codons("*") == (set(table.stop_codons) - both or set(table.stop_codons))
    assert code.codons("B") == code.codons("D") | code.codons("N")
    assert code.codons("X") == frozenset().union(*map(code.codons, "ACDEFGHIKLMNPQRSTVWY"))
    for nobody in "UO-1":
        assert not code.codons(nobody)


def test_a_codon_that_is_read_both_ways_is_avoided():
    assert GeneticCode(27).codons("W") == {"TGG"}
    assert GeneticCode(28).codons("Q") == {"CAA", "CAG"}
    assert GeneticCode(28).codons("*") == {"TAA", "TAG", "TGA"}  # all of them are read both ways


def test_given_letters_restrict_and_other_starts_are_right_where_they_are_given():
    coding = Coding("MML", 2, False, GeneticCode(1))
    assert coding.triplets(2, FREE) == {"ATG"}
    assert coding.triplets(2, ["T", "ACGT", "ACGT"]) == {"TTG"}
    assert coding.triplets(5, ["T", "ACGT", "ACGT"]) == set()
    assert coding.triplets(8, ["T", "ACGT", "AG"]) == {"TTA", "TTG"}
    assert coding.triplets(8, ["", "ACGT", "AG"]) == set()
    assert Coding("M", 0, False, GeneticCode(2)).triplets(0, FREE) == {"ATA", "ATG"}
    assert Coding("M", 0, False, GeneticCode(2)).triplets(0, ["G", "T", "G"]) == {"GTG"}
    assert coding.says("NNTTGATGCTA")
    assert not coding.says("NNTTGTTGCTA")


def test_the_minus_strand_reads_from_the_right():
    coding = Coding("MKW", 1, True, GeneticCode(1))
    assert [coding.letter(place) for place in (1, 4, 7)] == ["W", "K", "M"]
    assert (coding.first, coding.end) == (7, 10)
    assert coding.triplets(7, FREE) == {"CAT"}
    assert coding.triplets(1, FREE) == {"CCA"}
    text = "A" + str(Seq("ATGAAATGG").reverse_complement()) + "C"
    assert coding.says(text)
    assert not coding.says(text[1:] + "A")


def test_proteins_of_a_file(tmp_path):
    file = tmp_path / "p.fa"
    file.write_text(">a\nMK\nW*\n>b some words start=7 strand=- more=x\nxbzj\n>a again start=20\nMM\n")
    codings = read_codings(file, GeneticCode(1))
    assert [(c.letters, c.start, c.reverse) for c in codings["a"]] == [("MKW*", 0, False), ("MM", 19, False)]
    assert [(c.letters, c.start, c.reverse) for c in codings["b"]] == [("XBZJ", 6, True)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (">a\nMKU\n", "p.fa: protein 'a' has 'U' at position 3, which no codon of genetic code 1 makes"),
        (">a\nM-K\n", "has '-' at position 2"),
        (">a start=0\nM\n", "has start=0: write the first base"),
        (">a start=x\nM\n", "has start=x"),
        (">a strand=minus\nM\n", "has strand=minus: write strand=[+] or strand=-"),
        (">a\n>b\nM\n", "protein 'a' has no letters"),
        ("", "is empty"),
    ],
)
def test_what_is_no_protein_is_refused(tmp_path, text, said):
    (tmp_path / "p.fa").write_text(text)
    with pytest.raises(DataError, match=said):
        read_codings(tmp_path / "p.fa", GeneticCode(1))


def test_an_unknown_table_is_refused():
    with pytest.raises(UsageError, match="there is no such NCBI table; there are 1, 2, 3"):
        GeneticCode(7)
