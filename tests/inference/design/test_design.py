"""Designed DNA, read again with Biopython: nothing asked for is ever violated, and what cannot be met is said."""

import re
from fractions import Fraction

import pytest
import torch
from Bio.Restriction import BsaI, EcoRI, RestrictionBatch
from Bio.Seq import Seq

import seqdiff
from seqdiff.alphabet import DNA
from seqdiff.data.fasta import Record
from seqdiff.data.intervals import Interval
from seqdiff.diffusion.samplers import Exact, Particles
from seqdiff.errors import DataError, UsageError
from seqdiff.inference.design import GC, PARTICLES, Coding, Design, GeneticCode, Motif
from seqdiff.inference.infill import infill

STANDARD = GeneticCode(1)
SITES = (Motif.parse("EcoRI"), Motif.parse("BsaI"))


def likes_sites(tokens, time=None):
    """After GAA it wants T, after GAAT another, after GAATT a C; else a little more A than others."""
    logits = torch.zeros(*tokens.shape, 4)
    logits[..., 0] = 0.3
    for i in range(tokens.shape[1]):
        for so_far, wanted in ((2, 0), (20, 0), (200, 3), (2003, 3), (20033, 1)):
            letters = [int(c) for c in str(so_far)]
            if i >= len(letters):
                here = (tokens[:, i - len(letters) : i] == torch.tensor(letters)).all(1)
                logits[here, i, wanted] = 4.0
    return logits


def record(text, name="r"):
    return Record(name, name, text.encode())


def design(texts, asked, sampler=None, context=64, denoise=likes_sites, **settings):
    records = [record(text, f"r{i}") for i, text in enumerate(texts)]
    sampler = sampler or Particles(particles=3)
    return list(infill(records, denoise, DNA, context, sampler, design=asked, **settings))


def letters(results):
    return [result.record.sequence.decode() for result in results]


def cut(text):
    return any(RestrictionBatch([EcoRI, BsaI]).search(Seq(text)).values())


def test_no_site_is_made_and_without_the_constraint_some_are():
    plain = letters(infill([record("N" * 40, f"r{i}") for i in range(6)], likes_sites, DNA, 64, Particles(particles=1)))
    assert any(map(cut, plain))
    results = design(["N" * 40] * 6, Design(motifs=SITES))
    assert not any(map(cut, letters(results)))
    assert {result.constraints for result in results} == {"forbidden=0"}
    assert all(result.log_weight < 0 for result in results)


@pytest.mark.parametrize("text", ["GAATTNNNNN", "NNNNNAATTC", "GNATTCGANTTC", "GGTCTNNNNNNAGACC", "GAANNCGAATTNGAATNC"])
def test_words_that_straddle_given_letters_are_not_made(text):
    results = design([text] * 4, Design(motifs=SITES), samples=2)
    assert not any(map(cut, letters(results)))


def test_a_word_in_given_letters_stays_and_is_said(caplog):
    result = design(["GAATTCNNNNNNGGTCTC"], Design(motifs=SITES))[0]
    assert result.constraints == "forbidden=2"
    assert [re.sub(r"\s+", " ", message) for message in caplog.messages] == [
        "record 'r0': EcoRI stands in letters that are given, and stays, at 1",
        "record 'r0': BsaI stands in letters that are given, and stays, at 13",
    ]


def test_lower_case_and_rna_are_read_as_they_are():
    result = design(["gaauunnnn"], Design(motifs=SITES))[0]
    assert not cut(result.record.sequence.decode().upper().replace("U", "T"))
    assert result.record.sequence.startswith(b"gaauu")
    assert result.record.sequence.islower()


