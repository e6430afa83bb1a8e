"""The sampler of uniform noise: its law by propagating all 81 states, what it fills, what it leaves alone."""

import logging

import pytest
import torch
from noised import K, Noised, kernel, states, tiny
from oracles import TinyJoint

from seqdiff.diffusion.guidance import Guided
from seqdiff.diffusion.labels import Labelled
from seqdiff.diffusion.processes import Masked, Uniform, uniform
from seqdiff.diffusion.processes.uniform import Bayes, step_back
from seqdiff.errors import SeqdiffError
from seqdiff.streams import Streams

MASK, PAD = K, K + 1
ROWS = 1_500


def propagated(steps, given=(None,) * 4, repeats=1, network=None, towards=None, weight=1.0):
    """(81,): the law of the states at the end, letters that are `given` drawn from q(. at s | x) in each step."""
    network, law = network or Noised("leave-one-out"), torch.full((81,), 1 / 81, dtype=torch.float64)
    for step in range(steps, 0, -1):
        keep, after = 1 - step / steps, 1 - (step - 1) / steps
        t = torch.full((81,), step / steps, dtype=torch.float64)
        p = step_back(network(states, t).exp(), states, keep, after)
        if towards is not None:
            lean = step_back(towards(states, t).exp(), states, keep, after)
            p = lean**weight * p ** (1 - weight)
            p = p / p.sum(-1, keepdim=True)
        for i, letter in enumerate(given):
            if letter is not None:
                p[:, i] = kernel(after)[letter]
        back = torch.stack([p[:, i][:, states[:, i]] for i in range(4)]).prod(0)
        forth = torch.stack([kernel(keep / after)[states[:, i]][:, states[:, i]] for i in range(4)]).prod(0)
        law = law @ back
        for _ in range(repeats - 1 if step > 1 else 0):
            law = law @ forth @ back
    return law


def distance(law, other):
    return float((law - other).abs().sum() / 2)


def drawn(sampler, network, tokens, evidence=None, rows=ROWS):
    """How often each of the 81 strings came out."""
    tokens = torch.as_tensor(tokens).expand(rows, -1)
    evidence = None if evidence is None else evidence.expand(rows, -1, -1)
    filled = sampler(network, tokens, evidence, rng=Streams.of(0, range(rows)))
    places = (filled.tokens * K ** torch.arange(3, -1, -1)).sum(1)
    return torch.bincount(places, minlength=81)


def fits(counts, law):
    """Chi-square of counts, cells with less than 5 expected pooled: the chance of more than this."""
    from scipy.stats import chi2

    expected = law * counts.sum()
    large = expected >= 5
    observed = torch.cat([counts[large].double(), counts[~large].sum()[None].double()])
    expected = torch.cat([expected[large], expected[~large].sum()[None]])
    observed, expected = observed[expected > 0], expected[expected > 0]
    return chi2.sf(float(((observed - expected) ** 2 / expected).sum()), len(expected) - 1)


def test_the_law_of_the_steps_comes_to_p():
    """KL(p || law) is below the gap of the bound of as many steps (`test_uniform`), and halves with it."""
    far = [distance(propagated(steps), tiny.p) for steps in (4, 16, 64)]
    assert far[2] < far[1] / 3 < far[0] / 9
    assert far[2] < 0.02


@pytest.mark.parametrize(("prediction", "repeats"), [("leave-one-out", 1), ("posterior", 2)])
def test_what_is_drawn_has_that_law(prediction, repeats):
    counts = drawn(Bayes(steps=3, repeats=repeats), Noised(prediction), [MASK] * 4)
    assert fits(counts, propagated(3, repeats=repeats)) > 1e-4


def test_infilling_is_approximate_and_repeats_bring_it_nearer():
    given = (0, None, None, 2)
    exact, _ = tiny.posterior([0, MASK, MASK, 2])
    far = [distance(propagated(16, given, repeats), exact) for repeats in (1, 2, 5)]
    assert far[0] > far[1] > far[2]
    assert distance(propagated(48, given, 5), exact) < far[2]
    counts = drawn(Bayes(steps=3, repeats=2), Noised("leave-one-out"), [0, MASK, MASK, 2])
    assert fits(counts, propagated(3, given, 2)) > 1e-4


