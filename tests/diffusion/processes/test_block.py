"""Block diffusion: with exact posteriors of each block its bound is -log p and its sampler has the law of the joint."""

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from draws import every_run
from laws import distance
from oracles import Constant, FixedStreams, MarkovChain, TinyJoint
from pydantic import ValidationError

from seqdiff import recipe
from seqdiff.data.batches import Batch
from seqdiff.denoisers import Transformer
from seqdiff.diffusion.guidance import Guided
from seqdiff.diffusion.labels import Labelled
from seqdiff.diffusion.processes.block import Block, Blocks
from seqdiff.diffusion.processes.masked import Masked
from seqdiff.errors import ConfigError, SeqdiffError
from seqdiff.streams import Streams

tiny, chain = TinyJoint(), MarkovChain()
M = tiny.mask


class ByBlocks:
    """An oracle as a network of blocks: of each block it sees the letters in it and the clean ones of those before.
    What is not of the block asked for is NaN. Counts the rows it is asked."""

    def __init__(self, oracle, length):
        self.oracle, self.symbols, self.process, self.rows = oracle, oracle.symbols, Block(length=length), 0

    def __call__(self, tokens, time=None, *, clean=None, past=None):
        self.rows += len(tokens)
        length = self.process.length
        if past is not None:
            before = past.get("letters", tokens[:, :0])
            assert before.shape[1] % length == 0
            whole = torch.cat([before, tokens], 1)
            first = (whole.shape[1] - 1) // length * length
            past["letters"] = whole[:, :first]
            return self._block(whole, whole, first)[:, before.shape[1] :]
        clean = tokens if clean is None else clean
        return torch.cat(
            [self._block(tokens, clean, b)[:, b : b + length] for b in range(0, tokens.shape[1], length)], 1
        )

    def _block(self, tokens, clean, first):
        end = first + self.process.length
        row = torch.cat([clean[:, :first], tokens[:, first:end], tokens[:, end:].clamp(min=self.symbols)], 1)
        row[:, self.oracle.length if hasattr(self.oracle, "length") else row.shape[1] :] = self.symbols + 1
        wide = F.pad(row, (0, max(0, getattr(self.oracle, "length", 0) - row.shape[1])), value=self.symbols)
        logits = self.oracle(wide)[:, : row.shape[1]].clone()
        masks = row == self.symbols
        masks[:, :first] = False
        return logits.masked_fill(~masks[..., None], torch.nan)


def batch(x, weight=None):
    return Batch(x, torch.ones(x.shape) if weight is None else weight)


def small(length, **settings):
    """A network of blocks whose every weight has moved."""
    network = Transformer(width=16, depth=2, heads=2, hidden=24, block_length=length, **settings).build(4).double()
    draw = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3, generator=draw)
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_the_bound_with_exact_posteriors_is_the_likelihood_of_every_string(length):
    """T19 and F5: blocks that small take all of their masks, and there is no error."""
    network = ByBlocks(tiny, length)
    bound = Block(length=length).bound(network, strata=4, replicates=4)
    score = bound(tiny.strings, torch.ones(81, 4).bool(), Streams.of(0, range(81)))
    assert torch.allclose(score.nats, -tiny.p.log(), atol=1e-12, rtol=0)
    assert score.se.eq(0).all()
    assert score.df.isinf().all()
    assert score.positions.eq(4).all()
    assert score.calls.eq(2**length - 1).all()
    assert network.rows == score.calls.sum()


def test_the_bound_of_drawn_masks_is_unbiased_and_knows_its_error():
    x = chain.sample(120, 21, seed=2)
    bound = Block(length=9).bound(ByBlocks(chain, 9), strata=4, replicates=3)
    score = bound(x, torch.ones(x.shape).bool(), Streams.of(0, range(120)))
    error = score.nats + chain.log_prob(x)
    assert abs(error.mean()) < 4 * error.std() / 120**0.5
    assert 0.75 < score.se.square().mean().sqrt() / error.std() < 1.3
    assert (error.abs() < 1e-9).logical_not().all()


def test_the_loss_is_unbiased_for_the_likelihood():
    x, rows = tiny.strings[40], 6000
    for length in (2, 3):
        loss = Block(length=length).loss(
            ByBlocks(tiny, length), batch(x.expand(rows, -1)), Streams.of_step(0, 1, range(rows), rows)
        )
        assert loss.nats.item() / rows == pytest.approx(-tiny.p[40].log().item(), rel=0.02)


