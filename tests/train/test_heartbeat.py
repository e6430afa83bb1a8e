"""Who is missing, and who says so."""

import os
from dataclasses import replace

import pytest
import torch.distributed as dist

from seqdiff.errors import DataError, TrainingError
from seqdiff.train import heartbeat
from seqdiff.train.heartbeat import Heartbeat, ToldElsewhere
from seqdiff.train.rank import Rank


@pytest.fixture
def beats(monkeypatch):
    """The heartbeats of three processes, in one; nobody beats by itself."""
    monkeypatch.setattr(heartbeat, "SECONDS", 0.01)
    monkeypatch.setattr(heartbeat, "LINGER", 0.1)
    place = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    me = Rank(0, 3, 0, "127.0.0.1", place.port)
    return [Heartbeat(replace(me, rank=rank, local=rank), place) for rank in range(3)]


def beat(one, number):
    one._say(one._key(one.me.rank), f"{number} {one._patience}")


def test_one_that_does_not_beat_is_missed_after_some_beats_and_not_before(beats):
    first, second, _ = beats
    for number in range(1, heartbeat.PATIENCE + 1):
        assert first._missing() is None
        beat(second, number)
    assert first._missing() == "process 3 of 3 does not answer: it was killed or stopped, or its machine is gone"


def test_one_that_writes_has_more_time(beats):
    first, second, third = beats
    with third.patience():
        for number in range(1, 3 * heartbeat.PATIENCE):
            beat(second, number)
            assert first._missing() is None


def test_only_one_tells_that_another_is_gone_and_nobody_where_a_launcher_does(beats):
    lost = RuntimeError("[gloo/transport/tcp/pair.cc] Connection closed by peer")
    first, second, _ = beats
    news = first.explain(lost)
    assert isinstance(news, TrainingError)
    assert str(news).startswith("process 2 of 3 does not answer")
    assert str(news).endswith("--resume: it goes on from its last save")
    assert isinstance(second.explain(lost), ToldElsewhere)  # that the first one has left, and why
    first.me = replace(first.me, launcher=os.getpid())
    assert isinstance(first._news("process 2 of 3 does not answer"), ToldElsewhere)


def test_an_error_of_one_is_told_by_it_and_one_of_all_once(beats):
    first, second, third = beats
    error = DataError("row 7 is bad")
    assert first.leave(error) is error
    assert third._missing() == "process 1 of 3 stopped with an error: row 7 is bad"
    assert isinstance(third.explain(RuntimeError("gloo")), ToldElsewhere)
    again = second.leave(DataError("row 7 is bad"))
    assert isinstance(again, ToldElsewhere)
    assert again.exit_code == DataError.exit_code
    bug = ValueError("a bug")
    assert second.leave(bug) is bug


def test_where_all_met_is_gone(beats):
    second = beats[1]
    second._store = _Gone()
    assert second._missing() == "process 1 of 3 is gone, where all met: it was killed, or its machine is gone"
    assert isinstance(second._news("process 1 of 3 is gone"), TrainingError)  # it cannot know who else tells it
    assert isinstance(second.leave(DataError("x")), DataError)


class _Gone:
    def __getattr__(self, name):
        def fail(*arguments):
            raise RuntimeError("Broken pipe")

        return fail