@pytest.mark.parametrize("text", ["N" * 30, "GGGGGGGG" + "N" * 10, "ANNNNNNNNNNRYC"])
@pytest.mark.parametrize("share", ["50%-50%", "0.7-1", "0-20%"])
def test_the_share_of_g_and_c_is_that_of_the_filled_letters(text, share):
    asked = GC.parse(share)
    for result in design([text], Design(gc=asked), samples=3):
        filled = result.filled
        part = Fraction(sum(filled.count(c) for c in b"GC"), len(filled))
        assert asked.low <= part <= asked.high
        assert result.constraints == f"gc={float(part):.4f}"


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("number", [1, 2, 11])
def test_a_protein_is_translated(number, reverse):
    protein = "MLSRWKXBZ*"
    coding = Coding(protein, 4, reverse, GeneticCode(number))
    for result in design(["ACGT" + "N" * 34], Design(everywhere=(coding,)), samples=3):
        span = Seq(result.record.sequence.decode()[4:34])
        said = str((span.reverse_complement() if reverse else span).translate(table=number))
        assert all(a == b or b in "XBZ" for a, b in zip(said, protein))
        assert "*" not in said[:-1]
        assert said[7] in "DN"
        assert said[8] in "EQ"
        assert result.constraints == "proteins=1"


def test_codons_keep_the_letters_that_are_given():
    coding = Coding("MLL", 0, False, STANDARD)
    for text in letters(design(["NTNTNNNTC"], Design(everywhere=(coding,)), samples=5)):
        assert re.fullmatch("ATGT.[AG]CTC", text) or re.fullmatch("ATGTT.CTC", text)
        assert str(Seq(text).translate()) == "MLL"
    assert letters(design(["CTGTTANNN"], Design(everywhere=(coding,))))[0].startswith("CTGTTA")


def test_several_overlapping_spans_on_both_strands():
    codings = Coding("MKS", 0, False, STANDARD), Coding("XX", 4, False, STANDARD), Coding("XDX", 2, True, STANDARD)
    for text in letters(design(["N" * 14], Design(codings={"r0": codings}), samples=4)):
        assert str(Seq(text[:9]).translate()) == "MKS"
        assert "*" not in str(Seq(text[4:10]).translate())
        other = str(Seq(text[2:11]).reverse_complement().translate())
        assert other[1] == "D"
        assert "*" not in other


def test_all_constraints_together_over_windows_and_however_it_is_run():
    """A record longer than two contexts and a short one; batches, order and neighbours change nothing."""
    protein = "MEFRGLVPRESQ"
    asked = Design(GC.parse("40-60%"), SITES, {"r0": (Coding(protein, 6, True, STANDARD),)})
    texts = ["N" * 60, "ACGTNNNNNNGAATTNNNN"]
    together = design(texts, asked, context=24, seed=3, batch_tokens=10_000)
    alone = design(texts, asked, context=24, seed=3, batch_tokens=1)
    assert letters(together) == letters(alone)
    assert [r.log_weight for r in together] == [r.log_weight for r in alone]
    records = [record(text, f"r{i}") for i, text in enumerate(texts)][::-1]
    backwards = list(infill(records, likes_sites, DNA, 24, Particles(particles=3), design=asked, seed=3))
    assert letters(backwards)[::-1] == letters(together)
    text = letters(together)[0]
    assert str(Seq(text[6 : 6 + 3 * len(protein)]).reverse_complement().translate()) == protein
    assert not cut(text)
    assert 0.4 <= (text.count("G") + text.count("C")) / 60 <= 0.6
    assert letters(design(texts, asked, context=24, seed=4)) != letters(together)


def test_progress_moves_with_every_letter():
    done = []
    texts = ["N" * 12, "ACGTNNNNNN"]
    assert letters(design(texts, Design(motifs=SITES), context=8, progress=done.append)) == letters(
        design(texts, Design(motifs=SITES), context=8)
    )
    assert sum(done) == 18
    assert max(done) == 2


def test_spans_of_known_letters_are_designed_and_unknown_letters_outside_stay():
    spans = {"r0": [Interval("r0", 2, 9)]}
    text = letters(design(["NGAATTCAAAN"], Design(motifs=SITES), spans=spans))[0]
    assert (text[:2], text[9:]) == ("NG", "AN")
    assert not cut(text)


