import itertools
import math

import numpy as np
import pytest
import torch
from oracles import Blind, Constant, FixedStreams, MarkovChain, TinyJoint, members
from pydantic import ValidationError

from seqdiff.data.batches import Batch
from seqdiff.diffusion.processes import Masked, ProcessConfig
from seqdiff.diffusion.schedule import Cosine, Geometric, Linear, Polynomial
from seqdiff.streams import Streams

tiny = TinyJoint()
patterns = torch.tensor(list(itertools.product([False, True], repeat=4)))
ESTIMATORS = [
    Masked(),
    Masked(estimator="bernoulli"),
    Masked(estimator="bernoulli", schedule=Geometric()),
]


@pytest.fixture(params=ESTIMATORS, ids=lambda p: f"{p.estimator}-{p.schedule.kind if p.schedule else 'none'}")
def process(request):
    return request.param


def mean_loss(process, x, strata, masked, probabilities):
    """The mean of `loss` over rows (stratum, mask pattern) with given probabilities."""
    rng = FixedStreams(strata, 1.0 - masked.double())
    weight = probabilities[:, None].expand(masked.shape)
    return process.loss(Blind(tiny), Batch(x.expand(len(strata), -1), weight), rng).nats.item()


def bernoulli_bound(curve, x, nodes=60):
    """The continuous bound of one string: Gauss-Legendre in t, all mask patterns at each node."""
    points, weights = np.polynomial.legendre.leggauss(nodes)
    t = torch.from_numpy((points + 1) / 2).repeat_interleave(16)
    masked = patterns.repeat(nodes, 1)
    share, sizes = curve.masked(t), masked.sum(1)
    probabilities = share**sizes * (1 - share) ** (4 - sizes)
    probabilities *= torch.from_numpy(weights / 2).repeat_interleave(16)
    return mean_loss(Masked(estimator="bernoulli", schedule=curve), x, t, masked, probabilities)


def exact_count_bound(x):
    masked = patterns[1:]
    k = masked.sum(1)
    ways = torch.tensor([math.comb(4, int(size)) for size in k], dtype=torch.float64)
    return mean_loss(Masked(), x, (k - 0.5) / 4, masked, 1 / (4 * ways))


@pytest.mark.parametrize("curve", [Linear(), Cosine(), Polynomial(power=2)], ids=lambda c: c.kind)
def test_continuous_bound_is_minus_log_p_for_every_string(curve):
    for x, p in zip(tiny.strings[::7], tiny.p[::7], strict=True):
        assert bernoulli_bound(curve, x) == pytest.approx(-p.log().item(), abs=1e-9)


def test_exact_count_averaged_over_all_masks_is_minus_log_p_for_every_string():
    for x, p in zip(tiny.strings, tiny.p, strict=True):
        assert exact_count_bound(x) == pytest.approx(-p.log().item(), abs=1e-12)


@pytest.mark.parametrize("process", [Masked(), Masked(estimator="bernoulli")], ids=lambda p: p.estimator)
def test_drawn_losses_average_to_minus_log_p(process):
    x = tiny.strings[40].expand(200, -1)
    batch = Batch(x, torch.ones(x.shape))
    means = torch.stack(
        [process.loss(tiny, batch, Streams.of_step(3, step, range(200), 200)).nats / 200 for step in range(100)]
    )
    assert abs(means.mean() + tiny.p[40].log()) < 4 * means.std() / 10


def test_a_geometric_schedule_is_a_bound_only_with_both_end_terms():
    curve = Geometric(sigma_min=1e-2, sigma_max=10)
    bounds = torch.tensor([bernoulli_bound(curve, x, nodes=100) for x in tiny.strings], dtype=torch.float64)
    mean = (tiny.p * bounds).sum().item()
    ends = 4 * curve.end_nats(3)
    assert mean - ends < tiny.entropy < mean < tiny.entropy + ends


def test_constant_network_costs_ln_k_at_every_draw():
    tokens = torch.tensor([[0, 1, 2, 3, 0, 1], [0, 4, 2, 4, 5, 5], [3, 5, 5, 5, 5, 5]])
    batch = Batch(tokens, (tokens < 4).float())
    for step in range(20):
        loss = Masked().loss(Constant([0.25] * 4), batch, Streams.of_step(0, step, range(3), 3))
        assert loss.count.item() == 9
        assert (loss.nats / loss.count).item() == pytest.approx(math.log(4), abs=1e-12)


