"""Variant scores against the exact log ratios of a Markov chain, from whose law the chromosome is."""

import random

import numpy as np
import pytest
import torch
from oracles import Blind, Constant, LeftToRight, MarkovChain
from vcfs import genome_of, vcf_of

import seqdiff
import seqdiff.inference.variants as module
from seqdiff.alphabet import DNA
from seqdiff.data.genome import Genome
from seqdiff.data.intervals import Interval
from seqdiff.data.variants import Variant
from seqdiff.data.vcf import Vcf
from seqdiff.denoisers import Convolution, HollowConvolution
from seqdiff.diffusion.processes import Autoregressive
from seqdiff.errors import SeqdiffError
from seqdiff.inference.changes import MARGIN, ChangeScorer, VariantScorer
from seqdiff.inference.variants import annotate, effects
from seqdiff.resources import folder

CONTEXT = 64


class Strands(MarkovChain):
    """A Markov chain whose law is that of the other strand, so that the mean of both strands is exact too."""

    def __init__(self, seed=0):
        super().__init__(seed=seed)
        joint = self.start[:, None] * self.transition
        joint = joint + joint.flip(0, 1).T
        self.transition = joint / joint.sum(1, keepdim=True)
        self.start = torch.linalg.matrix_power(self.transition, 4096)[0]


class Claiming:
    """An oracle with claims of its own, counting the rows and calls it is asked for."""

    def __init__(self, oracle, *, hollow=False, equivariant=False):
        self.oracle, self.symbols, self.hollow, self.equivariant = oracle, oracle.symbols, hollow, equivariant
        self.rows = 0

    def __call__(self, tokens, time=None):
        self.rows += len(tokens)
        return self.oracle(tokens)


CHAIN = Strands()
TOKENS = CHAIN.sample(1, 1200, seed=3)[0]
TEXT = DNA.decode(TOKENS.numpy()).decode()


@pytest.fixture
def genome(tmp_path):
    return genome_of(tmp_path / "ref.fa", chr1=TEXT, short=TEXT[:40])


def scorer(genome, denoise=CHAIN, context=CONTEXT, seed=0, batch_tokens=1 << 18, **settings):
    return ChangeScorer(genome, denoise, context, VariantScorer(**settings), seed=seed, batch_tokens=batch_tokens)


def substitution(position, width=1, turn=1, contig="chr1"):
    ref = TEXT[position : position + width]
    return Variant(contig, position, ref, "".join("ACGT"[("ACGT".index(letter) + turn) % 4] for letter in ref))


def exact(variants):
    """log p(alternate) - log p(reference) of the whole chromosome."""
    changed = []
    for variant in variants:
        tokens = TOKENS.clone()
        tokens[variant.start : variant.start + len(variant.ref)] = torch.tensor(["ACGT".index(v) for v in variant.alt])
        changed.append(tokens)
    both = CHAIN.log_prob(torch.stack([TOKENS, *changed]))
    return (both[1:] - both[0]).tolist()


@pytest.mark.parametrize("hollow", [False, True])
def test_a_single_substitution_is_exact_everywhere(genome, hollow):
    places = [0, 1, 7, 8, 31, 32, 33, 84, 300, 1100, 1167, 1168, 1198, 1199]
    variants = [substitution(position, turn=turn) for position in places for turn in (1, 2, 3)]
    oracle = CHAIN if hollow else Blind(CHAIN)
    found = list(effects(variants, scorer(genome, Claiming(oracle, hollow=hollow))))
    assert [effect.llr for effect in found] == pytest.approx(exact(variants), abs=1e-6)
    assert {(effect.se, effect.method, effect.context, effect.reason) for effect in found} == {
        (0.0, "marginal", CONTEXT, None)
    }


