import math

import pytest
import torch
import torch.nn.functional as F

from seqdiff.denoisers import Hyena
from seqdiff.errors import ConfigError
from seqdiff.train.optimizer import is_decayed, is_matrix

SMALL = {"width": 6, "depth": 1, "hidden": 8, "filter_width": 5, "length": 16}


def built(**settings):
    """In double precision, every weight moved."""
    network = Hyena(**SMALL | settings).build(4).double().eval()
    rng = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=rng, dtype=torch.float64)
    return network


def filters_by_definition(own, count, causal):
    """Number after number: what the network of a filter writes at each offset, times what is left of it there."""
    length, sides = own.length, []
    for offset in range(count):
        z = [offset / (length - 1)]
        frequencies = [1e-4 + band * (own.bands - 1 - 1e-4) / max(1, own.bands - 1) for band in range(own.bands)]
        z += [math.cos(2 * math.pi * offset / length * f) for f in frequencies]
        z += [-math.sin(2 * math.pi * offset / length * f) for f in frequencies]
        x = torch.tensor(z, dtype=torch.float64)
        for layer in own.layers:
            x = torch.sin(own.frequency * (layer.weight @ x + layer.bias))
        sides.append((own.last.weight @ x).unflatten(0, (1 if causal else 2, -1)))
    h = torch.stack(sides, -1)
    channels = h.shape[1]
    slow, fast = own.fading
    for channel in range(channels):
        rate = -math.log(0.01) * (1 / slow + (1 / fast - 1 / slow) * channel / (channels - 1))
        for offset in range(count):
            h[:, channel, offset] *= math.exp(-rate * offset / (length - 1)) + own.floor
    return h


def operator_by_definition(operator, x, causal):
    """The recurrence, one row (L, D), every pair of positions."""
    length, width = x.shape
    z, taps = x @ operator.in_proj.weight.T, operator.short_conv.kernel_size[0]
    behind = taps - 1 if causal else taps // 2
    projected = torch.zeros_like(z)
    for i in range(length):
        for k in range(taps):
            if 0 <= i - behind + k < length:
                projected[i] += operator.short_conv.weight[:, 0, k] * z[i - behind + k]
    projected = projected + operator.short_conv.bias
    *gates, v = projected.split(width, 1)
    count = min(length, operator.length)
    filters = filters_by_definition(operator.filter, count, causal).split(width, 1)
    for step, gate in enumerate(reversed(gates[1:])):
        u = v * gate
        v = u * operator.skip[step * width :][:width]
        for i in range(length):
            for j in range(length):
                if abs(i - j) < count and (i >= j or not causal):
                    v[i] = v[i] + filters[step][0 if i >= j else 1, :, abs(i - j)] * u[j]
    return F.linear(v * gates[0], operator.out_proj.weight, operator.out_proj.bias)


@pytest.mark.parametrize("length", [1, 5, 16, 23])
@pytest.mark.parametrize(
    "settings", [{}, {"order": 3, "kernel": 5, "bands": 1}, {"causal": True}, {"causal": True, "kernel": 2, "order": 4}]
)
def test_the_operator_is_its_definition(settings, length):
    network = built(**settings)
    operator = network.blocks[0].operator
    x = torch.randn(length, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        truth = operator_by_definition(operator, x, settings.get("causal", False))
        answer = operator(x[None], torch.ones(1, 1, length, dtype=torch.float64))[0]
    torch.testing.assert_close(answer, truth, rtol=1e-10, atol=1e-10)


def test_its_size_is_that_of_the_published_table():
    """433K without embedding and head, as the table counts; d_model 256 is the larger one of 2 layers."""

    def inside(network):
        outer = ("embedding", "begin_embedding", "head")
        return sum(p.numel() for name, p in network.named_parameters() if name.split(".")[0] not in outer)

    published = inside(Hyena(causal=True).build(4, 1024))
    assert published == 433_280
    assert inside(Hyena(causal=True).build(4, 32_768)) == published
    assert inside(Hyena().build(4, 1024)) == published + 2 * 64 * 128


def test_filters_do_not_depend_on_how_much_of_them_is_needed():
    own = built().blocks[0].operator.filter
    assert own(16).shape == (2, 6, 16)
    torch.testing.assert_close(own(16)[..., :7], own(7), rtol=0, atol=1e-14)


def test_filters_fade_between_the_fast_and_the_slow_share_to_the_floor():
    settings = Hyena(width=9, depth=1, fast_fading=0.2, slow_fading=0.8, floor=0.0, length=101)
    own, floored = (settings.model_copy(update={"floor": f}).build(4).blocks[0].operator.filter for f in (0.0, 0.5))
    floored.load_state_dict(own.state_dict())
    bare = (floored(101) - own(101)) / 0.5  # before it fades
    left = own(101) / bare
    torch.testing.assert_close(left[0, -1, 20], torch.tensor(0.01), rtol=1e-2, atol=0)
    torch.testing.assert_close(left[0, 0, 80], torch.tensor(0.01), rtol=1e-2, atol=0)
    assert (left[0, 1:, 30] < left[0, :-1, 30]).all()


def test_length_is_the_context_of_the_data_unless_it_is_set():
    assert Hyena(depth=1).build(4, 300).blocks[0].operator.length == 300
    assert Hyena(depth=1, length=50).build(4, 300).blocks[0].operator.length == 50
    with pytest.raises(ConfigError, match=r"set denoiser\.length"):
        Hyena(depth=1).build(4)
    assert Hyena(depth=1).resolved(300) == Hyena(depth=1, length=300)
    assert Hyena(depth=1, length=50).resolved(300).length == 50


def test_nothing_farther_than_its_length_is_seen_by_a_layer():
    network = built(kernel=1)
    tokens = torch.zeros(1, 60, dtype=torch.long)
    changed = tokens.clone()
    changed[0, 30] = 1
    moved = (network(changed) - network(tokens)).abs().amax(-1)[0] > 1e-12
    assert moved.nonzero().flatten().tolist() == list(range(30 - 15, 30 + 16))


def test_a_new_filter_is_smooth():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        h = Hyena().build(4, 1024).blocks[0].operator.filter(1024)
    assert h.diff(dim=-1).abs().max() < 0.05 * h.abs().max()


def test_the_optimizers_leave_the_network_of_the_filters_undecayed():
    named = dict(Hyena(**SMALL, causal=True).build(4).named_parameters())
    free = {name for name, parameter in named.items() if not is_decayed(name, parameter)}
    matrices = {name.removeprefix("blocks.0.") for name, parameter in named.items() if is_matrix(name, parameter)}
    assert {name for name in named if ".filter." in name} < free
    assert {"begin_embedding.weight", "blocks.0.operator.skip"} < free
    assert matrices == {f"{layer}_proj.weight" for layer in ("in", "out", "operator.in", "operator.out")}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kernel": 4}, "kernel 4 is even"),
        ({"fast_fading": 2.0}, "fast_fading 2.0 is above slow_fading 1.5"),
        ({"order": 1}, "greater than or equal to 2"),
        ({"l_max": 1024}, "Extra inputs"),
    ],
)
def test_a_wrong_setting_is_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        Hyena(**wrong)
