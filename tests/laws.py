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
