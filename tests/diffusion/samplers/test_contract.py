"""What every sampler promises, over all members of the union: a new sampler is tested by its line there."""

import math

import pytest
import torch
from oracles import Blind, Constant, MarkovChain, members
from pydantic import TypeAdapter, ValidationError

from seqdiff.diffusion.samplers import Bounded, Confident, Correct, Remask, SamplerConfig
from seqdiff.errors import SeqdiffError
from seqdiff.streams import Streams

chain = MarkovChain()
SAMPLERS = [member() for member in members(SamplerConfig)] + [
    Confident(order="sample-then-choose", score="probability"),
    Confident(steps=3, score="margin"),
    Bounded(bound=0.0),
    *[Remask(strategy=strategy) for strategy in ("rescale", "confidence", "loop")],
    Remask(eta=0.5, steps=9, grid="cosine"),
    Correct(choose="least-certain", steps=2),
    Correct(predictor="exact", moves=3, positions=3),
    TypeAdapter(SamplerConfig).validate_python({"kind": "ancestral", "grid": "cosine", "steps": 4, "top_p": 0.9}),
]


@pytest.fixture(
    params=SAMPLERS, ids=lambda s: "-".join(str(v) for v in s.model_dump(exclude_defaults=True).values()) or s.kind
)
def sampler(request):
    return request.param


def rows():
    """Rows with 0, few and all letters masked, of different lengths, padded on the right."""
    x = chain.sample(5, 18, seed=3)
    x[0, 4:9] = chain.mask
    x[1, :] = chain.mask
    x[3, ::2] = chain.mask
    x[4, 0] = chain.mask
    x[torch.arange(18) >= torch.tensor([18, 7, 18, 13, 1])[:, None]] = chain.pad
    return x


def ambiguous(x):
    """Sets for each position: pairs, singletons, nothing at all, and everything."""
    allowed = torch.ones(*x.shape, 4, dtype=torch.bool)
    allowed[:, 1::4] = torch.tensor([True, False, True, False])
    allowed[:, 2::5] = torch.tensor([False, False, False, True])
    allowed[:, 6] = False
    return allowed


def test_every_mask_is_filled_and_nothing_else_is_touched(sampler):
    x = rows()
    before = x.clone()
    filled = sampler(Blind(chain), x, rng=Streams.of(0, range(5)))
    assert torch.equal(x, before)
    assert filled.tokens.dtype == x.dtype
    assert torch.equal(filled.tokens[x != chain.mask], x[x != chain.mask])
    assert (filled.tokens[x == chain.mask] < 4).all()
    assert (filled.log_weight == 0).all()
    assert filled.log_prob.dtype == filled.log_weight.dtype == torch.float64
    assert filled.calls.dtype == torch.int64
    masks = (x == chain.mask).sum(1)
    assert sampler.revisits or (filled.calls <= masks).all()
    assert ((filled.calls == 0) == (masks == 0)).all()
    assert ((filled.log_prob < 0) == (masks > 0)).all()


def test_allowed_sets_are_obeyed_and_a_mask_that_may_be_nothing_stays(sampler):
    x = rows()
    allowed = ambiguous(x)
    filled = sampler(Blind(chain), x, allowed, rng=Streams.of(0, range(5)))
    masks = x == chain.mask
    fillable = masks & allowed.any(-1)
    assert torch.equal(filled.tokens[~fillable], x[~fillable])
    assert (masks & ~fillable).any()
    assert allowed[fillable].gather(1, filled.tokens[fillable][:, None]).all()
    drawn = (fillable & (allowed.sum(-1) > 1)).sum(1)
    assert sampler.revisits or (filled.calls <= drawn * getattr(sampler, "particles", 1)).all()
    pairs = (fillable & (allowed.sum(-1) == 2)).any(1)
    assert torch.equal(filled.log_weight < 0, pairs)


