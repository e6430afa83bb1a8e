"""Literal strings through `infill` with a network whose right answer is known."""

import numpy as np
import pytest
import torch

from seqdiff.alphabet import DNA
from seqdiff.config import members
from seqdiff.data.fasta import Record
from seqdiff.data.intervals import Interval
from seqdiff.diffusion.samplers import Exact, SamplerConfig
from seqdiff.inference.infill import infill, qualities, unknown_records

SAMPLERS = members(SamplerConfig)


def next_letter(tokens, time=None):
    """Certain that a letter follows the one on its left in A C G T A C ...; knows nothing without it."""
    left = torch.cat([torch.full_like(tokens[:, :1], 4), tokens[:, :-1]], 1)
    logits = torch.zeros(*tokens.shape, 4)
    known = left < 4
    logits[known] = 60.0 * torch.nn.functional.one_hot((left[known] + 1) % 4, 4).float()
    return logits


def skewed(tokens, time=None):
    return torch.tensor([0.7, 0.2, 0.1, 1e-9]).log().expand(*tokens.shape, 4)


def record(text, name="r"):
    return Record(name, f"{name} a description", text.encode())


def fill(texts, denoise=next_letter, sampler=None, context=16, **settings):
    records = [t if isinstance(t, Record) else record(t, f"r{i}") for i, t in enumerate(texts)]
    return list(infill(records, denoise, DNA, context, sampler or Exact(), **settings))


def sequences(results):
    return [r.record.sequence.decode() for r in results]


def test_known_letters_and_case_survive_and_filled_letters_take_the_case_they_replace():
    assert sequences(fill(["ACgNacgn", "ACGT", "", "aNGT"])) == ["ACgTacgt", "ACGT", "", "aCGT"]


def test_headers_and_order_survive():
    assert [r.record.header for r in fill(["AN", "CN"])] == ["r0 a description", "r1 a description"]


def test_rna_is_filled_with_u():
    assert sequences(fill(["ACGN", "UACGN", "uACGn", "UTCGN"])) == ["ACGT", "UACGU", "uACGu", "UTCGT"]


def test_ambiguity_codes_are_filled_with_letters_they_stand_for():
    text = "RYSWKMBDHV" * 40
    filled = sequences(fill([text], skewed, context=64))[0]
    means = {"R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC",
             "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG"}  # fmt: skip
    assert all(letter in means[code] for code, letter in zip(text, filled))


def test_only_the_spans_are_filled_when_spans_are_given():
    spans = {"r0": [Interval("r0", 1, 3)]}
    assert sequences(fill(["AAAANN", "ANNN"], spans=spans)) == ["ACGANN", "ANNN"]


def test_a_gap_longer_than_the_context_is_filled_and_rests_on_what_was_filled_before():
    assert sequences(fill(["A" + "N" * 100 + "ACGT"], context=16, sampler=SAMPLERS["confident"](steps=50))) != []
    result = fill(["N" * 100], denoise=skewed, context=16)[0]
    assert set(result.record.sequence.decode()) <= set("ACG")
    assert len(result.positions) == 100


def crowd(tokens, time=None):
    """Sees the whole window: the more letters are known, the surer it is of A."""
    known = (tokens < 4).double().sum(1)[:, None, None]
    return torch.tensor([1.0, 0.5, 0.0, -0.5], dtype=torch.float64) * known.expand(*tokens.shape, 1) / 20


@pytest.mark.parametrize("denoise", [skewed, crowd])
@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_results_do_not_depend_on_batches_order_or_neighbours(name, denoise):
    texts = [
        "ACNNNNGT" * 9,
        "N" * 40,
        "ACGT",
        "NNACNNNNNNNNNNNNNNNNNNNNNNNNNNNT" * 3,
        "ACGNACGTACGTACGTACGTNACGTACGTACGTACGTACGT",
    ]
    records = [record(t, f"r{i}") for i, t in enumerate(texts)]
    sampler = SAMPLERS[name]()
    together = sequences(fill(records, denoise, sampler, context=32, seed=5, batch_tokens=10_000))
    assert together == sequences(fill(records, denoise, sampler, context=32, seed=5, batch_tokens=32))
    assert together[::-1] == sequences(fill(records[::-1], denoise, sampler, context=32, seed=5))
    assert together[1:2] == sequences(fill(records[1:2], denoise, sampler, context=32, seed=5))
    assert together != sequences(fill(records, denoise, sampler, context=32, seed=6))


def test_samples_differ_and_the_first_is_the_single_one():
    one = sequences(fill(["N" * 30], skewed, context=64))
    three = sequences(fill(["N" * 30], skewed, context=64, samples=3))
    assert one[0] == three[0]
    assert len(set(three)) == 3


def test_marginals_are_those_of_the_first_pass():
    result = fill(["ANN"])[0]
    np.testing.assert_allclose(result.marginals, [[0, 1, 0, 0], [0.25] * 4], atol=1e-6)
    assert qualities(result, DNA) == b"I]" + bytes([33 + 1])  # given 40; certain, cut at 60; a guess of 1 in 4


def test_a_given_quality_is_kept():
    r = Record("r", "r", b"ANT", quality=b"5!7")
    assert qualities(fill([r])[0], DNA) == b"5]7"


def test_marginals_of_a_restricted_letter_are_renormalised():
    result = fill(["R"], skewed)[0]
    np.testing.assert_allclose(result.marginals, [[0.875, 0, 0.125, 0]], atol=1e-6)
    assert result.log_weight == pytest.approx(np.log(0.8), abs=1e-6)


def test_sampling_is_filling_unknown_records():
    results = list(infill(unknown_records([5, 0, 7], DNA), skewed, DNA, 16, Exact(), seed=1))
    assert [len(r.record.sequence) for r in results] == [5, 0, 7]
    assert [r.record.name for r in results] == ["sample1", "sample2", "sample3"]


def test_the_law_of_a_filled_gap_is_the_network_s():
    filled = "".join(sequences(fill(["N" * 4000], skewed, context=4000)))
    shares = np.array([filled.count(c) for c in "ACGT"]) / 4000
    np.testing.assert_allclose(shares, [0.7, 0.2, 0.1, 0], atol=0.03)
