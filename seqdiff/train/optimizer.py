"""AdamW with the groups of the Caduceus recipe, and the learning rate of a step."""

import math
from collections.abc import Iterator

import torch
from torch import nn

from seqdiff.recipe import Training


def build(denoiser: nn.Module, training: Training) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101); the fused kernel where it exists."""
    decayed, free = [], []
    for name, parameter in denoiser.named_parameters():
        (decayed if is_decayed(name, parameter) else free).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": training.weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=training.learning_rate, betas=training.betas, fused=True)


def is_decayed(name: str, parameter: nn.Parameter) -> bool:
    """Whether weight decay acts: on matrices and kernels, not on norms, biases, embeddings, A_log or D.

    >>> is_decayed("layers.0.in_proj.weight", nn.Parameter(torch.ones(2, 2)))
    True
    >>> is_decayed("layers.0.A_log", nn.Parameter(torch.ones(2, 2)))
    False
    """
    leaf = name.rsplit(".", 1)[-1]
    return parameter.ndim > 1 and leaf not in ("A_log", "D", "bias") and "embedding" not in name and "norm" not in name


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


def state_tensors(optimizer: torch.optim.Optimizer) -> Iterator[tuple[str, torch.Tensor]]:
    """The optimizer's tensors by name, `0.exp_avg`, for a file without pickle."""
    for index, state in optimizer.state_dict()["state"].items():
        for name, tensor in state.items():
            yield f"{index}.{name}", tensor


def restore(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    """Put back what `state_tensors` gave."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = tensor.clone()
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
