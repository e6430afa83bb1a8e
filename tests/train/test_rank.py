"""Who a process is, by what torchrun, srun or we have set."""

import pytest

from seqdiff.errors import UsageError
from seqdiff.train.rank import Rank, find


def test_alone():
    assert find({}) == find({"WORLD_SIZE": "1", "RANK": "0"}) == Rank()
    batch = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "8", "SLURM_PROCID": "0"}
    assert find(batch) == Rank()  # the batch script itself, and what it starts without srun
    assert find(batch | {"SLURM_STEP_NUM_TASKS": "1"}) == Rank()


def test_what_is_set_is_read_back():
    me = Rank(3, 4, 1, "node7", 29_500, 12)
    assert find(me.environment) == me
    step = {"SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "5"}
    assert find(me.environment | step) == me  # torchrun inside srun


def test_a_step_of_srun():
    step = {"SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "5", "SLURM_LOCALID": "1", "SLURM_STEP_NODELIST": "g[03-04]"}
    me = find(step | {"SLURM_JOB_ID": "123456", "SLURM_STEP_ID": "1"})
    assert (me.rank, me.world, me.local, me.address, me.launcher) == (5, 8, 1, "g03", 0)
    assert 20_000 <= me.port < 30_000
    assert find(step | {"SLURM_JOB_ID": "123456", "SLURM_STEP_ID": "2"}).port != me.port


def test_half_of_an_answer_is_refused():
    with pytest.raises(UsageError, match=r"WORLD_SIZE says that there are 4 processes.*'RANK'.*torchrun"):
        find({"WORLD_SIZE": "4"})
    with pytest.raises(UsageError, match="four"):
        find({"WORLD_SIZE": "four", "RANK": "1", "MASTER_PORT": "1", "MASTER_ADDR": "a"})