def test_likelihoods_of_letters_are_obeyed_and_weigh_what_the_network_makes_of_them(sampler):
    """Soft evidence: what is impossible is never drawn, and with a constant network each Z is a sum that is known."""
    network = Constant([0.1, 0.2, 0.3, 0.4])
    plain = sampler.model_copy(update={"top_p": 1.0})
    evidence = torch.ones(2, 5, 4, dtype=torch.float64)
    evidence[0, 1] = torch.tensor([0.97, 0.01, 0.01, 0.01])
    evidence[0, 3] = torch.tensor([0.5, 0.0, 0.25, 0.0])
    filled = plain(network, torch.full((2, 5), 4), evidence, rng=Streams.of(0, range(2)))
    assert filled.log_weight.tolist() == pytest.approx([math.log(0.106) + math.log(0.125), 0])
    if not sampler.draws:
        assert filled.tokens[0, [1, 3]].tolist() == [0, 2]
        return
    many = plain(network, torch.full((300, 5), 4), evidence[:1].expand(300, -1, -1), rng=Streams.of(0, range(300)))
    assert set(many.tokens[:, 3].tolist()) == {0, 2}
    if getattr(sampler, "choose", "random") == "least-certain":
        return  # it redraws the letters that are improbable until they are not
    called = (many.tokens[:, 1] == 0).double().mean().item()
    assert abs(called - 0.097 / 0.106) < 4 * (0.915 * 0.085 / 300) ** 0.5


def test_a_single_allowed_letter_is_filled_in_first_and_for_free(sampler):
    x = torch.full((1, 6), chain.mask)
    text = torch.tensor([[2, 0, 1, 3, 3, 0]])
    network = Blind(chain)
    filled = sampler(network, x, torch.nn.functional.one_hot(text, 4).bool(), rng=Streams.of(0, [0]))
    assert torch.equal(filled.tokens, text)
    assert (filled.log_prob.item(), filled.log_weight.item(), filled.calls.item(), network.rows) == (0, 0, 0, 0)

    seen = []

    class Spy(MarkovChain):
        def __call__(self, tokens, time=None):
            seen.append(tokens.clone())
            return super().__call__(tokens)

    allowed = torch.ones(1, 6, 4, dtype=torch.bool)
    allowed[0, 5] = torch.tensor([False, False, True, False])
    sampler(Spy(), x, allowed, rng=Streams.of(0, [0]))
    assert seen[0].tolist() == [[4, 4, 4, 4, 4, 2]]


def test_the_most_restricted_letters_come_first(sampler):
    x = torch.full((1, 8), chain.mask)
    allowed = torch.ones(1, 8, 4, dtype=torch.bool)
    allowed[0, [2, 7]] = torch.tensor([True, True, True, False])
    allowed[0, 5] = torch.tensor([False, True, True, False])
    order = []

    class Spy(MarkovChain):
        def __call__(self, tokens, time=None):
            order.append((tokens[0] != 4).nonzero()[:, 0].tolist())
            return super().__call__(tokens)

    filled = sampler(Spy(), x, allowed, rng=Streams.of(1, [0]))
    order = [*order[: 1 if sampler.revisits else None], list(range(8))]
    freedom = {5: 2, 2: 3, 7: 3}
    for known in order:
        inside = [freedom.get(i, 4) for i in known]
        outside = [freedom.get(i, 4) for i in range(8) if i not in known]
        assert max(inside, default=0) <= min(outside, default=9)
    assert filled.log_weight.item() < 0


def test_a_row_is_bitwise_the_same_alone_and_in_a_batch_and_with_padding(sampler):
    x = rows()
    allowed = ambiguous(x)
    names = ["a", "b", "c", "d", "e"]
    for sets in (None, allowed):
        together = sampler(Blind(chain), x, sets, rng=Streams.of(7, names))
        for row, name in enumerate(names):
            length = int((x[row] != chain.pad).sum())
            some = None if sets is None else sets[row : row + 1, :length]
            alone = sampler(Blind(chain), x[row : row + 1, :length], some, rng=Streams.of(7, [name]))
            assert torch.equal(alone.tokens[0], together.tokens[row, :length])
            for field in ("log_prob", "log_weight", "calls"):
                assert torch.equal(getattr(alone, field)[0], getattr(together, field)[row])


def test_streams_of_other_seeds_draw_other_rows(sampler):
    x = torch.full((40, 18), chain.mask)
    filled = sampler(chain, x, rng=Streams.of(0, range(40)))
    assert filled.tokens.unique(dim=0).shape[0] > 5 if sampler.draws else len(filled.tokens.unique(dim=0)) == 1
    again = sampler(chain, x, rng=Streams.of(0, range(40)))
    assert torch.equal(filled.tokens, again.tokens)


