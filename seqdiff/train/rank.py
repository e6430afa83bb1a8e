"""Which of how many processes this is, as whoever started them says in the environment: torchrun, srun, or we."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from seqdiff.errors import UsageError


@dataclass(frozen=True)
class Rank:
    """Number `rank` of `world` processes, from 0, and number `local` of those on its machine; all meet there."""

    rank: int = 0
    world: int = 1
    local: int = 0
    address: str = ""
    port: int = 0
    launcher: int = 0
    """The process that started this one and watches over all (`seqdiff.train.launch`); 0: there is none."""

    @property
    def environment(self) -> dict[str, str]:
        """The variables that say so, as torchrun sets them."""
        return {
            "RANK": str(self.rank), "WORLD_SIZE": str(self.world), "LOCAL_RANK": str(self.local),
            "MASTER_ADDR": self.address, "MASTER_PORT": str(self.port), LAUNCHER: str(self.launcher),
        }  # fmt: skip


LAUNCHER = "SEQDIFF_LAUNCHER"
"""Set for the processes that `seqdiff train --processes` starts: its own number."""


def find(environment: Mapping[str, str] = os.environ) -> Rank:
    """Who this process is; one alone where nobody says anything else. Raises UsageError for half of an answer.

    >>> find({"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"}).world
    2
    >>> step = {"SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "5", "SLURM_LOCALID": "1", "SLURM_JOB_ID": "70"}
    >>> find(step | {"SLURM_STEP_ID": "0", "SLURM_STEP_NODELIST": "gpu[03-04]"})
    Rank(rank=5, world=8, local=1, address='gpu03', port=20070, launcher=0)
    """
    if environment.get("WORLD_SIZE", "1") != "1":
        names = {"rank": "RANK", "world": "WORLD_SIZE", "port": "MASTER_PORT"}
        try:
            values = {name: int(environment[variable]) for name, variable in names.items()}
            local, address = int(environment.get("LOCAL_RANK", "0")), environment["MASTER_ADDR"]
        except (KeyError, ValueError) as error:
            raise UsageError(
                f"WORLD_SIZE says that there are {environment['WORLD_SIZE']} processes, but not all of RANK, "
                f"MASTER_ADDR and MASTER_PORT are set ({error}): start them with torchrun, or unset WORLD_SIZE"
            ) from error
        return Rank(**values, local=local, address=address, launcher=int(environment.get(LAUNCHER) or 0))
    if environment.get("SLURM_STEP_NUM_TASKS", "1") != "1" and "SLURM_PROCID" in environment:
        job, step = (int(environment.get(name, "0")) for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
        return Rank(
            int(environment["SLURM_PROCID"]), int(environment["SLURM_STEP_NUM_TASKS"]),
            int(environment.get("SLURM_LOCALID", "0")), first_host(environment.get("SLURM_STEP_NODELIST", "")),
            20_000 + (job + 97 * step) % 10_000,
        )  # fmt: skip
    return Rank()


def first_host(nodes: str) -> str:
    """The first of the machines that SLURM names, or this one.

    >>> [first_host(nodes) for nodes in ("gpu[03-04,07],big1", "big1,gpu[03-04]", "rack-[2,5]-ib", "")]
    ['gpu03', 'big1', 'rack-2-ib', 'localhost']
    """
    found = re.match(r"([^\[,]*)(?:\[(\w+)[^\]]*\])?([^\[,]*)", nodes)
    return "".join(part or "" for part in found.groups()) or "localhost"
