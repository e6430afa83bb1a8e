import torch
from torch import nn

from seqdiff.train.ema import MovingAverage


def test_the_average_follows_the_weights_and_is_swapped_in_and_out():
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    average = MovingAverage(network, decay=0.5)
    nn.init.ones_(network.weight)
    average.update(1)  # decay min(.5, 2/11): the first weights are forgotten soon
    expected = 1 - 2 / 11
    assert abs(average.weights()["weight"].item() - expected) < 1e-6
    with average.swapped_in() as averaged:
        assert abs(averaged.weight.item() - expected) < 1e-6
        assert not averaged.training
    assert network.weight.item() == 1
    assert network.training


def test_no_decay_is_the_weights_themselves():
    network = nn.Linear(2, 2)
    average = MovingAverage(network, decay=0.0)
    with torch.no_grad():
        network.weight.add_(1)
    average.update(1)
    assert torch.equal(average.weights()["weight"], network.weight)
