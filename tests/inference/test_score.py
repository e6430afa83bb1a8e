import math
from functools import partial

import numpy as np
import pytest
import torch
from oracles import MarkovChain

from seqdiff.alphabet import DNA
from seqdiff.data.fasta import Record
from seqdiff.data.intervals import Interval
from seqdiff.diffusion.likelihood import Chain, Elbo, Pseudo
from seqdiff.errors import DataError, SeqdiffError
from seqdiff.inference.score import score
from seqdiff.streams import Streams

chain = MarkovChain()

SHARES = torch.tensor([0.4, 0.3, 0.2, 0.1])


def independent(tokens, time=None):
    """Letters are independent with known shares, so the bound is exact whatever is masked."""
    return SHARES.log().expand(*tokens.shape, 4)


def run(texts, **settings):
    records = [Record(f"r{i}", f"r{i}", t.encode()) for i, t in enumerate(texts)]
    return list(score(records, partial(Elbo(strata=16, replicates=2), independent), DNA, 16, **settings))


def test_the_bound_of_an_independent_model_is_exact_within_its_error():
    results = run(["A" * 50, "C", "ACGT", "acgtn" * 10, "ACGGT" * 20])
    log_a, log_c, log_g, log_t = SHARES.log().tolist()
    expected = [50 * log_a, log_c, log_a + log_c + log_g + log_t]
    expected += [10 * expected[2], 20 * (expected[2] + log_g)]
    for result, log_p in zip(results, expected):
        assert abs(result.nats + log_p) <= 4 * result.se + 1e-4
    assert [r.se for r in results[:3]] == pytest.approx([0, 0, 0], abs=1e-4)  # all letters alike; 1; all masks taken
    assert all(r.se > 0 for r in results[3:])
    assert [(r.length, r.scored) for r in results] == [(50, 50), (1, 1), (4, 4), (50, 40), (100, 100)]
    assert results[0].bits_per_symbol == pytest.approx(-math.log2(0.4), rel=1e-5)
    assert results[0].perplexity == pytest.approx(2.5, rel=1e-5)


def test_nothing_known_is_no_score():
    for result in run(["", "NNNN", "N" * 40]):
        assert (result.scored, result.nats, result.se, result.bits_per_symbol, result.perplexity) == (0, *[None] * 4)


@pytest.mark.parametrize("scorer", [Elbo(strata=4, replicates=2), Chain(), Pseudo()], ids=lambda s: s.kind)
def test_scores_are_bitwise_the_same_whatever_the_batch_and_the_order(scorer):
    letters = (
        np.random.default_rng(0).choice(list(b"ACGTN"), 90, p=[0.3, 0.3, 0.2, 0.1, 0.1]).astype(np.uint8).tobytes()
    )
    records = [Record(f"r{i}", f"r{i}", letters[i : 8 * i + 5]) for i in range(6)]
    spans = {"r1": [Interval("r1", 3, 9)], "r4": [Interval("r4", 25, 32), Interval("r4", 0, 12)]}
    for each in (None, spans):
        a = list(score(records, partial(scorer, chain), DNA, 16, spans=each, batch_tokens=1000))
        b = list(score(records[::-1], partial(scorer, chain), DNA, 16, spans=each, batch_tokens=16))
        assert sorted(a, key=str) == sorted(b, key=str)
        assert all(r.nats > 0 for r in a if r.scored)
        assert [r.name for r in a] == (["r1", "r4", "r4"] if each else [r.name for r in records])


def test_pieces_add_up_with_their_errors():
    """A record of three pieces: the sum of three records of one piece, errors and their degrees of freedom combined."""
    letters = b"ACGTTGCATGACCATGCATTAGCATGCATTACGTACGATTACAGCATC"
    scorer = Elbo(strata=4, replicates=2)
    (whole,) = score([Record("r", "r", letters)], partial(scorer, chain), DNA, 16)
    x = torch.from_numpy(DNA.encode(letters).astype(np.int64)).view(3, 16)
    parts = scorer(chain, x, x < 4, Streams.of(0, [("r", 0), ("r", 16), ("r", 32)]))
    assert whole.nats == math.fsum(parts.nats.tolist())
    assert whole.se == pytest.approx(parts.se.square().sum().sqrt().item(), rel=1e-12)
    assert max(parts.df.tolist()) < whole.df <= parts.df.sum().item()
    low, high = whole.interval
    assert low < whole.nats - 1.96 * whole.se
    assert high - whole.nats == pytest.approx(whole.nats - low)
    assert low < -chain.log_prob(x).sum().item() < high


