"""GenMD4 against the exact posterior of a tiny joint, which depends on the time when powers differ."""

import itertools

import numpy as np
import pytest
import torch
from diffusion.samplers import test_contract as contract
from oracles import FixedStreams, MarkovChain, TinyJoint
from pydantic import ValidationError
from scipy.stats import chi2

from seqdiff.data.batches import Batch
from seqdiff.diffusion.guidance import Guided
from seqdiff.diffusion.likelihood import elbo
from seqdiff.diffusion.processes.genmasked import GenMasked, Powers
from seqdiff.diffusion.processes.masked import Masked
from seqdiff.diffusion.samplers.proposals import Steps, Thinning
from seqdiff.errors import UsageError
from seqdiff.streams import Streams

tiny = TinyJoint()
M = tiny.mask
patterns = torch.tensor(list(itertools.product([False, True], repeat=4)))
SKEWED = (0.6, 1.0, 1.9)


class Timed:
    """The exact posterior of `tiny` when symbol v is masked with probability t^(w_v), and a network's process."""

    symbols, takes_time = 3, True
    process = GenMasked(first_time=1e-9, last_visible=1e-12)

    def __init__(self, powers, initial=1.0):
        self.learned = Powers(3, initial).double()
        with torch.no_grad():
            self.learned.raw.copy_(torch.tensor(powers, dtype=torch.float64).expm1().log())

    def __call__(self, tokens, time):
        hidden = tokens == M
        agrees = (hidden[:, None] | (tokens[:, None] == tiny.strings)).all(-1)
        of_string = time.double()[:, None, None] ** self.learned().detach()[tiny.strings]
        weight = tiny.p * agrees * torch.where(hidden[:, None], of_string, 1.0).prod(-1)
        letters = torch.nn.functional.one_hot(tiny.strings, 3).double()
        table = torch.einsum("bs,slk->blk", weight, letters).clamp(min=1e-300).log()
        return torch.where(hidden[..., None], table, torch.nan)


class Wrong(torch.nn.Module):
    """Any network that takes the time, with powers of its own."""

    symbols = 3

    def __init__(self, powers):
        super().__init__()
        self.learned = Powers(3, 1.0).double()
        with torch.no_grad():
            self.learned.raw.copy_(torch.tensor(powers, dtype=torch.float64).expm1().log())
        self.table = torch.nn.Parameter(torch.randn(4, 3, dtype=torch.float64, generator=torch.manual_seed(1)))

    def forward(self, tokens, time):
        return self.table[tokens].cumsum(1) * (1 + time[:, None, None])


def mean_density(process, denoise, x, t):
    """E over all masks of f, at each of the times t, with gradient in the powers."""
    n = len(t)
    tokens, hidden = x.expand(16 * n, -1), patterns.repeat(n, 1)
    times, w = t.repeat_interleave(16), denoise.learned()
    share = process.masked(times, tokens, w)
    q = torch.where(hidden, share, 1 - share).prod(1)
    logits = denoise(tokens.masked_fill(hidden, M), times)
    return (q * process.density(logits, tokens, hidden, times, w).nan_to_num().sum(1)).view(n, 16).sum(1)


@pytest.mark.parametrize("powers", [SKEWED, (1.0, 1.0, 1.0), (3.0, 0.2, 1.0)])
def test_the_bound_is_minus_log_p_whatever_the_powers(powers):
    process, denoise = GenMasked(last_visible=1e-15), Timed(powers)
    points, weights = np.polynomial.legendre.leggauss(80)
    u = torch.from_numpy((points + 1) / 2)
    jacobian = torch.from_numpy(weights / 2) * 6 * u**5  # t = u^6 takes the singularities at 0
    for x, p in zip(tiny.strings[::11], tiny.p[::11], strict=True):
        with torch.no_grad():
            total = (jacobian * mean_density(process, denoise, x, u**6)).sum()
        assert total.item() == pytest.approx(-p.log().item(), abs=1e-6)


