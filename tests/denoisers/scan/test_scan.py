"""Every path of the selective scan and of the layer around it, against a loop in float64."""

import itertools

import pytest
import torch
from scans import arguments, gradients, layer, leaves, mixed, relative, sequential

VALUES, GRADIENTS = 1e-5, 1e-4
"""Relative errors that a path in float32 may have."""


def check(answers, truths, inputs):
    """Values and gradients of the answers are those of the truths."""
    for answer, truth in zip(answers, truths, strict=True):
        assert relative(answer, truth) < VALUES
    ours, theirs = gradients(answers, inputs.values()), gradients(truths, inputs.values())
    for name, one, other in zip(inputs, ours, theirs, strict=True):
        assert relative(one, other) < GRADIENTS, name


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("length", "rows", "width", "states"),
    [(1, 1, 1, 1), (1, 3, 20, 5), (7, 1, 3, 4), (16, 2, 8, 16), (33, 1, 24, 16), (67, 3, 20, 5), (129, 2, 16, 16)],
)
def test_values_and_gradients_are_those_of_the_loop(path, length, rows, width, states, reverse):
    given = arguments(length, rows, width, states, device=path.device)
    y = path.selective_scan(**given, delta_softplus=True, reverse=reverse)
    assert y.dtype == torch.float32
    check([y], [sequential(**given, delta_softplus=True, reverse=reverse)], given)


@pytest.mark.parametrize("without", [("D",), ("z",), ("delta_bias",), ("D", "z", "delta_bias")])
@pytest.mark.parametrize("softplus", [False, True])
def test_what_is_optional_may_be_left_out(path, without, softplus):
    given = {name: tensor for name, tensor in arguments(35, device=path.device).items() if name not in without}
    given["delta"] = given["delta"].detach().abs().requires_grad_()
    if not softplus and "delta_bias" in given:
        given["delta_bias"] = given["delta_bias"].detach().abs().requires_grad_()
    y = path.selective_scan(**given, delta_softplus=softplus)
    check([y], [sequential(**given, delta_softplus=softplus)], given)


@pytest.mark.parametrize("reverse", [False, True])
def test_the_state_is_carried_in_and_out_with_its_gradients(path, reverse):
    given = arguments(37, device=path.device, initial_state=True)
    settings = {"delta_softplus": True, "reverse": reverse, "return_last_state": True}
    answers, truths = path.selective_scan(**given, **settings), sequential(**given, **settings)
    assert answers[1].shape == (2, 3, 4)
    check(answers, truths, given)
    check(answers[1:], truths[1:], {name: given[name] for name in ("u", "delta", "A", "B", "initial_state")})


@pytest.mark.parametrize("learning", [False, True])
def test_the_last_state_without_a_first_one(path, learning):
    given = {name: tensor.detach() for name, tensor in arguments(37, device=path.device).items()}
    for name in given if learning else ():
        given[name].requires_grad_()
    settings = {"delta_softplus": True, "return_last_state": True}
    for answer, truth in zip(path.selective_scan(**given, **settings), sequential(**given, **settings), strict=True):
        assert answer.requires_grad == learning
        assert relative(answer, truth) < VALUES


