"""Cluster tables: what is read, and what is refused."""

import gzip

import pytest

from seqdiff.data.clusters import read_clusters
from seqdiff.data.proteome import Proteome, key_of
from seqdiff.errors import DataError


@pytest.fixture
def proteome(tmp_path):
    path = tmp_path / "p.fa"
    path.write_text(">sp|P1|A_X\nMK\n>b\nMV\n>sp|P3|C_X\nML\n")
    return Proteome.open(path)


def table(tmp_path, text):
    path = tmp_path / "c.tsv"
    path.write_bytes(text)
    return read_clusters(path)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_names_or_accessions(proteome, tmp_path, pack):
    """MMseqs2 writes accessions of UniProt names; other tools write names as they are."""
    clusters = table(tmp_path, pack(b"P1\tP1\r\nP1\tb\r\n\nsp|P3|C_X\tsp|P3|C_X\nP9\tP9\n"))
    assert clusters.of(proteome).tolist() == [key_of(b"P1"), key_of(b"P1"), key_of(b"P3")]


def test_proteins_that_are_missing_are_counted_and_one_is_named(proteome, tmp_path):
    with pytest.raises(DataError, match=r"2 of the 3 proteins of .*p\.fa are no members .*the first: b\)"):
        table(tmp_path, b"P1\tP1\n").of(proteome)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"P1\tP1\nP1 b\n", "line 2: 'P1 b' is not two columns"),
        (b"P1\tb\tc\n", "line 1"),
        (b"P1\t\n", "line 1"),
        (b"P1\tb\nP2\tP2\nP2\tb\n", "line 3: this member was put into another cluster"),
        (b"\n\n", "there is no cluster in it"),
    ],
)
def test_what_is_no_table_is_said(tmp_path, text, what):
    with pytest.raises(DataError, match=what):
        table(tmp_path, text)