def test_blocks_of_one_letter_are_the_autoregressive_model():
    """Whatever is drawn."""
    x = chain.sample(5, 12, seed=1)
    network = ByBlocks(chain, 1)
    loss = Block(length=1).loss(network, batch(x), Streams.of(3, range(5)))
    assert loss.nats.item() == pytest.approx(-chain.log_prob(x).sum().item(), abs=1e-9)
    assert loss.count == 60
    assert Block(length=1).exact
    assert not Block(length=2).exact


def test_one_block_is_masked_diffusion():
    """The same masks give the same loss, and the same bound on average."""
    draw, x = torch.Generator().manual_seed(0), chain.sample(40, 10, seed=1)
    x[3, 4] = x[5, :2] = chain.mask
    x[7, 6:] = chain.pad
    strata, keys = (torch.rand(*shape, generator=draw, dtype=torch.float64) for shape in ((40,), (40, 1, 11)))
    weight = torch.rand(40, 10, generator=draw) * (x < 4)
    network = ByBlocks(chain, 10)
    one = Block(length=10).loss(network, batch(x, weight), FixedStreams(strata, keys))
    other = Masked().loss(chain, batch(x, weight), FixedStreams(strata, keys[:, 0, :10]))
    assert one.nats.item() == pytest.approx(other.nats.item(), abs=1e-4)
    assert one.count == other.count


def test_what_is_masked_never_depends_on_what_does_not_belong_to_a_block():
    known = torch.ones(50, 13, dtype=torch.bool)
    known[0, 2:9] = known[1, :] = False
    known[2, 6:] = False
    masked, factor = Block(length=4).corrupt(known, Streams.of_step(0, 1, range(50), 50))
    assert not (masked & ~known).any()
    for first in range(0, 13, 4):
        block = slice(first, first + 4)
        n, k = known[:, block].sum(1), masked[:, block].sum(1)
        assert ((k >= 1) == (n >= 1)).all()
        expected = n.double() / k.clamp(min=1)
        assert torch.equal(factor[:, block][n > 0], expected[n > 0, None].expand(-1, factor[:, block].shape[1]))


def test_uniforms_are_stratified_over_all_blocks_of_the_batch():
    rows, blocks = 8, 5
    u = Streams.of_step(0, 1, range(rows), rows).strata()
    spread = Block(length=2).spread(u, torch.ones(rows, blocks).bool(), torch.rand(rows, blocks).double())
    assert sorted((spread * rows * blocks).long().flatten().tolist()) == list(range(rows * blocks))
    occupied = torch.tensor([[True, False, True]])
    some = Block(length=2).spread(u[:1], occupied, torch.rand(1, 3).double())
    assert sorted((some[0, [0, 2]] * 2).long().tolist()) == [0, 1]


def test_mask_rates_are_of_training_and_evaluation_has_all():
    plain, clipped = Block(length=16), Block(length=16, mask_rates=(0.3, 0.8))
    known = torch.ones(200, 32, dtype=torch.bool)
    masked, _ = clipped.corrupt(known, Streams.of_step(0, 1, range(200), 200))
    counts = masked.unflatten(1, (2, 16)).sum(2)
    assert (counts.min(), counts.max()) == (5, 13)  # 1 + floor(16 u)
    whole, _ = plain.corrupt(known, Streams.of_step(0, 1, range(200), 200))
    counts = whole.unflatten(1, (2, 16)).sum(2)
    assert (counts.min(), counts.max()) == (1, 16)
    x = chain.sample(4, 32)
    scores = [
        process.bound(ByBlocks(chain, 16), strata=4, replicates=2)(x, x < 4, Streams.of(0, range(4)))
        for process in (plain, clipped)
    ]
    assert torch.equal(scores[0].nats, scores[1].nats)
    constant = clipped.loss(_constant(16), batch(x), Streams.of(0, range(4)))
    assert constant.nats.item() == pytest.approx(4 * 32 * math.log(4))
    with pytest.raises(ValidationError, match="the lower first"):
        Block(mask_rates=(0.8, 0.3))


def _constant(length, probabilities=(0.25,) * 4):
    network = Constant(probabilities)
    return _Blocked(network, length)