def test_it_says_so_once(caplog):
    uniform._say_approximate.cache_clear()
    network = Noised("leave-one-out")
    with caplog.at_level(logging.WARNING, "seqdiff"):
        Bayes(steps=2)(network, torch.full((1, 4), MASK), rng=Streams.of(0, ["r"]))
        assert not caplog.records
        for _ in range(2):
            Bayes(steps=2)(network, torch.tensor([[0, MASK, MASK, 1]]), rng=Streams.of(0, ["r"]))
    assert [record.message.startswith("uniform noise: given letters") for record in caplog.records] == [True]


def test_sets_are_obeyed_and_weighed_by_the_last_pass():
    """A network for which nothing tells anything of anything: mu is the same at all times."""

    class Same:
        symbols, process = 3, Uniform()

        def __call__(self, tokens, time):
            return torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64).log().expand(*tokens.shape, 3)

    evidence = torch.ones(1, 4, 3, dtype=torch.float64)
    evidence[0, 1] = torch.tensor([0.5, 0.0, 0.25])
    evidence[0, 2] = torch.tensor([0, 1, 0])
    evidence[0, 3] = 0
    x = torch.full((1, 4), MASK)
    many = Bayes(steps=2)(Same(), x.expand(4000, -1), evidence.expand(4000, -1, -1), rng=Streams.of(0, range(4000)))
    assert (many.tokens[:, 2] == 1).all()
    assert (many.tokens[:, 3] == MASK).all()
    assert (many.tokens[:, 1] != 1).all()
    assert (many.tokens[:, 1] == 0).double().mean().item() == pytest.approx(0.1 / 0.225, abs=0.03)
    assert (many.tokens[:, 0] == 2).double().mean().item() == pytest.approx(0.5, abs=0.03)
    torch.testing.assert_close(many.log_weight, torch.full((4000,), 0.225, dtype=torch.float64).log())
    mu = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    restricted = torch.tensor([0.1, 0, 0.125], dtype=torch.float64) / 0.225
    expected = mu.log()[many.tokens[:, 0]] + restricted.log()[many.tokens[:, 1]]
    torch.testing.assert_close(many.log_prob, expected, rtol=0, atol=1e-12)
    cold = Bayes(steps=4, temperature=1e-3)(Same(), x.expand(50, -1), rng=Streams.of(0, range(50)))
    nucleus = Bayes(steps=4, top_p=1e-6)(Same(), x.expand(50, -1), rng=Streams.of(0, range(50)))
    assert (cold.tokens == 2).all()
    assert (nucleus.tokens == 2).all()
    assert Bayes.revisits  # so that nobody takes log_weight for the weight of a draw


def test_what_the_model_rules_out_is_filled_and_said():
    class Never:
        symbols, process = 3, Uniform()

        def __call__(self, tokens, time):
            return torch.tensor([0.5, 0.5, 0.0]).log().expand(*tokens.shape, 3)

    evidence = torch.ones(1, 4, 3, dtype=torch.bool)
    evidence[0, 1, :2] = False
    evidence[0, 2, 0] = False
    filled = Bayes(steps=3)(Never(), torch.full((1, 4), MASK), evidence, rng=Streams.of(0, ["r"]))
    assert filled.tokens[0, 1] == 2  # a single possible letter, which no network is asked for
    assert filled.tokens[0, 2] == 1
    evidence = torch.ones(1, 4, 4, dtype=torch.bool)

    class NeverTwo(Never):
        symbols = 4

        def __call__(self, tokens, time):
            return torch.tensor([0.5, 0.5, 0.0, 0.0]).log().expand(*tokens.shape, 4)

    evidence[0, 1, :2] = False
    filled = Bayes(steps=3)(NeverTwo(), torch.full((1, 4), 4), evidence, rng=Streams.of(0, ["r"]))
    assert filled.tokens[0, 1] >= 2
    assert (filled.log_weight.item(), filled.impossible.item()) == (-torch.inf, 1)


class Neighbours:
    """mu by the letters to both sides and the time; pads say nothing. Bitwise the same in any batch."""

    symbols, process = 4, Uniform()

    def __init__(self):
        self.table = torch.randn(3, 6, 4, generator=torch.manual_seed(5), dtype=torch.float64)
        self.table[:, 5] = 0
        self.rows = 0

    def __call__(self, tokens, time):
        assert not torch.is_grad_enabled()
        self.rows += len(tokens)
        end = tokens.new_full((len(tokens), 1), 5)
        left, right = torch.cat([end, tokens[:, :-1]], 1), torch.cat([tokens[:, 1:], end], 1)
        return (1 - time.double())[:, None, None] * (self.table[0][left] + self.table[1][right])


