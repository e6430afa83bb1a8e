"""D3PM with an absorbing state: the T-step bound, with and without what MDLM added, against enumeration."""

import itertools
import math

import numpy as np
import pytest
import torch
from laws import M, reveal, tiny, vector
from oracles import Constant, MarkovChain

from seqdiff.data.batches import Batch
from seqdiff.diffusion.processes.discrete import D3pm, Discrete
from seqdiff.diffusion.processes.masked import Masked
from seqdiff.diffusion.samplers import Ancestral
from seqdiff.diffusion.schedule import Cosine, Geometric, Linear
from seqdiff.streams import Streams

patterns = torch.tensor(list(itertools.product([False, True], repeat=4)))
x81 = tiny.strings


class WithMask:
    """The oracle with a logit for the mask, `extra` above the log of all letters together."""

    symbols = 3

    def __init__(self, oracle=tiny, extra=-1.0):
        self.oracle, self.extra = oracle, extra

    def __call__(self, tokens, time=None):
        logits = self.oracle(tokens).log_softmax(-1)
        return torch.cat([logits, torch.full_like(logits[..., :1], self.extra)], -1)


class Copies:
    """The oracle at masks; at letters the letter itself with probability `sure`."""

    symbols = 3

    def __init__(self, sure):
        self.sure = sure

    def __call__(self, tokens, time=None):
        seen = torch.full((*tokens.shape, 3), (1 - self.sure) / 2, dtype=torch.float64)
        seen = seen.scatter(-1, tokens.clamp(max=2)[..., None], self.sure).log()
        return torch.where((tokens == M)[..., None], tiny(tokens).log_softmax(-1), seen)


def exact_bounds(process, network=tiny):
    """L_T of each string: all steps and masks, by the process's own density."""
    shares, total = process.schedule.grid(process.steps), torch.zeros(81, dtype=torch.float64)
    for step, pattern in itertools.product(range(1, process.steps + 1), patterns):
        q = shares[step] ** pattern.sum() * (1 - shares[step]) ** (4 - pattern.sum())
        z = x81.masked_fill(pattern, M)
        t = torch.full((81,), step / process.steps, dtype=torch.float64)
        total += q * process.density(network(z), x81, z, t).sum(1) / process.steps
    return total


def mean(nats):
    return (tiny.p * nats).sum().item()


def test_the_bound_falls_from_the_marginal_entropies_to_the_entropy():
    """T4: E[L_1] is the sum of the marginal entropies, more steps cost less, and the rest goes as 1/T."""
    marginals = torch.stack([(tiny.p[:, None] * (x81 == v)).sum(0) for v in range(3)])
    for schedule in (Linear(), Cosine()):
        bounds = [mean(exact_bounds(Discrete(steps=steps, schedule=schedule))) for steps in (1, 2, 4, 8)]
        assert bounds[0] == pytest.approx(torch.special.entr(marginals).sum().item(), abs=1e-12)
        assert (np.diff(bounds) < 0).all()
        assert bounds[-1] > tiny.entropy
    gaps = [mean(exact_bounds(Discrete(steps=steps))) - tiny.entropy for steps in (1, 2, 4, 8, 16)]
    assert gaps == pytest.approx([0.679, 0.389, 0.207, 0.107, 0.0541], abs=6e-4)


def test_without_mask_mass_it_is_rho_times_the_cross_entropy():
    """The term of masked diffusion in T steps: T (m_t - m_s) / m_t."""
    process, z = Discrete(steps=5, schedule=Cosine()), x81.masked_fill(patterns[11], M)
    shares = Cosine().grid(5)
    for step in range(1, 6):
        t = torch.full((81,), step / 5, dtype=torch.float64)
        nats = -tiny(z).log_softmax(-1).gather(-1, x81[..., None])[..., 0]
        expected = 5 * (shares[step] - shares[step - 1]) / shares[step] * nats * patterns[11]
        assert torch.allclose(process.density(tiny(z), x81, z, t), expected, atol=1e-12)