def test_with_its_ends_the_bound_is_above_the_entropy_and_without_them_below():
    """On average over strings: of a single one, the cut process is a model of its own."""
    process, denoise = GenMasked(last_visible=1e-2, first_time=5e-2), Timed(SKEWED)
    points, weights = np.polynomial.legendre.leggauss(30)
    t = torch.from_numpy((points + 1) / 2) * 0.95 + 0.05
    within = ends = 0.0
    with torch.no_grad():
        for x, p in zip(tiny.strings, tiny.p, strict=True):
            within += p * (torch.from_numpy(weights / 2) * 0.95 * mean_density(process, denoise, x, t)).sum()
            ends += p * process.ends(denoise.learned())[x].sum()
    assert tiny.entropy < within + ends < tiny.entropy + 0.1
    assert within < tiny.entropy


def test_f_is_never_negative():
    process, network = GenMasked(), Wrong(SKEWED)
    tokens = tiny.strings.repeat_interleave(16, 0)
    hidden, t = patterns.repeat(81, 1), torch.rand(81 * 16, dtype=torch.float64, generator=torch.manual_seed(0))
    f = process.density(network(tokens.masked_fill(hidden, M), t), tokens, hidden, t, network.learned())
    assert f.min() >= -1e-12
    assert f.max() > 1


def test_the_gradient_of_the_powers_is_that_of_the_mean():
    """All pairs of masks, each weighted by its probability: the mean gradient against finite differences."""
    process, network = GenMasked(), Wrong(SKEWED)
    x, t = tiny.strings[[37]], torch.tensor([0.4], dtype=torch.float64)
    pairs = list(itertools.product(range(16), repeat=2))
    hidden = torch.stack([torch.stack([patterns[a], patterns[b]], -1) for a, b in pairs])
    with torch.no_grad():
        share = process.masked(t, x, network.learned())[..., None]
        q = torch.where(hidden, share, 1 - share).prod(1).prod(1)
    rng = FixedStreams([(0.4 - process.first_time) / (1 - process.first_time)] * 256, torch.where(hidden, 0.0, 0.99999))
    batch = Batch(x.expand(256, -1), q[:, None].expand(-1, 4))
    process.loss(network, batch, rng).nats.backward()
    found, of_table = network.learned.raw.grad.clone(), network.table.grad.clone()

    def mean(raw):
        with torch.no_grad():
            kept = network.learned.raw.clone()
            network.learned.raw.copy_(raw)
            w = network.learned()
            total = (1 - process.first_time) * mean_density(process, network, x, t).sum()
            total = total + process.ends(w)[x].sum()
            network.learned.raw.copy_(kept)
        return total

    raw, step = network.learned.raw.detach().clone(), 1e-5
    expected = [(mean(raw + step * e) - mean(raw - step * e)) / (2 * step) for e in torch.eye(3, dtype=torch.float64)]
    assert torch.stack(expected).tolist() == pytest.approx(found.tolist(), abs=1e-6)
    assert found.abs().min() > 1e-3
    assert of_table.abs().max() > 1e-3


def test_without_the_second_part_the_gradient_would_be_another():
    process, network = GenMasked(), Wrong(SKEWED)
    x, t = tiny.strings[[37]], torch.tensor([0.4], dtype=torch.float64)
    w = network.learned()
    with torch.no_grad():
        share = process.masked(t, x, w)
        q = torch.where(patterns, share, 1 - share).prod(1)
    logits = network(x.masked_fill(patterns, M), t.expand(16))
    direct = (q * process.density(logits, x.expand(16, -1), patterns, t.expand(16), w).sum(1)).sum()
    (naive,) = torch.autograd.grad(direct, network.learned.raw)
    (whole,) = torch.autograd.grad(mean_density(process, network, x, t).sum(), network.learned.raw)
    assert (naive - whole).abs().max() > 0.05


