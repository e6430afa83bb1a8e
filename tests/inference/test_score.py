import math

import pytest
import torch

from seqdiff.alphabet import DNA
from seqdiff.data.fasta import Record
from seqdiff.diffusion.likelihood import Elbo
from seqdiff.errors import SeqdiffError
from seqdiff.inference.score import score

SHARES = torch.tensor([0.4, 0.3, 0.2, 0.1])


def independent(tokens, time=None):
    """Letters are independent with known shares, so the bound is exact whatever is masked."""
    return SHARES.log().expand(*tokens.shape, 4)


def run(texts, **settings):
    records = [Record(f"r{i}", f"r{i}", t.encode()) for i, t in enumerate(texts)]
    return list(score(records, independent, DNA, 16, Elbo(strata=16, replicates=2), **settings))


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


def test_scores_do_not_depend_on_batches_or_order():
    def context_dependent(tokens, time=None):
        share = (tokens < 4).sum(1, keepdim=True) / (tokens < 5).sum(1, keepdim=True)
        return torch.stack([share.expand(tokens.shape) * w for w in range(4)], -1)

    records = [Record(f"r{i}", f"r{i}", b"ACGTTGCA" * (i + 1)) for i in range(6)]
    scorer = Elbo(strata=4, replicates=2)
    a = list(score(records, context_dependent, DNA, 16, scorer, batch_tokens=1000))
    b = list(score(records[::-1], context_dependent, DNA, 16, scorer, batch_tokens=16))[::-1]
    for one, other in zip(a, b):
        assert one.name == other.name
        assert one.nats == pytest.approx(other.nats, rel=1e-6)
    assert max(r.se for r in a) > 0


def test_a_network_that_gives_no_numbers_is_an_error_and_never_a_score():
    def broken(tokens, time=None):
        logits = torch.zeros(*tokens.shape, 4)
        logits[0, 0] = math.nan
        return logits

    with pytest.raises(SeqdiffError, match="the network's output is not a number"):
        list(score([Record("r", "r", b"ACGT")], broken, DNA, 16, Elbo(strata=4, replicates=2)))