class _Blocked:
    def __init__(self, oracle, length):
        self.oracle, self.symbols, self.process, self.rows = oracle, oracle.symbols, Block(length=length), 0

    def __call__(self, tokens, time=None, *, clean=None, past=None):
        self.rows += len(tokens)
        return self.oracle(tokens)


def test_letters_of_no_weight_are_context_and_cost_nothing():
    x = chain.sample(3, 12, seed=4)
    weight = torch.ones(3, 12)
    weight[:, 5:] = 0
    loss = Block(length=1).loss(ByBlocks(chain, 1), batch(x, weight), Streams.of(0, range(3)))
    assert loss.nats.item() == pytest.approx(-chain.log_prob(x[:, :5]).sum().item(), abs=1e-9)
    assert loss.count == 15


def test_unknown_letters_are_no_letters_and_padding_changes_nothing():
    x = chain.sample(6, 14, seed=5)
    x[0, 3] = x[1, 0] = x[2, 4:8] = chain.mask
    x[3, 9:] = chain.pad
    bound = Block(length=4).bound(ByBlocks(chain, 4), strata=3, replicates=2)
    names = list("abcdef")
    together = bound(x, x < 4, Streams.of(1, names))
    wide = bound(F.pad(x, (0, 7), value=chain.pad), F.pad(x < 4, (0, 7)), Streams.of(1, names), batch_size=5)
    for field in ("nats", "se", "calls", "positions"):
        assert torch.equal(getattr(together, field), getattr(wide, field))
    alone = bound(x[3:4, :9], x[3:4, :9] < 4, Streams.of(1, ["d"]))
    assert torch.equal(alone.nats[0], together.nats[3])
    exact = Block(length=2).bound(ByBlocks(chain, 2), strata=4, replicates=1)(x, x < 4, Streams.of(1, names))
    assert torch.allclose(exact.nats, -chain.log_prob(x), atol=1e-9)


def test_a_stretch_is_scored_given_what_stands_before_and_in_its_blocks():
    x = tiny.strings
    scored = torch.zeros(81, 4, dtype=torch.bool)
    scored[:, 1] = True
    score = Block(length=2).bound(ByBlocks(tiny, 2), strata=4, replicates=1)(x, scored, Streams.of(0, range(81)))
    table = tiny.p.view(3, 3, 3, 3).sum((2, 3))
    expected = -(table / table.sum(1, keepdim=True)).log()
    assert torch.allclose(score.nats.view(3, 3, 9)[..., 0], expected, atol=1e-12)


def test_nothing_to_score_costs_nothing():
    bound = Block(length=2).bound(ByBlocks(chain, 2), strata=2, replicates=2)
    x = torch.full((2, 5), chain.mask)
    score = bound(x, x < 4, Streams.of(0, range(2)))
    assert score.nats.tolist() == [0, 0]
    assert score.calls.tolist() == [0, 0]
    empty = bound(x[:, :0], x[:, :0] < 4, Streams.of(0, range(2)))
    assert empty.nats.tolist() == [0, 0]
    assert len(bound(x[:0], x[:0] < 4, Streams.of(0, [])).nats) == 0