def test_several_substitutions_are_exact(genome):
    variants = [substitution(position, width) for position in (0, 200, 700, 1190) for width in (2, 3, 5)]
    variants += [Variant("chr1", 500, TEXT[500:504], substitution(500).alt + TEXT[501:503] + substitution(503).alt)]
    found = list(effects(variants, scorer(genome, Blind(CHAIN), orders=2)))
    assert [effect.llr for effect in found] == pytest.approx(exact(variants), abs=1e-6)
    assert {effect.method for effect in found} == {"chain"}
    assert max(effect.se for effect in found) < 1e-6


def test_a_left_to_right_model_scores_every_change_exactly(genome):
    """By log p of the window, one letter or several, of length or not; both strands, with every base read once."""
    network = LeftToRight(CHAIN)
    bound = Autoregressive().bound(network, strata=1, replicates=1)
    variants = [substitution(position, width) for position in (0, 200, 1190) for width in (1, 3)]
    variants += [Variant("chr1", 500, TEXT[500], TEXT[500] + "GATTACA"), Variant("chr1", 900, TEXT[900:904], TEXT[900])]
    made = ChangeScorer(genome, network, CONTEXT, VariantScorer(), exact=bound)
    found = list(effects(variants, made))
    whole = []
    for variant in variants:
        text = TEXT[: variant.start] + variant.alt + TEXT[variant.start + len(variant.ref) :]
        tokens = torch.tensor(["ACGT".index(letter) for letter in text])
        whole.append((CHAIN.log_prob(tokens[None]) - CHAIN.log_prob(TOKENS[None])).item())
    assert [effect.llr for effect in found] == pytest.approx(whole, abs=1e-6)
    assert {(effect.se, effect.method, effect.reason) for effect in found} == {(0.0, "exact", None)}
    assert network.rows == 4 * len(variants)
    assert [effect.llr for effect in effects(variants[3:4], made)] == [found[3].llr]


def conditional(start, end, alt):
    """log p of the stretch with and without the change, MARGIN letters on each side with it, given all the others."""
    first, last = max(0, start - MARGIN), end + MARGIN
    values = []
    for letters in (TOKENS[start:end].tolist(), ["ACGT".index(letter) for letter in alt]):
        middle = [*TOKENS[first:start].tolist(), *letters, *TOKENS[end:last].tolist()]
        whole = torch.tensor([*TOKENS[:first].tolist(), *middle, *TOKENS[last:].tolist()])
        hidden = whole.clone()
        hidden[first : first + len(middle)] = CHAIN.mask
        values.append(CHAIN.log_prob(torch.stack([whole, hidden])).diff().item() * -1)
    return values[1] - values[0]


@pytest.mark.parametrize("hollow", [False, True])
def test_insertions_and_deletions_are_right_within_their_error(genome, hollow):
    events = []
    for place in range(100, 1000, 300):
        for width in (1, 4):
            while TEXT[place - 1] == TEXT[place + width - 1] or TEXT[place + width] == TEXT[place]:
                place += 1
            events.append((place, place + width, ""))
        letters = "GATTA"
        while TEXT[place - 1] == letters[-1] or TEXT[place] == letters[0]:
            place += 1
        events.append((place, place, letters))
        other = substitution(place, 2).alt
        events.append((place, place + 2, other + "ACG" + substitution(place + 1).alt))
    variants = [Variant("chr1", start - 1, TEXT[start - 1 : end], TEXT[start - 1] + alt) for start, end, alt in events]
    found = list(effects(variants, scorer(genome, Claiming(CHAIN, hollow=hollow))))
    errors = np.array([effect.llr - conditional(*event) for effect, event in zip(found, events, strict=True)])
    claimed = np.array([effect.se for effect in found])
    assert {effect.method for effect in found} == {"elbo"}
    assert (claimed > 0).all()
    assert (np.abs(errors) <= 4 * claimed).all()
    assert 0.6 < np.sqrt((errors**2).mean() / (claimed**2).mean()) < 1.6


