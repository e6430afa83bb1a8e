import itertools
import math

import pytest
import torch
from oracles import Blind, Constant, Hollow, MarkovChain, TinyJoint, members
from scipy.special import stdtrit

from seqdiff.diffusion.denoise import is_hollow
from seqdiff.diffusion.likelihood import Elbo, ScorerConfig, elbo, masked_nats
from seqdiff.streams import Streams

chain = MarkovChain()


def by_enumeration(denoise, tokens, scored):
    """The bound of one row over every mask of its scored letters."""
    sites = scored.nonzero()[:, 0].tolist()
    total = 0.0
    for k in range(1, len(sites) + 1):
        masked = torch.zeros(math.comb(len(sites), k), len(tokens), dtype=torch.bool)
        for row, chosen in enumerate(itertools.combinations(sites, k)):
            masked[row, list(chosen)] = True
        rows = tokens.expand(len(masked), -1)
        total += masked_nats(denoise, rows, masked, masked, denoise.symbols, tokens.device).mean().item() / k
    return total


def test_all_masks_of_a_region_give_its_exact_conditional_probability():
    x = chain.sample(1, 24)[0]
    scored = torch.zeros(24, dtype=torch.bool)
    scored[[3, 4, 5, 9, 10, 14, 15, 21]] = True
    context = x.masked_fill(scored, chain.mask)
    for hidden in ([], [0, 6, 7, 20, 23]):  # hidden: neither scored nor known, summed over
        seen, known = x.clone(), context.clone()
        seen[hidden] = known[hidden] = chain.mask
        exact = (chain.log_prob(known[None]) - chain.log_prob(seen[None])).item()
        assert by_enumeration(Blind(chain), seen, scored) == pytest.approx(exact, abs=1e-9)


def test_bound_is_within_its_error_of_the_exact_value_and_the_error_is_right():
    """500 rows of one question: unbiased within 4 standard errors, and the stated errors match the spread."""
    x = chain.sample(1, 24).expand(500, -1)
    scored = torch.zeros(500, 24, dtype=torch.bool)
    scored[:, 8:16] = True
    exact = (chain.log_prob(x[:1].masked_fill(scored[:1], 4)) - chain.log_prob(x[:1])).item()
    score = elbo(chain, x, scored, Streams.of(0, range(500)), strata=4, replicates=4, batch_size=500)
    assert (score.positions == 8).all()
    assert abs(score.nats.mean().item() - exact) < 4 * score.nats.std().item() / 500**0.5
    assert (score.se**2).mean().sqrt().item() == pytest.approx(score.nats.std().item(), rel=0.15)


def test_two_letters_are_exact_up_to_which_one_is_hidden():
    tiny = TinyJoint(symbols=3, length=2)
    for x, p in zip(tiny.strings, tiny.p, strict=True):
        masks = torch.tensor([[1, 1], [1, 0], [0, 1]]).bool()
        both = masked_nats(tiny, x.expand(3, 2), masks, masks, 3, x.device)
        assert (both[0] / 2 + (both[1] + both[2]) / 2).item() == pytest.approx(-p.log().item(), abs=1e-12)
        score = elbo(tiny, x[None], (x >= 0)[None], Streams.of(0, [0]), strata=1, replicates=1)
        assert any(score.nats.item() == pytest.approx((both[0] / 2 + one).item()) for one in both[1:])
        assert score.se.isnan()


@pytest.mark.parametrize("kind", [Blind, Hollow])
def test_of_few_letters_all_masks_are_taken_and_the_bound_is_exact(kind):
    """Pointwise on O1, and of a region between known and unknown letters on O2."""
    tiny, x = TinyJoint(), TinyJoint().strings
    network = kind(tiny)
    score = elbo(network, x, x >= 0, Streams.of(0, range(81)), strata=5, replicates=3, batch_size=2000)
    assert (score.nats + tiny.log_prob(x)).abs().max() < 1e-12
    assert (score.se == 0).all()
    assert score.df.isinf().all()
    assert (score.calls == 15).all()
    assert network.rows == 81 * 15

    x = chain.sample(3, 16)
    x[:, [1, 7, 12]] = chain.mask
    scored = torch.zeros_like(x, dtype=torch.bool)
    scored[:, [3, 4, 5, 6, 8, 9, 10, 11]] = True
    score = elbo(kind(chain), x, scored, Streams.of(0, range(3)), strata=64, replicates=4, batch_size=255)
    exact = chain.log_prob(x.masked_fill(scored, chain.mask)) - chain.log_prob(x)
    assert (score.nats - exact).abs().max() < 1e-9
    assert score.calls.tolist() == [255] * 3


