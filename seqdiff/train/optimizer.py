"""The optimizers of a run, which parameters each of them has, and the learning rate of a step."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from seqdiff.recipe import Training
from seqdiff.train.muon import Muon
from seqdiff.train.sharding import cut_as


def build(denoiser: nn.Module, training: Training) -> list[torch.optim.Optimizer]:
    """AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101) for everything, or Muon for the matrices and AdamW
    for the rest. Each group keeps its highest learning rate as `peak`.
    """
    matrices, decayed, free = [], [], []
    for name, parameter in denoiser.named_parameters():
        if training.optimizer == "muon" and is_matrix(name, parameter):
            matrices.append(parameter)
        else:
            (decayed if is_decayed(name, parameter) else free).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": training.weight_decay, "peak": training.learning_rate},
        {"params": free, "weight_decay": 0.0, "peak": training.learning_rate},
    ]
    groups = [group for group in groups if group["params"]]
    built: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=training.learning_rate, betas=training.betas, fused=True)
    ]
    if matrices:
        built.append(Muon(matrices, training.matrix_learning_rate, weight_decay=training.weight_decay))
        built[-1].param_groups[0]["peak"] = training.matrix_learning_rate
    return built


def is_decayed(name: str, parameter: nn.Parameter) -> bool:
    """Whether weight decay acts: on matrices and kernels, not on norms, biases, embeddings, A_log or D, nor on Hyena's
    filters and the network that writes them.

    >>> is_decayed("layers.0.in_proj.weight", nn.Parameter(torch.ones(2, 2)))
    True
    >>> is_decayed("layers.0.A_log", nn.Parameter(torch.ones(2, 2)))
    False
    """
    leaf = name.rsplit(".", 1)[-1]
    free = ("embedding", "norm", ".filter.")
    return parameter.ndim > 1 and leaf not in ("A_log", "D", "bias") and not any(part in name for part in free)


def is_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Whether Muon may have it: a dense matrix or kernel between hidden states, so neither head nor depthwise kernel.

    >>> is_matrix("blocks.0.conv.weight", nn.Parameter(torch.ones(8, 8, 3)))
    True
    >>> is_matrix("head.weight", nn.Parameter(torch.ones(4, 8)))
    False
    """
    return is_decayed(name, parameter) and not name.startswith("head") and parameter.shape[1] > 1


def set_learning_rate(optimizers: Sequence[torch.optim.Optimizer], step: int, training: Training) -> float:
    """Set the rate of step 1..steps in all groups; returns AdamW's."""
    share = learning_rate(step, training) / training.learning_rate
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = share * group["peak"]
    return share * training.learning_rate


def learning_rate(step: int, training: Training) -> float:
    """The rate of step 1..steps: linear warm-up, then half a cosine to `final_learning_rate`.

    >>> t = Training(steps=10, batch_size=1, learning_rate=1.0, warmup_steps=2)
    >>> [round(learning_rate(step, t), 3) for step in (1, 2, 6, 10)]
    [0.5, 1.0, 0.5, 0.0]
    """
    if step <= training.warmup_steps:
        return training.learning_rate * step / training.warmup_steps
    share = (step - training.warmup_steps) / max(1, training.steps - training.warmup_steps)
    low, high = training.final_learning_rate, training.learning_rate
    return low + (high - low) * (1 + math.cos(math.pi * share)) / 2


def state_tensors(optimizers: Sequence[torch.optim.Optimizer]) -> Iterator[tuple[str, Tensor]]:
    """The optimizers' tensors by name, `0.3.exp_avg`, for a file without pickle."""
    for number, optimizer in enumerate(optimizers):
        for index, state in optimizer.state_dict()["state"].items():
            for name, tensor in state.items():
                yield f"{number}.{index}.{name}", tensor


def restore(optimizers: Sequence[torch.optim.Optimizer], tensors: dict[str, Tensor]) -> None:
    """Put back what `state_tensors` gave."""
    for number, optimizer in enumerate(optimizers):
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            owner, index, key = name.split(".", 2)
            if int(owner) == number:
                state.setdefault(int(index), {})[key] = cut_as(parameters[int(index)], tensor).clone()
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
