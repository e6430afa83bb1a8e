"""Proteins of a FASTA file: what is a letter, what is an error, and what is kept of a header."""

import gzip

import numpy as np
import pytest

from seqdiff.alphabet import DNA, PROTEIN
from seqdiff.data.genome import Genome
from seqdiff.data.headers import identifier, parse
from seqdiff.data.proteome import Proteome, key_of
from seqdiff.errors import DataError


@pytest.fixture
def fasta(tmp_path):
    def write(text, name="p.fa"):
        path = tmp_path / name
        path.write_bytes(text)
        return path

    return write


def texts(proteome):
    return [PROTEIN.decode(proteome.tokens(i)).decode() for i in range(len(proteome))]


def test_letters_are_read_as_people_write_them(fasta):
    proteome = Proteome.open(fasta(b">a one\r\nMKvl\r\n\r\nAC*\r\n>b\nBZJXUO\n>empty\n>stop\n*\n>last\nmk"))
    assert texts(proteome) == ["MKVLAC", "XXXXXX", "", "", "MK"]
    assert proteome.lengths.tolist() == [6, 6, 0, 0, 2]
    assert proteome.known.tolist() == [6, 0, 0, 0, 2]
    assert proteome.composition.sum() == 14
    assert proteome.composition[PROTEIN.mask] == 6


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b">a\nMK\n>b c\nMK*L\n", "record 'b' has '*' at position 3, no letter of protein: a stop codon inside"),
        (b">a\nMK-L\n", "record 'a' has '-' at position 3.*train a family on it"),
        (b">a\nMK.L\n", "train a family on it"),
        (b">a\nMK1L\n", "are there line numbers"),
        (b"", "is empty"),
        (b"MKL\n", "is this a sequence file"),
        (b">\nMKL\n", "a record without a name"),
    ],
)
def test_what_is_no_protein_is_named(fasta, tmp_path, text, what):
    with pytest.raises(DataError, match=what.replace("*", r"\*") if "'*'" in what else what):
        Proteome.open(fasta(text))
    assert [p.name for p in tmp_path.iterdir()] == ["p.fa"]


def test_compression_line_breaks_and_names_leave_the_checksum(fasta):
    one = Proteome.open(fasta(b">a\nMKVLAC\n>b\nMK\n", "one.fa"))
    two = Proteome.open(fasta(gzip.compress(b">c x\nMKV\nlac*\n>d\nMK\n"), "two.fa"))
    other = Proteome.open(fasta(b">a\nMK\n>b\nMKVLAC\n", "other.fa"))
    assert one.checksum == two.checksum != other.checksum


def test_a_file_may_be_a_genome_as_well(fasta):
    path = fasta(b">a\nACGT\n")
    assert Genome.open(path, DNA).contigs == {"a": 4}
    assert texts(Proteome.open(path)) == ["ACGT"]
    assert Genome.open(path, DNA).contigs == {"a": 4}
    assert sorted(p.name for p in path.parent.iterdir()) == ["p.fa", "p.fa.proteins.seqdiff", "p.fa.seqdiff"]


def test_it_is_encoded_once_and_again_when_it_changes(fasta, caplog):
    path = fasta(b">a\nMK\n")
    caplog.set_level("INFO")
    Proteome.open(path)
    assert caplog.text.count("encoding") == 1
    Proteome.open(path)
    assert caplog.text.count("encoding") == 1
    assert texts(Proteome.open(fasta(b">a\nMKV\n"))) == ["MKV"]
    assert "older than the file" in caplog.text


def test_repeats_are_found_letter_for_letter(fasta):
    proteome = Proteome.open(fasta(b">a\nMKB\n>b\nmkb*\n>c\nMKZ\n>d\nMK\n>e\nMKB\n"))
    assert proteome.repeated().tolist() == [False, True, False, False, True]  # B and Z are both unknown, not the same


def test_blocks_join(fasta, monkeypatch):
    monkeypatch.setattr("seqdiff.data.proteome._BLOCK", 10)
    rng = np.random.default_rng(0)
    letters = ["".join(rng.choice(list(PROTEIN.symbols), n)) for n in rng.integers(1, 30, 50)]
    proteome = Proteome.open(fasta("".join(f">r{i}\n{text}\n" for i, text in enumerate(letters)).encode()))
    assert texts(proteome) == letters
    assert proteome.composition.sum() == sum(map(len, letters))


def test_pieces_are_gathered_and_padded(fasta):
    proteome = Proteome.open(fasta(b">a\nMKVLAC\n>b\nWY\n"))
    rows = proteome.gather(np.array([0, 1]), np.array([2, 0]), np.array([3, 2]), 4)
    assert [PROTEIN.decode(row[row != PROTEIN.pad]) for row in rows] == [b"VLA", b"WY"]
    with pytest.raises(AssertionError):
        proteome.gather(np.array([1]), np.array([1]), np.array([2]), 4)


def test_names_are_keys_and_can_be_looked_up(fasta):
    proteome = Proteome.open(fasta(b">sp|P1|A_HUMAN x OS=Homo sapiens OX=9606 GN=tp53\nMK\n>b\nMV\n"))
    assert proteome.keys("identifier").tolist() == [key_of(b"P1"), key_of(b"b")]
    assert proteome.keys("organism").tolist() == [key_of(b"Homo sapiens"), 0]
    assert proteome.keys("gene").tolist() == [key_of(b"TP53"), 0]
    assert (proteome.name(0), proteome.name(1)) == ("sp|P1|A_HUMAN", "b")


@pytest.mark.parametrize(
    ("header", "organism", "gene"),
    [
        (b"tr|A0|A0_X ATP OS=Lactobacillus brevis GN=addA PE=3 SV=1 Split=0", b"Lactobacillus brevis", b"ADDA"),
        (b"tr|A0|A0_X Factor = 2 OS=E. coli (strain K12 = X) OX=83333 PE=4 SV=1", b"E. coli (strain K12 = X)", b""),
        (b"UniRef90_A0 Protein n=1 Tax=Bos taurus TaxID=9913 RepID=A0_BOVIN", b"Bos taurus", b""),
        (b"UniRef90_A0 Protein n=1 TaxID=9913 RepID=A0_BOVIN", b"9913", b""),
        (b"WP_1.1 MULTISPECIES: kinase [Escherichia coli]", b"Escherichia coli", b""),
        (b"1ABC:A [not the end] chain", b"", b""),
        (b"caf\xe9", b"", b""),
    ],
)  # fmt: skip
def test_headers_as_databases_write_them(header, organism, gene):
    assert parse(header)[1:] == (organism, gene)


def test_identifiers_are_those_of_mmseqs():
    names = (b"sp|P1|A_B", b"tr|Q1", b"ref|NP_1.1|", b"UniRef50_P1", b"a|b", b"sp||x")
    assert [identifier(name) for name in names] == [b"P1", b"Q1", b"NP_1.1", b"UniRef50_P1", b"a|b", b"sp||x"]
