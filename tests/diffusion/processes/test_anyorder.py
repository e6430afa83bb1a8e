"""Any-order autoregression under given orders: exact with an oracle in every order, and `masked` in all of them."""

import itertools
import math

import pytest
import torch
from draws import every_run
from laws import SETS, goodness, strings, tiny
from oracles import Constant, FixedStreams, Inconsistent, MarkovChain, TinyJoint
from pydantic import ValidationError

from seqdiff.data.batches import Batch
from seqdiff.diffusion.likelihood import Chain
from seqdiff.diffusion.processes.anyorder import AnyOrder, Ordered
from seqdiff.diffusion.processes.masked import Masked
from seqdiff.diffusion.samplers import Ancestral
from seqdiff.streams import Streams

M = tiny.mask
OTHERS = [AnyOrder(orders=kind) for kind in ("left-to-right", "right-to-left", "outside-in", "coarse-to-fine")]
OTHERS.append(AnyOrder(orders="blocks", length=2))
EVERY = [AnyOrder(), *OTHERS]


def named(process):
    return process.orders


class Trained:
    """An oracle that says by which process it was trained."""

    def __init__(self, oracle, process):
        self.oracle, self.process, self.symbols, self.rows = oracle, process, oracle.symbols, 0

    def __call__(self, tokens, time=None):
        self.rows += len(tokens)
        return self.oracle(tokens)


def mean_loss(process, oracle, x):
    """The loss over every number of letters left and all orders of the keys."""
    n = int((x < oracle.symbols).sum())
    keys = torch.tensor(list(itertools.permutations(range(len(x))))).double() / len(x)
    draws = FixedStreams([(k + 0.5) / n for k in range(n) for _ in keys], keys.repeat(n, 1))
    rows = x.expand(n * len(keys), -1)
    return process.loss(oracle, Batch(rows, (rows < oracle.symbols).float()), draws).nats.item() / len(rows)


@pytest.mark.parametrize("process", EVERY, ids=named)
def test_the_loss_is_minus_log_p_on_average_in_every_order(process):
    for x, p in zip(tiny.strings[::16], tiny.p[::16], strict=True):
        assert mean_loss(process, tiny, x) == pytest.approx(-p.log().item(), abs=1e-10)


def test_unknown_letters_are_masked_and_not_scored():
    chain = MarkovChain()
    x = chain.sample(1, 6, seed=2)[0]
    x[2] = chain.mask
    for process in EVERY:
        assert mean_loss(process, chain, x) == pytest.approx(-chain.log_prob(x[None]).item(), abs=1e-10)


def test_all_orders_alike_are_the_masked_process_draw_by_draw():
    chain = MarkovChain()
    x = chain.sample(7, 20)
    x[0, 3:5], x[1, 15:] = chain.mask, chain.pad
    batch = Batch(x, (x < 4).float() * 0.7)
    one, other = (process.loss(chain, batch, Streams.of_step(0, 3, range(7), 7)) for process in (AnyOrder(), Masked()))
    assert one.nats == other.nats
    assert one.count == other.count
    scores = [
        process.bound(chain, strata=4, replicates=2)(x, x < 4, Streams.of(0, range(7)))
        for process in (AnyOrder(), Masked())
    ]
    assert torch.equal(scores[0].nats, scores[1].nats)
    assert AnyOrder().fills_masks
    assert AnyOrder().sampler() == Ancestral()
    assert not any(process.fills_masks for process in OTHERS)


def inconsistent():
    return Inconsistent(TinyJoint(seed=1), TinyJoint(seed=2))


@pytest.mark.parametrize("order", ["left-to-right", "right-to-left"])
def test_one_order_is_its_chain_rule_also_where_conditionals_disagree(order):
    oracle, process = inconsistent(), AnyOrder(orders=order)
    x = tiny.strings[[5, 40, 77]]
    chain = Chain(order=order)(oracle, x, x < 3, Streams.of(0, range(3))).nats
    for row, expected in zip(x, chain.tolist(), strict=True):
        assert mean_loss(process, oracle, row) == pytest.approx(expected, abs=1e-10)
    score = process.bound(oracle, strata=4, replicates=2)(x, x < 3, Streams.of(0, range(3)))
    torch.testing.assert_close(score.nats, chain, rtol=0, atol=1e-10)
    assert score.se.tolist() == [0, 0, 0]
    assert score.df.tolist() == [math.inf] * 3
    assert score.calls.tolist() == [4, 4, 4]


@pytest.mark.parametrize("process", EVERY, ids=named)
def test_the_bound_estimates_the_mean_of_the_loss(process):
    """Where conditionals disagree, orders differ, and the bound is the mean over them within its error."""
    oracle, x = inconsistent(), tiny.strings[[40]]
    expected = mean_loss(process, oracle, x[0])
    n = 150
    score = process.bound(oracle, strata=2, replicates=2)(x.expand(n, -1), x.expand(n, -1) < 3, Streams.of(1, range(n)))
    error = score.nats.std().item() / n**0.5
    assert abs(score.nats.mean().item() - expected) < 4 * error + 1e-9
    if error > 1e-9:
        assert (score.se.square().mean() / score.nats.var()).item() == pytest.approx(1, abs=0.5)


