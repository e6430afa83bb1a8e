"""Caduceus against its published structure, written out as published: channels doubled, flips everywhere."""

import pytest
import torch
import torch.nn.functional as F
from benchmarks.published import bimamba, published_ps, rms_norm, sequential

from seqdiff.denoisers import Caduceus
from seqdiff.errors import ConfigError


def randomised(settings):
    network = settings.build(4).eval()
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=draw)
    return network.double()


def published_ph(network, tokens):
    h = network.embedding.weight[tokens]
    for layer in network.layers:
        h = h + bimamba(rms_norm(h, layer.norm.weight), layer.mixer, sequential)
    return F.linear(rms_norm(h, network.norm_f.weight), network.head.weight)


@pytest.fixture
def tokens():
    return torch.randint(0, 5, (2, 19), generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize("fused", [False, True])
def test_ps_is_the_published_network(tokens, fused):
    network = randomised(Caduceus(width=20, depth=3, states=4, swap_strands=fused))
    answer, other = (published_ps(network, tokens, sequential, fused=which) for which in (fused, not fused))
    torch.testing.assert_close(network(tokens), answer, rtol=1e-9, atol=1e-9)
    assert (network(tokens) - other).abs().max() > 0.1


@pytest.mark.parametrize("fused", [False, True])
def test_ps_learns_as_the_published_network(tokens, fused):
    network = randomised(Caduceus(width=20, depth=3, states=4, swap_strands=fused))
    towards = torch.randn(*tokens.shape, 4, dtype=torch.double, generator=torch.Generator().manual_seed(5))
    logits = {"ours": network(tokens), "published": published_ps(network, tokens, sequential, fused=fused)}
    names, weights = zip(*network.named_parameters(), strict=True)
    ours, published = (torch.autograd.grad((answer * towards).sum(), weights) for answer in logits.values())
    for name, one, other in zip(names, ours, published, strict=True):
        assert other.abs().max() > 1e-3, name
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8, msg=lambda text, name=name: f"{name}: {text}")


def test_ph_is_the_published_network_in_training_and_both_strands_after(tokens):
    network = randomised(Caduceus(width=20, depth=3, states=4, strands="ph"))
    one = published_ph(network, tokens)
    torch.testing.assert_close(network.train()(tokens), one, rtol=1e-9, atol=1e-9)
    other = published_ph(network, torch.where(tokens < 4, 3 - tokens, tokens).flip(1)).flip(-1, -2)
    torch.testing.assert_close(network.eval()(tokens), (one + other) / 2, rtol=1e-9, atol=1e-9)


def test_hidden_states_of_both_strands_mirror_each_other(tokens):
    network = randomised(Caduceus(width=8, depth=2, states=4))
    hidden = network.hidden(tokens)
    other = network.hidden(torch.where(tokens < 4, 3 - tokens, tokens).flip(1))
    assert hidden.shape == (2, 19, 16)
    torch.testing.assert_close(other.flip(-1, -2), hidden, rtol=0, atol=1e-9)


@pytest.mark.parametrize("strands", ["ps", "ph"])
def test_sizes_are_the_published_ones(strands):
    """470,702 parameters at width 118 and four layers, of which 16 token ids are ours no more."""
    network = Caduceus(width=118, depth=4, strands=strands, tie_embedding=True).build(4)
    shapes = {name: tuple(weight.shape) for name, weight in network.state_dict().items()}
    assert shapes.pop("embedding.weight") == (6, 118)
    assert sum(torch.Size(shape).numel() for shape in shapes.values()) == 470_702 - 16 * 118
    mixer = "layers.0.mixer."
    assert shapes[mixer + "in_proj.weight"] == (472, 118)
    assert shapes[mixer + "out_proj.weight"] == (118, 236)
    for direction in ("mamba_fwd.", "mamba_rev."):
        assert shapes[mixer + direction + "conv1d.weight"] == (236, 1, 4)
        assert shapes[mixer + direction + "x_proj.weight"] == (8 + 32, 236)
        assert shapes[mixer + direction + "dt_proj.weight"] == (236, 8)
        assert shapes[mixer + direction + "A_log"] == (236, 16)


def test_another_alphabet_is_refused():
    with pytest.raises(ConfigError, match=r"4 symbols; this alphabet has 20: use kind mamba"):
        Caduceus(strands="ph").build(20)


def test_only_ps_has_strands_to_swap():
    with pytest.raises(ValueError, match="swap_strands is of strands: ps"):
        Caduceus(strands="ph", swap_strands=True)