def test_the_bound_of_a_substitution_is_its_ratio_too(genome):
    variants = [substitution(position, width) for position in range(100, 1100, 100) for width in (1, 2)]
    found = list(effects(variants, scorer(genome, method="elbo", draws=64)))
    errors = np.array([effect.llr - truth for effect, truth in zip(found, exact(variants), strict=True)])
    assert (np.abs(errors) <= 4.5 * np.array([effect.se for effect in found])).all()
    assert {effect.method for effect in found} == {"elbo"}


def test_more_draws_make_the_error_smaller(genome):
    variants = [Variant("chr1", p, TEXT[p : p + 4], TEXT[p]) for p in range(100, 1000, 50)]
    few, many = (
        np.mean([effect.se for effect in effects(variants, scorer(genome, draws=draws))]) for draws in (8, 128)
    )
    assert many < few / 2.5


def test_an_indel_has_one_score_however_it_is_written(genome, tmp_path):
    text = "ACGTACTTTTTTGATCACACACACGGT" + TEXT[:200]
    genome = genome_of(tmp_path / "repeats.fa", a=text)
    deletions = [(5, "CT", "C"), (6, "TT", "T"), (11, "TG", "G"), (9, "TTTG", "TTG"), (11, "T", "")]
    insertions = [(14, "T", "TCA"), (15, "CA", "CACA"), (22, "A", "ACA"), (22, "ACG", "ACACG"), (24, "", "AC")]
    for same in (deletions, insertions):
        found = {effect[1:] for effect in effects([Variant("a", *each) for each in same], scorer(genome))}
        assert len(found) == 1


