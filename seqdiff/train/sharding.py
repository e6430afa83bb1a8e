"""A network in shards: of every weight, gradient, average and moment a process keeps its part alone (FSDP2).

torch's `fully_shard` (Zhao et al. 2023, arXiv:2304.11277) cuts each tensor by its first dimension. The weights of a
layer are put together where it computes, forward and backward, and let go after it; gradients are averaged into parts.
What acts number by number (AdamW, the moving average, priors) works on the parts as they are. Files hold whole
tensors, so a run goes on with any number of processes, sharded or not.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from seqdiff.denoisers.denoiser import Denoiser

T = TypeVar("T")


class Sharded(nn.Module):
    """A network whose parts lie in several processes. It is asked by all of them together: `sharded(question)` is
    `question(network)`, during which all weights that are not of a layer are whole.
    """

    def __init__(self, module: Denoiser):
        super().__init__()
        self.module = module

    def forward(self, question: Callable[[nn.Module], T]) -> T:
        return question(self.module)


def shard(denoiser: Denoiser, world: int, device: torch.device) -> Sharded:
    """Cut a network, in place, among all processes; layer by layer it goes to the device, of which it takes its part.

    Two layers are together at most: the one that computes and the next, which is fetched meanwhile.
    """
    # A second of imports that a training without shards does not need.
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (world,))
    for layer in layers(denoiser):
        fully_shard(layer, mesh=mesh)
    return fully_shard(Sharded(denoiser), mesh=mesh, reshard_after_forward=True)


def layers(module: nn.Module) -> Iterator[nn.Module]:
    """What a network is a stack of: the members of its module lists, outermost first.

    >>> [type(layer).__name__ for layer in layers(nn.ModuleList([nn.Linear(1, 1), nn.ReLU()]))]
    ['Linear', 'ReLU']
    """
    for child in module if isinstance(module, nn.ModuleList) else module.children():
        if isinstance(module, nn.ModuleList):
            yield child
        else:
            yield from layers(child)


def ask(network: nn.Module, question: Callable[[nn.Module], T]) -> T:
    """What the question comes to of the network, whole or in shards."""
    if not isinstance(network, Sharded):
        return question(network)
    answer = network(question)
    if not torch.is_grad_enabled():
        network.reshard()  # no backward pass is going to let go of them
    return answer


def is_cut(tensor: Tensor) -> bool:
    """Whether a process keeps but a part of it: whether it is a DTensor, which can be asked for all of itself."""
    return hasattr(tensor, "full_tensor")


def local(tensor: Tensor) -> Tensor:
    """The part of a tensor that this process keeps, sharing its memory; all of one that is not cut."""
    return tensor.to_local() if is_cut(tensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor, on every process; all of them ask."""
    return tensor.full_tensor() if is_cut(tensor) else tensor


def cut_as(like: Tensor, tensor: Tensor) -> Tensor:
    """A whole tensor that every process has, cut as another of its size is, without a word between them."""
    if not is_cut(like) or tensor.shape != like.shape:
        return tensor
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def gathered(named: Iterable[tuple[str, Tensor]], keep: bool) -> dict[str, Tensor]:
    """Copies of whole tensors by name, on the process that keeps them; the others help to put them together.

    One after the other and into the memory of the CPU, so that a GPU never holds more than one of them.
    """
    kept: dict[str, Tensor] = {}
    for name, tensor in named:
        together = whole(tensor.detach()) if keep or is_cut(tensor) else None
        if keep:
            # A copy: safetensors keeps no two names for one memory, and training goes on in this one.
            kept[name] = together.cpu() if is_cut(tensor) else together.clone()
    return kept


class Together:
    """A sharded network, to be asked different numbers of times by the processes.

    Every pass of a layer needs all of them. Before each call they tell each other that there is one; who has no
    question left makes one up, until nobody has. `agree` gives all the largest of the numbers of each.
    """

    def __init__(self, module: nn.Module, agree: Callable[[int], int], made_up: Callable[[nn.Module], Any]):
        self.module, self._agree, self._made_up = module, agree, made_up

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        self._agree(1)
        return self.module(*inputs, **named)

    def finish(self) -> None:
        """Take part in what the others still ask."""
        while self._agree(0):
            self._made_up(self.module)


def short_pass(denoiser: nn.Module) -> Tensor:
    """What the network makes of one row of a few masks."""
    device = next(denoiser.parameters()).device
    tokens = torch.full((1, denoiser.columns or 8), denoiser.symbols, device=device)
    return denoiser(tokens, torch.ones(1, device=device) if denoiser.takes_time else None)
