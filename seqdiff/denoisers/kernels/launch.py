"""Running a kernel on tensors."""

from collections.abc import Callable

import torch
from torch import Tensor


def run(kernel: Callable[..., None], tasks: int, scratch: int, *arguments: Tensor | int | None) -> None:
    """Run a kernel's tasks with `scratch` bytes of memory for each thread, none for 0.

    Tensors become their addresses, None becomes 0. All are float32 and stay alive until the kernel is done.
    """
    if not tasks:
        return
    tensors = [t for t in arguments if isinstance(t, Tensor)]
    assert all(t.dtype == torch.float32 and t.device.type == "cpu" for t in tensors), "kernels read float32 on the CPU"
    addresses = [t if isinstance(t, int) else 0 if t is None else t.data_ptr() for t in arguments]
    if not scratch:
        return kernel(tasks, *addresses)
    size = -(-scratch // 64) * 64
    room = torch.empty(torch.get_num_threads() * size, dtype=torch.uint8)
    kernel(tasks, room.data_ptr(), size, *addresses)