@pytest.mark.parametrize("process", OTHERS, ids=named)
def test_with_an_oracle_every_order_gives_minus_log_p(process):
    chain = MarkovChain()
    x = chain.sample(4, 24, seed=1)
    x[1, 20:] = chain.pad
    x[2, 5] = chain.mask
    score = process.bound(chain, strata=24, replicates=8)(x, x < 4, Streams.of(0, range(4)))
    assert ((score.nats + chain.log_prob(x)).abs() <= 5 * score.se + 1e-9).all()
    one = process.orders in ("left-to-right", "right-to-left")
    assert ((score.se == 0) == one).all()


@pytest.mark.parametrize("process", OTHERS, ids=named)
def test_a_row_is_scored_alike_alone_and_with_padding(process):
    chain = MarkovChain()
    x = chain.sample(3, 21, seed=1)
    x[1, 13:] = chain.pad
    bound = process.bound(chain, strata=3, replicates=2)
    together = bound(x, x < 4, Streams.of(0, ["a", "b", "c"]))
    alone = bound(x[1:2, :13], x[1:2, :13] < 4, Streams.of(0, ["b"]), batch_size=2)
    assert alone.nats[0] == together.nats[1]
    assert alone.se[0] == together.se[1]
    assert bound(torch.zeros(0, 3).long(), torch.zeros(0, 3).bool(), Streams.of(0, [])).nats.tolist() == []
    assert bound(torch.full((1, 3), 4), torch.zeros(1, 3).bool(), Streams.of(0, [0])).nats.tolist() == [0]


def test_a_stretch_is_scored_given_what_comes_before_in_the_order():
    chain = MarkovChain()
    x = chain.sample(1, 12, seed=3)
    scored = torch.zeros(1, 12, dtype=torch.bool)
    scored[0, 4:7] = True
    before, rest = x.clone(), x.clone()
    before[0, 4:], rest[0, 7:] = chain.mask, chain.mask
    bound = AnyOrder(orders="left-to-right").bound(chain, strata=8, replicates=2)
    expected = chain.log_prob(before) - chain.log_prob(rest)
    torch.testing.assert_close(bound(x, scored, Streams.of(0, [0])).nats, expected, rtol=0, atol=1e-10)
    bound = AnyOrder(orders="outside-in").bound(chain, strata=32, replicates=32)
    score = bound(x, scored, Streams.of(0, [0]))  # places 4, 5, 6, of which the last comes with 5, after 4 and 7
    cut = x.clone()
    cut[0, 4:8] = chain.mask
    known = cut.clone()
    known[0, 4], known[0, 7] = x[0, 4], x[0, 7]
    four = cut.clone()
    four[0, [4, 7]] = x[0, [4, 7]]
    seven = cut.clone()
    seven[0, 7] = x[0, 7]
    expected = chain.log_prob(seven) - chain.log_prob(four) + chain.log_prob(four) - chain.log_prob(x)
    assert abs(score.nats.item() - expected.item()) < 5 * score.se.item() + 1e-6


def law(runs, weighted=False):
    index = {tuple(string): i for i, string in enumerate(tiny.strings.tolist())}
    total = torch.zeros(81, dtype=torch.float64)
    for probability, filled in runs:
        weight = math.exp(filled.log_weight.item()) if weighted else 1.0
        total[index[tuple(filled.tokens[0].tolist())]] += probability * weight
    return total


def every_filling(monkeypatch, process, sampler, tokens, evidence=None):
    network = Trained(tiny, process)
    return every_run(monkeypatch, lambda: sampler(network, tokens, evidence, rng=Streams.of(0, [0])))


@pytest.mark.parametrize("process", EVERY, ids=named)
def test_the_law_is_the_model_where_what_is_known_comes_first(process, monkeypatch):
    tokens = [M, M, M, 1] if process.orders == "right-to-left" else [1, M, M, M]
    runs = every_filling(monkeypatch, process, Ordered(), torch.tensor([tokens]))
    assert (law(runs) - tiny.posterior(tokens)[0]).abs().max() < 1e-12
    for _, filled in runs:
        assert filled.log_weight.item() == 0
        assert filled.ess.isnan().all()
        drawn = filled.marginals.gather(2, filled.tokens[..., None])[0, torch.tensor(tokens) == M].log().sum().item()
        assert drawn == pytest.approx(filled.log_prob.item(), abs=1e-5)


