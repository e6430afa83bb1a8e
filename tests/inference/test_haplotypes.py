"""Haplotypes against the exact log ratios of a Markov chain."""

import pytest
import torch
from oracles import Blind, MarkovChain
from vcfs import genome_of, vcf_of

import seqdiff.inference.haplotypes as module
from seqdiff.alphabet import DNA
from seqdiff.data.haplotypes import groups
from seqdiff.data.vcf import Vcf
from seqdiff.inference.changes import MARGIN, ChangeScorer, VariantScorer
from seqdiff.inference.haplotypes import haplotype_effects


class OneStrand(Blind):
    equivariant = True


CHAIN = MarkovChain(seed=2)
TOKENS = CHAIN.sample(1, 400, seed=5)[0]
TEXT = DNA.decode(TOKENS.numpy()).decode()


def other(position, turn=1):
    return "ACGT"[("ACGT".index(TEXT[position]) + turn) % 4]


def scored(tmp_path, *rows, samples=2, reach=16, seed=0):
    genome = genome_of(tmp_path / "ref.fa", c=TEXT)
    rows = [("c", position + 1, ref, alt, ".", "GT", *calls) for position, ref, alt, *calls in rows]
    path = vcf_of(tmp_path / "a.vcf", *rows, samples=[f"S{i}" for i in range(samples)])
    scorer = ChangeScorer(genome, OneStrand(CHAIN), 64, VariantScorer(draws=32), seed=seed)
    with Vcf(path) as vcf:
        return list(haplotype_effects(groups(vcf.records(), reach, vcf.samples, vcf.name), scorer))


def exact(*substitutions):
    tokens = TOKENS.clone()
    for position, letter in substitutions:
        tokens[position] = "ACGT".index(letter)
    return CHAIN.log_prob(torch.stack([TOKENS, tokens])).diff().item()


def test_substitutions_of_a_haplotype_are_scored_together_and_exactly(tmp_path):
    a, b, c = ((position, other(position)) for position in (100, 101, 104))
    found = scored(
        tmp_path, (*a[:1], TEXT[100], a[1], "0|1", "1|1"), (101, TEXT[101], b[1], "0|1", "1|0"),
        (104, TEXT[104], f"{c[1]},{other(104, 2)}", "0|1", "0|2"),
    )  # fmt: skip
    assert [(effect.copies, [v.start for v in effect.variants]) for effect in found] == [
        (1, [100, 104]), (1, [100, 101]), (1, [100, 101, 104]),
    ]  # fmt: skip
    expected = [exact(a, (104, other(104, 2))), exact(a, b), exact(a, b, c)]
    assert [effect.outcome.llr for effect in found] == pytest.approx(expected, abs=1e-6)
    alone = [exact(a) + exact((104, other(104, 2))), exact(a) + exact(b), exact(a) + exact(b) + exact(c)]
    assert [effect.alone for effect in found] == pytest.approx(alone, abs=1e-6)
    assert abs(expected[1] - alone[1]) > 0.01
    assert {effect.outcome.method for effect in found} == {"chain"}
    assert [(effect.contig, effect.start, effect.end) for effect in found] == [
        ("c", 100, 105),
        ("c", 100, 102),
        ("c", 100, 105),
    ]


def test_one_variant_is_scored_as_it_is_alone(tmp_path):
    (found,) = scored(tmp_path, (100, TEXT[100], other(100), "0|1", "1|1"))
    assert found.copies == 3
    assert found.outcome.llr == found.alone == pytest.approx(exact((100, other(100))), abs=1e-6)
    assert found.outcome.method == "marginal"


