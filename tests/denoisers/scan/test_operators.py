"""The operators of the CPU path keep what torch expects of operators, and say what does not fit."""

import pytest
import torch
from scans import arguments, layer

from seqdiff.denoisers import Caduceus, kernels, paths
from seqdiff.denoisers.scan import mix, selective_scan

needs_kernels = pytest.mark.skipif(kernels.unavailable() is not None, reason=str(kernels.unavailable()))
CHECKS = ("test_schema", "test_autograd_registration", "test_faketensor")


@needs_kernels
@pytest.mark.parametrize("keep", [False, True])
def test_torch_finds_nothing_wrong_with_them(keep):
    from seqdiff.denoisers.scan import cpu  # noqa: F401  (defines the operators)

    given = arguments(35, width=20)
    x = {name: tensor.transpose(1, 2) if tensor.dim() == 3 else tensor for name, tensor in given.items()}
    scan = [x[name] for name in ("u", "delta", "A", "B", "C", "D", "z", "delta_bias")]
    torch.library.opcheck(torch.ops.seqdiff.fused_scan.default, (*scan, None, True, False, keep), test_utils=CHECKS)
    xz, forward, backward, _ = layer(35, rows=2, channels=10)
    for mask in (torch.ones(2, 35, 1), None):
        for second in (backward, [None] * len(backward)):
            full = (xz, mask, *forward, *second, keep)
            torch.library.opcheck(torch.ops.seqdiff.fused_mix.default, full, test_utils=CHECKS)
    update = torch.randn(3, 2, 7, requires_grad=True).transpose(0, 1)
    for stream in (torch.randn(2, 3, 7), None):
        inputs = update, stream, torch.ones(7)
        torch.library.opcheck(torch.ops.seqdiff.add_norm.default, inputs, test_utils=CHECKS)


def test_tensors_that_do_not_fit_are_named_before_anything_is_read():
    given = {name: tensor.detach() for name, tensor in arguments(10).items()}
    wrong = {
        "B": given["B"][:1],
        "C": given["C"][..., :7],
        "delta": given["delta"][:, :1],
        "A": given["A"].repeat(1, 2)[:, : given["A"].shape[1] + 1],
        "z": given["z"][..., :9],
    }
    for name, tensor in wrong.items():
        with pytest.raises(ValueError, match=r"has size \(.*fits the others"):
            selective_scan(**given | {name: tensor})
    xz, forward, backward, out = layer(10)
    with pytest.raises(ValueError, match="x_proj has size"):
        mix(xz, None, forward, backward._replace(x_proj=backward.x_proj[:, 1:]), out)
    with pytest.raises(ValueError, match="inside has size"):
        mix(xz, torch.ones(1, 10, 1), forward, backward, out)


def test_tensors_of_another_device_or_type_never_reach_a_kernel():
    from seqdiff.denoisers.kernels.launch import run

    for tensor in (torch.ones(2, device="meta"), torch.ones(2, dtype=torch.float64)):
        with pytest.raises(AssertionError, match="float32 on the CPU"):
            run(lambda *_: None, 1, 0, tensor)
    assert paths.choose(torch.device("mps"), torch.float32).name == "reference"


@needs_kernels
def test_second_derivatives_are_refused():
    given = arguments(12)
    with paths.use("cpu"):
        y = selective_scan(**given, delta_softplus=True)
    (du,) = torch.autograd.grad(y.sum(), given["u"], create_graph=True)
    with pytest.raises(RuntimeError):
        du.square().sum().backward()


@pytest.mark.parametrize("path", ["reference", "cpu"])
@pytest.mark.parametrize(("rows", "length"), [(0, 5), (1, 0), (3, 1)])
def test_no_rows_no_positions_and_one_position(path, rows, length):
    if path == "cpu" and kernels.unavailable():
        pytest.skip(kernels.unavailable())
    torch.manual_seed(0)
    network = Caduceus(width=20, depth=1, states=3).build(4)
    with paths.use(path):
        logits = network(torch.randint(0, 4, (rows, length)))
        logits.sum().backward()
    assert logits.shape == (rows, length, 4)
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


@needs_kernels
def test_one_position_of_several_rows_in_any_layout():
    """torch says nothing of how far apart the positions are where there is one."""
    xz, forward, backward, out = layer(1, rows=3, channels=10)
    views = [xz.detach().clone(), xz.detach().transpose(0, 1).contiguous().transpose(0, 1), xz.detach().mT.clone().mT]
    answers = []
    for view in views:
        leaf = view.requires_grad_()
        with paths.use("cpu"):
            y = mix(leaf, None, forward, backward, out)
        answers.append((y, torch.autograd.grad(y.sum(), leaf)[0]))
    for y, gradient in answers[1:]:
        torch.testing.assert_close(y, answers[0][0])
        torch.testing.assert_close(gradient, answers[0][1])


@needs_kernels
def test_convolution_and_gate_are_the_same_on_any_number_of_threads():
    from seqdiff.denoisers.scan import fused

    xz, forward, backward, _ = layer(300, rows=3, channels=40)
    x, z = xz.detach().chunk(2, -1)
    forward, backward = (type(way)(*(t.detach() for t in way)) for way in (forward, backward))

    def everything():
        u, v = fused.convolved(x, None, forward, backward)
        out, dx, dz = torch.empty_like(u), torch.empty_like(xz).chunk(2, -1)[0], torch.empty_like(u)
        total = u.clone()
        fused.gated(total, v, z, out)
        dy = fused.gated_back(out, total, z, dz)
        gradients = fused.convolved_back(x, [u, v], dx, forward, backward)
        return [u, v, out, dy, dx, dz, *gradients[0], *gradients[1]]

    before, answers = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 4):
            torch.set_num_threads(threads)
            answers.append(everything())
    finally:
        torch.set_num_threads(before)
    for answer in answers[1:]:
        assert all(map(torch.equal, answer, answers[0]))


@needs_kernels
def test_a_network_of_half_precision_answers_in_it():
    network = Caduceus(width=20, depth=1).build(4)
    tokens = torch.randint(0, 5, (2, 30))
    with paths.use("cpu"):
        exact = network(tokens)
        assert network.bfloat16()(tokens).dtype == exact.dtype == torch.float32  # the head keeps full precision


@needs_kernels
def test_backward_inside_autocast_is_that_outside():
    from seqdiff.denoisers.scan import cpu  # noqa: F401  (defines the operators)

    xz, forward, backward, _ = layer(40)
    y = torch.ops.seqdiff.fused_mix(xz, None, *forward, *backward, True)[0]
    outside = torch.autograd.grad(y.square().sum(), [xz, *forward, *backward], retain_graph=True)
    loss = y.square().sum()
    with torch.autocast("cpu", torch.bfloat16):
        inside = torch.autograd.grad(loss, [xz, *forward, *backward])
    assert all(map(torch.equal, inside, outside))
