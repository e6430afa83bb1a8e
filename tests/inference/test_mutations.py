"""Scores of mutants against enumerated joints and Markov chains, whose log ratios are known."""

import itertools

import numpy as np
import pytest
import torch
from oracles import Blind, Constant, Hollow, Inconsistent, MarkovChain, TinyJoint

from seqdiff.alphabet import Alphabet
from seqdiff.data.mutations import Mutant, Protein, of_sequence, parsed
from seqdiff.errors import SeqdiffError, UsageError
from seqdiff.inference.mutations import METHODS, MutantScorer, MutationScorer

TINY = Alphabet(name="tiny", symbols="ACD", unknown="X", ambiguity=())
FOUR = Alphabet(name="four", symbols="ACDE", unknown="X", ambiguity=())
JOINT = TinyJoint(symbols=3, length=4, seed=2)
WILD = Protein("tiny", "ACDA")
CHAIN = MarkovChain(symbols=4, seed=5)


def tokens_of(sequence, alphabet=TINY):
    return torch.from_numpy(alphabet.encode(sequence.encode())).long()


def scorer(denoise, protein=WILD, alphabet=TINY, context=64, place=None, reads_visible=False, seed=0, **settings):
    return MutantScorer(
        denoise, alphabet.encode(protein.sequence.encode()), alphabet, context, MutationScorer(**settings),
        place=place, reads_visible=reads_visible, seed=seed,
    )  # fmt: skip


def every_substitution(protein=WILD, alphabet=TINY):
    letters = itertools.product(alphabet.symbols, repeat=len(protein.sequence))
    return [of_sequence("".join(each), protein) for each in letters]


def exact(mutants, oracle, protein=WILD, alphabet=TINY):
    wild = oracle.log_prob(tokens_of(protein.sequence, alphabet)[None])
    return [float(oracle.log_prob(tokens_of(m.of(protein), alphabet)[None]) - wild) for m in mutants]


@pytest.mark.parametrize("hollow", [False, True])
def test_the_chain_rule_is_exact_for_every_mutant_and_every_order(hollow):
    mutants = every_substitution()
    oracle = Hollow(JOINT) if hollow else Blind(JOINT)
    for orders in (2, 4, 24):
        found = list(scorer(oracle, method="chain", orders=orders).effects(mutants))
        assert [effect.llr for effect in found] == pytest.approx(exact(mutants, JOINT), abs=1e-6)
        assert max(effect.se for effect in found) < 1e-6


@pytest.mark.parametrize("hollow", [False, True])
def test_by_default_single_and_several_substitutions_are_exact(hollow):
    mutants = every_substitution()
    found = list(scorer(Hollow(JOINT) if hollow else Blind(JOINT)).effects(mutants))
    assert [effect.llr for effect in found] == pytest.approx(exact(mutants, JOINT), abs=1e-6)
    for mutant, effect in zip(mutants, found, strict=True):
        sites = len(mutant.changes)
        assert effect.method == (None if not sites else "masked-marginal" if sites == 1 else "chain")
        assert effect.per_residue == pytest.approx(effect.llr / 4)


def marginal(sequence, hidden, place, letter):
    """log p(letter at the place | letters that are not hidden), by enumeration."""
    agree = torch.ones(len(JOINT.strings), dtype=torch.bool)
    for i, other in enumerate(sequence.tolist()):
        if i not in hidden:
            agree &= JOINT.strings[:, i] == other
    here = agree & (JOINT.strings[:, place] == letter)
    return float((JOINT.p[here].sum() / JOINT.p[agree].sum()).log())


@pytest.mark.parametrize("hollow", [False, True])
@pytest.mark.parametrize("method", ["masked-marginal", "masked-marginal-single"])
def test_marginals_are_what_enumeration_says(method, hollow):
    mutants, wild = every_substitution(), tokens_of(WILD.sequence)
    expected = []
    for mutant in mutants:
        sites = [(change.start, int(tokens_of(change.alt.decode())[0])) for change in mutant.changes]
        total = 0.0
        for place, letter in sites:
            hidden = {place} if method.endswith("single") else {each for each, _ in sites}
            total += marginal(wild, hidden, place, letter) - marginal(wild, hidden, place, int(wild[place]))
        expected.append(total)
    found = list(scorer(Hollow(JOINT) if hollow else Blind(JOINT), method=method).effects(mutants))
    assert [effect.llr for effect in found] == pytest.approx(expected, abs=1e-6)
    assert {effect.se for effect in found} == {0.0}


def test_the_wild_types_marginals_are_read_with_nothing_hidden():
    mutants = every_substitution()
    alone = scorer(Blind(JOINT), method="masked-marginal-single").effects(mutants)
    oracle = Hollow(JOINT)
    found = scorer(oracle, method="wt-marginal").effects(mutants)
    assert [effect.llr for effect in found] == pytest.approx([effect.llr for effect in alone], abs=1e-6)
    assert oracle.rows == 1  # one pass for all
    assert list(scorer(JOINT, method="wt-marginal", reads_visible=True).effects(mutants[:3]))
    with pytest.raises(UsageError, match="letters that it sees"):
        scorer(JOINT, method="wt-marginal")


