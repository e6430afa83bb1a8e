import itertools

import pytest
import torch
from torch import nn

from seqdiff.recipe import Training
from seqdiff.train import optimizer
from seqdiff.train.muon import Muon


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(6, 4)
        self.linear = nn.Linear(4, 4)
        self.norm = nn.LayerNorm(4)
        self.A_log = nn.Parameter(torch.zeros(4, 2))
        self.D = nn.Parameter(torch.zeros(4))


def test_only_matrices_decay():
    network = Network()
    decayed = [n for n, p in network.named_parameters() if optimizer.is_decayed(n, p)]
    assert decayed == ["linear.weight"]
    (built,) = optimizer.build(network, Training(steps=1, batch_size=1, learning_rate=0.1, weight_decay=0.5))
    assert [(len(g["params"]), g["weight_decay"]) for g in built.param_groups] == [(1, 0.5), (6, 0.0)]


MUON = {"optimizer": "muon", "matrix_learning_rate": 0.02}


def test_muon_has_the_matrices_and_adamw_the_rest():
    training = Training(steps=10, batch_size=1, learning_rate=0.1, warmup_steps=2, **MUON)
    network = Network()
    adamw, muon = built = optimizer.build(network, training)
    assert muon.param_groups[0]["params"] == [network.linear.weight]
    assert sum(len(group["params"]) for group in adamw.param_groups) == 6
    assert optimizer.set_learning_rate(built, 1, training) == 0.05
    assert [group["lr"] for o in built for group in o.param_groups] == [0.05, 0.01]


def test_muon_moves_a_matrix_by_an_orthogonal_step():
    torch.manual_seed(0)
    weight = nn.Parameter(torch.zeros(4, 3, 2))
    weight.grad = torch.randn_like(weight)
    Muon([weight], 0.1).step()
    values = torch.linalg.svdvals(weight.detach().flatten(1))
    assert values.min() > 0.06
    assert values.max() < 0.13
    assert (weight.detach() * weight.grad).sum() < 0


@pytest.mark.parametrize("settings", [{}, MUON])
def test_state_survives_as_plain_tensors(settings):
    training = Training(steps=1, batch_size=1, learning_rate=0.1, **settings)
    torch.manual_seed(0)
    first = Network()
    second = Network()
    second.load_state_dict(first.state_dict())
    one, other = optimizer.build(first, training), optimizer.build(second, training)

    def step(network, built):
        torch.manual_seed(1)
        network.linear(torch.randn(3, 4)).square().sum().backward()
        for each in built:
            each.step()
            each.zero_grad()

    step(first, one)
    second.load_state_dict(first.state_dict())
    optimizer.restore(other, dict(optimizer.state_tensors(one)))
    step(first, one)
    step(second, other)
    assert torch.equal(first.linear.weight, second.linear.weight)


def test_the_rate_rises_then_falls():
    training = Training(steps=100, batch_size=1, learning_rate=1.0, final_learning_rate=0.1, warmup_steps=10)
    rates = [optimizer.learning_rate(step, training) for step in range(1, 101)]
    assert rates.index(max(rates)) == 9
    assert abs(rates[-1] - 0.1) < 1e-12
    assert all(a > b for a, b in itertools.pairwise(rates[9:]))
