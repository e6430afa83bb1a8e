"""The laws of `exact`, `ancestral` and `confident` with an exact denoiser, by enumeration (`laws.py`)."""

import itertools

import pytest
import torch
from laws import (
    SETS,
    SOFT,
    M,
    ancestral_turns,
    confident_law,
    distance,
    empty,
    exact_turns,
    goodness,
    nothing,
    planned_law,
    reveal,
    tiny,
    vector,
)  # fmt: skip
from oracles import Blind

from seqdiff.diffusion.evidence import Evidence
from seqdiff.diffusion.samplers import Ancestral, Confident, Exact
from seqdiff.diffusion.samplers.confident import choose, doubt
from seqdiff.streams import Streams


def sample_then_choose_law(score):
    """One position a pass, candidates drawn everywhere first: the law is not p."""
    law = {tuple(empty[0].tolist()): 1.0}
    for _ in range(4):
        after = {}
        for state, probability in law.items():
            sites = [i for i, v in enumerate(state) if v == M]
            mu = torch.softmax(tiny(torch.tensor([state]))[0, sites], -1)
            for drawn in itertools.product(range(tiny.symbols), repeat=len(sites)):
                candidates = torch.tensor(drawn)
                q = mu.gather(1, candidates[:, None]).prod().item()
                left = torch.tensor([state]) == M
                chosen = choose(
                    torch.ones(1, dtype=torch.int64), left, torch.full((1, 4), 3), doubt(mu, score, candidates)
                )
                where = int(chosen[0].nonzero())
                new = (*state[:where], drawn[sites.index(where)], *state[where + 1 :])
                after[new] = after.get(new, 0.0) + probability * q
        law = after
    return law


def test_exact_sampler_has_exactly_the_law_p():
    assert distance(planned_law(*exact_turns(nothing))) < 1e-12


@pytest.mark.parametrize("score", ["entropy", "margin", "probability"])
def test_confident_choose_then_sample_has_exactly_the_law_p(score):
    assert distance(confident_law(Confident(score=score))) < 1e-12


@pytest.mark.parametrize("score", ["margin", "probability"])
def test_sample_then_choose_is_biased_to_modes(score):
    law = sample_then_choose_law(score)
    assert sum(law.values()) == pytest.approx(1, abs=1e-12)
    assert distance(law) > 0.2
    assert torch.special.entr(vector(law)).sum().item() < tiny.entropy - 0.5


@pytest.mark.parametrize("grid", ["uniform", "cosine"])
def test_ancestral_law_comes_nearer_with_steps_and_keeps_its_bound(grid):
    """KL(p || law of T steps) <= bound with T steps - H; at T = 1 both are the total correlation."""
    distances, divergences = [], []
    for steps in (1, 2, 4, 8):
        law = vector(planned_law(*ancestral_turns(Ancestral(steps=steps, grid=grid), steps, nothing)))
        assert law.sum().item() == pytest.approx(1, abs=1e-12)
        distances.append((law - tiny.p).abs().sum().item() / 2)
        divergence = (tiny.p * (tiny.p / law).log()).sum().item()
        divergences.append(divergence)
        gap = discrete_bound(Ancestral(grid=grid).shares(steps)) - tiny.entropy
        assert divergence <= gap + 1e-12
        if steps == 1:
            assert divergence == pytest.approx(gap, abs=1e-12)
    assert distances == sorted(distances, reverse=True)
    assert divergences == sorted(divergences, reverse=True)
    assert distances[-1] < distances[0] / 3


def discrete_bound(shares):
    """E over strings of sum over steps of (m_t - m_s) / m_t E[S(U)], mask by mask."""
    total = 0.0
    patterns = torch.tensor(list(itertools.product([False, True], repeat=4)))[1:]
    for pattern in patterns:
        size = int(pattern.sum())
        mu = torch.log_softmax(tiny(tiny.strings.masked_fill(pattern, M)), -1)
        nats = -(mu.gather(-1, tiny.strings[..., None])[..., 0] * pattern).sum(1)
        rates = (shares[1:] - shares[:-1]) / shares[1:] * shares[1:] ** size * (1 - shares[1:]) ** (4 - size)
        total += float(rates.sum() * (tiny.p * nats).sum())
    return total


@pytest.mark.parametrize("grid", ["uniform", "cosine"])
def test_ancestral_law_is_that_of_the_reverse_process(grid):
    """Written step by step: every mask is revealed with probability (m_t - m_s) / m_t, whatever the others do."""
    sampler = Ancestral(steps=3, grid=grid)
    shares = sampler.shares(3).tolist()
    law = {tuple(empty[0].tolist()): 1.0}
    for t in (3, 2, 1):
        rho, after = (shares[t] - shares[t - 1]) / shares[t], {}
        for state, probability in law.items():
            masks = [i for i, v in enumerate(state) if v == M]
            for size in range(len(masks) + 1):
                for chosen in itertools.combinations(masks, size):
                    p = probability * rho**size * (1 - rho) ** (len(masks) - size)
                    for new, q in reveal({state: p}, list(chosen)).items() if p else ():
                        after[new] = after.get(new, 0.0) + q
        law = after
    assert distance(planned_law(*ancestral_turns(sampler, 3, nothing)), vector(law)) < 1e-12