@pytest.mark.parametrize("hollow", [False, True])
def test_bounds_are_right_within_their_error(hollow):
    protein = Protein("x", FOUR.decode(CHAIN.sample(1, 24, seed=1)[0].numpy()).decode())
    wild = protein.sequence
    mutants = [
        of_sequence(text, protein)
        for text in (wild[:5] + wild[6:], wild[:9] + "ED" + wild[9:], wild[3:], wild + "ACA",
                     wild[:8] + "C" + wild[12:], wild[:4] + "ACDEACDE" + wild[4:], wild[:7] + "ACDEA"[
                     "ACDE".index(wild[7]) + 1] + wild[8:])
    ]  # fmt: skip
    truth = exact(mutants, CHAIN, protein, FOUR)
    denoise = Hollow(CHAIN) if hollow else Blind(CHAIN)
    found = list(scorer(denoise, protein, FOUR, method="elbo", draws=256).effects(mutants))
    for mutant, effect, value in zip(mutants, found, truth, strict=True):
        assert effect.method == "elbo"
        assert 0 < effect.se < 1.5
        assert abs(effect.llr - value) < 4 * effect.se + 1e-6
        mutated = mutant.of(protein)
        log_p = [float(CHAIN.log_prob(tokens_of(s, FOUR)[None])) for s in (wild, mutated)]
        costs = log_p[1] / len(mutated) - log_p[0] / len(wild)
        assert abs(effect.per_residue - costs) < 4 * (effect.se + 1.0) / len(wild)


def test_few_letters_have_bounds_without_an_error():
    mutants = [of_sequence(text, WILD) for text in ("ACD", "AD", "CCDA")]
    wild = Protein("tiny", "ACDA")
    joint = Constant([0.2, 0.3, 0.5])
    found = list(scorer(joint, wild, method="elbo", draws=64).effects(mutants))
    logs = dict(zip("ACD", np.log([0.2, 0.3, 0.5]), strict=True))
    expected = [sum(logs[a] for a in m.of(wild)) - sum(logs[a] for a in wild.sequence) for m in mutants]
    assert [effect.llr for effect in found] == pytest.approx(expected, abs=1e-6)
    assert [effect.se for effect in found] == [0, 0, 0]


def test_a_mutant_scores_the_same_whatever_else_is_scored(monkeypatch):
    protein = Protein("x", FOUR.decode(CHAIN.sample(1, 40, seed=4)[0].numpy()).decode())
    rng = np.random.default_rng(0)
    cells = []
    for _ in range(30):
        places = sorted(rng.choice(40, rng.integers(1, 6), replace=False))
        cells.append(":".join(f"{protein.sequence[i]}{i + 1}{rng.choice(list('ACDE'))}" for i in places))
    cells += [f"{protein.sequence[9]}10del", f"{protein.sequence[2]}3dup", "WT"]
    mutants = [parsed(cell, protein)[0] for cell in cells]
    network = Inconsistent(CHAIN, MarkovChain(symbols=4, seed=6))
    for method in ("auto", "masked-marginal", "elbo"):
        whole = list(scorer(network, protein, FOUR, method=method).effects(mutants))
        monkeypatch.setattr("seqdiff.inference.mutations.CONTEXTS_AT_ONCE", 7)
        one = scorer(network, protein, FOUR, method=method)
        shuffled = list(one.effects([*reversed(mutants), "stop", *mutants[:4]]))
        monkeypatch.undo()
        assert [e.llr for e in shuffled[: len(mutants)]] == pytest.approx([e.llr for e in reversed(whole)], abs=1e-9)
        assert shuffled[len(mutants)].reason == "stop"
        assert [e.se for e in shuffled[len(mutants) + 1 :]] == pytest.approx([e.se for e in whole[:4]], abs=1e-9)


def test_orders_of_a_network_that_is_no_joint_differ_and_say_so():
    protein = Protein("x", FOUR.decode(CHAIN.sample(1, 12, seed=4)[0].numpy()).decode())
    turned = "".join("ACDE"[("ACDE".index(letter) + 1) % 4] for letter in protein.sequence[:6])
    mutant = of_sequence(turned + protein.sequence[6:], protein)
    network = Inconsistent(CHAIN, MarkovChain(symbols=4, seed=6))
    (few,) = scorer(network, protein, FOUR, orders=8).effects([mutant])
    (all_of_them,) = scorer(network, protein, FOUR, orders=720).effects([mutant])
    assert all_of_them.se == 0
    assert few.se > 0
    assert abs(few.llr - all_of_them.llr) < 5 * few.se


