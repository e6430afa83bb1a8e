"""The laws of samplers with the exact denoiser of a tiny joint, by enumeration: no number is drawn here.

A law is a mapping from states (tuples of tokens) to probabilities. Positions are chosen by the samplers' own
functions and values follow `categorical.log_probabilities`, as in `Filling.propose`.
"""

import itertools
import math

import torch
from oracles import TinyJoint

from seqdiff.diffusion import categorical
from seqdiff.diffusion.evidence import Evidence
from seqdiff.diffusion.samplers.bounded import within
from seqdiff.diffusion.samplers.confident import choose, doubt
from seqdiff.diffusion.samplers.filling import positions_in_turn

tiny = TinyJoint()
M = tiny.mask
empty = torch.full((1, 4), M)
nothing = Evidence.of(empty, None, 3)

SETS = torch.tensor([[[1, 1, 0], [0, 1, 1], [1, 1, 1], [0, 0, 1]]], dtype=torch.bool)
SOFT = torch.tensor([[[0.9, 0.05, 0.05], [0, 0.3, 0.7], [1, 1, 1], [0, 0, 1]]], dtype=torch.float64)
"""Evidence of all kinds: a called letter, one that is more likely, nothing, a single letter."""


def reveal(law, positions, evidence=None, weights=None, denoise=tiny, **tempering):
    """Every way of drawing values at `positions` of every state at once, as one pass does. Weights multiply by Z."""
    after = {}
    for state, probability in law.items():
        logits = denoise(torch.tensor([state]))[0, positions]
        known = None if evidence is None else evidence[positions]
        log_mu, log_z = categorical.log_probabilities(logits, evidence=known, **tempering)
        for drawn in itertools.product(range(tiny.symbols), repeat=len(positions)):
            q = math.exp(sum(float(log_mu[i, v]) for i, v in enumerate(drawn)))
            if q == 0:
                continue
            new = list(state)
            for position, value in zip(positions, drawn, strict=True):
                new[position] = value
            z = math.exp(float(log_z.sum())) if weights else 1.0
            key = tuple(new)
            after[key] = after.get(key, 0.0) + probability * q * z
    return after


def planned_law(turns, probabilities, tokens=empty, evidence=None, **settings):
    """The law of a sampler that plans its passes: rows of `turns` (N, 4) with their probabilities."""
    plans = {}
    for row, probability in zip(turns.tolist(), probabilities.tolist(), strict=True):
        plans[tuple(row)] = plans.get(tuple(row), 0.0) + probability
    total = {}
    for plan, probability in plans.items():
        law = {tuple(tokens[0].tolist()): probability}
        for turn in range(max(plan) + 1):
            law = reveal(law, [i for i, t in enumerate(plan) if t == turn], evidence, **settings)
        for state, p in law.items():
            total[state] = total.get(state, 0.0) + p
    return total


def ancestral_turns(sampler, steps, known):
    """All ways in which four uniforms fall into the steps, both ends of every interval included."""
    shares = sampler.shares(steps)
    cells = torch.tensor(list(itertools.product(range(steps), repeat=4)))
    widths = shares.diff()[cells].prod(1)
    rows = [field.expand(len(cells), -1) for field in (known.unfilled, known.freedom)]
    low, high = shares[cells], torch.nextafter(shares[cells + 1], torch.zeros(()).double())
    turns = [sampler.turns(*rows, low + share * (high - low)) for share in (0.0, 0.5, 1.0)]
    if sampler.steps and known.likelihood is None:
        assert all(torch.equal(turn, turns[0]) for turn in turns)
    return turns[1], widths


def exact_turns(known):
    orders = torch.tensor(list(itertools.permutations(range(4)))).double() / 4
    rows = [field.expand(len(orders), -1) for field in (known.unfilled, known.freedom)]
    return positions_in_turn(*rows, orders), torch.full((24,), 1 / 24, dtype=torch.float64)


def confident_law(sampler, tokens=empty, evidence=None, **settings):
    known = Evidence.of(tokens, evidence, tiny.symbols)
    masks = known.unfilled.sum(1)
    law, done = {tuple(known.tokens[0].tolist()): 1.0}, 0
    likelihood = None if evidence is None else evidence[0]
    left = {state: known.unfilled for state in law}
    while any(bool(rest.any()) for rest in left.values()):
        after, remaining = {}, {}
        for state, probability in law.items():
            logits = tiny(torch.tensor([state]))[left[state]]
            doubts = doubt(torch.softmax(logits, -1), sampler.score)
            chosen = choose(sampler.count(masks, done), left[state], known.freedom, doubts)
            where = chosen[0].nonzero()[:, 0].tolist()
            for new, p in reveal({state: probability}, where, likelihood, **settings).items():
                after[new] = after.get(new, 0.0) + p
                remaining[new] = left[state] & ~chosen
        law, left, done = after, remaining, done + 1
    return law


