import pytest
import torch
import torch.nn.functional as F

from seqdiff.denoisers import Convolution
from seqdiff.denoisers.convolution import Dilated


@pytest.mark.parametrize("dilation", [1, 4, 16])
def test_channels_last_is_the_same_convolution(dilation):
    layer = Dilated(6, 5, dilation)
    x = torch.randn(2, 11, 6)
    plain = F.conv1d(x.mT, layer.weight, layer.bias, padding=2 * dilation, dilation=dilation).mT
    torch.testing.assert_close(layer(x), plain, rtol=1e-5, atol=1e-5)


def test_a_position_sees_exactly_as_far_as_its_reach():
    settings = Convolution(width=8, hidden=8, depth=3, kernel=3, max_dilation=4)
    assert settings.reach == 7
    network = settings.build(4).double().eval()
    torch.nn.init.normal_(network.head.weight)
    tokens = torch.zeros(1, 31, dtype=torch.long)
    changed = tokens.clone()
    changed[0, 15] = 1
    moved = (network(changed) != network(tokens)).any(-1)[0].nonzero().flatten().tolist()
    assert moved == list(range(15 - 7, 15 + 8))


def test_dilations_start_again():
    assert Convolution(depth=5, max_dilation=4).dilations == (1, 2, 4, 1, 2)
    assert Convolution(depth=2, max_dilation=1).dilations == (1, 1)


def test_dropout_acts_in_training_only():
    network = Convolution(width=8, hidden=4, depth=2, dropout=0.5).build(4)
    torch.nn.init.normal_(network.head.weight)
    tokens = torch.zeros(2, 9, dtype=torch.long)
    assert not torch.equal(network(tokens), network(tokens))
    network.eval()
    assert torch.equal(network(tokens), network(tokens))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kernel": 4}, "4 is even"),
        ({"max_dilation": 12}, "12 is no power of two"),
        ({"width": 0}, "greater than or equal to 1"),
        ({"dropout": 1.0}, "less than 1"),
        ({"takes_time": True}, "Extra inputs"),
    ],
)
def test_a_wrong_setting_is_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        Convolution(**wrong)