def test_contexts_are_shared():
    protein = Protein("x", FOUR.decode(CHAIN.sample(1, 12, seed=2)[0].numpy()).decode())
    singles = [
        of_sequence(protein.sequence[:i] + letter + protein.sequence[i + 1 :], protein)
        for i in range(12)
        for letter in "ACDE"
        if letter != protein.sequence[i]
    ]
    one = scorer(Blind(CHAIN), protein, FOUR)
    assert [e.llr for e in one.effects(singles)] == pytest.approx(exact(singles, CHAIN, protein, FOUR), abs=1e-6)
    assert one.landscape.passes == 12
    hollow = scorer(Hollow(CHAIN), protein, FOUR)
    list(hollow.effects(singles))
    assert hollow.landscape.passes == 1
    pairs = [
        Mutant((*a.changes, *b.changes))
        for a, b in itertools.combinations(singles, 2)
        if a.changes[0].start < b.changes[0].start
    ]
    assert len(pairs) == 12 * 11 // 2 * 9
    for oracle, most in ((Blind(CHAIN), 66 + 12 + 36 * 11), (Hollow(CHAIN), 1 + 12 + 36)):
        double = scorer(oracle, protein, FOUR)
        found = [effect.llr for effect in double.effects(pairs)]
        assert found[::37] == pytest.approx(exact(pairs[::37], CHAIN, protein, FOUR), abs=1e-6)
        assert double.landscape.passes == most


@pytest.mark.parametrize("hollow", [False, True])
def test_a_protein_longer_than_the_context_is_read_around_its_sites(hollow):
    """Of a Markov chain two known neighbours say all, so windows lose nothing."""
    protein = Protein("titin", FOUR.decode(CHAIN.sample(1, 500, seed=8)[0].numpy()).decode())

    def turned(*places):
        letters = list(protein.sequence)
        for place in places:
            letters[place] = "ACDE"["ACDE".index(letters[place]) - 1]
        return of_sequence("".join(letters), protein)

    mutants = [turned(*places) for places in ((0,), (499,), (31, 33), (5, 300), (100, 101, 250, 252, 490), (10, 40))]
    denoise = Hollow(CHAIN) if hollow else Blind(CHAIN)
    one = scorer(denoise, protein, FOUR, context=32)
    found = list(one.effects(mutants))
    assert [e.llr for e in found] == pytest.approx(exact(mutants, CHAIN, protein, FOUR), abs=1e-5)
    assert one.far_apart == 3
    wild = protein.sequence
    indels = [of_sequence(wild[:200] + wild[202:], protein), of_sequence(wild[:100] + wild[150:], protein),
              of_sequence(wild[:250] + "ACA" + wild[250:], protein)]  # fmt: skip
    effects = list(scorer(denoise, protein, FOUR, context=32, draws=256).effects(indels))
    assert [e.reason for e in effects] == [None, "too_long", None]
    for i in (0, 2):
        (value,) = exact([indels[i]], CHAIN, protein, FOUR)
        assert abs(effects[i].llr - value) < 4 * effects[i].se + 1e-6


def test_the_cost_of_a_residue_is_of_the_whole_protein_whatever_was_looked_at():
    """Of letters with costs of their own, a window of a repeat says what the rest of it costs."""
    protein = Protein("repeat", "ACDE" * 50)
    shares = [0.1, 0.2, 0.3, 0.4]
    mutants = [of_sequence(protein.sequence[:100] + "A" * 8 + protein.sequence[100:], protein)]
    network = Constant(shares)
    network.hollow = True  # so that the bounds have no error
    found = list(scorer(network, protein, FOUR, context=72).effects(mutants))
    wild = 50 * np.log(shares).sum()
    whole = (wild + 8 * np.log(shares[0])) / 208 - wild / 200
    assert found[0].per_residue == pytest.approx(whole, rel=1e-4)


def test_what_a_method_or_a_family_cannot_score_says_why():
    deletion, single = of_sequence("ACD", WILD), of_sequence("CCDA", WILD)
    for method in set(METHODS) - {"auto", "elbo"}:
        effects = list(scorer(Hollow(JOINT), method=method).effects([deletion, single]))
        assert [effect.reason for effect in effects] == ["other_method", None]
    place = np.array([-1, 0, 1, 2, 3])
    family = MutantScorer(JOINT, TINY.encode(b"ACDA"), TINY, 4, place=place)
    protein = Protein("tiny", "DACDA")
    cells = ("D1A", "A2C", "A2C:D1A", "A2del")
    effects = list(family.effects([parsed(cell, protein)[0] for cell in cells]))
    assert [effect.reason for effect in effects] == ["outside_the_alignment", None, "outside_the_alignment", "indel"]
    assert effects[1].llr == pytest.approx(exact([of_sequence("CCDA", WILD)], JOINT)[0], abs=1e-6)


def test_numbers_that_are_none_are_an_error():
    def broken(tokens, time=None):
        return torch.full((*tokens.shape, 3), torch.nan)

    broken.symbols = 3
    with pytest.raises(SeqdiffError, match=r"no number|not a number|not numbers"):
        list(scorer(broken).effects([of_sequence("CCDA", WILD)]))
