"""On the CPU a row has the same bits whatever rows it shares a batch with, whatever the padding and the threads."""

import pytest
import torch
import torch.nn.functional as F

from seqdiff.config import members
from seqdiff.denoisers import (
    ByteNet,
    Caduceus,
    Convolution,
    DenoiserConfig,
    Esm2,
    HollowConvolution,
    Hyena,
    Mamba,
    Pairwise,
    Transformer,
)
from seqdiff.denoisers.alone import Alone
from seqdiff.diffusion.processes import Masked
from seqdiff.inference.frozen import Frozen

CPU = torch.device("cpu")
COMPANY = [(1, 0), (2, 0), (3, 5), (8, 0), (17, 16)]
"""Rows of a batch, and pads behind the row that is looked at."""
NETWORKS = {
    "convolution": Convolution(width=24, hidden=20, depth=4, kernel=3, max_dilation=8),
    "far taps": Convolution(width=24, hidden=16, depth=6, kernel=5, max_dilation=32),
    "causal": Convolution(width=24, hidden=20, depth=3, kernel=3, causal=True),
    "timed": Convolution(width=24, hidden=20, depth=3, kernel=3, time_conditioning=True),
    "hollow-convolution": HollowConvolution(width=28, depth=4, radius=4, cycle=4),
    "bytenet": ByteNet(width=24, hidden=20, depth=3, kernel=3, max_dilation=4),
    "transformer": Transformer(width=24, depth=2, heads=2, hidden=36),
    "causal transformer": Transformer(width=24, depth=2, heads=2, hidden=36, causal=True),
    "timed transformer": Transformer(width=24, depth=2, heads=2, hidden=36, time_conditioning=True),
    "blocks": Transformer(width=24, depth=2, heads=2, hidden=36, block_length=4),
    "esm2": Esm2(width=24, depth=2, heads=2, hidden=36),
    "hyena": Hyena(width=24, depth=2, hidden=36, filter_width=8, length=200),
    "mamba": Mamba(width=20, depth=2, states=4),
    "caduceus": Caduceus(width=20, depth=2, states=4),
    "ph": Caduceus(width=20, depth=2, states=4, strands="ph"),
    "pairwise": Pairwise(),
}
LENGTHS = (1, 5, 33, 100)


def test_every_kind_of_network_is_looked_at():
    assert {settings.kind for settings in NETWORKS.values()} | {"unet"} == set(members(DenoiserConfig))


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_row_has_the_same_bits_in_any_company(name, threads):
    network = NETWORKS[name].build(4, 100)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(3)
        for weight in network.parameters():
            weight.normal_(0, 0.3)
    frozen = Frozen(network, CPU, Masked())
    draw = torch.Generator().manual_seed(5)
    for length in (100,) if network.columns else LENGTHS:
        row = torch.randint(0, 5, (length,), generator=draw)
        found = []
        for count in (1, 2):
            threads(count)
            for rows, pads in COMPANY:
                pads = 0 if network.columns else pads
                tokens = torch.randint(0, 5, (rows, length + pads), generator=draw)
                at = rows // 2
                tokens[at, :length], tokens[at, length:] = row, network.pad
                time = torch.full((rows,), 0.3) if network.takes_time else None
                found.append(frozen(tokens, time)[at, :length])
        assert found[0].isfinite().all()
        assert all(torch.equal(found[0], each) for each in found), length


def test_without_it_they_have_not(threads):
    """What this is for: were it so anyway, the rules could go."""
    threads(1)
    draw = torch.Generator().manual_seed(5)
    weight = torch.randn(112, 112, 1, 3, generator=draw)
    x = torch.randn(8, 112, 1, 100, generator=draw).contiguous(memory_format=torch.channels_last)
    settings = dict(padding=(0, 9), dilation=(1, 9))
    together, by_itself = (F.conv2d(rows, weight, **settings)[0] for rows in (x, x[:1]))
    if torch.equal(together, by_itself):
        pytest.skip("this build of torch convolves every batch alike")
    with Alone():
        together, by_itself = (F.conv2d(rows, weight, **settings)[0] for rows in (x, x[:1]))
    assert torch.equal(together, by_itself)


@pytest.mark.parametrize(("padding", "dilation", "taps"), [(0, 1, 3), (9, 9, 3), (72, 72, 3), (8, 1, 17), (36, 18, 3)])
@pytest.mark.parametrize("length", [40, 100])
def test_convolutions_are_what_torch_computes(padding, dilation, taps, length):
    if length + 2 * padding < dilation * (taps - 1) + 1:
        pytest.skip("nothing comes out")
    draw = torch.Generator().manual_seed(2)
    x, weight = torch.randn(3, 5, 1, length, generator=draw), torch.randn(7, 5, 1, taps, generator=draw)
    for bias in (None, torch.randn(7, generator=draw)):
        expected = F.conv2d(x, weight, bias, padding=(0, padding), dilation=(1, dilation))
        with torch.no_grad(), Alone():
            found = F.conv2d(x, weight, bias, padding=(0, padding), dilation=(1, dilation))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(1,), (31,), (3, 7, 5), (40_000,), (2, 70_001)])
@pytest.mark.parametrize("name", ["gelu", "silu", "sigmoid", "softplus"])
def test_activations_are_what_torch_computes(name, shape, threads):
    threads(2)
    function = getattr(F, name, None) or getattr(torch, name)
    x = 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(2))
    with torch.no_grad(), Alone():
        found = function(x)
    torch.testing.assert_close(found, function(x), rtol=1e-5, atol=1e-6)


def test_other_calls_are_torchs_own():
    draw = torch.Generator().manual_seed(2)
    x, weight = torch.randn(2, 3, 6, 8, generator=draw), torch.randn(4, 3, 3, 3, generator=draw)
    expected = F.conv2d(x, weight, stride=2)
    with torch.no_grad(), Alone():
        assert torch.equal(F.conv2d(x, weight, stride=2), expected)
        assert F.linear(torch.empty(0, 3), torch.ones(5, 3)).shape == (0, 5)
        assert F.silu(torch.empty(0)).shape == (0,)


READERS = {
    "convolution": Convolution(width=24, hidden=20, depth=3, kernel=3, causal=True),
    "transformer": Transformer(width=24, depth=2, heads=2, hidden=36, causal=True),
    "hyena": Hyena(width=24, depth=2, hidden=36, filter_width=8, length=200, causal=True),
    "mamba": Mamba(width=20, depth=2, states=4, causal=True),
}


@pytest.mark.parametrize("name", READERS)
def test_what_reads_from_the_left_has_the_same_bits_in_any_company(name, threads):
    """Rows, threads; letters that are known are read together, as a gap is filled letter by letter."""
    network = READERS[name].build(4, 100)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(3)
        for weight in network.parameters():
            weight.normal_(0, 0.3)
    frozen = Frozen(network, CPU, Masked())
    row = torch.randint(0, 4, (30,), generator=torch.Generator().manual_seed(5))
    found = []
    for count in (1, 2):
        threads(count)
        for rows in (1, 5, 16):
            tokens = torch.randint(0, 4, (rows, 30), generator=torch.Generator().manual_seed(rows))
            tokens[0] = row
            reader = frozen.reader(rows)
            said = [reader.read(tokens[:, :20])[0], *(reader.read(tokens[:, at : at + 1])[0] for at in range(20, 30))]
            found.append(torch.cat(said))
    assert all(torch.equal(found[0], other) for other in found[1:])