def test_equal_powers_are_plain_masked_diffusion():
    """Given the same masks and times, f is the cross-entropy that `masked` weighs by 1/t."""
    process, network = GenMasked(first_time=1e-9, last_visible=1e-9), Wrong((1.0, 1.0, 1.0))
    strata, keys = torch.linspace(0.05, 0.95, 30), torch.rand(30, 4, generator=torch.manual_seed(2)).double()
    batch = Batch(tiny.strings[:30], torch.ones(30, 4))
    ours = process.loss(network, batch, FixedStreams(strata, keys[..., None].expand(-1, -1, 2)))

    def untimed(tokens):
        return network(tokens, strata.double())

    untimed.symbols = 3
    theirs = Masked(estimator="bernoulli").loss(untimed, batch, FixedStreams(strata, keys))
    assert ours.nats.item() == pytest.approx(theirs.nats.item(), rel=1e-5)


def test_masks_and_pads_of_the_source_are_neither_scored_nor_changed():
    seen = []

    class Watching(Wrong):
        def forward(self, tokens, time):
            seen.append(tokens)
            return super().forward(tokens.clamp(max=3), time)

    tokens = torch.tensor([[0, M, 2, M + 1], [1, 1, M + 1, M + 1]])
    weight = (tokens < M).float()
    loss = GenMasked().loss(Watching(SKEWED), Batch(tokens, weight), Streams.of(0, ["a", "b"]))
    assert loss.count == 4
    assert torch.isfinite(loss.nats)
    assert (seen[0][:, 3] == M + 1).all()
    assert (seen[0][[0, 2], 1] == M).all()


def test_powers_begin_as_asked_and_stay_within_bounds():
    assert Powers(4, 1.0)().tolist() == pytest.approx([1.0] * 4)
    extreme = Powers(2, 1.0)
    with torch.no_grad():
        extreme.raw.copy_(torch.tensor([-50.0, 90.0]))
    assert extreme().tolist() == pytest.approx([0.05, 20.0])
    with pytest.raises(ValidationError):
        GenMasked(first_time=0)


def test_the_bound_of_rows_is_minus_log_p_within_its_error():
    """By the passes that `score` makes, of any powers, and of some letters given the others."""
    denoise = Timed(SKEWED)
    bound, rows = denoise.process.bound(denoise, strata=20, replicates=8), tiny.strings
    scored = torch.ones(81, 4, dtype=torch.bool)
    scored[40:, 1:3] = False
    score = bound(rows, scored, Streams.of(0, range(81)))
    hidden = rows.masked_fill(scored, M)
    exact = -torch.stack([tiny.posterior(row)[0][i] for i, row in enumerate(hidden)]).log()
    assert score.positions.tolist() == [4] * 40 + [2] * 41
    for part in (slice(40), slice(40, 81)):
        spread = score.se[part].square().sum().sqrt()
        assert spread < 0.03 * exact[part].sum()
        assert (score.nats - exact)[part].sum().abs() < 3 * spread


def test_the_bound_takes_all_that_was_learned_and_says_what_masked_diffusion_does_for_equal_powers():
    denoise = Timed((1.0, 1.0, 1.0))
    rows, scored = tiny.strings[::9], torch.ones(9, 4, dtype=torch.bool)
    streams = [Streams.of(0, range(9)) for _ in range(2)]
    ours = denoise.process.bound(denoise, strata=40, replicates=4)(rows, scored, streams[0])
    theirs = Masked().bound(tiny, strata=4, replicates=4)(rows, scored, streams[1])
    assert ((ours.nats - theirs.nats).abs() < 4 * ours.se + 1e-6).all()
    assert (theirs.se == 0).all()  # of four letters all masks are taken


def stepwise(powers, steps):
    """The exact law of the steps, by the probability of every state after each."""
    denoise, w = Timed(powers), torch.tensor(powers, dtype=torch.float64)
    states = torch.tensor(list(itertools.product(range(4), repeat=4)))
    probability = torch.zeros(256, dtype=torch.float64)
    probability[-1] = 1.0
    for step in range(steps, 0, -1):
        t, s = step / steps, (step - 1) / steps
        mu = denoise(states, torch.full((256,), t, dtype=torch.float64)).softmax(-1).nan_to_num()
        stays = (s / t) ** w
        kernel = torch.cat([mu * (1 - stays), (mu * stays).sum(-1, keepdim=True)], -1)
        masked = (states == M)[..., None]
        assert torch.allclose(kernel.sum(-1), masked[..., 0].double())  # a step's probabilities add up to 1
        kernel = torch.where(masked, kernel, torch.nn.functional.one_hot(states, 4).double())
        moves = kernel[:, 0, states[:, 0]]
        for i in (1, 2, 3):
            moves = moves * kernel[:, i, states[:, i]]
        probability = probability @ moves
    return probability.view(4, 4, 4, 4)[:3, :3, :3, :3].flatten()