def test_a_haplotype_with_an_insertion_is_right_within_its_error(tmp_path):
    (found,) = scored(
        tmp_path, (100, TEXT[100], other(100), "1|1", "0|0"), (103, TEXT[103:106], TEXT[103], "1|1", "0|0"),
        (108, TEXT[108], TEXT[108] + "GATTACA", "1|1", "0|0"),
    )  # fmt: skip
    before, after = TOKENS[: 100 - MARGIN].tolist(), TOKENS[109 + MARGIN :].tolist()
    letters = {False: TEXT[100 - MARGIN : 109 + MARGIN]}
    changed = other(100) + TEXT[101:104] + TEXT[106:109] + "GATTACA"
    letters[True] = TEXT[100 - MARGIN : 100] + changed + TEXT[109 : 109 + MARGIN]
    truth = {}
    for which, text in letters.items():
        middle = ["ACGT".index(letter) for letter in text]
        rows = torch.tensor([before + middle + after, before + [4] * len(middle) + after])
        truth[which] = -CHAIN.log_prob(rows).diff().item()
    assert found.outcome.method == "elbo"
    assert abs(found.outcome.llr - (truth[True] - truth[False])) <= 4 * found.outcome.se
    assert (found.start, found.end, found.copies) == (100, 109, 2)


def test_alleles_that_overlap_are_said_and_not_scored(tmp_path):
    rows = [(100, TEXT[100:104], TEXT[100], "1|1", "1|0"), (102, TEXT[102], other(102), "1|1", "0|1")]
    found = scored(tmp_path, *rows)
    assert found[0].copies == 2
    assert (found[0].outcome.reason, found[0].outcome.llr) == ("overlapping_alleles", None)
    assert found[0].alone is not None
    assert [effect.outcome.reason for effect in found[1:]] == [None, None]


def test_a_deleted_base_is_no_change_of_its_own(tmp_path):
    rows = [(100, TEXT[100:104], TEXT[100], "1|0", "0|0"), (102, TEXT[102], f"{other(102)},*", "2|1", "0|0")]
    both = {effect.variants[0].start: effect for effect in scored(tmp_path, *rows)}
    (deletion,) = scored(tmp_path, (100, TEXT[100:104], TEXT[100], "1|0", "0|0"))
    assert both[100].outcome == deletion.outcome
    assert len(both[100].variants) == 2


def test_a_haplotype_with_an_allele_that_has_no_letters_has_no_score(tmp_path):
    rows = [(100, TEXT[100], other(100), "1|0", "0|0"), (102, TEXT[102], "<DEL>", "1|0", "0|0")]
    (found,) = scored(tmp_path, *rows)
    assert (found.outcome.reason, found.outcome.llr, found.alone) == ("symbolic", None, None)


def test_beside_other_variants_an_indel_is_not_moved_over_them(tmp_path, monkeypatch):
    """A deletion at the end of a run of T, of which another variant changes a letter: what remains is not the same."""
    run = next(p for p in range(50, 350) if TEXT[p] == TEXT[p + 1] == TEXT[p + 2] == TEXT[p + 3] != TEXT[p + 4])
    rows = [(run + 1, TEXT[run], other(run), "1|0", "0|0"), (run + 2, TEXT[run] * 2, TEXT[run], "1|0", "0|0")]
    seen = []
    matched = module.ChangeScorer.__call__
    monkeypatch.setattr(
        module.ChangeScorer, "__call__", lambda self, wanted, *rest: seen.extend(wanted) or matched(self, wanted, *rest)
    )
    scored(tmp_path, *rows)
    together = next(changes for changes in seen if len(changes) == 2)
    assert [change.start for change in together] == [run + 1, run + 2]
    assert [change.slack for change in together] == [0, 0]


def test_the_same_whatever_is_scored_at_once(tmp_path, monkeypatch):
    rows = [(p, TEXT[p], other(p), "0|1", "1|1") for p in range(20, 380, 9)]
    rows[5] = (rows[5][0], TEXT[rows[5][0] :][:3], TEXT[rows[5][0]], "0|1", "1|0")
    expected = scored(tmp_path, *rows)
    monkeypatch.setattr(module, "AT_ONCE", 1)
    assert scored(tmp_path, *rows) == expected