def test_both_strands_are_averaged(genome):
    chain = MarkovChain(seed=4)
    variant, place = substitution(600), 600
    window = TOKENS[place - CONTEXT // 2 : place + CONTEXT // 2]
    alt = window.clone()
    alt[CONTEXT // 2] = "ACGT".index(variant.alt)
    rows = torch.stack([window, alt])
    forward = chain.log_prob(rows).diff().item()
    backward = chain.log_prob(3 - rows.flip(1)).diff().item()
    assert abs(forward - backward) > 0.1
    (both,) = effects([variant], scorer(genome, chain))
    (one,) = effects([variant], scorer(genome, Claiming(chain, equivariant=True)))
    assert both.llr == pytest.approx((forward + backward) / 2, abs=1e-6)
    assert one.llr == pytest.approx(forward, abs=1e-6)


def test_alleles_and_records_of_a_site_are_one_call_a_strand(genome):
    variants = [substitution(600, turn=turn) for turn in (1, 2, 3)] * 2
    variants += [Variant("chr1", 599, TEXT[599:601], TEXT[599] + substitution(600).alt)]
    for equivariant, rows in ((False, 2), (True, 1)):
        counted = Claiming(CHAIN, equivariant=equivariant)
        assert len(list(effects(variants, scorer(genome, counted)))) == 7
        assert counted.rows == rows


def test_sites_of_a_hollow_network_share_windows(genome):
    counted = Claiming(CHAIN, hollow=True)
    assert len(list(effects([substitution(p) for p in range(1200)], scorer(genome, counted)))) == 1200
    assert counted.rows == 2 * np.ceil((1200 - CONTEXT) / (0.75 * CONTEXT) + 1)


def test_shared_windows_leave_an_eighth_of_the_context_on_each_side(genome):
    shared = scorer(genome, Claiming(CHAIN, hollow=True))
    for position in range(1200):
        length, _, start = shared._window(0, position)
        left, right = position - start, start + length - 1 - position
        assert left >= min(position, CONTEXT // 8)
        assert right >= min(1199 - position, CONTEXT // 8 - 1)
        assert 0 <= start <= 1200 - CONTEXT


MIXED = [substitution(p, 1 + (p % 5 == 0)) for p in range(3, 1190, 61)]
MIXED += [Variant("chr1", p, TEXT[p : p + 3], TEXT[p]) for p in (150, 700, 702)]
MIXED += [Variant("chr1", 20, TEXT[20], alt) for alt in (".", "<DEL>", "*")] + [substitution(7, contig="short")]


@pytest.mark.parametrize("hollow", [False, True])
def test_results_are_the_same_to_the_last_bit_in_any_company(genome, monkeypatch, hollow):
    denoise = Claiming(CHAIN, hollow=hollow)
    expected = list(effects(MIXED, scorer(genome, denoise)))
    shuffled = MIXED[:]
    random.Random(1).shuffle(shuffled)
    monkeypatch.setattr(module, "AT_ONCE", 7)
    for batch_tokens in (2 * CONTEXT, 1 << 20):
        found = list(effects(shuffled, scorer(genome, denoise, batch_tokens=batch_tokens)))
        assert [effect.variant for effect in found] == shuffled
        assert sorted(found, key=repr) == sorted(expected, key=repr)
    alone = [next(effects([variant], scorer(genome, denoise))) for variant in MIXED[::7]]
    assert alone == expected[::7]


def test_seeds_matter_only_where_something_is_drawn(genome):
    one, other = (list(effects(MIXED, scorer(genome, seed=seed))) for seed in (0, 1))
    assert {a.method for a, b in zip(one, other) if a != b} == {"elbo"}


def test_what_cannot_be_scored_says_why(genome):
    wanted = [
        Variant("chr1", 5, TEXT[5], "<INV>"), Variant("chr1", 5, TEXT[5:60], TEXT[5]),
        Variant("chr1", 5, TEXT[5], TEXT[5] + "ACGT" * 13), Variant("chr1", 5, substitution(5).alt, "G"),
    ]  # fmt: skip
    found = list(effects(wanted, scorer(genome)))
    assert [effect.reason for effect in found] == ["symbolic", "too_long", "too_long", "ref_mismatch"]
    assert {effect[1:5] for effect in found} == {(None, None, None, None)}


@pytest.mark.parametrize(("method", "scored"), [("marginal", 1), ("chain", 2), ("elbo", 3), ("auto", 3)])
def test_a_method_is_for_its_classes_of_variants(genome, method, scored):
    wanted = [substitution(300), substitution(400, 2), Variant("chr1", 500, TEXT[500:502], TEXT[500])]
    found = list(effects(wanted, scorer(genome, method=method)))
    assert [effect.reason for effect in found] == [None] * scored + ["other_method"] * (3 - scored)
    if method != "auto":
        assert {effect.method for effect in found[:scored]} == {method}


def test_a_contig_shorter_than_the_context_is_a_window(genome):
    variants = [substitution(p, contig="short") for p in (0, 20, 39)]
    variants += [Variant("short", 5, TEXT[5:9], TEXT[5]), substitution(30, 3, contig="short")]
    found = list(effects(variants, scorer(genome)))
    assert [effect.context for effect in found] == [40] * 5
    assert None not in [effect.llr for effect in found]


def test_a_network_that_gives_no_numbers_is_an_error(genome):
    def broken(tokens, time=None):
        return torch.full((*tokens.shape, 4), torch.nan)

    for variant in (substitution(300), substitution(300, 2), Variant("chr1", 500, TEXT[500:502], TEXT[500])):
        with pytest.raises(SeqdiffError, match="not a number"):
            list(effects([variant], scorer(genome, broken)))


def test_variants_are_taken_a_few_at_a_time_and_their_number_is_told(genome, monkeypatch):
    monkeypatch.setattr(module, "AT_ONCE", 50)
    taken, most, told = 0, 0, []

    def many():
        nonlocal taken
        for position in np.random.default_rng(0).integers(0, 1200, 5000).tolist():
            taken += 1
            yield substitution(position)

    constant = Claiming(Constant([0.1, 0.2, 0.3, 0.4]), hollow=True)
    for done, _ in enumerate(effects(many(), scorer(genome, constant), progress=told.append), 1):
        most = max(most, taken - done)
    assert (done, sum(told)) == (5000, 5000)
    assert most < 50


def test_long_lines_are_held_a_few_at_a_time(tmp_path, genome, monkeypatch):
    monkeypatch.setattr(module, "BYTES_AT_ONCE", 10_000)
    rows = [("chr1", p + 1, TEXT[p], substitution(p).alt, "X=" + "y" * 2000) for p in range(500)]
    read, most = 0, 0

    def counted(records):
        nonlocal read
        for record in records:
            read += 1
            yield record

    constant = Claiming(Constant([0.1, 0.2, 0.3, 0.4]), hollow=True)
    with Vcf(vcf_of(tmp_path / "a.vcf", *rows)) as vcf:
        for done, (record, found) in enumerate(annotate(counted(vcf.records()), scorer(genome, constant)), 1):
            most = max(most, read - done)
            assert found[0].variant == Variant("chr1", record.start, record.ref, record.alternates[0])
    assert done == 500
    assert most <= 6


def test_effects_of_a_record_are_in_the_order_of_its_alleles(tmp_path, genome):
    rows = [("chr1", p + 1, TEXT[p], ",".join([*"ACGT".replace(TEXT[p], ""), "*", "<X>"])) for p in (50, 10, 90)]
    with Vcf(vcf_of(tmp_path / "a.vcf", *rows)) as vcf:
        found = list(annotate(vcf.records(), scorer(genome)))
    for record, alleles in found:
        assert [effect.variant.alt for effect in alleles] == record.alternates
        assert [effect.reason for effect in alleles] == [None, None, None, "overlapping_deletion", "symbolic"]
    assert [record.start for record, _ in found] == [50, 10, 90]


@pytest.mark.parametrize(
    "settings", [Convolution(width=12, hidden=6, depth=3, kernel=3), HollowConvolution(radius=2, depth=3)]
)
def test_what_a_network_does_not_see_is_left_away_and_changes_nothing(genome, settings):
    torch.manual_seed(0)
    network = settings.build(4).double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    wanted = [substitution(300), substitution(600, 3), Variant("chr1", 900, TEXT[900:903], TEXT[900]), substitution(2)]
    with torch.no_grad():
        near = list(effects(wanted, scorer(genome, network, context=256)))
        network.reach = None
        whole = list(effects(wanted, scorer(genome, network, context=256)))
    assert [effect.llr for effect in near] == pytest.approx([effect.llr for effect in whole], abs=1e-9)
    assert max(effect.llr for effect in whole) - min(effect.llr for effect in whole) > 0.1
    assert [effect.context for effect in whole] == [256] * 4
    assert near[1].context == 3 + 2 * (MARGIN + settings.reach) < 256


def test_the_shipped_model_gives_the_same_whatever_the_order_batches_and_threads():
    model = seqdiff.load(device="cpu")
    genome = Genome.open(folder("genomes") / "human-chr20.fa.gz")
    (contig,) = genome.contigs
    letters = DNA.decode(genome.tokens(Interval(contig, 1_900_000, 1_903_000))).decode()
    variants = [
        Variant(contig, 1_900_000 + p, letters[p], "ACGT"[("ACGT".index(letters[p]) + 1) % 4])
        for p in (0, 3, 600, 601, 1400, 2999)
    ]
    variants += [Variant(contig, 1_900_500, letters[500:502], letters[500])]
    threads, found = torch.get_num_threads(), []
    try:
        for batch_tokens, order, count in ((1024, 1, 1), (16_384, -1, 2)):
            torch.set_num_threads(count)
            made = ChangeScorer(genome, model.denoise, model.context, VariantScorer(draws=8), batch_tokens=batch_tokens)
            found.append(list(effects(variants[::order], made))[::order])
    finally:
        torch.set_num_threads(threads)
    assert found[0] == found[1]
    assert [effect.method for effect in found[0]] == ["marginal"] * 6 + ["elbo"]
