"""The selective scan and the layer around it as their definitions say, one step after the other in float64."""

import torch
import torch.nn.functional as F

from seqdiff.denoisers.scan import Direction


def sequential(
    u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False, *,
    reverse=False, initial_state=None, return_last_state=False,
):  # fmt: skip
    """The recurrence by autograd."""
    u, delta, A, B, C = (tensor.double() for tensor in (u, delta, A, B, C))
    if delta_bias is not None:
        delta = delta + delta_bias.double()[:, None]
    if delta_softplus:
        delta = F.softplus(delta)
    state = torch.zeros(*u.shape[:2], A.shape[1]).to(u) if initial_state is None else initial_state.double()
    y = [torch.empty(0)] * u.shape[2]
    for t in reversed(range(u.shape[2])) if reverse else range(u.shape[2]):
        kept = torch.exp(delta[:, :, t, None] * A) * state
        state = kept + (delta[:, :, t] * u[:, :, t])[..., None] * B[:, None, :, t]
        y[t] = (state * C[:, None, :, t]).sum(-1)
    answer = torch.stack(y, -1)
    if D is not None:
        answer = answer + u * D.double()[:, None]
    if z is not None:
        answer = answer * F.silu(z.double())
    return (answer, state) if return_last_state else answer


def mixed(xz, inside, forward, backward, out_proj):
    """The layer after in_proj, from the definitions of its parts."""
    x, z = xz.double().chunk(2, -1)
    real = torch.ones_like(x[..., :1]) if inside is None else inside.double()
    total = 0
    for direction, reverse in ((forward, False), (backward, True))[: 1 if backward is None else 2]:
        weight, bias, x_proj, dt_proj, dt_bias, A_log, D = (tensor.double() for tensor in direction)
        taps, length = weight.shape[-1], x.shape[1]
        convolved = bias.expand_as(x)
        for back in range(taps):  # the tap that looks `back` positions back
            shift = -back if reverse else back
            moved = F.pad(x * real, (0, 0, max(shift, 0), max(-shift, 0)))
            moved = moved[:, :length] if shift >= 0 else moved[:, back : back + length]
            convolved = convolved + moved * weight[:, 0, taps - 1 - back]
        inner = F.silu(convolved) * real
        dt, B, C = (inner @ x_proj.T).split([dt_proj.shape[1], *[A_log.shape[1]] * 2], -1)
        over_time = (part.transpose(1, 2) for part in (inner, dt @ dt_proj.T, B, C, z))
        u, delta, B, C, gate = over_time
        y = sequential(u, delta, -A_log.exp(), B, C, D, gate, dt_bias, True, reverse=reverse)
        total = total + y.transpose(1, 2)
    return total @ out_proj.double().T


class Draw:
    """Numbers of a seed, as leaves that gather gradients."""

    def __init__(self, seed, dtype=torch.float32, device="cpu"):
        self.generator = torch.Generator().manual_seed(seed)
        self.dtype, self.device = dtype, device

    def normal(self, *shape, scale=1.0):
        numbers = torch.randn(*shape, generator=self.generator, dtype=torch.float64) * scale
        return numbers.to(self.device, self.dtype).requires_grad_()


def arguments(length, rows=2, width=3, states=4, dtype=torch.float32, device="cpu", initial_state=False):
    """Arguments of selective_scan by name, all that carry gradients."""
    draw = Draw(length, dtype, device)
    given = {name: draw.normal(rows, width, length) for name in ("u", "delta", "z")}
    given |= {name: draw.normal(rows, states, length) for name in ("B", "C")}
    given |= {"D": draw.normal(width), "delta_bias": draw.normal(width)}
    given["A"] = (-3 * draw.normal(width, states).detach().sigmoid()).requires_grad_()
    if initial_state:
        given["initial_state"] = draw.normal(rows, width, states)
    return given


def layer(length, rows=2, channels=16, states=4, taps=4, rank=2, width=8, dtype=torch.float32, device="cpu"):
    """Arguments of mix without `inside`: xz, two directions, out_proj."""
    draw = Draw(length, dtype, device)

    def direction():
        log_states = torch.arange(1, states + 1, device=device, dtype=dtype).log().repeat(channels, 1)
        return Direction(
            conv_weight=draw.normal(channels, 1, taps, scale=0.5),
            conv_bias=draw.normal(channels, scale=0.5),
            x_proj=draw.normal(rank + 2 * states, channels, scale=channels**-0.5),
            dt_proj=draw.normal(channels, rank, scale=rank**-0.5),
            dt_bias=draw.normal(channels),
            A_log=log_states.requires_grad_(),
            D=draw.normal(channels),
        )

    xz = draw.normal(rows, length, 2 * channels)
    return xz, direction(), direction(), draw.normal(width, channels, scale=channels**-0.5)


def leaves(xz, forward, backward, out_proj):
    """The tensors of a layer by name."""
    named = {"xz": xz, "out_proj": out_proj}
    for prefix, direction in (("forward", forward), ("backward", backward))[: 1 if backward is None else 2]:
        named |= {f"{prefix}.{name}": tensor for name, tensor in direction._asdict().items()}
    return named


def relative(answer, truth):
    """The norm of the error over that of the truth."""
    truth = truth.double()
    return ((answer.double() - truth).norm() / truth.norm().clamp(min=1e-12)).item()


def gradients(answers, inputs, seed=0):
    """Of a random weighing of the answers, in the order of the inputs."""
    generator = torch.Generator().manual_seed(seed)
    total = 0
    for answer in answers:
        weight = torch.randn(answer.shape, generator=generator, dtype=torch.float64).to(answer.device)
        total = total + (answer.double() * weight).sum()
    return torch.autograd.grad(total, list(inputs), retain_graph=True)