def test_a_batch_without_a_single_letter_costs_nothing(process):
    tokens = torch.tensor([[4, 4, 5]])
    loss = process.loss(Blind(MarkovChain()), Batch(tokens, torch.zeros(1, 3)), Streams.of(0, [0]))
    assert (loss.nats.item(), loss.count.item()) == (0, 0)


def test_exactly_k_known_letters_are_masked_and_nothing_else_changes():
    known = torch.rand(500, 30, generator=torch.Generator().manual_seed(1)) < 0.5
    known[0] = False
    masked, factor = Masked().corrupt(known, Streams.of_step(0, 0, range(500), 500))
    n, k = known.sum(1), masked.sum(1)
    assert (masked <= known).all()
    assert (k[1:] >= 1).all()
    torch.testing.assert_close(factor[1:], (n / k)[1:], check_dtype=False)
    assert (k == n).any()
    assert (k[1:] == 1).any()


def test_each_row_has_masks_in_proportion_to_its_own_length():
    known = torch.arange(100) < torch.tensor([[4], [100]]).repeat(2000, 1)
    masked, _ = Masked().corrupt(known, Streams.of_step(0, 0, range(4000), 4000))
    counts = masked.sum(1)
    for row, n in ((0, 4), (1, 100)):
        share = counts[row::2].double().mean().item() / n
        assert share == pytest.approx((n + 1) / (2 * n), abs=0.02)


def test_a_stratum_at_zero_is_no_division_by_zero():
    x = tiny.strings[:1]
    rng = FixedStreams([0.0], torch.full((1, 4), 0.5))
    for process in ESTIMATORS:
        assert process.loss(tiny, Batch(x, torch.ones(1, 4)), rng).nats.isfinite()


def test_padding_on_the_right_changes_nothing(process):
    chain = MarkovChain()
    x = chain.sample(6, 20)
    padded = torch.nn.functional.pad(x, (0, 9), value=chain.pad)
    losses = [
        process.loss(Blind(chain), Batch(t, (t < 4).float()), Streams.of_step(5, 1, range(6), 6)) for t in (x, padded)
    ]
    assert losses[0].count == losses[1].count
    assert losses[0].nats.item() == pytest.approx(losses[1].nats.item(), rel=1e-12)


def test_micro_batches_of_any_size_add_up_to_the_global_batch(process):
    """The strata belong to the global batch: one process or many, whole or in parts, the loss is the same."""
    chain = MarkovChain()
    x = chain.sample(12, 10)
    batch = Batch(x, torch.rand(12, 10, generator=torch.Generator().manual_seed(0)))
    whole = process.loss(chain, batch, Streams.of_step(7, 3, range(12), 12))
    for size in (1, 4, 5):
        parts = [range(a, min(a + size, 12)) for a in range(0, 12, size)]
        losses = [
            process.loss(chain, Batch(x[list(r)], batch.weight[list(r)]), Streams.of_step(7, 3, r, 12)) for r in parts
        ]
        assert sum(part.nats.item() for part in losses) == pytest.approx(whole.nats.item(), rel=1e-12)
        assert sum(part.count.item() for part in losses) == pytest.approx(whole.count.item(), rel=1e-12)


def test_strata_cover_the_global_batch_and_are_not_tied_to_the_row():
    for total in [*range(2, 40), 49, 98, 103, 107, 196]:
        strata = Streams.of_step(0, 1, range(total), total).strata()
        assert sorted((strata * total).long().tolist()) == list(range(total))
    first = torch.stack([Streams.of_step(0, step, range(8), 8).strata()[0] for step in range(800)])
    assert first.mean().item() == pytest.approx(0.5, abs=4 * (1 / 12 / 800) ** 0.5)
    assert not torch.equal(first[:400], first[400:])


def test_steps_and_rows_draw_different_masks():
    known = torch.ones(16, 40, dtype=torch.bool)
    masks = [Masked().corrupt(known, Streams.of_step(0, step, range(16), 16))[0] for step in range(2)]
    assert torch.cat(masks).unique(dim=0).shape[0] == 32


def test_weights_scale_positions_and_unscored_letters_are_masked_all_the_same():
    chain = MarkovChain()
    x = chain.sample(1, 12)
    weight = torch.ones(1, 12)
    weight[0, 6:] = 0.0
    seen = []

    def spy(tokens):
        seen.append(tokens)
        return chain(tokens)

    spy.symbols = 4
    for step in range(20):
        loss = Masked().loss(spy, Batch(x, weight), Streams.of_step(0, step, range(1), 1))
        masked = seen[-1] == 4
        nats = -torch.log_softmax(chain(seen[-1]), -1).gather(-1, x[..., None])[..., 0]
        expected = (nats * masked)[:, :6].sum() * 12 / masked.sum()
        assert loss.nats.item() == pytest.approx(expected.item(), rel=1e-12)
    assert (torch.cat(seen)[:, 6:] == 4).any()


