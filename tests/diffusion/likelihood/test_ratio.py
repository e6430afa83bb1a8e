"""T15 of math.md: differences of log p, against the exact ones of the oracles."""

import itertools

import pytest
import torch
from oracles import Blind, Hollow, Inconsistent, MarkovChain, TinyJoint

from seqdiff.diffusion.likelihood import elbo
from seqdiff.diffusion.likelihood.ratio import lengths, site_marginals, split, substitutions
from seqdiff.streams import Streams

chain = MarkovChain()
tiny = TinyJoint()


def exact(x, y):
    return chain.log_prob(y) - chain.log_prob(x)


def with_letters(x, places, seed=0):
    """x with another letter at each of the places."""
    y = x.clone()
    shift = torch.randint(1, 4, (len(x), len(places)), generator=torch.Generator().manual_seed(seed))
    y[:, places] = (x[:, places] + shift) % 4
    return y


def close(values, expected, tolerance=1e-9):
    assert (values - expected).abs().max().item() < tolerance


@pytest.mark.parametrize("kind", [Blind, Hollow])
def test_one_masked_site_gives_the_exact_ratio_in_one_call(kind):
    x = chain.sample(30, 20)
    x[:, 5] = chain.mask  # unknown letters are summed over
    positions = torch.arange(30) % 20
    x, positions = x[positions != 5], positions[positions != 5]
    rows = torch.arange(len(x))
    network = kind(chain)
    log_mu = site_marginals(network, x, positions)
    assert network.rows == len(x)
    close(log_mu.exp().sum(1), 1)
    for letter in range(4):
        y = x.clone()
        y[rows, positions] = letter
        close(log_mu[rows, letter] - log_mu[rows, x[rows, positions]], exact(x, y))


@pytest.mark.parametrize("sites", [[], [3], [3, 4], [2, 3, 9], [0, 2, 3, 5, 9, 11]])
@pytest.mark.parametrize("kind", [Blind, Hollow])
def test_substitutions_are_exact_in_any_order(kind, sites):
    x = chain.sample(5, 12)
    y = with_letters(x, sites)
    for seed in range(3):
        result = substitutions(kind(chain), x, y, Streams.of(seed, range(5)), orders=3, batch_size=7)
        close(result.nats, exact(x, y))
        close(result.se, 0)


def test_substitutions_of_every_pair_of_strings_of_a_tiny_joint():
    strings = tiny.strings[::5]
    pairs = torch.tensor(list(itertools.product(range(len(strings)), repeat=2)))
    x, y = strings[pairs[:, 0]], strings[pairs[:, 1]]
    for kind in (Blind, Hollow):
        result = substitutions(kind(tiny), x, y, Streams.of(0, range(len(x))), orders=6, batch_size=500)
        close(result.nats, tiny.log_prob(y) - tiny.log_prob(x))


def test_no_context_is_asked_for_twice_and_a_hollow_network_answers_two_steps_a_call():
    x = chain.sample(4, 9)
    y = x.clone()
    for row, sites in enumerate(([], [1], [1, 2], [1, 4, 6])):
        y[row, sites] = (x[row, sites] + 1) % 4
    network, hollow = Blind(chain), Hollow(chain)
    plain = substitutions(network, x, y, Streams.of(0, range(4)), orders=6)
    assert plain.calls.tolist() == [0, 1, 1 + 4, 1 + 6 + 6]
    assert network.rows == plain.calls.sum()
    half = substitutions(hollow, x, y, Streams.of(0, range(4)), orders=6)
    assert half.calls.tolist() == [0, 1, 4, 1 + 6]
    assert hollow.rows == half.calls.sum()
    close(plain.nats, half.nats)


def test_orders_that_disagree_are_averaged_and_their_spread_is_the_error():
    x = chain.sample(1, 9).expand(300, -1)
    y = with_letters(x, [1, 2, 3, 4, 6])
    y = y[:1].expand(300, -1)
    network = Inconsistent(chain, MarkovChain(seed=1))
    every = substitutions(network, x[:1], y[:1], Streams.of(0, [0]), orders=120)
    assert every.se.item() == 0
    drawn = substitutions(network, x, y, Streams.of(0, range(300)), orders=5, batch_size=1000)
    spread = drawn.nats.std()
    assert spread > 0.01
    assert abs(drawn.nats.mean() - every.nats[0]) < 4 * spread / 300**0.5
    assert drawn.se.square().mean().sqrt().item() == pytest.approx(spread.item(), rel=0.15)
    assert substitutions(network, x[:2], y[:2], Streams.of(0, [0, 1]), orders=1).se.isnan().all()


@pytest.mark.parametrize("kind", [Blind, Hollow])
def test_the_split_estimate_is_unbiased_and_its_error_is_right(kind):
    x = chain.sample(1, 24).expand(400, -1)
    y = with_letters(x, [10])[:1].expand(400, -1)
    network = kind(chain)
    result = split(network, x, y, Streams.of(0, range(400)), strata=4, replicates=2, batch_size=1000)
    assert network.rows == result.calls.sum()
    spread = result.nats.std()
    assert abs(result.nats.mean() - exact(x[:1], y[:1])[0]) < 4 * spread / 400**0.5
    assert result.se.square().mean().sqrt().item() == pytest.approx(spread.item(), rel=0.15)