@pytest.mark.parametrize("reverse", [False, True])
def test_a_sequence_in_pieces_is_the_sequence_in_one(path, reverse):
    given = {name: tensor.detach() for name, tensor in arguments(101, device=path.device).items()}
    whole, last = path.selective_scan(**given, delta_softplus=True, reverse=reverse, return_last_state=True)
    cuts, state, pieces = [0, 1, 33, 64, 90, 101], None, []
    spans = list(itertools.pairwise(cuts))
    for start, end in reversed(spans) if reverse else spans:
        part = {name: tensor[..., start:end] if tensor.dim() == 3 else tensor for name, tensor in given.items()}
        y, state = path.selective_scan(
            **part, delta_softplus=True, reverse=reverse, initial_state=state, return_last_state=True
        )
        pieces.append(y)
    joined = torch.cat(pieces[::-1] if reverse else pieces, -1)
    torch.testing.assert_close(joined, whole, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(state, last, rtol=1e-5, atol=1e-5)


def views(tensor):
    """The same numbers in other memory: channels last, in the middle of something larger, in steps of two."""
    yield tensor.transpose(1, 2).contiguous().transpose(1, 2)
    larger = torch.zeros(tensor.shape[0], tensor.shape[1] + 2, tensor.shape[2] + 3).to(tensor)
    larger[:, 1:-1, 1:-2] = tensor
    yield larger[:, 1:-1, 1:-2]
    yield tensor.repeat_interleave(2, -1)[..., ::2]
    yield tensor.flip(-1).flip(-1).transpose(0, 1).contiguous().transpose(0, 1)


@pytest.mark.parametrize("kind", range(4))
@pytest.mark.parametrize("length", [24, 35])
def test_tensors_may_be_views_in_any_layout(path, kind, length):
    given = {name: tensor.detach() for name, tensor in arguments(length, device=path.device).items()}
    viewed = {name: list(views(t))[kind] if t.dim() == 3 else t for name, t in given.items()}
    viewed |= {"A": given["A"].t().contiguous().t(), "D": given["D"].repeat_interleave(2)[::2]}
    for tensor in viewed.values():
        tensor.requires_grad_()
    y = path.selective_scan(**viewed, delta_softplus=True, reverse=True)
    check([y], [sequential(**viewed, delta_softplus=True, reverse=True)], viewed)


def test_one_row_for_all_by_expanding_it(path):
    given = {name: tensor.detach() for name, tensor in arguments(24, device=path.device).items()}
    given |= {"B": given["B"][:1].expand(2, -1, -1), "delta": given["delta"][:, :1].expand(-1, 3, -1)}
    y = path.selective_scan(**given, delta_softplus=True)
    assert relative(y, sequential(**given, delta_softplus=True)) < VALUES


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_inputs_keep_the_state_in_single(path, dtype):
    given = {name: tensor.detach() for name, tensor in arguments(300, device=path.device).items()}
    half = {name: tensor.to(dtype) for name, tensor in given.items()}
    half["A"] = half["A"] / 64  # a memory of hundreds of steps: a state in bfloat16 would forget its small increments
    y, last = path.selective_scan(**half, delta_softplus=True, return_last_state=True)
    truth, state = sequential(**half, delta_softplus=True, return_last_state=True)
    assert y.dtype == dtype
    assert relative(y, truth) < 4e-3
    assert last.dtype == torch.float32
    assert relative(last, state) < VALUES


def test_gradients_of_half_precision_inputs_have_their_type(path):
    given = {n: t.detach().bfloat16().requires_grad_() for n, t in arguments(40, device=path.device).items()}
    y = path.selective_scan(**given, delta_softplus=True)
    truth = sequential(**given, delta_softplus=True)
    for tensor, one, other in zip(
        given.values(), gradients([y], given.values()), gradients([truth], given.values()), strict=True
    ):
        assert one.dtype == tensor.dtype
        assert relative(one, other) < 2e-2


def test_autocast_leaves_the_scan_in_single(path):
    given = arguments(200, device=path.device)
    alone = path.selective_scan(**given, delta_softplus=True)
    with torch.autocast(path.device, torch.bfloat16):
        y = path.selective_scan(**given, delta_softplus=True)
    assert y.dtype == torch.float32
    assert torch.equal(y, alone)


def pads(kind, rows, length, device="cpu"):
    inside = torch.ones(rows, length, 1, device=device)
    match kind:
        case "none":
            return None
        case "right":
            inside[0, length // 2 :] = 0
        case "left":
            inside[0, : length // 3] = 0
        case "both":
            inside[0, : length // 4] = 0
            inside[1, -(length // 3) :] = 0
    return inside


@pytest.mark.parametrize("kind", ["none", "no pads", "right", "left", "both"])
@pytest.mark.parametrize(("length", "channels", "states"), [(5, 16, 4), (37, 16, 16), (64, 24, 4)])
def test_the_layer_is_its_definition(path, length, channels, states, kind):
    given = layer(length, channels=channels, states=states, device=path.device)
    inside = pads(kind, 2, length, path.device)
    xz, *rest = given
    check([path.mix(xz, inside, *rest)], [mixed(xz, inside, *rest)], leaves(*given))


@pytest.mark.parametrize(("rows", "channels", "taps"), [(1, 6, 4), (1, 16, 1), (2, 8, 2), (3, 10, 7)])
def test_layers_of_other_shapes(path, rows, channels, taps):
    xz, *rest = layer(19, rows=rows, channels=channels, taps=taps, device=path.device)
    check([path.mix(xz, None, *rest)], [mixed(xz, None, *rest)], leaves(xz, *rest))


@pytest.mark.parametrize("kind", ["none", "left", "both"])
@pytest.mark.parametrize("taps", [1, 4, 7])
def test_a_layer_of_one_direction_is_its_definition(path, kind, taps):
    xz, forward, _, out_proj = layer(37, taps=taps, device=path.device)
    inside = pads(kind, 2, 37, path.device)
    given = forward, None, out_proj
    check([path.mix(xz, inside, *given)], [mixed(xz, inside, *given)], leaves(xz, *given))


def test_a_layer_may_be_given_a_view(path):
    xz, *rest = layer(32, device=path.device)
    truth = mixed(xz, None, *rest)
    by_channel = xz.detach().transpose(1, 2).contiguous().transpose(1, 2)
    within = torch.cat([xz.detach(), xz.detach()], 1)[:, 32:]
    for view in (by_channel, within):
        assert relative(path.mix(view, None, *rest), truth) < VALUES


def test_what_stands_at_pads_is_never_read(path):
    xz, *rest = layer(40, device=path.device)
    inside = pads("both", 2, 40, path.device)
    noise = torch.where(inside.bool(), xz, 100 * torch.randn(xz.shape, device=path.device))
    ours, theirs = (path.mix(given, inside, *rest) * inside for given in (xz, noise))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_backwards_is_forwards_of_the_mirrored_sequence(path):
    xz, forward, backward, out_proj = layer(40, device=path.device)
    inside = pads("left", 2, 40, path.device)
    there = path.mix(xz, inside, forward, backward, out_proj)
    back = path.mix(xz.flip(1), inside.flip(1), backward, forward, out_proj).flip(1)
    torch.testing.assert_close(there, back, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["none", "right"])
def test_autocast_of_a_layer(path, kind):
    xz, *rest = layer(200, device=path.device)
    inside = pads(kind, 2, 200, path.device)
    with torch.autocast(path.device, torch.bfloat16):
        y = path.mix(xz.bfloat16(), inside, *rest)
    assert y.dtype == torch.bfloat16
    truth = mixed(xz, inside, *rest)
    assert relative(y, truth) < 2e-2
    inputs = leaves(xz, *rest)
    ours, theirs = gradients([y], inputs.values()), gradients([truth], inputs.values())
    for name, one, other in zip(inputs, ours, theirs, strict=True):
        assert one.dtype == torch.float32
        assert relative(one, other) < 3e-2, name