def test_calls_count_the_rows_that_the_network_sees(sampler):
    network = Blind(chain)
    filled = sampler(network, rows(), rng=Streams.of(0, range(5)))
    assert filled.calls.sum().item() == network.rows


def test_nothing_to_fill_is_no_pass(sampler):
    network = Blind(chain)
    for x in (torch.tensor([[1, 2, 5]]), torch.zeros(0, 4, dtype=torch.int64), torch.zeros(2, 0, dtype=torch.int64)):
        filled = sampler(network, x, rng=Streams.of(0, range(len(x))))
        assert torch.equal(filled.tokens, x)
        assert filled.calls.tolist() == [0] * len(x)
    assert network.rows == 0


def test_log_prob_is_that_of_the_values_drawn(sampler):
    """With a constant network every pass sees the same mu, so it is a sum over the filled letters."""
    network = Constant([0.1, 0.2, 0.3, 0.4])
    plain = sampler.model_copy(update={"top_p": 1.0})
    filled = plain(network, torch.full((6, 9), 4), rng=Streams.of(0, range(6)))
    expected = network.logits[filled.tokens].sum(1)
    torch.testing.assert_close(filled.log_prob, expected, rtol=0, atol=1e-12)


def test_log_weight_is_the_mass_of_the_sets(sampler):
    network = Constant([0.1, 0.2, 0.3, 0.4])
    plain = sampler.model_copy(update={"top_p": 1.0})
    allowed = torch.ones(2, 5, 4, dtype=torch.bool)
    allowed[0, 1, 3] = allowed[0, 3, :2] = False
    filled = plain(network, torch.full((2, 5), 4), allowed, rng=Streams.of(0, range(2)))
    assert filled.log_weight.tolist() == pytest.approx([math.log(0.6) + math.log(0.7), 0])


def test_greedy_at_the_smallest_nucleus_and_cold(sampler):
    network = Constant([0.2, 0.35, 0.25, 0.2])
    for update in ({"top_p": 1e-9}, {"temperature": 1e-3}):
        filled = sampler.model_copy(update=update)(network, torch.full((2, 7), 4), rng=Streams.of(0, range(2)))
        assert (filled.tokens == 1).all()


def test_evidence_that_the_model_rules_out_is_filled_and_weighs_nothing(sampler):
    network = Constant([0.5, 0.5, 0.0, 0.0])
    allowed = torch.ones(2, 3, 4, dtype=torch.bool)
    allowed[0, 1, :2] = False
    filled = sampler(network, torch.full((2, 3), 4), allowed, rng=Streams.of(0, range(2)))
    assert filled.tokens[0, 1] >= 2
    assert filled.log_weight.tolist() == [-math.inf, 0]
    assert filled.tokens[1].max() < 2


def test_a_broken_network_is_an_error_for_people(sampler):
    with pytest.raises(SeqdiffError, match="not a number"):
        sampler(Constant([math.nan, 0.5]), torch.full((1, 3), 2), rng=Streams.of(0, [0]))


def test_no_gradient_and_no_writing_into_the_network(sampler):
    logits = torch.randn(3, 6, 4, requires_grad=True)
    before = logits.detach().clone()

    def network(tokens):
        assert not torch.is_grad_enabled()
        return logits[: len(tokens)]

    filled = sampler(network, torch.full((3, 6), 4), rng=Streams.of(0, range(3)))
    assert not filled.log_prob.requires_grad
    assert torch.equal(logits.detach(), before)


@pytest.mark.parametrize("member", members(SamplerConfig))
def test_every_sampler_is_read_by_its_kind_and_refuses_nonsense(member):
    adapter = TypeAdapter(SamplerConfig)
    sampler = member()
    assert adapter.validate_json(sampler.model_dump_json()) == sampler
    for wrong in ({"temperature": 0}, {"top_p": 0}, {"top_p": 1.5}, {"stepz": 3}):
        with pytest.raises(ValidationError):
            adapter.validate_python({"kind": sampler.kind, **wrong})