@pytest.mark.parametrize("kind", [Blind, Hollow])
def test_the_split_estimate_varies_less_than_common_masks_and_these_less_than_independent_ones(kind):
    x = chain.sample(1, 48).expand(150, -1)
    y = x.clone()
    y[:, 10] = (x[:, 10] + 1) % 4
    settings = {"strata": 4, "replicates": 2, "batch_size": 1000}
    ours = split(kind(chain), x, y, Streams.of(0, range(150)), **settings)
    of_x, same, other = (
        elbo(kind(chain), z, z < 4, Streams.of(seed, range(150)), antithetic=False, **settings)
        for z, seed in ((x, 0), (y, 0), (y, 1))
    )
    assert 1.2 * ours.nats.std() < (of_x.nats - same.nats).std() < (of_x.nats - other.nats).std() / 2


@pytest.mark.parametrize("kind", [Blind, Hollow])
@pytest.mark.parametrize("change", ["deletion", "insertion", "substitution", "everything"])
def test_the_ratio_of_stretches_of_two_lengths_is_that_of_their_conditionals(kind, change):
    rows = 200
    whole = chain.sample(1, 30, seed=1)[0]
    inside = {
        "deletion": torch.cat([whole[8:14], whole[17:20]]),
        "insertion": torch.cat([whole[8:14], torch.tensor([0, 3, 1]), whole[14:20]]),
        "substitution": torch.cat([whole[8:14], (whole[14:15] + 1) % 4, whole[15:20]]),
        "everything": torch.tensor([2, 1, 0]),
    }[change]
    x, y = whole[None], torch.cat([whole[:8], inside, whole[20:]])[None]
    x_scored, y_scored = torch.zeros_like(x, dtype=torch.bool), torch.zeros_like(y, dtype=torch.bool)
    x_scored[:, 8:20] = True
    y_scored[:, 8 : 8 + len(inside)] = True
    truth = exact(x, y) - exact(x.masked_fill(x_scored, 4), y.masked_fill(y_scored, 4))
    network = kind(chain)
    result = lengths(
        network, *(part.expand(rows, -1) for part in (x, y, x_scored, y_scored)), Streams.of(0, range(rows)),
        strata=6, replicates=2, batch_size=1000,
    )  # fmt: skip
    assert network.rows == result.calls.sum()
    spread = result.nats.std()
    assert abs(result.nats.mean() - truth[0]) < 4 * spread / rows**0.5
    assert result.se.square().mean().sqrt().item() == pytest.approx(spread.item(), rel=0.15)


def test_the_same_sequence_twice_is_exactly_as_probable_at_no_cost():
    x = chain.sample(3, 12)
    scored = x >= 0
    network = Blind(chain)
    for result in (
        substitutions(network, x, x, Streams.of(0, range(3))),
        split(network, x, x, Streams.of(0, range(3))),
        lengths(network, x, x, scored, scored, Streams.of(0, range(3))),
    ):
        assert result.nats.tolist() == result.se.tolist() == result.calls.tolist() == [0, 0, 0]
    assert network.rows == 0


def test_stretches_of_no_letter_and_of_one_are_exact():
    x = torch.tensor([[0, 1, 2, 3], [0, 1, 2, 3]])
    y = torch.tensor([[0, 1, 3], [0, 2, 3]])
    x_scored = torch.tensor([[0, 0, 1, 0], [0, 0, 1, 0]]).bool()
    y_scored = torch.tensor([[0, 0, 0], [0, 1, 0]]).bool()
    result = lengths(Blind(chain), x, y, x_scored, y_scored, Streams.of(0, range(2)), replicates=1)
    close(result.nats, exact(x, y) - exact(x.masked_fill(x_scored, 4), y.masked_fill(y_scored, 4)))
    assert result.se.tolist() == [0, 0]
    assert result.calls.tolist() == [1, 2]


def test_rows_depend_neither_on_neighbours_nor_on_padding_nor_on_the_batch():
    x = chain.sample(3, 14)
    y = with_letters(x, [4])
    z = with_letters(x, [2, 3, 6, 7])
    shorter = torch.cat([x[:, :5], x[:, 8:]], 1)
    scored = (torch.arange(14) >= 3) & (torch.arange(14) < 11)
    short = (torch.arange(11) >= 3) & (torch.arange(11) < 8)
    pads = torch.full((3, 4), chain.pad)

    def everything(rows, batch_size, padding):
        def padded(tokens):
            return torch.cat([tokens[rows], pads[rows]], 1) if padding else tokens[rows]

        def names():
            return Streams.of(0, rows)

        def mask(where):
            where = where.expand(len(rows), -1)
            return torch.cat([where, torch.ones(len(rows), 4, dtype=torch.bool)], 1) if padding else where

        a = substitutions(Blind(chain), padded(x), padded(z), names(), orders=2, batch_size=batch_size)
        b = split(Blind(chain), padded(x), padded(y), names(), strata=3, replicates=2, batch_size=batch_size)
        c = lengths(
            Blind(chain), padded(x), padded(shorter), mask(scored), mask(short), names(), strata=3, replicates=2,
            batch_size=batch_size,
        )  # fmt: skip
        return [torch.stack([part.nats, part.se, part.calls.double()], 1) for part in (a, b, c)]

    together = everything([0, 1, 2], 1000, False)
    for row in range(3):
        for one, all_of_them in zip(everything([row], 3, True), together, strict=True):
            assert torch.equal(one[0], all_of_them[row])