def rows():
    """Rows with 0, few and all letters masked, of different lengths, padded on the right."""
    x = torch.randint(4, (5, 18), generator=torch.manual_seed(3))
    x[0, 4:9], x[1, :], x[3, ::2], x[4, 0] = 4, 4, 4, 4
    x[torch.arange(18) >= torch.tensor([18, 7, 18, 13, 1])[:, None]] = 5
    return x


def ambiguous(x):
    allowed = torch.ones(*x.shape, 4, dtype=torch.bool)
    allowed[:, 1::4] = torch.tensor([True, False, True, False])
    allowed[:, 2::5] = torch.tensor([False, False, False, True])
    allowed[:, 6] = False
    return allowed


@pytest.mark.parametrize("sampler", [Bayes(steps=5), Bayes(steps=3, repeats=2, temperature=0.7, top_p=0.9)])
def test_it_fills_masks_changes_nothing_else_and_a_row_depends_on_its_stream_alone(sampler):
    x, names = rows(), ["a", "b", "c", "d", "e"]
    before, network = x.clone(), Neighbours()
    for sets in (None, ambiguous(x)):
        network.rows = 0
        together = sampler(network, x, sets, rng=Streams.of(7, names))
        assert torch.equal(x, before)
        fillable = (x == 4) & (True if sets is None else sets.any(-1))
        assert torch.equal(together.tokens[~fillable], x[~fillable])
        assert (together.tokens[fillable] < 4).all()
        if sets is not None:
            assert sets[fillable].gather(1, together.tokens[fillable][:, None]).all()
        assert together.calls.sum() == network.rows
        assert ((together.calls == 0) == (together.log_prob == 0)).all()
        for row, name in enumerate(names):
            length = int((x[row] != 5).sum())
            some = None if sets is None else sets[row : row + 1, :length]
            alone = sampler(network, x[row : row + 1, :length], some, rng=Streams.of(7, [name]))
            assert torch.equal(alone.tokens[0], together.tokens[row, :length])
            for field in ("log_prob", "log_weight", "calls"):
                assert torch.equal(getattr(alone, field)[0], getattr(together, field)[row])
    other = sampler(network, x, rng=Streams.of(8, names))
    assert not torch.equal(other.tokens, sampler(network, x, rng=Streams.of(7, names)).tokens)


def test_unknown_letters_that_may_be_nothing_are_seen_as_such():
    seen = []

    class Spy(Neighbours):
        def __call__(self, tokens, time):
            seen.append((tokens.clone(), time.clone()))
            return super().__call__(tokens, time)

    allowed = torch.ones(1, 6, 4, dtype=torch.bool)
    allowed[0, 2] = False
    x = torch.tensor([[4, 0, 4, 1, 4, 5]])
    Bayes(steps=4)(Spy(), x, allowed, rng=Streams.of(0, ["r"]))
    assert [time.tolist() for _, time in seen] == [[1.0], [0.75], [0.5], [0.25]]
    for tokens, _ in seen:
        assert tokens[0, [2, 5]].tolist() == [4, 5]
        assert (tokens[0, [0, 1, 3, 4]] < 4).all()


def test_steps_are_those_of_the_process():
    for process, calls in ((Uniform(), 128), (Uniform(steps=7), 7)):
        network = Neighbours()
        network.process = process
        assert process.sampler()(network, torch.full((1, 3), 4), rng=Streams.of(0, ["r"])).calls.item() == calls


