"""What every network of the union keeps to."""

import math
import typing

import pydantic
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F

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
    UNet,
)
from seqdiff.denoisers.reader import Reader

K, MASK, PAD = 4, 4, 5
CONTEXT = 100
"""Columns of a network with weights by position."""

ROUNDING = 1e-12
"""Less is no difference in double precision: a Fourier transform has every position in every sum."""

SMALL = {
    "convolution": [
        Convolution(width=12, hidden=6, depth=3, kernel=3, max_dilation=4),
        Convolution(width=12, hidden=6, depth=3, kernel=3, max_dilation=4, learned_positions=True),
        Convolution(width=12, hidden=6, depth=3, kernel=3, max_dilation=4, time_conditioning=True),
        Convolution(width=12, hidden=6, depth=3, kernel=3, max_dilation=4, causal=True),
        Convolution(width=8, hidden=8, depth=2, kernel=5, causal=True, time_conditioning=True, learned_positions=True),
    ],
    "hollow-convolution": [
        HollowConvolution(width=12, depth=3, radius=2, cycle=2),
        HollowConvolution(width=12, depth=3, radius=2, cycle=2, time_conditioning=True),
    ],
    "bytenet": [
        ByteNet(width=12, hidden=6, depth=3, kernel=3, max_dilation=4, embedding_width=5),
        ByteNet(width=8, hidden=8, depth=3, kernel=3, max_dilation=4, activation="relu"),
    ],
    "transformer": [
        Transformer(width=16, depth=2, heads=2, hidden=12),
        Transformer(width=16, depth=2, heads=2, hidden=12, time_conditioning=True),
        Transformer(width=16, depth=2, heads=2, hidden=12, causal=True),
        Transformer(width=16, depth=2, heads=2, hidden=12, causal=True, time_conditioning=True, learned_positions=True),
        Transformer(width=16, depth=2, heads=2, hidden=12, learned_positions=True),
        Transformer(width=16, depth=2, heads=2, hidden=12, block_length=4),
        Transformer(width=16, depth=2, heads=2, hidden=12, grid=(5, 10, 2)),
        Transformer(width=16, depth=2, heads=2, hidden=12, grid=(10, 10, 1), causal=True, time_conditioning=True),
    ],
    "esm2": [
        Esm2(width=16, depth=2, heads=2, hidden=24, tie_embedding=False),
        Esm2(width=16, depth=2, heads=2, hidden=24),
        Esm2(width=16, depth=2, heads=2, hidden=24, positions="learned", longest=CONTEXT, norm_embedding=True),
        Esm2(width=16, depth=2, heads=2, hidden=24, token_dropout=False, tie_embedding=False),
    ],
    "hyena": [
        Hyena(width=8, depth=2, hidden=12, filter_width=6, length=20),
        Hyena(width=8, depth=2, hidden=12, filter_width=6, length=64, order=3, kernel=5),
        Hyena(width=8, depth=2, hidden=12, filter_width=6, length=64, causal=True),
        Hyena(width=8, depth=2, hidden=12, filter_width=6, length=20, causal=True, order=3, kernel=2),
    ],
    "mamba": [Mamba(width=8, depth=2, states=3), Mamba(width=8, depth=2, states=3, causal=True)],
    "caduceus": [
        Caduceus(width=8, depth=2, states=3),
        Caduceus(width=8, depth=2, states=3, swap_strands=True),
        Caduceus(width=8, depth=2, states=3, strands="ph"),
        Caduceus(width=8, depth=2, states=3, tie_embedding=True),
    ],
    "pairwise": [Pairwise()],
    "unet": [
        UNet(grid=(5, 10, 2), width=8, depth=2, value_width=6, groups=2),
        UNet(grid=(10, 10, 1), width=8, depth=1, value_width=6, groups=4, time_conditioning=True),
        UNet(
            grid=(10, 10, 1),
            width=8,
            depth=1,
            value_width=6,
            groups=4,
            time_conditioning=True,
            transformer={"depth": 1, "width": 8, "heads": 2, "hidden": 6},
        ),
    ],
}
ALL = [settings for group in SMALL.values() for settings in group]
NAMES = [f"{settings.kind}-{i}" for group in SMALL.values() for i, settings in enumerate(group)]