@pytest.mark.parametrize("process", EVERY, ids=named)
@pytest.mark.parametrize("tokens", [[0, M, 2, M], [M, 1, M, 0]])
def test_what_is_known_later_in_the_order_is_weighed(process, tokens, monkeypatch):
    """E[W] is the probability of what comes later given what comes before, and weighted draws are the conditional."""
    expected, total = tiny.posterior(tokens)
    row = torch.tensor([tokens])
    ranks = process.rank(row <= M)[0]
    first = min(ranks[i] for i in range(4) if tokens[i] == M)
    given = [v if v != M and ranks[i] <= first else M for i, v in enumerate(tokens)]
    total /= tiny.posterior(given)[1]
    for particles in (1, 2) if (process.orders, tokens[0]) == ("outside-in", 0) else (1,):
        runs = every_filling(monkeypatch, process, Ordered(particles=particles), row)
        weighted = law(runs, weighted=True)
        assert weighted.sum().item() == pytest.approx(total, abs=1e-12)
        assert (weighted / weighted.sum() - expected).abs().max() < 1e-12
        if given == tokens:
            assert (law(runs) - expected).abs().max() < 1e-12


@pytest.mark.parametrize("process", EVERY, ids=named)
def test_evidence_is_weighed(process, monkeypatch):
    evidence = SETS.double()
    evidence[0, 2] = torch.tensor([0.2, 0.5, 0.3])
    tokens = torch.tensor([[1, M, M, M]])
    expected, total = tiny.posterior(tokens[0], evidence[0])
    ranks = process.rank(tokens <= M)[0]
    first = min(ranks[i] for i in (1, 2))
    given = [v if ranks[i] <= first else M for i, v in enumerate([1, M, M, 2])]
    total /= tiny.posterior(given)[1]
    weighted = law(every_filling(monkeypatch, process, Ordered(particles=1), tokens, evidence), weighted=True)
    assert weighted.sum().item() == pytest.approx(total, abs=1e-12)
    assert (weighted / weighted.sum() - expected).abs().max() < 1e-12


@pytest.mark.parametrize("process", [OTHERS[0], OTHERS[2]], ids=named)
def test_many_particles_draw_from_the_exact_conditional(process):
    tokens = torch.tensor([[M, 1, M, 0]])
    expected, _ = tiny.posterior(tokens[0])
    n = 800
    sampler = Ordered(particles=40)
    filled = sampler(Trained(tiny, process), tokens.expand(n, -1), rng=Streams.of(4, range(n)))
    assert goodness(filled.tokens, strings(expected)) > 1e-4


@pytest.mark.parametrize("process", EVERY, ids=named)
@pytest.mark.parametrize("some", [False, True], ids=["free", "sets"])
def test_the_contract(process, some):
    """Every mask that can be is filled within its set, nothing else is touched, and a row is bitwise what it is alone,
    without padding."""
    x = MarkovChain().sample(5, 18, seed=3)
    x[0, 4:9] = x[1] = x[4, 0] = x[3, ::2] = 4
    x[torch.arange(18) >= torch.tensor([18, 7, 18, 13, 1])[:, None]] = 5
    allowed = torch.ones(5, 18, 4, dtype=torch.bool)
    allowed[:, 1::4] = torch.tensor([True, False, True, False])
    allowed[:, 2::5] = torch.tensor([False, False, False, True])
    allowed[:, 6] = False
    allowed = allowed if some else None
    network, sampler = Trained(MarkovChain(), process), Ordered(particles=3)
    filled = sampler(network, x, allowed, rng=Streams.of(7, range(5)))
    assert filled.calls.sum().item() == network.rows
    fillable = (x == 4) & (allowed.any(-1) if some else True)
    assert torch.equal(filled.tokens[~fillable], x[~fillable])
    assert (filled.tokens[fillable] < 4).all()
    if some:
        assert allowed[fillable].gather(1, filled.tokens[fillable][:, None]).all()
    for row in range(5):
        length = int((x[row] != 5).sum())
        sets = None if allowed is None else allowed[row : row + 1, :length]
        alone = sampler(network, x[row : row + 1, :length], sets, rng=Streams.of(7, [row]))
        assert torch.equal(alone.tokens[0], filled.tokens[row, :length])
        assert torch.equal(alone.marginals[0], filled.marginals[row, :length])
        for field in ("log_prob", "log_weight", "calls"):
            assert torch.equal(getattr(alone, field)[0], getattr(filled, field)[row])


def test_what_is_impossible_says_where():
    network = Trained(Constant([0.5, 0.5, 0.0, 0.0]), OTHERS[1])
    filled = Ordered(particles=4)(network, torch.tensor([[3, 2, 4, 4, 0]]), rng=Streams.of(0, [0]))
    assert filled.impossible.tolist() == [1]
    assert filled.log_weight.item() == -math.inf


def test_nothing_to_fill_is_no_pass():
    network = Trained(MarkovChain(), OTHERS[2])
    for x in (torch.tensor([[1, 2, 5]]), torch.zeros(0, 4, dtype=torch.int64), torch.zeros(2, 0, dtype=torch.int64)):
        assert torch.equal(Ordered()(network, x, rng=Streams.of(0, range(len(x)))).tokens, x)
    assert network.rows == 0


def test_a_block_needs_its_length_and_nothing_else_has_one():
    for wrong in ({"orders": "blocks"}, {"length": 3}, {"orders": "outside-in", "length": 3}):
        with pytest.raises(ValidationError, match="length belongs to orders: blocks"):
            AnyOrder(**wrong)