@pytest.mark.parametrize("top_p", [1.0, 0.7])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_one_pass_follows_the_tempered_marginals(temperature, top_p):
    """At one step positions are independent: the law is the product of the tempered, truncated marginals of p."""
    marginals = torch.stack([(tiny.p[:, None] * (tiny.strings == v)).sum(0) for v in range(3)], 1)
    cold = marginals ** (1 / temperature)
    cold = cold / cold.sum(1, keepdim=True)
    if top_p < 1:
        ordered, order = cold.sort(1, descending=True)
        kept = torch.zeros_like(cold).scatter(1, order, (ordered.cumsum(1) - ordered < top_p).double())
        cold = cold * kept / (cold * kept).sum(1, keepdim=True)
    expected = cold[torch.arange(4), tiny.strings].prod(1)
    turns = ancestral_turns(Ancestral(steps=1), 1, nothing)
    law = planned_law(*turns, temperature=temperature, top_p=top_p)
    assert distance(law, expected) < 1e-12


@pytest.mark.parametrize("tokens", [[M, M, M, M], [M, 1, M, M], [2, M, M, 0]])
def test_clamped_letters_give_the_exact_conditional(tokens):
    """T16 / 5.10: infilling with known letters is the conditional law of p."""
    start = torch.tensor([tokens])
    expected, _ = tiny.posterior(tokens)
    assert distance(planned_law(*exact_turns(Evidence.of(start, None, 3)), tokens=start), expected) < 1e-12
    assert distance(confident_law(Confident(), start), expected) < 1e-12


@pytest.mark.parametrize("evidence", [SETS, SOFT], ids=["sets", "likelihoods"])
@pytest.mark.parametrize("sampler", ["exact", "confident"])
def test_weighted_draws_follow_the_conditional_of_the_evidence(sampler, evidence):
    """T14: E[W] is the probability of the evidence (given the singletons), W-weighted draws the exact conditional."""
    known = Evidence.of(empty, evidence, 3)
    expected, total = tiny.posterior([M] * 4, evidence[0])
    _, singletons = tiny.posterior([M, M, M, 2])
    if sampler == "exact":
        turns = exact_turns(known)
        weighted = planned_law(*turns, tokens=known.tokens, evidence=evidence[0], weights=True)
        plain = planned_law(*turns, tokens=known.tokens, evidence=evidence[0])
    else:
        weighted = confident_law(Confident(), empty, evidence, weights=True)
        plain = confident_law(Confident(), empty, evidence)
    assert sum(weighted.values()) == pytest.approx(total / singletons, abs=1e-12)
    assert distance({s: p / sum(weighted.values()) for s, p in weighted.items()}, expected) < 1e-12
    assert sum(plain.values()) == pytest.approx(1, abs=1e-12)
    assert 0 < distance(plain, expected) < 0.1


@pytest.mark.parametrize("likelihood", [[1, 0, 1], [0.9, 0.08, 0.02]], ids=["a set", "likelihoods"])
def test_one_letter_with_evidence_revealed_first_needs_no_weights(likelihood):
    evidence = torch.ones(1, 4, 3, dtype=torch.float64)
    evidence[0, 2] = torch.tensor(likelihood)
    evidence[0, 3] = torch.tensor([0.0, 1.0, 0.0])
    known = Evidence.of(empty, evidence, 3)
    expected, _ = tiny.posterior([M] * 4, evidence[0])
    law = planned_law(*exact_turns(known), tokens=known.tokens, evidence=evidence[0])
    assert distance(law, expected) < 1e-12
    assert distance(confident_law(Confident(), empty, evidence), expected) < 1e-12


@pytest.mark.parametrize("evidence", [SETS, SOFT], ids=["sets", "likelihoods"])
def test_ancestral_weights_are_exact_for_its_own_law(evidence):
    """Positions revealed together: weighted draws follow the law of the same passes without evidence, conditioned."""
    known = Evidence.of(empty, evidence, 3)
    turns, widths = ancestral_turns(Ancestral(steps=2), 2, known)
    weighted = vector(planned_law(turns, widths, tokens=known.tokens, evidence=evidence[0], weights=True))
    free = vector(planned_law(turns, widths, tokens=known.tokens))
    likelihood = evidence[0].double()[torch.arange(4), tiny.strings].prod(-1)
    torch.testing.assert_close(weighted, free * likelihood, rtol=0, atol=1e-12)


CASES = {
    "exact": (Exact(), None, lambda: planned_law(*exact_turns(nothing))),
    "exact with likelihoods": (
        Exact(),
        SOFT,
        lambda: planned_law(
            *exact_turns(Evidence.of(empty, SOFT, 3)),
            tokens=Evidence.of(empty, SOFT, 3).tokens,
            evidence=SOFT[0],
        ),
    ),
    "ancestral": (
        Ancestral(steps=2),
        None,
        lambda: planned_law(*ancestral_turns(Ancestral(steps=2), 2, nothing)),
    ),
    "ancestral cosine": (
        Ancestral(steps=3, grid="cosine", temperature=0.7, top_p=0.9),
        None,
        lambda: planned_law(
            *ancestral_turns(Ancestral(steps=3, grid="cosine"), 3, nothing), temperature=0.7, top_p=0.9
        ),
    ),
    "confident": (Confident(score="margin"), None, lambda: confident_law(Confident(score="margin"))),
    "confident in pairs": (Confident(positions=2), None, lambda: confident_law(Confident(positions=2))),
    "sample-then-choose": (
        Confident(order="sample-then-choose", score="probability"),
        None,
        lambda: sample_then_choose_law("probability"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_thousands_of_draws_follow_the_law(case):
    """The plumbing of the random numbers: chi-square of the strings drawn by the sampler itself."""
    sampler, evidence, law = CASES[case]
    n = 8_000
    known = None if evidence is None else evidence.expand(n, -1, -1)
    drawn = sampler(Blind(tiny), empty.expand(n, -1), known, rng=Streams.of(11, range(n))).tokens
    assert goodness(drawn, law()) > 1e-4
