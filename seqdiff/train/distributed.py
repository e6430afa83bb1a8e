"""Several processes as one: rows of the global batch, sums over ranks, one writer.

`torchrun --nproc-per-node N -m seqdiff train ...` sets the environment this reads. Data parallel
(torch DistributedDataParallel), gloo on CPUs and nccl on GPUs; without torchrun everything here is a no-op.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from seqdiff.errors import ConfigError
from seqdiff.train.sharding import Sharded


@dataclass(frozen=True)
class Processes:
    """Which of how many processes this is."""

    rank: int = 0
    world: int = 1

    @property
    def writes(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0

    def check(self, batch_size: int) -> None:
        """Raises ConfigError for a batch that the processes cannot share alike."""
        if batch_size % self.world:
            raise ConfigError(
                f"training.batch_size {batch_size} cannot be shared by {self.world} processes; make it a multiple"
            )

    def share(self, rows: int) -> range:
        """This process's rows of a global batch; shares differ by one row at most."""
        return range(self.rank * rows // self.world, (self.rank + 1) * rows // self.world)

    def sum(self, values: Tensor) -> Tensor:
        """The sum over processes, on every process."""
        if self.world > 1:
            dist.all_reduce(values)
        return values

    def agree(self, flag: int) -> int:
        """The largest flag of any process: a signal that reaches one stops all at the same step."""
        if self.world == 1:
            return flag
        value = torch.tensor(flag)
        dist.all_reduce(value, dist.ReduceOp.MAX)
        return int(value)

    def wrap(self, denoiser: nn.Module, device: torch.device) -> nn.Module:
        """What to ask for losses whose gradients are averaged over processes; shards see to it themselves."""
        if self.world == 1 or isinstance(denoiser, Sharded):
            return denoiser
        return DistributedDataParallel(denoiser, device_ids=[device.index] if device.type == "cuda" else None)

    def no_sync(self, module: nn.Module, last: bool) -> AbstractContextManager[None]:
        """Gradients are exchanged with the last micro-batch of a step alone."""
        if last or not isinstance(module, DistributedDataParallel):
            return nullcontext()
        return module.no_sync()


ALONE = Processes()


@contextmanager
def processes(device: torch.device) -> Iterator[tuple[Processes, torch.device]]:
    """Join the group torchrun has set up, if any; yields who we are and the device that is ours."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Processes(), device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(dist.get_rank(), world), device
        dist.barrier()  # leave together: gloo aborts a process whose neighbour is gone already
    finally:
        dist.destroy_process_group()