def test_gradient_reaches_masked_positions_only_and_nothing_is_written_in_place():
    x = MarkovChain().sample(3, 9)
    batch = Batch(x.clone(), torch.ones(3, 9))
    logits = torch.randn(3, 9, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    before, seen = logits.detach().clone(), []

    def network(tokens):
        seen.append(tokens)
        return logits

    network.symbols = 4
    Masked().loss(network, batch, Streams.of_step(0, 0, range(3), 3)).nats.backward()
    masked = seen[0] == 4
    assert torch.equal(batch.tokens, x)
    assert torch.equal(logits.detach(), before)
    assert (logits.grad.abs().sum(-1) > 0).eq(masked).all()


def test_half_precision_logits_are_summed_in_float32():
    x = torch.zeros(2, 8, dtype=torch.int64)
    network = Constant([0.9, 0.1])
    network.logits = network.logits.to(torch.bfloat16)
    loss = Masked().loss(network, Batch(x, torch.ones(2, 8)), Streams.of(0, range(2)))
    assert loss.nats.dtype == torch.float32
    expected = -torch.log_softmax(network.logits.float(), -1)[0].item()
    assert (loss.nats / 16).item() == pytest.approx(expected, rel=1e-6)


def test_settings_that_would_be_ignored_are_refused():
    with pytest.raises(ValidationError, match="has no schedule"):
        Masked(schedule=Linear())


def test_steps_are_a_process_of_their_own_and_runs_that_have_none_are_read():
    with pytest.raises(ValidationError, match=r"process=\{kind: discrete, steps: 10\}"):
        Masked(estimator="discrete", steps=10)
    with pytest.raises(ValidationError, match="process of its own"):
        Masked(estimator="discrete")
    assert Masked.model_validate({"kind": "masked", "estimator": "exact-count", "steps": None}) == Masked()


@pytest.mark.parametrize("member", members(ProcessConfig))
def test_every_process_is_frozen_and_read_back_from_its_own_json(member):
    process = member()
    assert type(process).model_validate_json(process.model_dump_json()) == process
    assert process.kind == member.model_fields["kind"].default
    assert process.time in ("none", "optional", "needed")
    with pytest.raises(ValidationError):
        process.kind = "other"


def test_hollow_scores_every_letter_and_its_mean_is_the_same_bound():
    k = patterns.sum(1)
    probabilities = torch.tensor([1 / (5 * math.comb(4, int(count))) for count in k], dtype=torch.float64)
    strata = (k + 0.5) / 5
    process = Masked(estimator="hollow")
    weight = probabilities[:, None].expand(patterns.shape)
    for x in tiny.strings[::5]:
        rng = FixedStreams(strata, 1.0 - patterns.double())
        nats = process.loss(tiny, Batch(x.expand(len(patterns), -1), weight), rng).nats.item()
        assert nats == pytest.approx(-float(tiny.log_prob(x[None])), abs=1e-12)


def test_hollow_has_a_smaller_spread_than_the_exact_count():
    chain = MarkovChain()
    x = chain.sample(1, 32, seed=3).expand(64, -1)
    losses = {name: [] for name in ("hollow", "exact-count")}
    for step in range(20):
        for name, found in losses.items():
            batch = Batch(x, torch.ones_like(x, dtype=torch.float32))
            loss = Masked(estimator=name).loss(chain, batch, Streams.of_step(0, step, range(64), 64))
            found.append(float(loss.nats / loss.count))
    exact = -float(chain.log_prob(x[:1])) / 32
    for found in losses.values():
        assert np.mean(found) == pytest.approx(exact, abs=5 * np.std(found) / math.sqrt(20))
    assert np.std(losses["hollow"]) < 0.7 * np.std(losses["exact-count"])


def test_hollow_never_scores_masks_and_pads_of_the_source():
    x = torch.tensor([[0, 1, 4, 2, 5], [4, 4, 5, 5, 5]])
    loss = Masked(estimator="hollow").loss(
        Constant([0.1, 0.2, 0.3, 0.4]), Batch(x, (x < 4).float()), Streams.of_step(0, 0, range(2), 2)
    )
    assert float(loss.nats) == pytest.approx(-math.log(0.1 * 0.2 * 0.3), rel=1e-6)
