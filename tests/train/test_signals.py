"""Signals as wishes to stop."""

import signal

import pytest

from seqdiff.cli import _terminated, guarded
from seqdiff.train.signals import stop_wishes


@pytest.fixture
def hangup():
    """What is done at SIGHUP is put back after the test."""
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_one_is_a_wish(number, hangup):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    before = signal.getsignal(number)
    with stop_wishes() as received:
        assert received.number == 0
        signal.raise_signal(number)
        assert received.number == number
    assert signal.getsignal(number) == before


def test_under_nohup_the_end_of_the_terminal_is_not_heard(hangup):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def command():
        with stop_wishes() as received:
            signal.raise_signal(signal.SIGHUP)
            assert received.number == 0

    guarded(command)()
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_else_a_command_hears_it(hangup):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    guarded(lambda: None)()
    assert signal.getsignal(signal.SIGHUP) == _terminated