def test_constant_network_costs_ln_k_a_letter_without_error():
    tokens = torch.tensor([[0, 1, 2, 3, 0], [0, 1, 4, 5, 5]])
    score = elbo(Constant([0.25] * 4), tokens, tokens < 4, Streams.of(0, range(2)))
    assert score.nats.tolist() == pytest.approx([5 * math.log(4), 2 * math.log(4)], rel=1e-12)
    assert score.se.tolist() == pytest.approx([0, 0], abs=1e-12)


def test_no_letter_costs_nothing_and_one_letter_is_exact_in_one_pass():
    network = Blind(chain)
    tokens = torch.tensor([[4, 4, 5], [1, 4, 5], [1, 2, 3]])
    score = elbo(network, tokens, torch.tensor([[1, 1, 1], [1, 1, 1], [0, 1, 0]]).bool(), Streams.of(0, range(3)))
    assert score.positions.tolist() == [0, 1, 1]
    assert score.se.tolist() == [0, 0, 0]
    assert score.nats[0] == 0
    assert score.nats[1].item() == pytest.approx(-chain.log_prob(tokens[1:2]).item())
    context = torch.tensor([[1, 4, 3]])
    assert score.nats[2].item() == pytest.approx((chain.log_prob(context) - chain.log_prob(tokens[2:])).item())
    assert network.rows == 2


def test_no_more_rows_a_pass_than_the_batch_size_and_no_more_passes_than_needed():
    x = chain.sample(3, 10)
    results = []
    for batch_size in (1, 7, 1000):
        network = Blind(chain)
        results.append(elbo(network, x, x >= 0, Streams.of(0, range(3)), strata=4, replicates=2, batch_size=batch_size))
        assert network.rows == 3 * (1 + 8)
        assert network.largest == min(batch_size, 27)
    assert all(torch.equal(r.nats, results[0].nats) for r in results)


def test_a_row_does_not_depend_on_its_neighbours_or_its_padding():
    lengths = [12, 20, 5]
    x = chain.sample(3, 20)
    x[torch.arange(20) >= torch.tensor(lengths)[:, None]] = chain.pad
    together = elbo(Blind(chain), x, x < 4, Streams.of(0, "abc"))
    for row, (name, length) in enumerate(zip("abc", lengths, strict=True)):
        one = x[row : row + 1, :length]
        alone = elbo(Blind(chain), one, one < 4, Streams.of(0, name), batch_size=5)
        assert torch.equal(alone.nats[0], together.nats[row])
        assert torch.equal(alone.se[0], together.se[row])
    assert together.positions.tolist() == lengths
    perplexity = math.exp(together.nats.sum() / together.positions.sum())
    mean_of_perplexities = (together.nats / together.positions).exp().mean().item()
    assert abs(perplexity - mean_of_perplexities) > 1e-3  # ratio of sums, not mean of ratios


class Spy(Constant):
    """Remembers the masks that it has seen."""

    def __init__(self, probabilities, hollow=False):
        super().__init__(probabilities)
        self.hollow, self.seen = hollow, []

    def __call__(self, tokens, time=None):
        self.seen.append(tokens == 4)
        return super().__call__(tokens)


def masks_of(letters, probabilities=(0.25, 0.25, 0.25, 0.25), *, hollow=False, **settings):
    spy = Spy(list(probabilities), hollow)
    x = chain.sample(1, letters)
    elbo(spy, x, x >= 0, Streams.of(3, ["record"]), **settings)
    return torch.cat(spy.seen)


def test_one_name_one_set_of_masks_whatever_the_network():
    assert torch.equal(masks_of(15), masks_of(15, (0.4, 0.3, 0.2, 0.1)))


def test_every_stratum_has_a_mask_and_those_of_few_letters_are_narrower():
    whole, *drawn = masks_of(64).sum(1)
    assert whole == 64
    for replicate in torch.stack(drawn).view(4, 16):
        assert replicate.min() == 1
        assert 55 < replicate.max() <= 63
        assert (replicate.diff() >= 0).all()
        assert 8 <= (replicate <= 16).sum() <= 9  # 1 + 63 (8/16)^2 lies in 16