@pytest.mark.parametrize("schedule", [Linear(), Cosine(), Geometric()], ids=lambda s: s.kind)
def test_with_mask_mass_it_is_the_divergence_of_the_posteriors_by_enumeration(schedule):
    """q(z_s | z_t, x) ~ q(z_t | z_s) q(z_s | x) from the transition matrices, and mu in the place of x."""
    process = Discrete(steps=4, schedule=schedule, zero_masking=False)
    shares, draw = schedule.grid(4), torch.manual_seed(0)
    logits = torch.randn(1, 1, 4, generator=draw, dtype=torch.float64)
    mu = logits[0, 0].softmax(-1)

    def matrix(share):  # row to column, the mask absorbs
        q = torch.eye(4, dtype=torch.float64) * (1 - share)
        q[:, 3] += share
        return q

    for step, x in itertools.product(range(1, 5), range(3)):
        m_s, m_t = shares[step - 1], shares[step]
        onward = matrix((m_t - m_s) / (1 - m_s))
        true, model = (onward[:, 3] * (p @ matrix(m_s)) for p in (torch.eye(4).double()[x], mu))
        true, model = true / true.sum(), model / model.sum()
        divergence = torch.special.xlogy(true, true).sum() - (true * model.log()).where(true > 0, 0).sum()
        t = torch.tensor([step / 4], dtype=torch.float64)
        found = process.density(logits, torch.tensor([[x]]), torch.tensor([[3]]), t)
        assert found.item() / 4 == pytest.approx(divergence.item(), abs=1e-12)
        assert process.density(logits, torch.tensor([[x]]), torch.tensor([[x]]), t).item() == 0
        if schedule.kind != "geometric":  # whose steps in between need not be those of its grid's exact ends
            reveals = process.reveals(logits, t, t - 1 / 4)
            assert reveals.item() == pytest.approx(1 - model[3].item(), abs=1e-12)
    assert (process.density(logits, torch.tensor([[1]]), torch.tensor([[3]]), t) > 0).all()


def test_mass_on_the_mask_costs_and_its_logit_is_no_letter():
    plain, masks = Discrete(steps=8), Discrete(steps=8, zero_masking=False)
    costs = [mean(exact_bounds(masks, WithMask(extra=extra))) for extra in (-40.0, -2.0, 0.0)]
    assert costs[0] == pytest.approx(mean(exact_bounds(plain)), abs=1e-9)
    assert costs == sorted(costs)
    filling, z = masks.filling(WithMask()), x81.masked_fill(patterns[7], M)
    assert torch.allclose(filling(z).softmax(-1), tiny(z).softmax(-1))
    assert masks.predicts_mask
    assert not plain.predicts_mask


@pytest.mark.parametrize("extra", [None, -1.0, 1.0])
def test_the_sampler_is_no_further_from_the_truth_than_the_bound_from_the_entropy(extra):
    """T4: KL(p || p_T) <= E[L_T] - H, for the law of T steps of the model's own kernel, with and without mask mass."""
    network = tiny if extra is None else WithMask(extra=extra)
    for steps in (1, 3):
        process = Discrete(steps=steps, zero_masking=extra is None)
        law = {(M,) * 4: 1.0}
        for left in range(steps, 0, -1):
            t, s = (torch.tensor([count / steps], dtype=torch.float64) for count in (left, left - 1))
            after = {}
            for state, probability in law.items():
                masks = [i for i, v in enumerate(state) if v == M]
                reveals = process.reveals(network(torch.tensor([state])), t, s)[0] if left > 1 else torch.ones(4)
                for chosen in itertools.product([False, True], repeat=len(masks)):
                    weight = math.prod(float(reveals[i] if c else 1 - reveals[i]) for i, c in zip(masks, chosen))
                    where = [i for i, c in zip(masks, chosen, strict=True) if c]
                    for new, p in reveal({state: probability * weight}, where).items():
                        after[new] = after.get(new, 0.0) + p
            law = {state: p for state, p in after.items() if p > 0}
        p_t = vector(law)
        divergence = (tiny.p * (tiny.p / p_t).log()).sum().item()
        gap = mean(exact_bounds(process, network)) - tiny.entropy
        assert divergence <= gap + 1e-12
        if steps == 1 and extra is None:
            assert divergence == pytest.approx(gap, abs=1e-12)


@pytest.mark.parametrize("network", [tiny, Copies(0.9)], ids=["oracle", "copies"])
def test_drawn_losses_and_bounds_average_to_the_sum_over_all_steps(network):
    process = Discrete(steps=3, schedule=Cosine(), carry_over=network is tiny)
    copying = 0.0 if network is tiny else -4 * math.log(0.9)
    exact = exact_bounds(process, network)[50].item() + copying
    x, rows = x81[50].expand(2000, -1), range(2000)
    loss = process.loss(network, Batch(x, torch.ones(x.shape)), Streams.of_step(0, 1, rows, 2000))
    assert loss.count.item() == 8000
    assert loss.nats.item() / 2000 == pytest.approx(exact, rel=0.02)
    few = x[:300]
    score = process.bound(network, strata=4, replicates=2)(few, few < 3, Streams.of(0, range(300)), batch_size=2400)
    wrong = score.nats - exact
    assert abs(wrong.mean()) < 4 * wrong.std() / 300**0.5
    assert score.se.square().mean().sqrt().item() == pytest.approx(wrong.std().item(), rel=0.15)
    assert (score.calls == 8 + (network is not tiny)).all()