@pytest.fixture(params=ALL, ids=NAMES)
def settings(request):
    return request.param


@pytest.fixture
def draw():
    return torch.Generator().manual_seed(7)


def fresh(settings):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return settings.build(K, CONTEXT)


def trained(settings, dtype=torch.float32):
    """A network whose every weight has moved, so that nothing is hidden behind a zero head or a gain of one."""
    network = fresh(settings).to(dtype).eval()
    draw = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=draw, dtype=dtype)
    return network


def tokens_of(draw, rows=3, length=23):
    return torch.randint(0, K + 1, (rows, length), generator=draw)


def run(network, tokens, time=0.4):
    """Logits, with a time where one is taken."""
    return network(tokens, torch.full((len(tokens),), time) if network.takes_time else None)


def test_every_member_is_tested():
    members = typing.get_args(typing.get_args(DenoiserConfig)[0])
    assert {member.model_fields["kind"].default for member in members} == set(SMALL)
    assert all(type(settings) in members for settings in ALL)


def test_a_recipe_names_a_network_by_kind(settings):
    read = pydantic.TypeAdapter(DenoiserConfig).validate_python(settings.model_dump())
    assert read == settings
    assert read.takes_time == read.build(K, CONTEXT).takes_time


def test_logits_and_hidden_states_have_a_row_a_position(settings, draw):
    network, tokens = trained(settings), tokens_of(draw)
    time = torch.rand(3, generator=draw) if network.takes_time else None
    logits, hidden = network(tokens, time), network.hidden(tokens, time)
    assert logits.shape == (3, 23, K)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()
    assert hidden.shape[:2] == (3, 23)
    assert hidden.std() > 0


def test_first_loss_is_ln_k_exactly(settings, draw):
    if getattr(settings, "tie_embedding", False):
        pytest.skip("a tied head starts at the embedding")
    logits = run(fresh(settings), tokens_of(draw))
    assert torch.equal(logits, torch.zeros_like(logits))
    loss = F.cross_entropy(logits.double().flatten(0, 1), torch.zeros(logits.shape[:2].numel(), dtype=torch.long))
    assert loss.item() == pytest.approx(math.log(K), abs=1e-15)


@pytest.mark.parametrize("padding", [1, 5, 64])
def test_padding_does_not_change_real_positions(settings, draw, padding):
    network, tokens = trained(settings), tokens_of(draw)
    alone = run(network, tokens)
    right = run(network, F.pad(tokens, (0, padding), value=PAD))[:, :23]
    left = run(network, F.pad(tokens, (padding, 0), value=PAD))[:, padding:]
    torch.testing.assert_close(right, alone, rtol=0, atol=1e-5)
    if network.columns is None:
        torch.testing.assert_close(left, alone, rtol=0, atol=1e-5)


def test_what_a_pad_is_embedded_as_does_not_matter(settings, draw):
    network = trained(settings)
    tokens = F.pad(tokens_of(draw), (0, 9), value=PAD)
    before = run(network, tokens)[:, :23]
    if settings.kind == "hollow-convolution":
        assert network.embedding.weight.shape[1] == K + 1  # letters and the mask: a pad has no weight at all
        return
    if settings.kind == "pairwise":
        assert network.embedding(torch.tensor([[0, MASK, PAD]]))[0].tolist() == [[1, 0, 0, 0], [0] * 4, [0] * 4]
        return
    with torch.no_grad():
        network.embedding.weight[PAD] = 100 * torch.randn(network.embedding.weight[PAD].shape, generator=draw)
    torch.testing.assert_close(run(network, tokens)[:, :23], before, rtol=0, atol=1e-5)


def test_rows_do_not_see_each_other(settings, draw):
    network, tokens = trained(settings), tokens_of(draw)
    tokens[1, 10:] = PAD
    tokens[2] = PAD
    together = run(network, tokens)
    assert together.isfinite().all()
    for row, length in ((0, 23), (1, 10)):
        alone = run(network, tokens[row : row + 1, :length])
        torch.testing.assert_close(together[row : row + 1, :length], alone, rtol=0, atol=1e-5)


