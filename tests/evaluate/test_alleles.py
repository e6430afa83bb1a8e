from itertools import product

import numpy as np
import pytest

from seqdiff.alphabet import DNA
from seqdiff.data.genome import Genome
from seqdiff.data.intervals import Interval
from seqdiff.data.variants import Change, Variant, change
from seqdiff.evaluate import alleles
from seqdiff.evaluate.alleles import kinds, markov_llr
from seqdiff.evaluate.bridge import bridge
from seqdiff.evaluate.markov import MarkovModel


@pytest.fixture
def genome(tmp_path) -> Genome:
    (tmp_path / "g.fa").write_text(">c\nACGTNAACCGGTTACGATTTTCAG\n>end\nCG\n")
    return Genome.open(tmp_path / "g.fa")


@pytest.fixture
def chain() -> MarkovModel:
    rng = np.random.default_rng(0)
    return MarkovModel(tuple(rng.dirichlet(np.ones(4), 4**k) for k in range(4)), (1.0,) * 4)


@pytest.mark.parametrize(
    ("start", "ref", "alt", "expected"),
    [
        (1, "C", "T", ("SNV", "CpG transition")), (2, "G", "A", ("SNV", "CpG transition")),
        (7, "C", "T", ("SNV", "other transition")), (10, "G", "A", ("SNV", "other transition")),
        (0, "A", "G", ("SNV", "other transition")), (12, "T", "C", ("SNV", "other transition")),
        (1, "C", "G", ("SNV", "transversion")), (2, "G", "T", ("SNV", "transversion")),
        (23, "G", "A", ("SNV", "other transition")),
        (1, "CGT", "TGA", ("MNV",)), (1, "CGT", "TGT", ("SNV", "CpG transition")), (1, "C", "CAA", ("insertion",)),
        (1, "CGT", "C", ("deletion",)), (1, "CGT", "AA", ("deletion",)), (1, "CG", "TAA", ("insertion",)),
    ],
)  # fmt: skip
def test_kinds(genome, start, ref, alt, expected):
    assert kinds(change(Variant("c", start, ref, alt), genome, 10), genome) == expected


def test_kinds_at_the_ends_of_a_contig(genome):
    assert kinds(Change("end", 0, b"C", b"T"), genome) == ("SNV", "CpG transition")
    assert kinds(Change("end", 1, b"G", b"A"), genome) == ("SNV", "CpG transition")


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_a_substitution_scores_the_ratio_of_the_exact_posterior(genome, chain, order):
    changes = [Change("c", 10, b"G", bytes([letter])) for letter in b"ACT"]
    tokens = genome.tokens(Interval("c", 10 - order, 11 + order)).astype(int)
    posterior = bridge(chain, order, tokens[None, :order], tokens[None, order + 1 :], 1)[0, 0]
    expected = np.log(posterior[[0, 1, 3]] / posterior[2])
    assert markov_llr(changes, genome, chain, order) == pytest.approx(expected)


def test_any_change_scores_the_ratio_of_whole_sequences(genome, chain, monkeypatch):
    """Under order 2, of the sequence from its beginning to its end: what is left out cancels."""
    before = b"AACCGGTTACGATTTTCAG"
    changes, expected = [], []
    for (ref, alt), start in product([(b"CC", b"GT"), (b"CCG", b""), (b"", b"TTT"), (b"CC", b"A")], [7]):
        after = before[:2] + alt + before[2 + len(ref) :]
        changes.append(Change("c", start, ref, alt))
        whole = [chain.log_prob(DNA.encode(letters)[None])[2].sum() for letters in (after, before)]
        expected.append(whole[0] - whole[1])
    assert markov_llr(changes, genome, chain, 2) == pytest.approx(expected)
    monkeypatch.setattr(alleles, "AT_ONCE", 1)
    assert markov_llr(changes, genome, chain, 2) == pytest.approx(expected)


def test_flanks_past_the_end_of_a_contig_are_unknown(genome, chain):
    found = markov_llr([Change("end", 1, b"G", b"A")], genome, chain, 3)
    assert found == pytest.approx(np.log(chain.tables[1][1, 0] / chain.tables[1][1, 2]))
