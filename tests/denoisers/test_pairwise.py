"""The Potts model: against its formula, and learned from an enumerated one."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from seqdiff.data.batches import Batch
from seqdiff.denoisers import Pairwise
from seqdiff.diffusion.processes.masked import Masked
from seqdiff.errors import ConfigError
from seqdiff.streams import Streams

K, L = 3, 7
MASK, PAD = K, K + 1


@pytest.fixture
def network():
    network = Pairwise().build(K, L).double()
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += torch.randn(parameter.shape, generator=draw, dtype=torch.float64)
    return network


def test_logits_are_the_formula(network):
    biases, couplings = network.potts()
    assert torch.equal(couplings, couplings.permute(1, 0, 3, 2))
    tokens = torch.randint(0, K + 2, (20, L), generator=torch.Generator().manual_seed(1))
    expected = torch.zeros(20, L, K, dtype=torch.float64)
    for row, i in itertools.product(range(20), range(L)):
        expected[row, i] = biases[i]
        for j in range(L):
            if i != j and tokens[row, j] < K:
                expected[row, i] += couplings[i, j, :, tokens[row, j]]
    torch.testing.assert_close(network(tokens), expected)


def test_no_column_is_coupled_with_itself_and_every_pair_once(network):
    _, couplings = network.potts()
    size = couplings.abs().sum((2, 3))
    assert torch.equal(size == 0, torch.eye(L, dtype=torch.bool))
    assert sum(block.numel() for block in network.couplings) == L * (L - 1) // 2 * K * K


@pytest.mark.parametrize("columns", [1, 2, 3, 8, 13])
def test_any_number_of_columns_will_do(columns):
    network = Pairwise().build(K, columns)
    assert network(torch.zeros(2, columns, dtype=torch.int64)).shape == (2, columns, K)
    assert network.columns == columns


def test_a_short_row_has_the_first_columns_and_a_long_one_is_refused(network):
    tokens = torch.tensor([[0, 1, 2]])
    torch.testing.assert_close(network(tokens), network(F.pad(tokens, (0, L - 3), value=PAD))[:, :3])
    with pytest.raises(ValueError, match="for rows of 7 columns, not of 8"):
        network(torch.zeros(1, 8, dtype=torch.int64))


def test_without_a_context_there_are_no_columns():
    with pytest.raises(ConfigError, match=r"data\.context says how many"):
        Pairwise().build(K)


def test_the_prior_is_the_cost_of_all_weights(network):
    cost = sum(precision / 2 * p.square().sum() for p, precision in network.precisions())
    biases, couplings = network.potts()
    expected = 0.002 * biases.square().sum() + 0.002 * (L - 1) * (K - 1) * couplings.square().sum() / 2
    assert cost.item() == pytest.approx(expected.item())
    assert list(Pairwise(prior=0).build(K, L).precisions()) == []


def test_hidden_states_do_not_hold_the_biases(network):
    everything_masked = torch.full((1, L), MASK)
    assert network.hidden(everything_masked).abs().max() == 0
    torch.testing.assert_close(network(everything_masked)[0], network.potts()[0])


def test_the_bound_recovers_the_couplings_of_a_potts_model():
    """Exact training: all strings of a small Potts model, weighted by their probabilities, all numbers of masks.

    Two pairs of columns are coupled, and the couplings that are learned are theirs alone.
    """
    columns = 4
    strings = torch.tensor(list(itertools.product(range(K), repeat=columns)))
    true = torch.zeros(columns, columns)
    true[0, 2] = true[1, 3] = 1.5
    energy = sum(true[i, j] * (strings[:, i] == strings[:, j]) for i, j in itertools.combinations(range(columns), 2))
    weight = energy.softmax(0)
    network = Pairwise(prior=0).build(K, columns)
    process = Masked(estimator="hollow")
    optimizer = torch.optim.Adam(network.parameters(), lr=0.05)
    batch = Batch(strings, weight[:, None].expand(-1, columns).contiguous())
    for step in range(150):
        optimizer.zero_grad()
        loss = process.loss(network, batch, Streams.of_step(0, step, range(len(strings)), len(strings)))
        (loss.nats / loss.count).backward()
        optimizer.step()
    _, couplings = network.potts()
    centred = (
        couplings - couplings.mean(2, keepdim=True) - couplings.mean(3, keepdim=True) + couplings.mean((2, 3), True)
    )
    strength = centred.norm(dim=(2, 3))
    coupled = strength[[0, 1], [2, 3]]
    others = strength[[0, 0, 1, 2], [1, 3, 2, 3]]
    assert coupled.min() > 8 * others.max()
    assert (centred[0, 2].diagonal() > 0.3).all()
