"""Several processes as one: rows of the global batch, sums over ranks, one writer.

`seqdiff train --processes N`, torchrun or srun set the environment this reads (`rank`). Data parallel (torch
DistributedDataParallel) or in shards (`sharding`), gloo on CPUs and nccl on GPUs; one process alone does nothing here.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from seqdiff.errors import ConfigError, UsageError
from seqdiff.streams import seed_of
from seqdiff.train import rank as ranks
from seqdiff.train.heartbeat import Heartbeat
from seqdiff.train.sharding import Sharded


@dataclass(frozen=True)
class Processes:
    """Which of how many processes this is."""

    rank: int = 0
    world: int = 1
    heartbeat: Heartbeat | None = None

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

    def same(self, what: str, said: str) -> None:
        """Raises ConfigError where the processes say different things of what all must have."""
        if self.world > 1:
            number = seed_of(said)
            both = torch.tensor([number, -number])
            dist.all_reduce(both, dist.ReduceOp.MAX)
            if both[0] != -both[1]:
                raise ConfigError(
                    f"{self.world} processes are to train together, but {what} is not the same for all of them; to "
                    "train different things at once, start each without the variables of srun (SLURM_STEP_NUM_TASKS) "
                    "or torchrun (WORLD_SIZE)"
                )

    def writing(self) -> AbstractContextManager[None]:
        """While this process writes a file, for which the others have more patience."""
        return self.heartbeat.patience() if self.heartbeat else nullcontext()

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


WAIT = timedelta(hours=1)
"""For what all processes do together, such as to begin: one of them may have to read all of a genome first. A process
that is gone is noticed otherwise and sooner (`heartbeat`)."""


@contextmanager
def processes(device: torch.device) -> Iterator[tuple[Processes, torch.device]]:
    """Join the others, if there are any; yields who we are and the device that is ours.

    When a process ends in an error, all do, and one of them says why.
    """
    me = ranks.find()
    if me.world == 1:
        yield Processes(), device
        return
    if device.type == "cuda":
        device = _gpu(me)
    os.environ.update(me.environment)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    try:
        store = next(dist.rendezvous("env://", me.rank, me.world, timeout=WAIT))[0]
        heartbeat = Heartbeat(me, store)
        store = dist.PrefixStore("group", store)
        dist.init_process_group(backend, store=store, rank=me.rank, world_size=me.world, timeout=WAIT)
        dist.barrier()
    except RuntimeError as error:
        why = str(error).strip().split("\n")[0]
        raise UsageError(
            f"process {me.rank + 1} of {me.world} has not met the others at {me.address}:{me.port}: {why}"
        ) from error
    heartbeat.start()
    try:
        yield Processes(me.rank, me.world, heartbeat), device
        dist.barrier()  # leave together: gloo aborts a process whose neighbour is gone already
    except BaseException as error:
        # By nccl, leaving in order would wait for those who do not; the process ends anyway.
        if device.type == "cpu":
            dist.destroy_process_group()
        told = heartbeat.explain(error) if _is_loss(error) else heartbeat.leave(error)
        heartbeat.stop()
        if told is error:
            raise
        raise told from error
    heartbeat.stop()
    dist.destroy_process_group()


def _gpu(me: ranks.Rank) -> torch.device:
    """The GPU of this process: that of its number on its machine, or the one it sees alone."""
    here = torch.cuda.device_count()
    if here > 1 and me.local >= here:
        raise UsageError(f"process {me.local + 1} of this machine finds {here} GPUs: start one process for each")
    device = torch.device("cuda", me.local % here)
    torch.cuda.set_device(device)
    return device


def _is_loss(error: BaseException) -> bool:
    """Whether something that all processes do together failed, and not what this one does."""
    return isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))