@pytest.mark.parametrize(
    ("text", "asked", "said"),
    [
        ("NNN", Design(gc=GC.parse("40-60%")), "record 'r0': --gc 40-60% cannot be met"),
        ("RRNN", Design(GC.parse("0-1"), (Motif.parse("RR"),)), "record 'r0': --forbid RR cannot be met"),
        ("NNNN", Design(motifs=(Motif.parse("W"), Motif.parse("S"))), "--forbid W, --forbid S could each be met alone"),
        ("NNNNN", Design(everywhere=(Coding("MK", 0, False, STANDARD),)), "takes the letters up to 6, and the record"),
        ("NNNNTG", Design(everywhere=(Coding("MK", 0, False, STANDARD),)),
         r"NTG at 4-6 cannot code for K, letter 2 of the protein MK at 1: change it"),
        ("ACGTNN", Design(everywhere=(Coding("T", 0, True, STANDARD),)), "ACG at 1-3 cannot code for T, letter 1"),
        ("NNNNNN", Design(gc=GC.parse("0-0.1"), everywhere=(Coding("PG", 0, False, STANDARD),)),
         "--gc 0-0.1, the protein PG at 1 could each be met alone, but not together"),
        ("NNNNNN", Design(motifs=(Motif.parse("ATG"),), everywhere=(Coding("MW", 0, False, STANDARD),)),
         "--forbid ATG, the protein MW at 1 could each be met alone"),
    ],
)  # fmt: skip
def test_what_cannot_be_met_is_said_before_anything_is_filled(text, asked, said):
    def never(tokens, time=None):
        raise AssertionError("no network call")

    with pytest.raises(DataError, match=said):
        design([text], asked, denoise=never)


def test_a_letter_that_stays_unknown_codes_for_nothing():
    spans = {"r0": [Interval("r0", 0, 2)]}
    asked = Design(everywhere=(Coding("M", 0, False, STANDARD),))
    with pytest.raises(DataError, match="a letter there is unknown and not to be filled"):
        design(["NNN"], asked, spans=spans)


def test_too_large_a_problem_is_said():
    with pytest.raises(DataError, match="record 'r0': its constraints together are too large a problem"):
        design(["N" * 40], Design(motifs=(Motif.parse("A" + "N" * 20 + "C"),)))
    with pytest.raises(DataError, match=r"too large a problem .*1,024 tables of"):
        design(["N" * 60_000], Design(GC.parse("0-1"), SITES), context=1024)
    with pytest.raises(DataError, match=r"too large a problem .*12,000 tables of"):
        design(["N" * 60_000], Design(GC.parse("0-1"), SITES), context=1024, stride=5)


def test_the_last_look_finds_what_a_fault_would_leave(monkeypatch):
    """The check of the filled letters does not rest on the automaton: it sees what is wrong there."""
    from seqdiff.inference.known import Known

    blank = record("N" * 12, "r0")
    known = Known(blank, DNA)
    coding = Coding("MK", 0, False, STANDARD)
    asked = Design(GC.parse("0-50%"), SITES, {"r0": (coding,)})
    assert asked.verify(record("ATGAAAACCCGA", "r0"), known) == "gc=0.4167 forbidden=0 proteins=1"
    for text, broken in (
        ("ATGAAACCCCGC", "--gc 0-50%"),
        ("ATGAAGAATTCA", "--forbid EcoRI"),
        ("ATGAAAGAGACC", "--forbid BsaI"),
        ("ATGGAAACCCGA", "the protein MK"),
    ):
        with pytest.raises(DataError, match=f"{broken}.* was not met, which is a fault of seqdiff"):
            asked.verify(record(text, "r0"), known)


def test_of_the_model_by_name():
    model = seqdiff.load()
    asked = Design(GC.parse("40-60%"), SITES)
    filled = next(model.infill_records([record("GAATTNNNNNN")], design=asked))
    assert not cut(filled.record.sequence.decode())
    assert filled.ess <= PARTICLES
    assert [len(r.positions) for r in model.sample_records([9, 4], design=Design(gc=GC.parse("0.5-0.75")))] == [9, 4]
    with pytest.raises(UsageError, match="constraints are met by the sampler particles, not by exact"):
        model.infill_records([record("N")], Exact(), design=asked)
