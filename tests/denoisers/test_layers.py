import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from seqdiff.denoisers import Convolution, Mamba, Transformer
from seqdiff.denoisers.layers import STEP_RANGE, SwiGLU, TimeEmbedding, initialise, rotary_angles, rotate


def test_rotated_products_depend_on_distance_alone():
    query, key = torch.randn(2, 1, 1, 1, 8, dtype=torch.float64)
    angles = rotary_angles(30, 8, query)
    queries, keys = (rotate(x.expand(1, 1, 30, 8), angles)[0, 0] for x in (query, key))
    products = queries @ keys.T
    for distance in (-7, 0, 4):
        diagonal = products.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal))
    assert not products[0, 0].isclose(products[0, 5])
    torch.testing.assert_close(queries.norm(dim=-1), query.flatten().norm().expand(30))


def test_rotation_turns_the_first_pair_by_one_radian_a_position():
    turned = rotate(torch.tensor([1.0, 0, 0, 0]).expand(1, 1, 3, 4), rotary_angles(3, 4, torch.ones(1)))[0, 0]
    torch.testing.assert_close(turned[:, 0], torch.tensor([1.0, math.cos(1), math.cos(2)]))
    torch.testing.assert_close(turned[:, 2], torch.tensor([0.0, math.sin(1), math.sin(2)]))


def test_swiglu_is_its_formula():
    layer, x = SwiGLU(4, 6), torch.randn(3, 4)
    gate, up = layer.in_proj.weight.chunk(2)
    expected = (F.silu(x @ gate.T) * (x @ up.T)) @ layer.out_proj.weight.T
    torch.testing.assert_close(layer(x), expected)


def test_near_times_are_told_apart():
    embed = TimeEmbedding(32)
    one, near, far = embed(torch.tensor([0.5, 0.501, 0.9]))
    assert (one - near).norm() > 1e-3
    assert (one - far).norm() > (one - near).norm()


def test_networks_start_as_initialise_says():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Mamba(width=64, depth=4).build(200)
    assert network.embedding.weight.std().item() == pytest.approx(0.02, rel=0.05)
    mixer = network.layers[0].mixer
    assert mixer.out_proj.weight.abs().max().item() == pytest.approx(128**-0.5 / math.sqrt(4), rel=0.01)
    assert mixer.in_proj.weight.abs().max().item() == pytest.approx(64**-0.5, rel=0.01)
    for direction in (mixer.mamba_fwd, mixer.mamba_rev):
        steps = F.softplus(direction.dt_proj.bias)
        assert steps.min() > 0.99 * STEP_RANGE[0]
        assert steps.max() < 1.01 * STEP_RANGE[1]
        assert steps.log().mean().item() == pytest.approx(sum(map(math.log, STEP_RANGE)) / 2, abs=0.5)
        torch.testing.assert_close(direction.A_log[5].exp(), torch.arange(1.0, 17))
        assert torch.equal(direction.D, torch.ones(128))


@pytest.mark.parametrize("settings", [Convolution(depth=2), Transformer(depth=1), Mamba(depth=1)])
def test_the_same_seed_starts_the_same_network(settings):
    with torch.random.fork_rng():
        torch.manual_seed(9)
        first = settings.build(4).state_dict()
        torch.manual_seed(9)
        second = settings.build(4).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_more_additions_start_smaller():
    network = nn.ModuleDict({"out_proj": nn.Linear(4, 4), "other": nn.Linear(4, 4)})
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    initialise(network, 16)
    torch.testing.assert_close(network["out_proj"].weight, before["out_proj.weight"] / 4)
    assert torch.equal(network["other"].weight, before["other.weight"])
