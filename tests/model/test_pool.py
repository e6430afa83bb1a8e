"""Tasks in worker processes: their results in order, their errors, what they say."""

import logging

import pytest
from answering import Answers

from seqdiff.errors import DataError
from seqdiff.model import pool as pools
from seqdiff.model.pool import Pool


@pytest.fixture(scope="module")
def pool():
    with Pool(2, Answers, threads=1) as pool:
        yield pool


def test_results_come_in_the_order_of_the_tasks(pool):
    done = []
    found = list(pool.ordered(((task,) for task in range(6)), done.append))
    assert found == [each for task in range(6) for each in (task**2, -(task**2))]
    assert sum(done) == 6
    assert list(pool.ordered([])) == []
    assert set(pool.ordered([("who",)] * 8)) == {0, 1}


def test_tasks_are_taken_as_workers_are_free(pool):
    taken = []

    def tasks():
        for task in range(0, 1000, 10):
            taken.append(task)
            yield (task,)

    results = pool.ordered(tasks())
    assert next(results) == 0
    assert len(taken) <= pools.AHEAD * 2
    results.close()
    assert list(pool.ordered([(2,)])) == [4, -4]


def test_much_waits_for_its_turn(pool, monkeypatch):
    monkeypatch.setattr(pools, "HELD", 1 << 10)
    found = list(pool.ordered((10 * task + 6,) for task in range(12)))
    assert found[::2] == [(10 * task + 6) ** 2 for task in range(12)]
    assert all(len(each) == 1 << 20 for each in found[1::2])


def test_the_first_error_is_the_error(pool, caplog):
    logging.getLogger("seqdiff").propagate = True
    results = pool.ordered((task,) for task in (1, 2, 17, 3, 27, 28, 4))
    assert [next(results) for _ in range(5)] == [1, -1, 4, -4, 289]
    with pytest.raises(DataError, match="task 17: no such thing"):
        next(results)
    assert caplog.messages == ["task 1", "task 2", "task 17"]
    with pytest.raises(KeyError) as failure:
        list(pool.ordered([(8,)]))
    assert "answering.py" in failure.value.__notes__[0]


def test_what_gives_the_tasks_may_fail(pool):
    def tasks():
        yield (1,)
        raise DataError("damaged")

    results = pool.ordered(tasks())
    assert [next(results), next(results)] == [1, -1]
    with pytest.raises(DataError, match="damaged"):
        next(results)