def test_a_network_that_copies_pays_nothing_for_carry_over():
    batch, streams = Batch(x81, torch.ones(81, 4)), lambda: Streams.of_step(0, 1, range(81), 81)
    carried = Discrete(steps=7).loss(Copies(0.9), batch, streams()).nats
    copied = [
        Discrete(steps=7, carry_over=False).loss(Copies(sure), batch, streams()).nats for sure in (0.9, 1 - 1e-12)
    ]
    assert copied[0].item() == pytest.approx(carried.item() - 81 * 4 * math.log(0.9))
    assert copied[1].item() == pytest.approx(carried.item(), abs=1e-6)
    assert Discrete(carry_over=False).reads_visible
    assert not Discrete().reads_visible


def test_all_steps_of_a_great_number_are_the_continuous_bound():
    """A thousand steps of the chain cost as much as the exact count, within 1/T and the error."""
    chain, n = MarkovChain(), 60
    x = chain.sample(n, 12)
    score = Discrete(steps=1000).bound(chain, strata=16, replicates=4)(
        x, x < 4, Streams.of(0, range(n)), batch_size=2048
    )
    wrong = score.nats + chain.log_prob(x)
    assert abs(wrong.mean()) < 4 * wrong.std() / n**0.5 + 0.05
    masked = Masked().bound(chain, strata=16, replicates=4)(x, x < 4, Streams.of(0, range(n)), batch_size=2048)
    assert (score.nats - masked.nats).std() < 2 * (masked.nats + chain.log_prob(x)).std() + 0.05


@pytest.mark.parametrize("settings", [{}, {"zero_masking": False}, {"carry_over": False}], ids=str)
def test_what_the_source_does_not_know_is_neither_scored_nor_changed(settings):
    process = Discrete(steps=5, **settings)
    seen = []

    def network(tokens, time=None):
        seen.append(tokens)
        return torch.zeros(*tokens.shape, 4 + process.predicts_mask)

    network.symbols = 4
    tokens = torch.tensor([[0, 4, 2, 4, 5, 5], [3, 1, 2, 0, 1, 3]])
    weight = (tokens < 4).float()
    loss = process.loss(network, Batch(tokens, weight), Streams.of_step(0, 1, range(2), 2))
    assert loss.count.item() == 8
    assert loss.nats.isfinite()
    unknown = tokens >= 4
    for each in torch.cat(seen).view(-1, 2, 6):
        assert torch.equal(each[unknown], tokens[unknown])
    score = process.bound(network, strata=2, replicates=2)(tokens, tokens < 4, Streams.of(0, "ab"))
    assert score.positions.tolist() == [2, 6]


def test_the_network_is_told_the_step_where_it_takes_the_time():
    told = []

    def network(tokens, time):
        told.append(time)
        return torch.zeros(*tokens.shape, 4)

    network.symbols, network.takes_time = 4, True
    x = torch.zeros(40, 3, dtype=torch.int64)
    process = Discrete(steps=4, carry_over=False)
    process.loss(network, Batch(x, torch.ones(40, 3)), Streams.of_step(0, 1, range(40), 40))
    steps, clean = told[0].chunk(2)
    assert steps.unique().tolist() == [0.25, 0.5, 0.75, 1.0]
    assert (clean == 0).all()
    filling = Discrete(schedule=Cosine()).filling(network)
    filling(torch.tensor([[4, 0, 1, 5], [4, 4, 4, 5]]))
    assert told[-1].tolist() == pytest.approx([Cosine().inverse(torch.tensor(1 / 3).double()).item(), 1])
    constant = Discrete(steps=4)
    score = constant.bound(Constant([0.25] * 4), strata=4, replicates=2)(x, x < 4, Streams.of(0, range(40)))
    assert score.nats.mean().item() == pytest.approx(3 * math.log(4), rel=0.02)


def test_its_sampler_is_its_own_where_there_is_mask_mass_and_else_the_cheaper_one():
    assert Discrete(zero_masking=False).sampler() == D3pm()
    assert Discrete().sampler() == Ancestral()
    assert Discrete(steps=7).sampler() == Ancestral(steps=7)
    assert Discrete.samplers == (D3pm,)


@pytest.mark.parametrize("carry_over", [True, False])
@pytest.mark.parametrize("zero_masking", [True, False])
def test_a_fresh_network_costs_what_is_said(carry_over, zero_masking):
    process = Discrete(steps=20, schedule=Cosine(), carry_over=carry_over, zero_masking=zero_masking)
    x = torch.zeros(2000, 4, dtype=torch.int64)

    def fresh(tokens, time=None):
        return torch.zeros(*tokens.shape, 3 + process.predicts_mask)

    fresh.symbols = 3
    loss = process.loss(fresh, Batch(x, torch.ones(x.shape)), Streams.of_step(0, 1, range(2000), 2000))
    assert loss.nats.item() / 8000 == pytest.approx(process.ignorance(3), rel=0.04)
    if carry_over and zero_masking:
        assert process.ignorance(3) == pytest.approx(math.log(3))