# -- the network ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 4, 30])
def test_nothing_leaks_from_a_block_into_itself_or_those_before(length):
    """T19: the clean letters of a block do not change what the noised half says of it and the blocks before."""
    network, x = small(length), chain.sample(2, 18, seed=1)
    z = x.masked_fill(torch.rand(x.shape, generator=torch.Generator().manual_seed(2)) < 0.5, 4)
    before = network(z, clean=x)
    for block in range(-(-18 // length)):
        moved = x.clone()
        moved[:, block * length : (block + 1) * length] += 1
        after = network(z, clean=moved % 4)
        end = min(18, (block + 1) * length)
        assert torch.equal(after[:, :end], before[:, :end])
        assert end == 18 or ((after - before)[:, end:].abs().amax(-1) > 1e-9).all()
        noised = z.clone()
        noised[:, end - 1] = (z[:, end - 1] + 1) % 4
        change = (network(noised, clean=x) - before).abs().amax((0, 2))
        assert (change[block * length : end] > 1e-9).all()
        assert change[: block * length].eq(0).all()
        assert change[end:].eq(0).all()


@pytest.mark.parametrize("learned", [False, True])
def test_the_three_ways_to_ask_agree(learned):
    settings = Transformer(width=16, depth=2, heads=2, hidden=24, block_length=4, learned_positions=learned)
    network = settings.build(4, 30).double().eval().requires_grad_(False)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x = chain.sample(3, 14, seed=1)
    x[1, 11:] = chain.pad
    x[2, 3] = chain.mask
    z = torch.where((torch.rand(3, 14) < 0.5) & (x < 4), 4, x)
    whole, past = network(z, clean=x), {}
    for first in range(0, 14, 4):
        end = min(first + 4, 14)
        row = torch.cat([x[:, :first], z[:, first:end]], 1)
        torch.testing.assert_close(network(row)[:, first:], whole[:, first:end], rtol=0, atol=1e-12)
        begin = max(0, first - 4)
        new = network(row[:, begin:], past=past)[:, first - begin :]
        torch.testing.assert_close(new, whole[:, first:end], rtol=0, atol=1e-12)
        again = network(row[:, first:], past=past)
        torch.testing.assert_close(again, whole[:, first:end], rtol=0, atol=1e-12)


def test_pads_before_the_first_letter_move_no_block():
    network, x = small(4), chain.sample(2, 11, seed=1)
    z = x.masked_fill(torch.rand(x.shape) < 0.5, 4)
    moved = network(F.pad(z, (6, 0), value=5), clean=F.pad(x, (6, 0), value=5))[:, 6:]
    torch.testing.assert_close(moved, network(z, clean=x), rtol=0, atol=1e-12)


def test_what_cannot_be_asked_is_refused():
    network, x = small(4), chain.sample(1, 6)
    with pytest.raises(ValueError, match="not both"):
        network(x, clean=x, past={})
    with pytest.raises(ValueError, match="not one of whole blocks of 4"):
        network(x, past={"present": torch.ones(1, 3).bool()})
    with pytest.raises(ValidationError, match="set one of them"):
        Transformer(causal=True, block_length=4)


# -- the sampler ------------------------------------------------------------------------------------------------------

SAMPLERS = [Blocks(), Blocks(steps=2), Blocks(particles=3)]


@pytest.fixture(params=SAMPLERS, ids=lambda s: "-".join(str(v) for v in s.model_dump(exclude_defaults=True).values()))
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
    before, network = x.clone(), ByBlocks(chain, 4)
    filled = sampler(network, x, rng=Streams.of(0, range(5)))
    assert torch.equal(x, before)
    assert torch.equal(filled.tokens[x != chain.mask], x[x != chain.mask])
    assert (filled.tokens[x == chain.mask] < 4).all()
    masks = (x == chain.mask).sum(1)
    assert ((filled.calls == 0) == (masks == 0)).all()
    assert ((filled.log_prob < 0) == (masks > 0)).all()
    # Rows 0 and 3 know letters after a mask, in later blocks.
    assert (filled.log_weight != 0).tolist() == [True, False, False, True, False]
    assert filled.ess.isnan().tolist() == [False, True, True, False, True]


def test_a_call_is_a_pass_over_a_block_whatever_the_particles(sampler):
    x, network = rows()[[1, 3, 4]], ByBlocks(chain, 4)
    x[1, 5:] = chain.pad
    filled = sampler(network, x, rng=Streams.of(0, range(3)))
    assert filled.calls.sum() == network.rows
    known = torch.tensor([[4, 4, 4, 4, 0, 1, 2, 3]])
    counts = [Blocks(particles=n)(network, known, rng=Streams.of(0, [0])).calls.item() for n in (1, 8)]
    assert counts == [4 + 4 + 1] * 2


def test_rows_that_are_alike_share_a_pass():
    network = ByBlocks(chain, 4)
    filled = Blocks()(network, torch.full((30, 4), chain.mask), rng=Streams.of(0, range(30)))
    assert len(filled.tokens.unique(dim=0)) > 5
    assert network.rows <= filled.calls.sum() - 29  # the first is one for all


def test_sets_are_obeyed_and_a_mask_that_may_be_nothing_stays(sampler):
    x = rows()
    allowed = ambiguous(x)
    filled = sampler(ByBlocks(chain, 4), x, allowed, rng=Streams.of(0, range(5)))
    fillable = (x == chain.mask) & allowed.any(-1)
    assert torch.equal(filled.tokens[~fillable], x[~fillable])
    assert ((x == chain.mask) & ~fillable).any()
    assert allowed[fillable].gather(1, filled.tokens[fillable][:, None]).all()


def test_a_row_is_bitwise_the_same_alone_and_in_a_batch_and_with_padding(sampler):
    x, names = rows(), ["a", "b", "c", "d", "e"]
    for sets in (None, ambiguous(x)):
        together = sampler(ByBlocks(chain, 4), x, sets, rng=Streams.of(7, names))
        for row, name in enumerate(names):
            length = int((x[row] != chain.pad).sum())
            some = None if sets is None else sets[row : row + 1, :length]
            alone = sampler(ByBlocks(chain, 4), x[row : row + 1, :length], some, rng=Streams.of(7, [name]))
            assert torch.equal(alone.tokens[0], together.tokens[row, :length])
            for field in ("log_prob", "log_weight", "calls"):
                assert torch.equal(getattr(alone, field)[0], getattr(together, field)[row])


def test_log_prob_and_log_weight_are_sums_with_a_constant_network():
    network = _constant(3, [0.1, 0.2, 0.3, 0.4])
    allowed = torch.ones(2, 8, 4, dtype=torch.bool)
    allowed[0, 1, 3] = allowed[0, 6, :2] = False
    x = torch.full((2, 8), 4)
    x[1, 5] = 2
    for sampler in SAMPLERS:
        plain = sampler(network, x[:1].expand(6, -1), rng=Streams.of(0, range(6)))
        torch.testing.assert_close(plain.log_prob, network.oracle.logits[plain.tokens].sum(1), rtol=0, atol=1e-12)
        filled = sampler(network, x, allowed, rng=Streams.of(0, range(2)))
        assert filled.log_weight.tolist() == pytest.approx([math.log(0.6) + math.log(0.7), math.log(0.3)])


def test_greedy_at_the_smallest_nucleus_and_cold():
    network = _constant(3, [0.2, 0.35, 0.25, 0.2])
    for update in ({"top_p": 1e-9}, {"temperature": 1e-3}):
        filled = Blocks(**update)(network, torch.full((2, 7), 4), rng=Streams.of(0, range(2)))
        assert (filled.tokens == 1).all()


def test_evidence_that_the_model_rules_out_is_filled_and_weighs_nothing():
    network = _constant(2, [0.5, 0.5, 0.0, 0.0])
    allowed = torch.ones(2, 5, 4, dtype=torch.bool)
    allowed[0, 3, :2] = False
    filled = Blocks()(network, torch.full((2, 5), 4), allowed, rng=Streams.of(0, range(2)))
    assert filled.tokens[0, 3] >= 2
    assert filled.log_weight.tolist() == [-math.inf, 0]
    assert filled.impossible.tolist() == [3, -1]
    x = torch.full((1, 5), 4)
    x[0, 4] = 3
    known = Blocks()(network, x, rng=Streams.of(0, [0]))
    assert known.log_weight.tolist() == [-math.inf]
    assert known.impossible.tolist() == [4]


def test_a_broken_network_is_an_error_for_people():
    with pytest.raises(SeqdiffError, match="not a number"):
        Blocks()(_constant(2, [math.nan, 0.5]), torch.full((1, 3), 2), rng=Streams.of(0, [0]))


def test_nothing_to_fill_is_no_pass(sampler):
    network = ByBlocks(chain, 4)
    for x in (torch.tensor([[1, 2, 5]]), torch.zeros(0, 4, dtype=torch.int64), torch.zeros(2, 0, dtype=torch.int64)):
        filled = sampler(network, x, rng=Streams.of(0, range(len(x))))
        assert torch.equal(filled.tokens, x)
    assert network.rows == 0


@pytest.mark.parametrize(("length", "seed"), [(2, 0), (3, 1)])
def test_one_letter_a_pass_has_the_law_of_the_joint(length, seed, monkeypatch):
    """Every way in which the values can go, in the order that a seed gives: 1e-12."""
    runs = every_run(monkeypatch, partial(_draw, Blocks(), ByBlocks(tiny, length), torch.full((1, 4), M), seed))
    assert distance(_law(runs)) < 1e-12


def test_letters_known_in_later_blocks_are_weighed_exactly(monkeypatch):
    """By enumeration: of one particle, E[W] is the probability of what is known, and the weighted law the conditional.

    Where something is known in its own block and the ones before it alone, the plain law is."""
    for known, length in (((1, 2), 2), ((3,), 2), ((1, 3), 1), ((2, 3), 2)):
        x = torch.full((1, 4), M)
        x[0, list(known)] = tiny.strings[50, list(known)]
        expected, mass = tiny.posterior(x[0])
        runs = every_run(monkeypatch, partial(_draw, Blocks(particles=1), ByBlocks(tiny, length), x, 1))
        weights = [(p * math.exp(filled.log_weight.item()), filled) for p, filled in runs]
        before = {(1, 2): tiny.strings[:, 1] == x[0, 1]}.get(known)
        given = 1.0 if before is None else float(tiny.p[before].sum())
        assert sum(w for w, _ in weights) == pytest.approx(mass / given, abs=1e-12)
        total = sum(w for w, _ in weights)
        assert distance(_law([(w / total, filled) for w, filled in weights]), expected) < 1e-12


def test_particles_have_an_unbiased_weight_and_come_to_the_conditional():
    x = torch.full((1, 4), M)
    x[0, 3] = 1
    expected, mass = tiny.posterior(x[0])
    filled = Blocks(particles=8)(ByBlocks(tiny, 2), x.expand(400, -1), rng=Streams.of(0, range(400)))
    weights = filled.log_weight.exp()
    assert abs(weights.mean() - mass) < 4 * weights.std() / 400**0.5
    index = (filled.tokens * 3 ** torch.arange(3, -1, -1)).sum(1)
    found = index.bincount(minlength=81) / 400
    assert (found - expected).abs().sum() / 2 < 0.12
    assert (filled.ess >= 1).all()
    assert (filled.ess <= 8).all()


def test_evidence_is_weighed(monkeypatch):
    evidence = torch.tensor([[[0.9, 0.05, 0.05], [0, 0.3, 0.7], [1, 1, 1], [1, 1, 0]]], dtype=torch.float64)
    expected, mass = tiny.posterior([M] * 4, evidence[0])
    run = partial(_draw, Blocks(particles=1), ByBlocks(tiny, 2), torch.full((1, 4), M), 0, evidence)
    weights = [(p * math.exp(filled.log_weight.item()), filled) for p, filled in every_run(monkeypatch, run)]
    assert sum(w for w, _ in weights) == pytest.approx(mass, abs=1e-12)
    assert distance(_law([(w / mass, filled) for w, filled in weights]), expected) < 1e-12


def _draw(sampler, network, x, seed, evidence=None):
    return sampler(network, x, evidence, rng=Streams.of(seed, [0]))


def _law(runs):
    law = {}
    for probability, filled in runs:
        key = tuple(filled.tokens[0].tolist())
        law[key] = law.get(key, 0.0) + probability
    return law


@pytest.mark.parametrize("steps", [None, 2])
def test_what_is_kept_of_earlier_blocks_changes_no_letter(steps):
    """Of a real network, against passes over the whole row without a past."""
    network = small(4)
    network.process = Block(length=4)

    class Whole:
        symbols, process = 4, network.process

        def __init__(self):
            self.letters = 0

        def __call__(self, tokens, time=None, *, clean=None, past=None):
            if clean is not None:
                return network(tokens, clean=clean)
            before = past.get("letters", tokens[:, :0])
            row = torch.cat([before, tokens], 1)
            past["letters"] = row[:, : (row.shape[1] - 1) // 4 * 4]
            return network(row)[:, before.shape[1] :]

    x = rows()
    x[2, 1:3] = x[2, 15] = chain.mask
    one, other = (Blocks(steps=steps, particles=4)(each, x, rng=Streams.of(0, range(5))) for each in (network, Whole()))
    assert torch.equal(one.tokens, other.tokens)
    torch.testing.assert_close(one.log_prob, other.log_prob, rtol=0, atol=1e-9)
    torch.testing.assert_close(one.log_weight, other.log_weight, rtol=0, atol=1e-9)


def test_a_pass_costs_a_block_and_the_one_before_once():
    read = []

    class Spy(ByBlocks):
        def __call__(self, tokens, time=None, *, clean=None, past=None):
            read.append(tokens.shape[1])
            return super().__call__(tokens, clean=clean, past=past)

    Blocks()(Spy(chain, 4), torch.full((2, 14), 4), rng=Streams.of(0, range(2)))
    assert read == [4, 4, 4, 4, 8, 4, 4, 4, 8, 4, 4, 4, 6, 2, 14]
    read.clear()
    Blocks(steps=1)(Spy(chain, 4), torch.full((2, 14), 4), rng=Streams.of(0, range(2)))
    assert read == [4, 8, 8, 6, 14]  # the last for the marginals


def test_marginals_are_those_given_the_blocks_before_and_what_is_known_of_their_own():
    x = torch.full((1, 4), M)
    x[0, 3] = 1
    filled = Blocks(particles=2)(ByBlocks(tiny, 2), x, rng=Streams.of(0, [0]))
    assert torch.allclose(filled.marginals[:, :2].double(), tiny(torch.full((1, 4), M)).softmax(-1)[:, :2])
    state = filled.tokens.clone()
    state[:, 2] = M
    assert torch.allclose(filled.marginals[:, 2].double(), tiny(state).softmax(-1)[:, 2])


class Joined:
    """Two oracles as one network of blocks that takes labels; label 2 is "not told"."""

    def __init__(self, length, *oracles):
        self.networks, self.process = [ByBlocks(oracle, length) for oracle in oracles], Block(length=length)
        self.symbols = oracles[0].symbols

    def __call__(self, tokens, time=None, labels=None, **blocks):
        return self.networks[int(labels[0])](tokens, **blocks)


def test_a_network_is_told_the_class_and_may_be_guided():
    """Of weight 1 it is the conditional network, of 0 the unconditional one; between them neither."""
    both, x = Joined(3, chain, MarkovChain(seed=1)), rows()
    one, other = Labelled(both, 0), Labelled(both, 1)
    x[0, 16] = chain.mask

    def drawn(network):
        return Blocks(particles=4)(network, x, rng=Streams.of(0, range(5)))

    assert torch.equal(drawn(one).tokens, drawn(ByBlocks(chain, 3)).tokens)
    for weight, same in ((1.0, one), (0.0, other)):
        guided, plain = drawn(Guided(one, other, weight)), drawn(same)
        assert torch.equal(guided.tokens, plain.tokens)
        assert torch.equal(guided.log_weight, plain.log_weight)
    assert not torch.equal(drawn(Guided(one, other, 2.0)).tokens, drawn(one).tokens)
    begin = torch.full((1, 3), chain.mask)
    found = [Blocks()(each, begin, rng=Streams.of(0, [0])).marginals for each in (one, other, Guided(one, other, 2.0))]
    torch.testing.assert_close(found[2], (2 * found[0].log() - found[1].log()).softmax(-1))


def test_classes_of_rows_go_through_the_loss_and_the_bound():
    both, x = Joined(2, chain, MarkovChain(seed=1)), chain.sample(4, 8)
    told, plain = Labelled(both, 1), ByBlocks(MarkovChain(seed=1), 2)
    losses = [Block(length=2).loss(each, batch(x), Streams.of(0, range(4))).nats for each in (told, plain)]
    assert losses[0] == losses[1]
    bounds = [
        Block(length=2).bound(each, strata=4, replicates=1)(x, x < 4, Streams.of(0, range(4))) for each in (told, plain)
    ]
    assert torch.equal(bounds[0].nats, bounds[1].nats)


def test_the_compiler_sees_one_graph_of_both_halves():
    network, x = small(4), chain.sample(2, 12)
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    z = x.masked_fill(torch.rand(x.shape) < 0.5, 4)
    torch.testing.assert_close(compiled(z, clean=x), network(z, clean=x))


def test_a_recipe_pairs_blocks_of_one_length():
    settings = {"process": {"kind": "block", "length": 8}, "denoiser": {"kind": "transformer", "block_length": 8}}
    values = recipe.read_values(recipe.find("demo")) | settings
    assert recipe.parse(values, "here").network().block_length == 8
    for network, words in (
        ({"kind": "transformer", "block_length": 4}, "blocks of 8 letters.*set denoiser.block_length=8"),
        ({"kind": "transformer"}, "blocks of 8 letters.*set denoiser.block_length=8"),
        ({"kind": "mamba"}, "choose a transformer"),
    ):
        with pytest.raises(ConfigError, match=words):
            recipe.parse(values | {"denoiser": network}, "here")
    with pytest.raises(ConfigError, match="process 'masked' has no blocks, and this network sees none after"):
        recipe.parse(values | {"process": {"kind": "masked"}}, "here")