def test_an_unknown_error_stays_unknown_however_many_pieces():
    (result,) = score([Record("r", "r", b"ACGTT" * 7)], partial(Elbo(strata=4, replicates=1), chain), DNA, 16)
    assert (result.se, result.df, result.interval) == (None, None, None)
    assert result.nats > 0


def test_orders_of_pieces_add_up_before_they_are_compared():
    (result,) = score([Record("r", "r", b"ACGTT" * 7)], partial(Chain(orders=3), chain), DNA, 16)
    exact = -sum(
        chain.log_prob(torch.from_numpy(DNA.encode((b"ACGTT" * 7)[a:b]).astype(np.int64))[None]).item()
        for a, b in ((0, 11), (11, 23), (23, 35))
    )
    assert result.orders == pytest.approx([exact] * 3, abs=1e-9)
    assert result.multi_order == pytest.approx(exact, abs=1e-9)
    assert result.sd_orders < 1e-9


@pytest.mark.parametrize("scorer", [Elbo(strata=64, replicates=2), Chain(orders=1)], ids=lambda s: s.kind)
def test_a_region_is_scored_given_the_window_around_it(scorer):
    """All 63 masks of six letters, or the chain rule: exact in a window of 16 letters with the region in its middle."""
    letters = b"ACGTTGCATGACNATGCATTAGCATGCNTTACGTACGATT"
    cases = {(0, 6): (0, 16), (20, 26): (15, 31), (34, 40): (24, 40), (11, 17): (6, 22)}
    spans = {"r": [Interval("r", *span) for span in cases]}
    results = list(score([Record("r", "r", letters)], partial(scorer, chain), DNA, 16, spans=spans))
    assert [(r.span.start, r.span.end, r.length) for r in results] == [(*span, 6) for span in cases]
    for result, ((first, last), (start, end)) in zip(results, cases.items(), strict=True):
        x = torch.from_numpy(DNA.encode(letters[start:end]).astype(np.int64))[None]
        inside = (torch.arange(start, end) >= first) & (torch.arange(start, end) < last)
        exact = chain.log_prob(x.masked_fill(inside, 4)) - chain.log_prob(x)
        assert result.nats == pytest.approx(exact.item(), abs=1e-9)
        assert result.scored == 6 - letters[first:last].count(b"N")


@pytest.mark.parametrize(("given", "windows"), [("left", [(0, 16), (10, 26)]), ("right", [(0, 16), (20, 36)])])
def test_a_region_of_a_model_of_one_direction_has_the_window_on_that_side_of_it(given, windows):
    letters = b"ACGTTGCATGACNATGCATTAGCATGCNTTACGTACGATT"
    spans, seen = {"r": [Interval("r", 0, 6), Interval("r", 20, 26)]}, {}

    def bound(tokens, scored, rng, batch_size):
        seen.update({tuple(row[which].tolist()): row.tolist() for row, which in zip(tokens, scored, strict=True)})
        return partial(Elbo(), independent)(tokens, scored, rng)

    list(score([Record("r", "r", letters)], bound, DNA, 16, spans=spans, given=given))
    encoded = DNA.encode(letters).tolist()
    for span, (start, end) in zip(spans["r"], windows, strict=True):
        assert seen[tuple(encoded[span.start : span.end])] == encoded[start:end]


def test_a_region_of_nothing_known_is_no_score_and_one_too_long_is_refused_at_once():
    records = [Record("r", "r", b"ACNNGT" * 5)]
    empty = {"r": [Interval("r", 2, 4), Interval("r", 7, 7)]}
    results = list(score(records, partial(Pseudo(), chain), DNA, 16, spans=empty))
    assert [(r.length, r.scored, r.nats, r.se) for r in results] == [(2, 0, None, None), (0, 0, None, None)]
    long = {"r": [Interval("r", 0, 4), Interval("r", 3, 20)]}
    with pytest.raises(DataError, match=r"region r:4-20 has 17 letters, more than the model looks at together \(16\)"):
        next(score(records, partial(Pseudo(), chain), DNA, 16, spans=long))


def test_a_network_that_gives_no_numbers_is_an_error_and_never_a_score():
    def broken(tokens, time=None):
        logits = torch.zeros(*tokens.shape, 4)
        logits[0, 0] = math.nan
        return logits

    with pytest.raises(SeqdiffError, match="the network's output is not a number"):
        list(score([Record("r", "r", b"ACGT")], partial(Elbo(strata=4, replicates=2), broken), DNA, 16))
