"""Letters inserted in unknown number, with networks whose right answer is known."""

import numpy as np
import pytest
import torch

from seqdiff.alphabet import DNA
from seqdiff.data.fasta import Record
from seqdiff.diffusion.samplers import Exact
from seqdiff.errors import DataError, UsageError
from seqdiff.inference.infill import infill
from seqdiff.inference.inserts import Insert, Inserts, placed, stretched
from seqdiff.inference.lengths import Lengths
from tests.oracles import Constant, MarkovChain


def record(text, name="r", quality=None):
    return Record(name, f"{name} of a test", text.encode(), quality)


def inserts(texts, records, denoise, context=64, whole=None, **settings):
    lengths = {each.name: len(each.sequence) for each in records}
    return Inserts(placed(map(Insert.parse, texts), lengths), denoise, DNA, context, whole, **settings)


def fits(text, record, denoise, **settings):
    return inserts([text], [record], denoise, **settings).fits(record)[0]


@pytest.fixture(scope="module")
def cycle():
    """A chain that mostly goes A C G T A C ...: flanks say how far apart they are, modulo 4."""
    chain = MarkovChain(4)
    chain.transition = torch.eye(4, dtype=torch.float64).roll(1, 1) * 0.9 + 0.025
    chain.start = torch.full((4,), 0.25, dtype=torch.float64)
    return chain


def exact(chain, left, right, gaps):
    rows = [torch.from_numpy(DNA.encode(left + b"N" * gap + right).astype(np.int64))[None] for gap in gaps]
    logs = torch.cat([chain.log_prob(row) for row in rows])
    return (logs - logs.logsumexp(0)).exp().numpy()


def test_the_posterior_is_that_of_enumeration(cycle):
    fit = fits("6:0-8", record("ACGTACCGTACG"), cycle, draws=600, batch_tokens=60_000)
    law = exact(cycle, b"ACGTAC", b"CGTACG", range(9))
    assert law.argmax() == 3
    np.testing.assert_allclose(fit.posterior, law, atol=0.03)
    assert fit.prior.tolist() == pytest.approx([1 / 9] * 9)
    assert fit.nats[3] == fit.se[3] == 0
    assert (fit.se[[0, 1, 2]] > 0).all()


def test_the_prior_of_whole_sequences_weighs_in(cycle):
    whole = Lengths([[12, 1], [19, 400]])
    fit = fits("6:0-8", record("ACGTACCGTACG"), cycle, whole=whole, draws=600, batch_tokens=60_000)
    weights = whole.weights(12 + np.arange(9))
    law = exact(cycle, b"ACGTAC", b"CGTACG", range(9)) * weights
    np.testing.assert_allclose(fit.prior, weights / weights.sum())
    np.testing.assert_allclose(fit.posterior, law / law.sum(), atol=0.03)
    assert fit.lengths[fit.posterior.argmax()] == 7


def test_unknown_letters_in_the_flanks_stay_unknown(cycle):
    fit = fits("6:0-8", record("NNGTACCRTACN"), cycle, draws=600, batch_tokens=60_000)
    np.testing.assert_allclose(fit.posterior, exact(cycle, b"NNGTAC", b"CNTACN", range(9)), atol=0.03)
    blank = fits("2:0-3", record("NNNN"), cycle)
    assert blank.posterior.tolist() == pytest.approx([0.25] * 4)
    assert blank.calls == 0


def test_one_flank_or_none_says_nothing_of_the_length(cycle):
    for text, place in (("ACGT", 0), ("ACGT", 4), ("", 0)):
        assert fits(f"{place}:0-3", record(text), cycle).posterior.tolist() == pytest.approx([0.25] * 4)


def test_what_a_network_cannot_see_is_left_away(cycle):
    """A network of some reach gives the same posterior for a long record as for the letters within twice its reach."""

    class Near:
        symbols, reach, widest = 4, 3, 0

        def __call__(self, tokens):
            self.widest = max(self.widest, tokens.shape[1])
            padded = torch.nn.functional.pad(tokens, (3, 3), value=5)
            windows = padded.unfold(1, 7, 1).flatten(0, 1)
            return cycle(torch.where(windows == 5, 4, windows))[:, 3].unflatten(0, tokens.shape)

    text = "ACGTACGTACGTACCGTACGTACGTACG"
    long, cut, near = fits("14:0-4", record(text), Near()), fits("6:0-4", record(text[8:20]), Near()), Near()
    assert long.lengths[long.posterior.argmax()] == 3
    assert cut.lengths[cut.posterior.argmax()] == 3
    fits("14:0-4", record(text), near)
    assert near.widest == 4 * near.reach + 4


def test_an_insert_sees_as_much_as_the_context_allows(cycle):
    class Counting:
        symbols, widest = 4, 0

        def __call__(self, tokens):
            self.widest = max(self.widest, tokens.shape[1])
            return cycle(tokens)

    text = "ACGT" * 10
    for place, widest in ((20, 16), (1, 16), (39, 16)):
        counting = Counting()
        fits(f"{place}:0-4", record(text), counting, context=16)
        assert counting.widest == widest


def test_each_insert_sees_the_record_up_to_the_next_one(cycle):
    both = inserts(["6:0-4", "12:0-4"], [record("ACGTACCGTACGTACGTA")], cycle)
    first, second = both.fits(record("ACGTACCGTACGTACGTA"))
    alone = fits("6:0-4", record("ACGTACCGTACG"), cycle)
    np.testing.assert_array_equal(first.nats, alone.nats)
    assert second.lengths[second.posterior.argmax()] == 0