def test_rows_have_their_own_gradient(settings, draw):
    network, tokens = trained(settings), tokens_of(draw)
    given = []
    keep = lambda *args: given.append(args[-1].requires_grad_()) or args[-1].retain_grad()  # noqa: E731
    network.embedding.register_forward_hook(keep)
    run(network, tokens)[1].sum().backward()
    touched = given[0].grad.flatten(1).abs().sum(1) > 0
    strands = len(touched) // 3
    assert touched.tolist() == [False, True, False] * strands


def test_a_prediction_depends_on_both_sides(settings, draw):
    network, tokens = trained(settings), tokens_of(draw)
    tokens[:, 12] = MASK
    before = run(network, tokens)[:, 12]
    for neighbour in (10, 11) if settings.left_to_right else (10, 11, 13, 14):
        changed = tokens.clone()
        changed[:, neighbour] = (tokens[:, neighbour] + 1) % K
        assert ((run(network, changed)[:, 12] - before).abs().amax(-1) > 1e-4).all()


@pytest.mark.parametrize("length", [1, 2, 7, 33])
def test_any_length_is_read(settings, draw, length):
    logits = run(trained(settings), tokens_of(draw, rows=1, length=length))
    assert logits.shape == (1, length, K)
    assert logits.isfinite().all()


def test_double_precision_agrees_with_single(settings, draw):
    tokens = tokens_of(draw)
    double = run(trained(settings, torch.float64), tokens)
    single = trained(settings, torch.float64).float()
    assert double.dtype == torch.float64
    torch.testing.assert_close(run(single, tokens).double(), double, rtol=1e-3, atol=1e-4)


def test_logits_stay_single_precision_under_autocast(settings, draw):
    network, tokens = trained(settings), tokens_of(draw)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = run(network, tokens)
    assert logits.dtype == torch.float32
    assert not torch.equal(logits, logits.bfloat16().float())


def test_gradient_reaches_every_parameter(settings, draw):
    """Once a step has moved the head away from zero, and another the modulation by time."""
    network = fresh(settings).train()
    tokens = tokens_of(draw, length=network.columns or 23)
    targets = torch.randint(0, K, (tokens.numel(),), generator=draw)
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(run(network, tokens).flatten(0, 1), targets).backward()
        optimizer.step()
    silent = [name for name, parameter in network.named_parameters() if not parameter.grad.abs().max() > 0]
    assert silent == []


def test_saved_weights_bring_back_the_same_network(settings, draw, tmp_path):
    network, tokens = trained(settings), tokens_of(draw)
    safetensors.torch.save_file(network.state_dict(), tmp_path / "model.safetensors")
    other = settings.build(K, CONTEXT).eval()
    other.load_state_dict(safetensors.torch.load_file(tmp_path / "model.safetensors"))
    assert torch.equal(run(other, tokens), run(network, tokens))


def test_time_is_given_where_it_is_taken_and_only_there(settings, draw):
    network, tokens = fresh(settings), tokens_of(draw)
    wrong = None if network.takes_time else torch.rand(3, generator=draw)
    for call in (network, network.hidden):
        with pytest.raises(ValueError, match="needs the time" if network.takes_time else "takes no time"):
            call(tokens, wrong)


def test_equivariant_networks_answer_the_other_strand_with_the_other_strand(settings, draw):
    """And one that does not claim to be equivariant does not."""
    network, tokens = trained(settings), tokens_of(draw)
    assert network.equivariant or not settings.equivariant
    tokens[0, 20:] = PAD
    other = torch.where(tokens < K, K - 1 - tokens, tokens).flip(-1)
    real = tokens != PAD
    difference = run(network, other).flip(-1, -2) - run(network, tokens)
    assert (difference[real].abs().max() < 1e-6) == network.equivariant


@pytest.mark.parametrize("settings", [group[0] for group in SMALL.values()], ids=list(SMALL))
def test_the_compiler_sees_one_graph(settings, draw):
    network, tokens = trained(settings), tokens_of(draw)
    torch.compiler.reset()  # the networks share a forward pass, which is compiled for so many of them and no more
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    torch.testing.assert_close(run(compiled, tokens), run(network, tokens), rtol=1e-4, atol=1e-5)