def test_hollow_networks_are_asked_in_pairs_of_which_one_hides_what_the_other_shows():
    for strata, middle in ((16, 0), (5, 1)):
        masks = masks_of(15, hollow=True, strata=strata).view(4, strata, 15)
        assert (masks.shape[1] - middle) % 2 == 0
        pairs = masks[:, : strata - middle].view(4, -1, 2, 15)
        assert (pairs.sum(2) == 1).all()
        counts = pairs[:, :, 0].sum(-1)
        assert (counts.diff() >= 0).all()
        assert (counts <= 7).all()
    for strata in (16, 5):
        drawn = masks_of(15, hollow=True, strata=strata, antithetic=False).view(4, strata, 15).sum(-1)
        assert (drawn == drawn.sort(1).values).all()
        assert (drawn * strata // 16 - torch.arange(strata)).abs().max() <= 1


@pytest.mark.parametrize("kind", [Blind, Hollow])
def test_95_percent_intervals_hold_the_exact_value_95_times_in_100(kind):
    """1,000 sequences and masks at the command line's defaults; 1.96 standard errors would hold it too rarely."""
    network, rows = kind(chain), 1000
    x = chain.sample(rows, 16, seed=1)
    scorer = Elbo.of_draws(32, is_hollow(network))
    score = scorer(network, x, x >= 0, Streams.of(0, range(rows)), batch_size=4096)
    wrong = (score.nats + chain.log_prob(x)).abs()
    quantile = torch.from_numpy(stdtrit(score.df.numpy(), 0.975))
    assert 0.93 <= (wrong <= quantile * score.se).double().mean() <= 0.97
    assert (quantile > 2).all()
    assert (score.df >= scorer.replicates - 1).all()
    assert 8 < score.df.median() < 16


def test_inputs_are_left_as_they_were_and_no_gradient_is_kept():
    x = chain.sample(2, 8)
    before = x.clone()
    weight = torch.zeros(4, requires_grad=True)

    def network(tokens):
        return chain(tokens) + weight

    assert not elbo(network, x, x >= 0, Streams.of(0, range(2))).nats.requires_grad
    assert torch.equal(x, before)


@pytest.mark.parametrize("member", members(ScorerConfig))
def test_every_scorer_keeps_the_contract(member):
    scorer = member()
    assert type(scorer).model_validate_json(scorer.model_dump_json()) == scorer
    x = torch.cat([chain.sample(2, 6), torch.full((1, 6), chain.mask)])
    before = x.clone()
    scores = [scorer(Blind(chain), x, x < 4, Streams.of(0, range(3)), batch_size=size) for size in (2, 50)]
    assert torch.equal(x, before)
    for score in scores:
        assert score.nats.dtype == score.se.dtype == torch.float64
        assert score.positions.tolist() == [6, 6, 0]
        assert torch.equal(score.nats, scores[0].nats)
        assert (score.nats[:2] > 0).all()


def test_the_hollow_bound_is_the_same_and_its_error_much_smaller():
    chain = MarkovChain()
    x = chain.sample(200, 48, seed=5)
    exact = -chain.log_prob(x)
    scores = {}
    for name, denoise in (("hollow", Hollow(chain)), ("plain", chain)):
        scores[name] = elbo(denoise, x, x < 4, Streams.of(1, range(200)), strata=8, replicates=4, batch_size=512)
        wrong = scores[name].nats - exact
        assert abs(wrong.mean()) < 4 * wrong.std() / 200**0.5
    spread = {name: (score.nats - exact).std() for name, score in scores.items()}
    assert spread["hollow"] < 0.5 * spread["plain"]
    # The error that is claimed is the one that is made.
    claimed = scores["hollow"].se.square().mean().sqrt()
    assert float(claimed) == pytest.approx(float(spread["hollow"]), rel=0.2)


def test_the_hollow_bound_of_a_region_is_conditional_and_takes_no_extra_pass():
    chain = MarkovChain()
    x = chain.sample(300, 12, seed=6)
    region = torch.zeros_like(x, dtype=torch.bool)
    region[:, 4:10] = True
    denoise = Hollow(chain)
    score = elbo(denoise, x, region, Streams.of(2, range(300)), strata=8, replicates=2, batch_size=512)
    exact = -(chain.log_prob(x) - chain.log_prob(x.masked_fill(region, 4)))
    wrong = score.nats - exact
    assert abs(wrong.mean()) < 4 * wrong.std() / 300**0.5
    assert denoise.rows == 300 * 16
    assert score.positions.tolist() == [6] * 300


def test_the_hollow_bound_of_one_letter_is_exact_and_of_none_nothing():
    chain = MarkovChain()
    x = torch.tensor([[2, 4, 4], [4, 4, 4]])
    score = elbo(Hollow(chain), x, x < 4, Streams.of(3, range(2)), strata=2, replicates=2)
    assert float(score.nats[0]) == pytest.approx(-float(chain.log_prob(x[:1])), abs=1e-9)
    assert score.se.tolist() == [0, 0]
    assert score.nats[1] == 0
