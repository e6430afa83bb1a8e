"""Literal strings through `infill` with a network whose right answer is known."""

import numpy as np
import pytest
import torch

from seqdiff.alphabet import DNA, PROTEIN
from seqdiff.config import members
from seqdiff.data.fasta import Record
from seqdiff.data.intervals import Interval
from seqdiff.diffusion.samplers import Ancestral, Exact, Particles, SamplerConfig
from seqdiff.errors import DataError
from seqdiff.inference.filled import qualities
from seqdiff.inference.infill import infill, unknown_records
from seqdiff.inference.known import Known

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
    assert (together != sequences(fill(records, denoise, sampler, context=32, seed=6))) == sampler.draws


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


def read(letters, qualities_, name="r"):
    return Record(name, name, letters.encode(), quality=qualities_.encode())


def test_low_qualities_are_evidence_and_trusted_letters_stay():
    """`skewed` says 0.7 A, 0.2 C, 0.1 G; a C of Phred 10 is right with 0.9 and each other letter with 0.1 / 3."""
    result = fill([read("CGRTN", "+?!5!")], skewed, trusted=30)[0]
    assert result.positions.tolist() == [0, 2, 3, 4]
    prior = np.array([0.7, 0.2, 0.1, 1e-9])
    for row, likelihood in zip(
        result.marginals,
        ([0.1 / 3, 0.9, 0.1 / 3, 0.1 / 3], [1, 0, 1, 0], [0.01 / 3, 0.01 / 3, 0.01 / 3, 0.99], [1, 1, 1, 1]),
    ):
        np.testing.assert_allclose(row, prior * likelihood / (prior * likelihood).sum(), atol=1e-6)
    weights = [0.7 * 0.1 / 3 + 0.2 * 0.9 + 0.1 * 0.1 / 3, 0.8, 0.01 / 3]
    assert result.log_weight == pytest.approx(np.log(weights).sum(), abs=1e-5)
    letters = result.record.sequence.decode()
    assert letters[1] == "G"
    assert letters[2] in "AG"
    written = np.frombuffer(qualities(result, DNA), np.uint8) - 33
    chosen = result.marginals[range(4), DNA.encode(letters[0:1].encode() + letters[2:].encode())]
    assert written.tolist() == [
        *np.round(-10 * np.log10(1 - chosen[:1])),
        30,
        *np.round(-10 * np.log10(1 - chosen[1:])),
    ]


def test_redrawn_letters_follow_prior_times_likelihood():
    drawn = "".join(
        sequences(fill([read("C" * 4000, "+" * 4000)], skewed, Ancestral(steps=1), context=4000, trusted=30))
    )
    expected = np.array([0.7 / 30, 0.18, 0.1 / 30, 0])
    shares = np.array([drawn.count(c) for c in "ACGT"]) / 4000
    np.testing.assert_allclose(shares, expected / expected.sum(), atol=0.02)


def test_a_call_is_never_evidence_against_its_own_letter():
    result = fill([read("C", "!")], skewed, trusted=30)[0]
    np.testing.assert_allclose(result.marginals, [[0.7, 0.2, 0.1, 1e-9]], atol=1e-6)


def test_everything_trusted_is_nothing_to_fill():
    result = fill([read("CGT", "+!5")], skewed, trusted=0)[0]
    assert (result.record.sequence, len(result.positions)) == (b"CGT", 0)


def test_soft_evidence_within_spans_only():
    spans = {"r": [Interval("r", 1, 4)]}
    result = fill([read("CNGTCN", "!!!I!!")], skewed, spans=spans, trusted=30)[0]
    assert result.positions.tolist() == [1, 2]
    assert result.record.sequence[3:] == b"TCN"


def test_soft_evidence_needs_qualities():
    with pytest.raises(DataError, match="record 'r0' has no base qualities: soft evidence is read from FASTQ"):
        fill(["ACGT"], trusted=30)


def test_letters_of_proteins_that_stand_for_several():
    def flat(tokens, time=None):
        return torch.zeros(*tokens.shape, 20)

    text = "MXBZJmxbzj" * 30
    result = next(iter(infill([record(text)], flat, PROTEIN, 512, Exact())))
    means = {"M": "M", "B": "DN", "Z": "EQ", "J": "IL", "X": PROTEIN.symbols}
    filled = result.record.sequence.decode()
    assert all(new.upper() in means[old.upper()] and new.isupper() == old.isupper() for old, new in zip(text, filled))
    assert set(filled.upper()) >= set("DNEQIL")
    assert result.log_weight == pytest.approx(3 * 60 * np.log(2 / 20), abs=1e-4)
    known = Known(Record("p", "p", b"MB", quality=b"+!"), PROTEIN, trusted=30)
    np.testing.assert_allclose(known.likelihood(slice(0, 2))[0, PROTEIN.symbols.index("M")], 0.9)
    np.testing.assert_allclose(known.likelihood(slice(0, 1)).sum(), 1.0)
    assert known.likelihood(slice(1, 2)).sum() == 2


def neither_g_nor_t(tokens, time=None):
    logits = torch.zeros(*tokens.shape, 4)
    logits[..., 2:] = -torch.inf
    return logits


@pytest.mark.parametrize("context", [16, 4])
def test_evidence_that_the_model_rules_out_is_said(context, caplog):
    texts = ["ACNNACGT", "ACGNACKTN"]
    results = fill(texts, neither_g_nor_t, context=context)
    assert [r.log_weight for r in results] == [0, -np.inf]
    assert results[1].record.sequence[6:7] in (b"G", b"T")
    (said,) = caplog.messages
    assert said.startswith("record 'r1', position 7: the model rules out every letter that is possible here")
    with pytest.raises(DataError, match=r"record 'r1', position 7: .* in all of 4 particles"):
        fill(texts, neither_g_nor_t, Particles(particles=4), context=context)


def test_particles_report_their_effective_number_and_others_none():
    exact, plain = fill(["ACNRNS", "ACNG"], skewed, Particles(particles=8)), fill(["ACNRNS"], skewed)
    assert exact[0].ess == pytest.approx(8)
    assert (exact[1].ess, plain[0].ess) == (None, None)
    assert exact[0].log_weight == pytest.approx(plain[0].log_weight) == pytest.approx(np.log(0.8 * 0.3), abs=1e-6)


def test_the_network_is_never_given_more_than_a_batch():
    largest = []

    def watched(tokens, time=None):
        largest.append(tokens.numel())
        return skewed(tokens)

    texts = ["RYSW" * 8, "N" * 20]
    parts = sequences(fill(texts, watched, Particles(particles=32), context=64, batch_tokens=96))
    assert max(largest) <= 96
    assert parts == sequences(fill(texts, skewed, Particles(particles=32), context=64, batch_tokens=99_999))


def test_samplers_that_redraw_letters_or_draw_none_have_no_weight():
    revisiting = [sampler() for sampler in SAMPLERS.values() if sampler().revisits or not sampler().draws]
    assert revisiting
    assert all(fill(["ACRN"], skewed, sampler)[0].log_weight is None for sampler in revisiting)
