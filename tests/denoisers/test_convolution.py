import pytest
import torch
import torch.nn.functional as F

from seqdiff.denoisers import ByteNet, Convolution
from seqdiff.denoisers.convolution import Dilated
from seqdiff.denoisers.reader import Reader


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


SMALL = {"width": 12, "hidden": 8, "depth": 3, "kernel": 3, "max_dilation": 4}


def moved(network, seed=4):
    """In double precision, every weight moved."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.double().parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=rng, dtype=torch.float64)
    return network.eval()


@pytest.mark.parametrize("causal", [False, True])
def test_time_starts_as_if_it_were_not_there(causal):
    plain = Convolution(**SMALL, causal=causal).build(4).eval()
    timed = Convolution(**SMALL, causal=causal, time_conditioning=True).build(4).eval()
    torch.nn.init.normal_(plain.head.weight)
    loaded = timed.load_state_dict(plain.state_dict(), strict=False)
    assert not loaded.unexpected_keys
    assert {name.split(".")[-2] for name in loaded.missing_keys} == {"first", "second", "modulation"}
    tokens = torch.arange(10).remainder(5)[None]
    assert torch.equal(timed(tokens, torch.tensor([0.3])), plain(tokens))


def test_time_changes_the_answer_of_its_own_row():
    network = moved(Convolution(**SMALL, time_conditioning=True).build(4))
    tokens = torch.arange(10).remainder(5).expand(2, 10)
    before, after = (network(tokens, torch.tensor([0.3, late])) for late in (0.3, 0.9))
    assert torch.equal(before[0], after[0])
    assert (before[1] - after[1]).abs().max() > 1e-3


@pytest.mark.parametrize("dilation", [1, 4])
def test_a_causal_convolution_is_one_after_zeros(dilation):
    layer = Dilated(6, 3, dilation, causal=True)
    x = torch.randn(2, 11, 6)
    plain = F.conv1d(F.pad(x.mT, (2 * dilation, 0)), layer.weight, layer.bias, dilation=dilation).mT
    torch.testing.assert_close(layer(x), plain, rtol=1e-5, atol=1e-5)


def test_a_causal_network_sees_exactly_as_far_back_as_its_reach():
    settings = Convolution(**SMALL, causal=True)
    assert settings.reach == 15
    network = moved(settings.build(4))
    tokens = torch.zeros(1, 41, dtype=torch.long)
    changed = tokens.clone()
    changed[0, 15] = 1
    answers = (network(changed) - network(tokens)).abs().amax(-1)[0]
    assert (answers > 1e-12).nonzero().flatten().tolist() == list(range(16, 15 + 15 + 1))


@pytest.mark.parametrize("kernel", [1, 5])
def test_what_is_kept_of_the_letters_read_is_what_the_taps_look_at(kernel):
    network = moved(Convolution(**SMALL | {"kernel": kernel}, causal=True).build(4))
    reader = Reader(network, rows=2)
    for _ in range(30):
        reader.read(torch.tensor([[1], [3]]))
    kept = [memory.of_rows["inputs"].shape[1] for memory in reader.memories.values()]
    assert kept == [dilation * (kernel - 1) for dilation in (1, 2, 4)]


def test_one_published_network_takes_no_settings_of_the_other():
    with pytest.raises(ValueError, match="Extra inputs"):
        ByteNet(learned_positions=True)
