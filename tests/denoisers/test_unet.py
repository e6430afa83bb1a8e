"""What is of the U-Net alone: whole images, its middle, and the published sizes."""

import pytest
import torch

from seqdiff.denoisers import UNet
from seqdiff.errors import ConfigError

SMALL = {"grid": (4, 6, 2), "width": 8, "depth": 2, "value_width": 6, "groups": 2}
MIDDLE = {"depth": 1, "width": 8, "heads": 2, "hidden": 6}
K, MASK, PAD = 4, 4, 5


def moved(**settings):
    """In double precision, every weight moved."""
    network = UNet(**SMALL | settings).build(K).double().eval()
    rng = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=rng, dtype=torch.float64)
    return network


@pytest.mark.parametrize("middle", [None, MIDDLE])
def test_what_is_missing_of_an_image_is_masked(middle):
    network = moved(transformer=middle)
    tokens = torch.randint(0, K, (2, 48), generator=torch.Generator().manual_seed(0))
    tokens[:, 40:] = MASK
    whole = network(tokens)
    tokens[0, 40:] = PAD
    torch.testing.assert_close(network(tokens), whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(network(tokens[:, :40]), whole[:, :40], rtol=0, atol=1e-12)


@pytest.mark.parametrize("middle", [None, MIDDLE])
def test_every_pixel_sees_every_other(middle):
    network = moved(depth=1, transformer=middle)
    tokens = torch.zeros(1, 48, dtype=torch.long)
    changed = tokens.clone()
    changed[0, 0] = 1
    assert (network(changed) - network(tokens)).abs().amax(-1).min() > 1e-9


def test_channels_of_a_pixel_lie_side_by_side():
    """Of a network without attention, what one pixel changes are the channels of the pixels around it."""
    network = moved(depth=1)
    torch.nn.init.zeros_(network.middle.out_proj.weight)
    for norm in network.modules():
        if isinstance(norm, torch.nn.GroupNorm):  # which sees the whole image too
            norm.forward = lambda x: x
    network.up = network.up[:0]
    network.middle_in = network.middle_out = network.down[0] = Through()
    tokens = torch.zeros(1, 48, dtype=torch.long)
    changed = tokens.clone()
    changed[0, 2 * (6 * 1 + 3)] = 1  # row 1, column 3
    answers = (network(changed) - network(tokens)).abs().amax(-1).reshape(4, 6, 2) > 1e-12
    expected = torch.zeros(4, 6, 2, dtype=torch.bool)
    expected[0:4, 1:6] = True  # two convolutions of three by three
    assert torch.equal(answers, expected)


class Through(torch.nn.Module):
    """A layer that changes nothing."""

    def forward(self, x, condition):
        return x


@pytest.mark.parametrize("middle", [None, MIDDLE])
def test_time_starts_as_if_it_were_not_there(middle):
    plain = UNet(**SMALL, transformer=middle).build(K).eval()
    timed = UNet(**SMALL, transformer=middle, time_conditioning=True).build(K).eval()
    torch.nn.init.normal_(plain.head.weight)
    loaded = timed.load_state_dict(plain.state_dict(), strict=False)
    assert not loaded.unexpected_keys
    assert {name.split(".")[-2] for name in loaded.missing_keys} <= {"first", "second", "modulation", "time"}
    tokens = torch.arange(48).remainder(5)[None]
    torch.testing.assert_close(timed(tokens, torch.tensor([0.3])), plain(tokens), rtol=1e-5, atol=1e-6)


def test_the_published_sizes():
    """MD4's 28.4M for CIFAR-10 has a last convolution straight to the logits, .41M more, and a wider embedding of the
    time, .08M; without time it is 26.8M. Its 198M for ImageNet 64 x 64 are told the time by way of 256 channels."""

    def count(**settings):
        with torch.device("meta"):
            return sum(p.numel() for p in UNet(**settings).build(256).parameters())

    assert count(grid=(32, 32, 3), time_conditioning=True) == 27_943_936
    assert count(grid=(32, 32, 3)) == 26_788_224
    imagenet = count(grid=(64, 64, 3), width=256, depth=8, value_width=256, transformer={})
    assert imagenet + 20 * 6 * 768 * 256 == pytest.approx(198e6, rel=0.01)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"groups": 3}, "width 8 does not divide into 3 groups"),
        ({"transformer": MIDDLE | {"patch": 4}}, "4 x 6 pixels do not divide into patches of 4"),
        ({"transformer": MIDDLE | {"heads": 4}}, "halves into even numbers"),
        ({"transformer": MIDDLE | {"dept": 4}}, "Extra inputs"),
        ({"grid": (4, 6)}, "Field required"),
    ],
)
def test_a_wrong_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        UNet(**SMALL | settings)


def test_images_of_another_size_are_refused():
    with pytest.raises(ConfigError, match=r"4 rows x 6 columns x 2 channels are 48 tokens, and a row .* has 64"):
        UNet(**SMALL).build(K, 64)
    with pytest.raises(ValueError, match="images of 48 tokens, not of 49"):
        UNet(**SMALL).build(K)(torch.zeros(1, 49, dtype=torch.long))
