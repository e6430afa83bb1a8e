import pytest
from Bio.Restriction import AllEnzymes
from Bio.Seq import Seq

from seqdiff.alphabet import DNA
from seqdiff.errors import UsageError
from seqdiff.inference.design import GC, Motif


def test_every_enzyme_by_its_name_and_what_it_cuts():
    known = [enzyme for enzyme in AllEnzymes if set(enzyme.site) != {"N"}]
    assert len(known) > 1000
    for enzyme in known:
        sites = [side for site in enzyme.site.split("|") for side in (site, str(Seq(site).reverse_complement()))]
        for name in {str(enzyme), str(enzyme).lower()}:
            motif = Motif.parse(name)
            if motif.name == str(enzyme):
                assert set(motif.sites) == set(sites)
            else:
                assert name.islower()
                assert set(name) <= set("acgtryswkmbdhvn"), "a word of bases, unless it is written as the enzyme is"


def test_words_stand_for_sets_on_both_strands():
    motif = Motif.parse("ruY")
    assert motif.sites == ("RTY", "RAY")
    assert motif.words[0] == (frozenset({0, 2}), frozenset({3}), frozenset({1, 3}))
    text = b"ATTNACTGTC"
    assert sorted(set(motif.found(text))) == [(0, 3), (7, 10)]
    assert Motif.parse("GAATTC").sites == ("GAATTC",)


def test_overlapping_words_are_all_found():
    assert sorted(set(Motif.parse("AA").found(b"AAATTT"))) == [(0, 2), (1, 3), (3, 5), (4, 6)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("EcoRl", "did you mean EcoRV, EcoRI"),
        ("", "neither a word"),
        ("GA-TC", "neither a word"),
        ("NN", "any letters at all are such a word"),
    ],
)
def test_what_is_no_word_is_refused(text, said):
    with pytest.raises(UsageError, match=said.replace("?", r"\?")):
        Motif.parse(text)


@pytest.mark.parametrize(
    ("text", "letters", "bounds"),
    [
        ("0.4-0.6", 10, (4, 6)),
        ("40%-60%", 10, (4, 6)),
        ("40-60%", 7, (3, 4)),
        ("0-1", 3, (0, 3)),
        ("0.5 - .5", 3, (2, 1)),
        ("30%-0.7", 10, (3, 7)),
    ],
)
def test_shares(text, letters, bounds):
    assert GC.parse(text).share.bounds(letters) == bounds
    assert [DNA.symbols[token] for token in GC.parse(text).share.counted] == ["C", "G"]


@pytest.mark.parametrize(
    "text", ["", "0.5", "0.6-0.4", "40-60", "a-b", "0.4-0.6-0.8", "-0.1-0.5", "0-110%", "nan-1", "1e-1"]
)
def test_what_is_no_share_is_refused(text):
    with pytest.raises(UsageError, match="--gc"):
        GC.parse(text)