def bounded_law(bound):
    """The law, and the number of passes that each string takes."""
    started, law, passes = {tuple(empty[0].tolist()): 1.0}, {}, {}
    turn = 0
    while started:
        turn, going_on = turn + 1, {}
        for state, probability in started.items():
            left = torch.tensor([state]) == M
            entropies = doubt(torch.softmax(tiny(torch.tensor([state]))[left], -1), "entropy")
            where = within(bound, left, torch.full((1, 4), 3), entropies)[0].nonzero()[:, 0].tolist()
            for new, p in reveal({state: probability}, where).items():
                assert new not in going_on | law  # a string has one path: positions follow from what is known
                (going_on if M in new else law)[new] = p
                passes |= {} if M in new else {new: turn}
        started = going_on
    return law, passes


def remask_law(sampler, steps):
    """Step by step: every visible letter goes with its sigma, every mask is revealed with rho, all from the same mu.

    States are pairs of tokens and the probabilities that they were drawn with, which `confidence` looks at.
    """
    mus = {}
    law = {(tuple(empty[0].tolist()), (0.0,) * 4): 1.0}
    for remask, reveal in zip(*(rates.tolist() for rates in sampler.rates(steps)), strict=True):
        after = {}
        for (state, drawn_with), probability in law.items():
            visible = torch.tensor([state]) != M
            sigma = sampler.sigma(torch.tensor([remask]).double(), visible, torch.tensor([drawn_with]).double())
            if state not in mus:
                mus[state] = torch.softmax(tiny(torch.tensor([state]))[0], -1).tolist()
            mu = mus[state]
            ways = []
            for i, letter in enumerate(state):
                if letter != M:
                    gone = sigma[0, i].item()
                    ways.append([(1 - gone, letter, drawn_with[i]), (gone, M, 0.0)])
                else:
                    drawn = [(reveal * q, v, round(q, 12)) for v, q in enumerate(mu[i])]
                    ways.append([*drawn, (1 - reveal, M, 0.0)])
            for way in itertools.product(*([w for w in site if w[0] > 0] for site in ways)):
                psi = tuple(w[2] for w in way) if sampler.strategy == "confidence" else (0.0,) * 4
                key = tuple(w[1] for w in way), psi
                after[key] = after.get(key, 0.0) + probability * math.prod(w[0] for w in way)
        law = after
    total = {}
    for (state, _), probability in law.items():
        total[state] = total.get(state, 0.0) + probability
    return total


def orders(sampler, targets):
    """The ordered letters that a random move may redraw, all equally likely: the sampler's own choice by all ranks."""
    keys = torch.tensor(list(itertools.permutations(range(4)))).double() / 4
    picked = sampler.pick(targets.expand(24, -1), keys)
    return {
        tuple(sorted(row.nonzero()[:, 0].tolist(), key=key.__getitem__))
        for row, key in zip(picked, keys.tolist(), strict=True)
    }


def random_move(law, sampler, targets=torch.ones(1, 4, dtype=torch.bool), evidence=None, at_once=False):
    ways = orders(sampler, targets)
    after = {}
    for order in ways:
        hidden = {}
        for state, probability in law.items():
            key = tuple(M if i in order else v for i, v in enumerate(state))
            hidden[key] = hidden.get(key, 0.0) + probability / len(ways)
        for sites in [list(order)] if at_once else [[site] for site in order]:
            hidden = reveal(hidden, sites, evidence)
        for state, probability in hidden.items():
            after[state] = after.get(state, 0.0) + probability
    return after


def strings(p):
    return {tuple(string): probability for string, probability in zip(tiny.strings.tolist(), p.tolist(), strict=True)}


def vector(law):
    """Probabilities in the order of `tiny.strings`; every state of the law must be a whole string."""
    index = {tuple(s): i for i, s in enumerate(tiny.strings.tolist())}
    out = torch.zeros(81, dtype=torch.float64)
    for state, probability in law.items():
        out[index[state]] = probability
    return out


def distance(law, p=tiny.p):
    return (vector(law) - p).abs().sum().item() / 2


def goodness(seen, law):
    """p-value of chi-square of strings (N, 4) that were drawn under a law; cells below 5 are pooled."""
    counts = (seen * 3 ** torch.arange(3, -1, -1)).sum(1).bincount(minlength=81).double()
    expected = len(seen) * vector(law)
    assert counts[expected == 0].sum() == 0
    small = expected < 5
    expected, counts = (torch.cat([c[~small], c[small].sum()[None]]) for c in (expected, counts))
    expected, counts = expected[expected > 0], counts[expected > 0]
    statistic = ((counts - expected) ** 2 / expected).sum()
    return torch.special.gammaincc(torch.tensor((len(expected) - 1) / 2).double(), statistic / 2).item()