def test_marginals_are_those_of_the_letters_where_nothing_else_is_known():
    marginals = Bayes().marginals(Noised("posterior"), torch.full((2, 4), MASK))
    exact = torch.stack([torch.bincount(tiny.strings[:, i], tiny.p, K) for i in range(4)])
    torch.testing.assert_close(marginals, exact.expand(2, -1, -1))
    network = Neighbours()
    with torch.no_grad():
        for row in rows():
            length = int((row != 5).sum())
            whole, alone = (Bayes().marginals(network, x[None]) for x in (row, row[:length]))
            assert torch.equal(whole[:, :length], alone)
            torch.testing.assert_close(alone.sum(-1), torch.ones(1, length, dtype=torch.float64))


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_guidance_at_0_and_1_is_one_of_the_two(weight):
    """T18."""
    networks = Noised("leave-one-out"), Noised("posterior", TinyJoint(seed=1))
    x, evidence = torch.tensor([[MASK] * 4, [MASK, 1, MASK, PAD]])[:1], None
    one = Bayes(steps=4)(networks[0 if weight else 1], x, evidence, rng=Streams.of(3, range(1)))
    both = Bayes(steps=4)(Guided(*networks, weight), x, evidence, rng=Streams.of(3, range(1)))
    assert torch.equal(one.tokens, both.tokens)
    assert torch.equal(one.log_prob, both.log_prob)
    marginals = [Bayes().marginals(network, x) for network in (networks[0 if weight else 1], Guided(*networks, weight))]
    assert torch.equal(*marginals)


def test_guidance_combines_the_steps_and_not_what_is_guessed():
    """The law of steps whose distributions are p_c^w p_u^(1-w), and another than that of so combined mu."""
    away, towards = Noised("leave-one-out"), Noised("leave-one-out", TinyJoint(seed=1))
    law = propagated(3, network=away, towards=towards, weight=2.0)
    counts = drawn(Bayes(steps=3), Guided(towards, away, 2.0), [MASK] * 4)
    assert fits(counts, law) > 1e-4

    def guessed(z, t):
        return (2 * towards(z, t) - away(z, t)).log_softmax(-1)

    assert distance(law, propagated(3, network=guessed)) > 0.02


def test_guidance_by_a_label_of_one_network():
    """Told and not told: the network's labels travel with the rows, also those of `marginals`."""
    other = TinyJoint(seed=1)

    class Both:
        symbols, process = K, Uniform()

        def __call__(self, tokens, time, labels, **blocks):
            assert len(labels) == len(tokens)
            answers = torch.stack([Noised("leave-one-out", joint)(tokens, time) for joint in (other, tiny)])
            return answers[labels, torch.arange(len(tokens))]

    both, x = Both(), torch.full((3, 4), MASK)
    guided = Guided(Labelled(both, 0), Labelled(both, 1), 2.0)
    plain = Guided(Noised("leave-one-out", other), Noised("leave-one-out"), 2.0)
    found, expected = (Bayes(steps=3)(network, x, rng=Streams.of(0, range(3))) for network in (guided, plain))
    assert torch.equal(found.tokens, expected.tokens)
    torch.testing.assert_close(*(Bayes().marginals(network, x) for network in (guided, plain)))


def test_networks_of_other_processes_are_refused():
    network = Neighbours()
    for process in (Masked(), None):
        network.process = process
        with pytest.raises(ValueError, match="of networks trained by process uniform"):
            Bayes()(network, torch.full((1, 3), 4), rng=Streams.of(0, ["r"]))


def test_a_broken_network_is_an_error_for_people():
    class Broken(Neighbours):
        def __call__(self, tokens, time):
            return torch.full((*tokens.shape, 4), torch.nan)

    with pytest.raises(SeqdiffError, match="not a number"):
        Bayes(steps=2)(Broken(), torch.full((1, 3), 4), rng=Streams.of(0, ["r"]))


def test_nothing_to_fill_is_no_pass():
    network = Neighbours()
    for x in (torch.tensor([[1, 2, 5]]), torch.zeros(0, 4, dtype=torch.int64), torch.zeros(2, 0, dtype=torch.int64)):
        filled = Bayes()(network, x, rng=Streams.of(0, range(len(x))))
        assert torch.equal(filled.tokens, x)
        assert filled.calls.tolist() == [0] * len(x)
    assert network.rows == 0


def test_all_pairs_of_letters_and_steps_have_the_law_of_one_step():
    """`_moved` in two stages, over a grid of both uniforms: an enumeration instead of draws."""
    p = torch.tensor([0.1, 0.6, 0.3], dtype=torch.float64)
    u = (torch.arange(200) + 0.5).double() / 200
    when, what = (part.flatten() for part in torch.meshgrid(u, u, indexing="ij"))
    for z in range(3):
        values = uniform._moved(p.log().expand(40_000, -1), torch.full((40_000,), z), when, what)
        assert (torch.bincount(values, minlength=3) / 40_000).tolist() == pytest.approx(p.tolist(), abs=0.003)