def fits(counts, law):
    """p-value of Pearson's chi-square, cells that expect less than 5 pooled."""
    expected = law * counts.sum()
    few = expected < 5
    found = torch.cat([counts[~few], counts[few].sum()[None]])
    wanted = torch.cat([expected[~few], expected[few].sum()[None]])
    wanted, found = wanted[wanted > 0], found[wanted > 0]
    return chi2.sf(float(((found - wanted) ** 2 / wanted).sum()), len(wanted) - 1)


def counted(filled):
    return torch.bincount((filled.tokens * 3 ** torch.arange(3, -1, -1)).sum(1), minlength=81).double()


def test_the_law_of_many_steps_is_that_of_the_model():
    apart = [(stepwise(SKEWED, steps) - tiny.p).abs().sum().item() / 2 for steps in (1, 4, 16, 64)]
    assert apart[3] < apart[2] / 3 < apart[1] / 6 < apart[0] / 9
    assert apart[3] < 0.015


@pytest.mark.parametrize(
    ("sampler", "law"),
    [(Steps(steps=3), stepwise(SKEWED, 3)), (Steps(steps=1), stepwise(SKEWED, 1)), (Thinning(), tiny.p)],
    ids=["three steps", "one step", "thinning"],
)
def test_samplers_have_the_law_that_they_say(sampler, law):
    rows = 3_000
    filled = sampler(Timed(SKEWED), torch.full((rows, 4), M), rng=Streams.of(0, range(rows)))
    assert fits(counted(filled), law) > 1e-3
    if sampler.kind == "powers":
        assert filled.calls.max() <= sampler.steps
    else:
        assert 4 < filled.calls.double().mean() < 9
    if getattr(sampler, "steps", 0) != 1:  # the test sees a wrong law: that of a network that is not told the time
        untold = sampler(Told(tiny, SKEWED), torch.full((rows, 4), M), rng=Streams.of(0, range(rows)))
        assert fits(counted(untold), law) < 1e-6


def test_letters_that_are_known_are_given_and_the_law_is_theirs():
    rows, start = 2_500, torch.tensor([M, 2, M, M])
    filled = Thinning()(Timed(SKEWED), start.expand(rows, -1), rng=Streams.of(1, range(rows)))
    assert fits(counted(filled), tiny.posterior(start)[0]) > 1e-3


@pytest.mark.parametrize("sampler", [Thinning(), Steps(steps=60)], ids=lambda s: s.kind)
def test_weighted_by_what_is_known_the_law_is_the_conditional(sampler):
    rows = 3_000
    evidence = torch.ones(4, 3, dtype=torch.float64)
    evidence[1], evidence[2] = torch.tensor([1.0, 0.0, 1.0]), torch.tensor([0.2, 0.9, 0.1])
    start = torch.tensor([M, M, M, 1])
    filled = sampler(
        Timed(SKEWED), start.expand(rows, -1), evidence.expand(rows, -1, -1), rng=Streams.of(2, range(rows))
    )
    law, known = tiny.posterior(start, evidence)
    mass = known / tiny.posterior(start)[1]
    weight = filled.log_weight.exp()
    assert abs(weight.mean() - mass) < 4 * weight.std() / rows**0.5
    each = torch.nn.functional.one_hot((filled.tokens * 3 ** torch.arange(3, -1, -1)).sum(1), 81) * weight[:, None]
    error = each.std(0) / rows**0.5
    assert ((each.mean(0) - law * mass).abs() < 4.5 * error + 2e-3 * mass).all()
    assert fits(counted(filled), law) < 1e-3  # without the weights it is another


