"""A left-to-right model: its loss and bound are -log p, and its sampler has its law, also where letters are known."""

import math

import pytest
import torch
from draws import every_run
from laws import SETS, SOFT, goodness, strings, tiny
from oracles import Constant, LeftToRight, MarkovChain, TinyJoint

from seqdiff.data.batches import Batch
from seqdiff.denoisers import Convolution, Hyena, Mamba, Transformer
from seqdiff.diffusion.guidance import Guided
from seqdiff.diffusion.processes.autoregressive import Autoregressive, Forward
from seqdiff.diffusion.samplers import population
from seqdiff.diffusion.samplers.population import systematic
from seqdiff.errors import SeqdiffError
from seqdiff.inference.frozen import Frozen
from seqdiff.streams import Streams

M = tiny.mask
process = Autoregressive()


def loss(oracle, tokens, weight=None):
    weight = (tokens < oracle.symbols).float() if weight is None else weight
    draws = Streams.of(0, range(len(tokens)))
    return process.loss(LeftToRight(oracle), Batch(tokens, weight), draws)


def bound(network, tokens, scored=None, **how):
    scored = tokens < network.symbols if scored is None else scored
    return process.bound(network, strata=4, replicates=2)(tokens, scored, Streams.of(0, range(len(tokens))), **how)


def test_the_loss_is_minus_log_p_of_every_string():
    for x, p in zip(tiny.strings[::7], tiny.p[::7], strict=True):
        found = loss(tiny, x[None])
        assert found.nats.item() == pytest.approx(-p.log().item(), abs=1e-12)
        assert found.count == 4


def test_it_adds_up_over_rows_of_different_length():
    chain = MarkovChain()
    tokens = torch.full((2, 9), chain.pad)
    tokens[0], tokens[1, :5] = chain.sample(1, 9)[0], chain.sample(1, 5, seed=1)[0]
    assert loss(chain, tokens).nats.item() == pytest.approx(-chain.log_prob(tokens).sum().item(), abs=1e-10)


def test_an_unknown_letter_is_read_and_not_scored():
    """Of a chain, what is left is log p of the letters before it, and of those after it given these."""
    chain = MarkovChain()
    x = chain.sample(1, 6)
    x[0, 2] = chain.mask
    assert loss(chain, x).nats.item() == pytest.approx(-chain.log_prob(x).item(), abs=1e-10)
    assert bound(LeftToRight(chain), x).nats.item() == pytest.approx(-chain.log_prob(x).item(), abs=1e-10)


def test_weights_weigh():
    half = loss(tiny, tiny.strings[[5]], torch.full((1, 4), 0.5))
    assert half.nats.item() == pytest.approx(-tiny.p[5].log().item() / 2, abs=1e-12)
    assert half.count == 2


def test_the_bound_is_minus_log_p_of_every_string_in_one_pass_without_error():
    network = LeftToRight(tiny)
    score = bound(network, tiny.strings, batch_size=7)
    torch.testing.assert_close(score.nats, -tiny.p.log(), rtol=0, atol=1e-12)
    assert network.rows == score.calls.sum() == 81
    assert (score.se == 0).all()
    assert (score.df == math.inf).all()
    assert (score.positions == 4).all()
    assert process.exact


def test_a_stretch_is_scored_given_the_letters_before_it_whatever_comes_after():
    chain = MarkovChain()
    x = chain.sample(3, 11, seed=2)
    scored = torch.zeros(3, 11, dtype=torch.bool)
    scored[:, 4:7] = True
    cut = [x.clone(), x.clone()]
    cut[0][:, 7:], cut[1][:, 4:] = chain.mask, chain.mask
    expected = chain.log_prob(cut[1]) - chain.log_prob(cut[0])
    torch.testing.assert_close(bound(LeftToRight(chain), x, scored).nats, expected, rtol=0, atol=1e-10)
    x[:, 7:] = (x[:, 7:] + 1) % 4
    torch.testing.assert_close(bound(LeftToRight(chain), x, scored).nats, expected, rtol=0, atol=1e-10)


def test_no_rows_and_rows_without_letters_cost_nothing():
    network = LeftToRight(MarkovChain())
    assert bound(network, torch.zeros(0, 4, dtype=torch.int64)).nats.tolist() == []
    assert bound(network, torch.full((1, 3), 4)).nats.tolist() == [0]


NETWORKS = [
    Transformer(width=16, depth=2, heads=2, hidden=24, causal=True),
    Mamba(width=8, depth=2, causal=True),
    Hyena(width=8, depth=2, hidden=16, filter_width=8, length=40, causal=True),
    Convolution(width=8, hidden=8, depth=3, max_dilation=4, causal=True),
]


