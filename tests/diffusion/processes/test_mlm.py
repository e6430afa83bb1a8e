import math

import pytest
import torch
from oracles import Constant, FixedStreams, MarkovChain
from pydantic import ValidationError

from seqdiff.data.batches import Batch
from seqdiff.diffusion.processes import Mlm
from seqdiff.streams import Streams

ROWS = 400


def drawn(process=None, length=40, tokens=None):
    x = torch.zeros(ROWS, length, dtype=torch.int64) if tokens is None else tokens
    seen, chosen, factor = (process or Mlm()).corrupt(x, 4, Streams.of_step(0, 0, range(len(x)), len(x)))
    return x, seen, chosen, factor


def test_what_the_draws_mean_letter_by_letter():
    """Of ten letters two are selected, those of the lowest keys: the third becomes a mask, the sixth symbol 2."""
    keys = torch.tensor([0.5, 0.9, 0.1, 0.8, 0.7, 0.2, 0.6, 0.4, 0.3, 0.95])
    draws = torch.stack([keys, torch.full((10,), 0.85), torch.full((10,), 0.6)], 1)
    draws[2, 1] = 0.79
    tokens = torch.tensor([[0, 1, 2, 3, 0, 1, 2, 3, 0, 1]])
    seen, chosen, factor = Mlm(selected=0.2).corrupt(tokens, 4, FixedStreams([0.0], draws[None]))
    assert chosen[0].nonzero().flatten().tolist() == [2, 5]
    assert seen[0].tolist() == [0, 1, 4, 3, 0, 2, 2, 3, 0, 1]
    assert factor.tolist() == [5.0]
    draws[5, 1] = 0.91  # neither masked nor random: it stays, and is scored all the same
    seen, chosen, _ = Mlm(selected=0.2).corrupt(tokens, 4, FixedStreams([0.0], draws[None]))
    assert seen[0].tolist() == [0, 1, 4, 3, 0, 1, 2, 3, 0, 1]
    assert chosen[0, 5]


def test_fifteen_percent_are_selected_of_which_eighty_ten_ten():
    x, seen, chosen, factor = drawn()
    assert (chosen.sum(1) == 6).all()  # round(0.15 * 40)
    torch.testing.assert_close(factor, torch.full((ROWS,), 40 / 6, dtype=torch.float64))
    assert torch.equal(seen[~chosen], x[~chosen])
    count = int(chosen.sum())
    shares = [(seen[chosen] == value).double().mean().item() for value in (4, 0, 1, 2, 3)]
    for share, expected in zip(shares, (0.8, 0.125, 0.025, 0.025, 0.025)):  # a random symbol may be the true one
        assert share == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / count))


@pytest.mark.parametrize("length", [1, 3, 7, 1024])
def test_at_least_one_letter_and_else_the_nearest_number_is_selected(length):
    _, _, chosen, _ = drawn(length=length)
    assert (chosen.sum(1) == max(1, round(0.15 * length))).all()


def test_masks_and_pads_of_the_source_are_never_selected_or_changed():
    x = torch.tensor([[0, 1, 4, 2, 5], [4, 4, 4, 5, 5], [3, 4, 5, 5, 5]]).repeat(50, 1)
    _, seen, chosen, _ = drawn(Mlm(selected=1.0), tokens=x)
    assert torch.equal(chosen, x < 4)
    assert torch.equal(seen[x >= 4], x[x >= 4])


def test_the_loss_is_the_mean_cross_entropy_at_the_selected_letters():
    chain = MarkovChain()
    x = chain.sample(8, 30)
    loss = Mlm().loss(chain, Batch(x, torch.ones(x.shape)), Streams.of_step(2, 5, range(8), 8))
    seen, chosen, _ = Mlm().corrupt(x, 4, Streams.of_step(2, 5, range(8), 8))
    nats = -torch.log_softmax(chain(seen), -1).gather(-1, x[..., None])[..., 0]
    assert float(loss.nats / loss.count) == pytest.approx(float(nats[chosen].mean()), rel=1e-12)


def test_a_constant_network_costs_ln_k_at_every_draw():
    tokens = torch.tensor([[0, 1, 2, 3, 0, 1], [0, 4, 2, 4, 5, 5], [3, 5, 5, 5, 5, 5]])
    for step in range(10):
        loss = Mlm().loss(Constant([0.25] * 4), Batch(tokens, (tokens < 4).float()), Streams.of(step, range(3)))
        assert float(loss.count) == 9
        assert float(loss.nats / loss.count) == pytest.approx(math.log(4), abs=1e-12)


def test_rows_sum_to_the_loss_and_do_not_see_each_other_or_their_padding():
    chain = MarkovChain()
    x = chain.sample(6, 20)
    padded = torch.nn.functional.pad(x, (0, 9), value=chain.pad)
    whole = Mlm().loss(chain, Batch(x, (x < 4).float()), Streams.of_step(5, 1, range(6), 6))
    nats, count = Mlm().row_sums(chain, padded, padded < 4, Streams.of_step(5, 1, range(6), 6))
    assert float(nats.sum()) == pytest.approx(float(whole.nats), rel=1e-12)
    assert count.tolist() == [20] * 6
    for row in range(6):
        alone = Mlm().loss(chain, Batch(x[[row]], torch.ones(1, 20)), Streams.of_step(5, 1, range(row, row + 1), 6))
        assert float(alone.nats) == pytest.approx(float(nats[row]), rel=1e-12)


def test_weights_count_in_proportion_and_unscored_letters_are_selected_all_the_same():
    x = torch.zeros(1, 10, dtype=torch.int64)
    weight = torch.tensor([[0.0, 0.5] * 5])
    loss = Mlm(selected=1.0).loss(Constant([0.5, 0.5]), Batch(x, weight), Streams.of(0, [0]))
    assert float(loss.nats) == pytest.approx(2.5 * math.log(2))
    assert float(loss.count) == 2.5


def test_a_batch_without_a_letter_costs_nothing():
    loss = Mlm().loss(MarkovChain(), Batch(torch.tensor([[4, 5]]), torch.zeros(1, 2)), Streams.of(0, [0]))
    assert (float(loss.nats), float(loss.count)) == (0, 0)


def test_it_is_no_bound_and_says_so():
    """A network that copies what it sees pays less than -log p, as no bound may."""
    x = MarkovChain().sample(64, 40)

    def copy(tokens):
        return 20.0 * torch.nn.functional.one_hot(tokens.clamp(max=3), 4).double() * (tokens < 4)[..., None]

    copy.symbols = 4
    process = Mlm(masked=0.0, random=0.0)
    loss = process.loss(copy, Batch(x, torch.ones(x.shape)), Streams.of(0, range(64)))
    assert float(loss.nats / loss.count) < 1e-6
    assert not process.bounds_likelihood


def test_shares_above_one_are_refused():
    with pytest.raises(ValidationError, match="at most 1"):
        Mlm(masked=0.95, random=0.1)
    Mlm(masked=0.9, random=0.1)