class Told:
    """An oracle that is not told the time, as a network of the process."""

    takes_time = True

    def __init__(self, module, powers=None):
        self.module, self.symbols, self.process = module, getattr(module, "symbols", 4), GenMasked()
        self.learned = Powers(self.symbols, 1.0).double()
        if powers:
            with torch.no_grad():
                self.learned.raw.copy_(torch.tensor(powers, dtype=torch.float64).expm1().log())

    def __call__(self, tokens, time):
        assert (time > 0).all()
        assert (time <= 1).all()
        return self.module(tokens)


class Untold:
    """A sampler of the process, asked as those of masked diffusion are."""

    def __init__(self, sampler):
        self.sampler = sampler

    def __getattr__(self, name):
        return getattr(self.sampler, name)

    def model_copy(self, update):
        return Untold(self.sampler.model_copy(update=update))

    def __call__(self, network, tokens, evidence=None, *, rng):
        return self.sampler(Told(network), tokens, evidence, rng=rng)


PROMISES = [
    contract.test_every_mask_is_filled_and_nothing_else_is_touched,
    contract.test_allowed_sets_are_obeyed_and_a_mask_that_may_be_nothing_stays,
    contract.test_likelihoods_of_letters_are_obeyed_and_weigh_what_the_network_makes_of_them,
    contract.test_a_single_allowed_letter_is_filled_in_first_and_for_free,
    contract.test_a_row_is_bitwise_the_same_alone_and_in_a_batch_and_with_padding,
    contract.test_streams_of_other_seeds_draw_other_rows,
    contract.test_calls_count_the_rows_that_the_network_sees,
    contract.test_nothing_to_fill_is_no_pass,
    contract.test_log_prob_is_that_of_the_values_drawn,
    contract.test_log_weight_is_the_mass_of_the_sets,
    contract.test_greedy_at_the_smallest_nucleus_and_cold,
    contract.test_evidence_that_the_model_rules_out_is_filled_and_weighs_nothing,
    contract.test_a_broken_network_is_an_error_for_people,
    contract.test_no_gradient_and_no_writing_into_the_network,
]


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
@pytest.mark.parametrize(
    "sampler", [Steps(), Steps(grid="cosine", steps=4), Thinning()], ids=["powers", "cosine", "thinning"]
)
def test_own_samplers_hold_the_contract_for_equal_powers(sampler, promise):
    promise(Untold(sampler))


def test_a_row_is_the_same_in_any_batch_when_powers_differ():
    chain, names = MarkovChain(), ["a", "b", "c"]
    x = torch.full((3, 12), chain.mask)
    x[1, 7:] = x[2, 3:] = chain.pad
    network = Told(chain, (0.3, 1.0, 2.5, 1.4))
    for sampler in (Steps(), Thinning()):
        together = sampler(network, x, rng=Streams.of(3, names))
        for row, name in enumerate(names):
            length = int((x[row] != chain.pad).sum())
            alone = sampler(network, x[row : row + 1, :length], rng=Streams.of(3, [name]))
            assert torch.equal(alone.tokens[0], together.tokens[row, :length])
            assert alone.log_prob[0] == together.log_prob[row]
            assert alone.calls[0] == together.calls[row]


@pytest.mark.parametrize("share", [1.0, 0.5, 0.01])
def test_the_time_told_is_that_of_the_share_that_is_masked(share):
    process = GenMasked(last_visible=1e-12, first_time=1e-9)
    shares = torch.tensor([share], dtype=torch.float64)
    powers = torch.tensor([0.3, 1.0, 4.0], dtype=torch.float64)
    t = process.time_of(shares, powers)
    assert (t[:, None] ** powers).mean().item() == pytest.approx(share, rel=1e-6)
    assert process.time_of(shares, torch.ones(3, dtype=torch.float64)).item() == pytest.approx(share)
    assert process.time_of(torch.zeros(1), torch.ones(3)).item() == pytest.approx(process.first_time)