def trained(settings):
    torch.manual_seed(0)
    network = settings.build(4, 40).double()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return Frozen(network, torch.device("cpu"), process)


@pytest.mark.parametrize("settings", NETWORKS, ids=lambda s: s.kind)
def test_what_a_network_samples_it_finds_as_probable_as_it_was_drawn(settings):
    """log_prob, by what is kept of the letters read, is -log p in one pass; so is what is known after a gap."""
    network = trained(settings)
    x = torch.full((3, 40), 4)
    x[1, :5], x[2, 30:] = torch.tensor([0, 1, 2, 3, 0]), 5
    filled = Forward()(network, x, rng=Streams.of(0, range(3)))
    assert (filled.tokens[x == 4] < 4).all()
    score = bound(network, filled.tokens, x == 4)
    torch.testing.assert_close(-filled.log_prob, score.nats, rtol=1e-5, atol=1e-4)
    x[0, 7:11] = x[0, 33:] = 1
    filled = Forward(particles=1)(network, x[:1], rng=Streams.of(0, [0]))
    drawn, after = (x[:1] == 4), (x[:1] != 4) & (torch.arange(40) > 0)
    torch.testing.assert_close(-filled.log_prob, bound(network, filled.tokens, drawn).nats, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(-filled.log_weight, bound(network, filled.tokens, after).nats, rtol=1e-5, atol=1e-4)


def law(runs, weighted=False):
    index = {tuple(string): i for i, string in enumerate(tiny.strings.tolist())}
    total = torch.zeros(81, dtype=torch.float64)
    for probability, filled in runs:
        total[index[tuple(filled.tokens[0].tolist())]] += probability * (
            math.exp(filled.log_weight.item()) if weighted else 1.0
        )
    return total


def every_filling(monkeypatch, sampler, tokens, evidence=None):
    network = LeftToRight(tiny)
    return every_run(monkeypatch, lambda: sampler(network, tokens, evidence, rng=Streams.of(0, [0])))


def test_its_law_is_the_model_by_enumeration(monkeypatch):
    runs = every_filling(monkeypatch, Forward(), torch.full((1, 4), M))
    assert (law(runs) - tiny.p).abs().max() < 1e-12
    for _, filled in runs:
        assert filled.log_prob.item() == pytest.approx(tiny.log_prob(filled.tokens).item(), abs=1e-12)
        assert filled.log_weight.item() == 0
        assert filled.ess.isnan().all()
    runs = every_filling(monkeypatch, Forward(), torch.tensor([[2, 0, M, M]]))
    assert (law(runs) - tiny.posterior([2, 0, M, M])[0]).abs().max() < 1e-12


@pytest.mark.parametrize("tokens", [[0, M, 2, M], [M, 1, M, 0], [1, M, 2, 0]])
def test_letters_known_after_a_gap_are_weighed_by_enumeration(tokens, monkeypatch):
    """E[W] is p(letters after the first mask | letters before it) for every number of particles, weighted draws follow
    the exact conditional, and without weights they come nearer as particles grow."""
    expected, total = tiny.posterior(tokens)
    before = tokens[: tokens.index(M)]
    total /= tiny.posterior([*before, *[M] * (4 - len(before))])[1]
    distances = []
    for particles in (1, 2):
        runs = every_filling(monkeypatch, Forward(particles=particles), torch.tensor([tokens]))
        weighted = law(runs, weighted=True)
        assert weighted.sum().item() == pytest.approx(total, abs=1e-12)
        assert (weighted / weighted.sum() - expected).abs().max() < 1e-12
        distances.append((law(runs) - expected).abs().sum().item() / 2)
    assert 0 < distances[1] < 0.85 * distances[0]


@pytest.mark.parametrize("evidence", [SETS.double(), SOFT], ids=["sets", "likelihoods"])
def test_evidence_is_weighed_by_enumeration(evidence, monkeypatch):
    """What is known of a mask, one possible letter and a letter that stands there are all the same to it."""
    for particles in (1, 2):
        tokens = torch.full((1, 4), M)
        tokens[0, :2] = torch.tensor([1, 0]) if particles == 2 else M
        expected, total = tiny.posterior(tokens[0], evidence[0])
        total /= tiny.posterior([1, 0, M, M])[1] if particles == 2 else 1
        runs = every_filling(monkeypatch, Forward(particles=particles), tokens, evidence)
        weighted = law(runs, weighted=True)
        assert weighted.sum().item() == pytest.approx(total, abs=1e-12)
        assert (weighted / weighted.sum() - expected).abs().max() < 1e-12


def test_particles_that_are_resampled_keep_weighted_draws_unbiased(monkeypatch):
    sharp = TinyJoint(symbols=2, length=4, seed=8)
    tokens = torch.tensor([[2, 1, 0, 2]])
    expected, total = sharp.posterior(tokens[0])
    resampled, n = [], 4000
    monkeypatch.setattr(population, "systematic", lambda *given: resampled.append(given) or systematic(*given))
    filled = Forward(particles=3)(LeftToRight(sharp), tokens.expand(n, -1), rng=Streams.of(0, range(n)))
    assert sum(len(weights) for weights, _ in resampled) > n / 10
    weights = filled.log_weight.exp()
    for string, p in zip(sharp.strings, expected * total, strict=True):
        found = weights * (filled.tokens == string).all(1)
        assert abs(found.mean() - p) <= 4.5 * found.std() / n**0.5


def test_many_particles_draw_from_the_exact_conditional():
    tokens = torch.tensor([[M, 1, M, 0]])
    expected, total = tiny.posterior(tokens[0])
    n = 3000
    filled = Forward(particles=48)(LeftToRight(tiny), tokens.expand(n, -1), rng=Streams.of(4, range(n)))
    assert goodness(filled.tokens, strings(expected)) > 1e-4
    weights = filled.log_weight.exp()
    assert abs(weights.mean().item() - total) < 4 * weights.std().item() / n**0.5
    assert ((filled.ess >= 1) & (filled.ess <= 48)).all()


def test_thousands_of_rows_follow_the_law():
    n = 6000
    filled = Forward()(LeftToRight(tiny), torch.full((n, 4), M), rng=Streams.of(11, range(n)))
    assert goodness(filled.tokens, strings(tiny.p)) > 1e-4


@pytest.mark.parametrize(("temperature", "top_p"), [(0.5, 1.0), (1.0, 0.6)])
def test_temperature_and_nucleus_are_of_each_letter(temperature, top_p, monkeypatch):
    sampler = Forward(temperature=temperature, top_p=top_p)
    expected = {(): 1.0}
    network = LeftToRight(tiny)
    for place in range(4):
        after = {}
        for start, probability in expected.items():
            row = torch.tensor([[*start, *[M] * (4 - place)]])
            mu = torch.softmax(network.at(row, place)[0] / temperature, 0)
            if top_p < 1:
                ordered, order = mu.sort(descending=True)
                mu = torch.zeros_like(mu).scatter(0, order, ordered * (ordered.cumsum(0) - ordered < top_p))
                mu = mu / mu.sum()
            after |= {(*start, v): probability * q for v, q in enumerate(mu.tolist()) if q}
        expected = after
    found = law(every_filling(monkeypatch, sampler, torch.full((1, 4), M)))
    for string, probability in zip(tiny.strings.tolist(), found.tolist(), strict=True):
        assert probability == pytest.approx(expected.get(tuple(string), 0.0), abs=1e-12)


@pytest.mark.parametrize("weight", [0.0, 1.0, 2.5])
def test_guidance_leans_from_one_network_to_another_letter_by_letter(weight):
    towards, away = LeftToRight(TinyJoint(seed=1)), LeftToRight(tiny)
    guided = Guided(towards, away, weight)
    filled = Forward(particles=3)(guided, torch.tensor([[M, M, M, M], [1, M, M, 0]]), rng=Streams.of(0, range(2)))
    one, other = (network(filled.tokens).log_softmax(-1) for network in (towards, away))
    mu = (weight * one + (1 - weight) * other).log_softmax(-1)
    expected = mu.gather(2, filled.tokens[..., None])[..., 0]
    assert filled.log_prob.tolist() == pytest.approx([expected[0].sum().item(), expected[1, 1:3].sum().item()])
    torch.testing.assert_close(filled.marginals.double(), mu.exp(), rtol=0, atol=1e-6)


def rows():
    """Rows with 0, few and all letters masked, of different lengths, padded on the right."""
    chain = MarkovChain()
    x = chain.sample(6, 18, seed=3)
    x[0, 4:9] = chain.mask
    x[1, :] = x[5, 9:] = chain.mask
    x[3, ::2] = chain.mask
    x[4, 0] = chain.mask
    x[torch.arange(18) >= torch.tensor([18, 7, 18, 13, 1, 15])[:, None]] = chain.pad
    return x


def ambiguous(x):
    allowed = torch.ones(*x.shape, 4, dtype=torch.bool)
    allowed[:, 1::4] = torch.tensor([True, False, True, False])
    allowed[:, 2::5] = torch.tensor([False, False, False, True])
    allowed[:, 6] = False
    return allowed


@pytest.mark.parametrize("particles", [1, 5])
@pytest.mark.parametrize("some", [False, True], ids=["free", "sets"])
def test_the_contract(particles, some):
    """Every mask that can be is filled within its set, nothing else is touched, and a row is bitwise what it is alone,
    without padding. Masks that may be nothing stay, and are read as such."""
    x, network = rows(), LeftToRight(MarkovChain())
    allowed = ambiguous(x) if some else None
    before, sampler = x.clone(), Forward(particles=particles)
    filled = sampler(network, x, allowed, rng=Streams.of(7, range(6)))
    assert torch.equal(x, before)
    fillable = (x == 4) & (allowed.any(-1) if some else True)
    assert torch.equal(filled.tokens[~fillable], x[~fillable])
    assert (filled.tokens[fillable] < 4).all()
    if some:
        assert allowed[fillable].gather(1, filled.tokens[fillable][:, None]).all()
    assert torch.equal(filled.calls == 0, ~(x == 4).any(1) | torch.tensor([False] * 6))
    assert (filled.impossible == -1).all()
    for row in range(6):
        length = int((x[row] != 5).sum())
        sets = None if allowed is None else allowed[row : row + 1, :length]
        alone = sampler(network, x[row : row + 1, :length], sets, rng=Streams.of(7, [row]))
        assert torch.equal(alone.tokens[0], filled.tokens[row, :length])
        for field in ("log_prob", "log_weight", "ess"):
            one, other = getattr(alone, field)[0], getattr(filled, field)[row]
            assert torch.equal(one, other) or (one.isnan() and other.isnan())


def test_rows_that_need_none_have_no_particles():
    x = rows()
    filled = Forward()(LeftToRight(MarkovChain()), x, rng=Streams.of(0, range(6)))
    assert filled.ess.isnan().tolist() == [False, True, True, False, True, True]
    assert (filled.log_weight == 0).tolist() == [False, True, True, False, True, True]


def test_nothing_is_read_that_is_not_asked_for():
    """Known letters after the last mask of a row that nothing weighs, pads, and the last letter of all."""
    network = LeftToRight(MarkovChain())
    Forward()(network, torch.tensor([[4, 4, 4, 4]]), rng=Streams.of(0, [0]))
    assert network.letters == 3
    network.letters = 0
    Forward()(network, torch.tensor([[1, 2, 5], [4, 5, 5]]), rng=Streams.of(0, range(2)))
    assert network.letters == 0
    Forward(particles=4)(network, torch.tensor([[1, 2, 3, 1, 4, 0, 1]]), rng=Streams.of(0, [0]))
    assert network.letters == 4 + 4 * 2


def test_nothing_to_fill_is_no_pass():
    network = LeftToRight(MarkovChain())
    for x in (torch.tensor([[1, 2, 5]]), torch.zeros(0, 4, dtype=torch.int64), torch.zeros(2, 0, dtype=torch.int64)):
        filled = Forward()(network, x, rng=Streams.of(0, range(len(x))))
        assert torch.equal(filled.tokens, x)
        assert filled.calls.tolist() == [0] * len(x)


def test_what_is_impossible_says_where():
    network = LeftToRight(Constant([0.5, 0.5, 0.0, 0.0]))
    x = torch.tensor([[4, 4, 1, 2, 4, 3], [4, 1, 4, 1, 4, 4]])
    filled = Forward(particles=4)(network, x, rng=Streams.of(0, range(2)))
    assert filled.impossible.tolist() == [3, -1]
    assert filled.log_weight.tolist() == [-math.inf, pytest.approx(math.log(0.25))]
    evidence = torch.ones(1, 3, 4, dtype=torch.bool)
    evidence[0, 1, :2] = False
    filled = Forward(particles=4)(network, torch.full((1, 3), 4), evidence, rng=Streams.of(0, [0]))
    assert filled.impossible.tolist() == [1]
    assert filled.tokens[0, 1] >= 2


def test_a_broken_network_is_an_error_for_people():
    network = LeftToRight(Constant([math.nan, 0.5]))
    with pytest.raises(SeqdiffError, match="not a number"):
        Forward()(network, torch.full((1, 3), 2), rng=Streams.of(0, [0]))


def test_a_network_that_cannot_read_is_refused():
    with pytest.raises(ValueError, match="does not read letter by letter"):
        Forward()(MarkovChain(), torch.full((1, 3), 4), rng=Streams.of(0, [0]))


def test_the_marginals_are_those_of_the_letters_before():
    filled = Forward()(LeftToRight(tiny), torch.full((2, 4), M), rng=Streams.of(0, range(2)))
    drawn = filled.marginals.gather(2, filled.tokens[..., None]).log().sum((1, 2)).double()
    torch.testing.assert_close(drawn, filled.log_prob, rtol=0, atol=1e-5)