def test_a_hollow_network_never_sees_the_letter_it_predicts(settings, draw):
    """And one that does not claim to be hollow does see it: the claim is worth testing."""
    network = trained(settings, torch.float64)
    tokens = tokens_of(draw)
    before = run(network, tokens)
    moved = []
    for position in range(tokens.shape[1]):
        changed = tokens.clone()
        changed[:, position] = (changed[:, position] + 1) % (K + 1)
        moved.append((run(network, changed) - before)[:, position].abs().max().item())
    assert (max(moved) < ROUNDING) == settings.hollow


def test_a_left_to_right_network_sees_what_stands_before_and_nothing_else(settings, draw):
    """And one that does not claim to be left-to-right sees what comes after. Rows may begin or end with pads."""
    network = trained(settings, torch.float64)
    assert network.left_to_right == settings.left_to_right
    tokens = tokens_of(draw)
    tokens[1, 19:], tokens[2, :5] = PAD, PAD
    real, before = tokens != PAD, run(network, tokens)
    later = []
    for position in range(6, 18):
        changed = tokens.clone()
        changed[:, position] = (changed[:, position] + 1) % (K + 1)
        moved = (run(network, changed) - before).abs().amax(-1).masked_fill(~real, 0)
        later.append(moved[:, position + 1 :].amax(1).min().item())
        assert (moved[:, : position + 1].max() < ROUNDING) == settings.left_to_right
    assert min(later) > 1e-6


def test_reading_some_letters_at_a_time_gives_the_logits_of_the_whole_row(settings, draw):
    network, tokens = trained(settings, torch.float64), tokens_of(draw, length=33)
    time = torch.full((3,), 0.4) if settings.takes_time else None
    if not settings.left_to_right:
        with pytest.raises(ValueError, match="does not read left to right"):
            Reader(network, 3, time)
        return
    rows = torch.tensor([2, 0, 0, 1])
    with torch.no_grad():
        whole, reader = run(network, tokens), Reader(network, 3, time)
        logits = [reader.logits[:, None], *(reader.read(part) for part in tokens[:, :20].split((1, 1, 7, 1, 10), 1))]
        torch.testing.assert_close(torch.cat(logits, 1), whole[:, :21], rtol=0, atol=1e-10)
        reader.take(rows)
        logits = [reader.logits[:, None], *(reader.read(part) for part in tokens[rows, 20:-1].split((3, 1, 1, 7), 1))]
        torch.testing.assert_close(torch.cat(logits, 1), whole[rows, 20:], rtol=0, atol=1e-10)


def test_what_lies_beyond_the_reach_changes_nothing(settings, draw):
    network, tokens = trained(settings, torch.float64), tokens_of(draw, length=41)
    if network.reach is None:
        pytest.skip("sees everything")
    middle = tokens.shape[1] // 2
    assert network.reach < middle
    before = run(network, tokens)[:, middle]
    tokens[:, middle + network.reach + 1 :] = PAD
    tokens[:, : middle - network.reach] = 0
    torch.testing.assert_close(run(network, tokens)[:, middle], before, rtol=0, atol=1e-12)
    tokens[:, middle - network.reach] = 1
    assert (run(network, tokens)[:, middle] - before).abs().max() > 0


def test_hidden_states_stay_in_full_precision_under_autocast(settings, draw):
    network, tokens = trained(settings), tokens_of(draw)
    time = torch.full((len(tokens),), 0.4) if network.takes_time else None
    with torch.autocast("cpu", torch.bfloat16):
        assert network.hidden(tokens, time).dtype == torch.float32


def test_activation_checkpointing_changes_memory_and_no_gradient(settings, draw):
    network = trained(settings).train()
    tokens = torch.randint(0, K + 1, (2, 40), generator=draw)
    time = torch.rand(2, generator=draw) if network.takes_time else None

    def kept_and_gradients():
        storages = {}

        def keep(tensor):
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = network(tokens, time).square().sum()
        return sum(storages.values()), torch.autograd.grad(loss, [*network.parameters()])

    kept, gradients = kept_and_gradients()
    network.activation_checkpointing = True
    kept_less, again = kept_and_gradients()
    assert kept_less < kept or settings.kind == "pairwise"  # it has no layers, and keeps the letters alone
    for one, other in zip(gradients, again, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