def test_filling_gives_the_posterior_of_one_mask_as_if_it_said_nothing_of_its_letter():
    denoise = Timed(SKEWED)
    filling = denoise.process.filling(denoise)
    assert not filling.takes_time
    x = tiny.strings[::7].clone()
    for i in range(4):
        one = x.clone()
        one[:, i] = M
        assert torch.allclose(filling(one)[:, i].softmax(-1), tiny(one)[:, i].softmax(-1), atol=1e-5)
    assert not filling(one).requires_grad
    raw = denoise(one, torch.full((len(x),), 0.25)).softmax(-1)[:, 3]
    assert (raw - tiny(one)[:, 3].softmax(-1)).abs().max() > 0.05


def test_qualities_are_those_of_masks_that_say_nothing_of_their_letters():
    denoise, x = Timed(SKEWED), torch.tensor([[0, M, 2, 1]])
    found = Steps().marginals(denoise, x)[:, 1]
    assert torch.allclose(found, tiny(x)[:, 1].softmax(-1), atol=1e-5)


def test_filling_of_many_masks_costs_little_more_than_it_must():
    """The bound of masked diffusion by this view, over all masks; far more without dividing the time's factor out."""
    denoise = Timed(SKEWED)
    filling, w = denoise.process.filling(denoise), denoise.learned().detach()

    def tilted(tokens):
        share = (tokens == M).double().mean(1)
        t = denoise.process.time_of(share, w).clamp(min=1e-6)
        return filling(tokens) + w * t.log()[:, None, None]

    tilted.symbols = 3
    scored, streams = torch.ones(81, 4, dtype=torch.bool), [Streams.of(0, range(81)) for _ in range(2)]
    ours, theirs = (
        float(tiny.p @ elbo(network, tiny.strings, scored, rng, strata=4, replicates=4).nats)
        for network, rng in zip((filling, tilted), streams, strict=True)
    )
    assert tiny.entropy < ours < tiny.entropy + 0.02 < tiny.entropy + 0.2 < theirs


@pytest.mark.parametrize("sampler", [Steps(steps=5), Thinning()], ids=lambda s: s.kind)
def test_guidance_leans_away_from_the_same_network(sampler):
    """At weights 1 and 0 it is one of the two, to the last bit; past 1 it is surer of what the first prefers."""
    start, powers = torch.full((300, 6), 4), (0.7, 1.0, 1.3, 1.1)
    one, other = (Told(MarkovChain(seed=seed), powers) for seed in (1, 2))
    plain = [sampler(network, start, rng=Streams.of(0, range(300))) for network in (one, other)]
    for weight, expected in ((1.0, plain[0]), (0.0, plain[1])):
        guided = sampler(Guided(one, other, weight), start, rng=Streams.of(0, range(300)))
        assert torch.equal(guided.tokens, expected.tokens)
        assert torch.equal(guided.log_prob, expected.log_prob)
    surer = sampler(Guided(one, other, 2.0), start, rng=Streams.of(0, range(300)))
    better = [one.module.log_prob(filled.tokens).mean() for filled in (plain[0], surer)]
    worse = [other.module.log_prob(filled.tokens).mean() for filled in (plain[0], surer)]
    assert better[1] - worse[1] > better[0] - worse[0]
    weights = sampler.marginals(Guided(one, other, 1.0), start)
    assert torch.equal(weights, sampler.marginals(one, start))


def test_guidance_between_two_schedules_is_refused():
    chain, start = MarkovChain(), torch.full((1, 4), 4)
    one = Told(chain, (0.7, 1.0, 1.3, 1.1))
    untaught = Told(chain, (0.7, 1.0, 1.3, 1.1))
    untaught.process = Masked()
    for other in (Told(chain), untaught):
        with pytest.raises(UsageError, match="other schedules"):
            Steps()(Guided(one, other, 2.0), start, rng=Streams.of(0, [0]))


def test_powers_that_went_too_far_stay_in_between_and_still_learn():
    powers = Powers(3, 1.0)
    with torch.no_grad():
        powers.raw.copy_(torch.tensor([-9.0, 0.5, 30.0]))
    values = powers()
    assert values.tolist() == pytest.approx([0.05, float(torch.nn.functional.softplus(torch.tensor(0.5))), 20.0])
    values.sum().backward()
    assert (powers.raw.grad > 0).all()