def test_results_do_not_depend_on_batches_neighbours_or_order(cycle):
    records = [record("ACGTACCGTACG", "a"), record("ACGTACGGTACGACGT", "b")]
    one = inserts(["a:6:0-4", "b:6:0-6"], records, cycle)
    other = inserts(["b:6:0-6", "a:6:0-4"], records, cycle, batch_tokens=40)
    for each in records:
        np.testing.assert_array_equal(one.fits(each)[0].nats, other.fits(each)[0].nats)
    assert (fits("b:6:0-6", records[1], cycle, seed=1).nats != one.fits(records[1])[0].nats).any()


def grown_and_filled(texts, records, denoise, samples=1, choose="sample", context=64, **settings):
    grower = inserts(texts, records, denoise, context=context)

    def grown(each):
        return grower.grown(each, grower.fits(each), samples, choose)

    return list(infill(records, denoise, DNA, context, Exact(), samples=samples, inserted=grown, **settings))


def test_the_record_is_filled_as_long_as_was_chosen_and_flanks_stay(cycle):
    filled = grown_and_filled(["6:3", "0:0", "12:0-1"], [record("ACGTAcCGTACG")], cycle)[0]
    assert filled.inserted in ("0:0,6:3,12:0", "0:0,6:3,12:1")
    assert filled.record.header == f"r of a test insert={filled.inserted}"
    assert filled.record.sequence.startswith(b"ACGTAc")
    assert filled.record.sequence[9:15] == b"CGTACG"
    assert b"N" not in filled.record.sequence
    assert filled.positions.tolist()[:3] == [6, 7, 8]


def test_unknown_letters_elsewhere_are_filled_too_and_records_without_an_insert_as_ever(cycle):
    records = [record("ACNTACCGTACG", "a"), record("ACGN", "b")]
    first, second = grown_and_filled(["a:6:3"], records, cycle)
    assert first.positions.tolist() == [2, 6, 7, 8]
    assert second.inserted is None
    assert second.record.header == "b of a test"
    assert len(second.record.sequence) == 4


def test_lengths_are_drawn_from_their_posterior(cycle):
    flat = Constant([0.25] * 4)
    found = grown_and_filled(["2:0-3"], [record("ACGT")], flat, samples=600)
    shares = np.bincount([len(each.record.sequence) - 4 for each in found], minlength=4) / 600
    np.testing.assert_allclose(shares, [0.25] * 4, atol=0.06)
    assert [each.replicate for each in found] == list(range(600))
    again = grown_and_filled(["2:0-3"], [record("ACGT")], flat, samples=5)
    assert [each.record for each in again] == [each.record for each in found[:5]]
    best = grown_and_filled(["6:0-8"], [record("ACGTACCGTACG")], cycle, samples=3, choose="best")
    assert [each.inserted for each in best] == ["6:3"] * 3


def test_letters_inserted_into_reads_have_qualities(cycle):
    read = record("ACGTACCGTACG", quality=b"I" * 12)
    from seqdiff.inference.filled import qualities

    filled = grown_and_filled(["6:3"], [read], cycle)[0]
    quality = qualities(filled, DNA)
    assert len(quality) == 15
    assert quality[:6] == quality[9:] == b"IIIIII"
    assert all(33 < q < 60 for q in quality[6:9])


def test_letters_of_low_quality_are_unknown_where_they_are_drawn_again(cycle):
    read = record("ACGTATCGTACG", quality=b"IIIII#IIIIII")
    taken = fits("6:0-4", read, cycle, draws=600, batch_tokens=60_000)
    redrawn = fits("6:0-4", read, cycle, draws=600, batch_tokens=60_000, trusted=30)
    np.testing.assert_allclose(redrawn.posterior, exact(cycle, b"ACGTAN", b"CGTACG", range(5)), atol=0.03)
    assert np.abs(taken.posterior - redrawn.posterior).max() > 0.05


def test_case_and_rna():
    assert stretched(record("acgt"), [2], [2], DNA, "2:2").sequence == b"acnngt"
    assert stretched(record("acGT"), [2, 4], [1, 1], DNA, "").sequence == b"acNGTN"
    assert stretched(record("acGT"), [0], [1], DNA, "").sequence == b"nacGT"
    filled = grown_and_filled(["2:2"], [record("ACUU")], Constant([1e-9, 1e-9, 1e-9, 1 - 3e-9]))[0]
    assert filled.record.sequence == b"ACUUUU"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("5", "write it as POSITION:MIN-MAX"),
        ("5:", "write it as POSITION:MIN-MAX"),
        ("5:1-", "write it as POSITION:MIN-MAX"),
        (":5:1-2", "write it as POSITION:MIN-MAX"),
        ("-1:1-2", "write it as POSITION:MIN-MAX"),
        ("r:x:1-2", "write it as POSITION:MIN-MAX"),
        ("5:1-2-3", "write it as POSITION:MIN-MAX"),
        ("5:٣-4", "write it as POSITION:MIN-MAX"),
        ("5:4-2", "swap the two lengths"),
    ],
)
def test_inserts_that_are_none(text, said):
    with pytest.raises(UsageError, match=said):
        Insert.parse(text)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["R:1:0-2"], "there is no record 'R'; did you mean 'r'"),
        (["5:0-2"], "record 'r' has 4 letters, so give a position of 0 to 4"),
        (["2:0-2", "r:2:1"], "record 'r' has another insert at this position"),
    ],
)
def test_inserts_that_fit_no_record(texts, said):
    with pytest.raises(DataError, match=said):
        placed(map(Insert.parse, texts), {"r": 4})


def test_half_the_context_is_for_flanks():
    with pytest.raises(UsageError, match="at most 32 can be inserted"):
        inserts(["2:0-33"], [record("ACGT")], Constant([0.25] * 4))
