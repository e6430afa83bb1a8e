"""The words of the kernels, number by number, and all kernels at every width of a vector."""

import os
import platform
import subprocess
import sys

import numpy as np
import pytest

from seqdiff.denoisers.kernels import store
from seqdiff.denoisers.kernels.compiled import arguments, kernel, taken
from seqdiff.denoisers.kernels.machine import FEATURES
from seqdiff.denoisers.kernels.vectors import FLOAT, LANES, Row, exp2, inlined, sigmoid, softplus, sums


@inlined
def _words(x: Row, power: Row, sigmoids: Row, plus: Row, slope: Row):
    power[0] = exp2([x[0]])[0]
    sigmoids[0] = sigmoid(x[0])
    plus[0], slope[0] = softplus(x[0])


@inlined
def _sums(to: Row, start: Row):
    to[0] = sums([start[i * LANES] for i in range(LANES)])


@inlined
def _first(to: Row, start: Row, count: int):
    to[0] = start.first(count)


@inlined
def _set_first(to: Row, start: Row, count: int):
    to.set_first(count, start[0])


@kernel
def words(shared):
    (tasks, x, power, sigmoids, plus, slope) = arguments(shared, 6)
    while True:
        task = taken(shared, 0)
        if task >= tasks:
            return
        o = task * FLOAT * LANES
        _words(x + o, power + o, sigmoids + o, plus + o, slope + o)


@kernel
def rows(shared):
    (_, start, total, part, stored, count) = arguments(shared, 6)
    _sums(total, start)
    _first(part, start, count)
    _set_first(stored, start, count)


@pytest.fixture(autouse=True)
def a_store_of_their_own(monkeypatch, tmp_path):
    """What is compiled here changes with this file, which the store does not look at."""
    monkeypatch.setenv("SEQDIFF_CACHE", str(tmp_path))
    monkeypatch.setattr(store, "_used", None)


def test_powers_and_sigmoids_are_right_to_the_last_digits():
    numbers = np.concatenate([np.linspace(-130, 127.9, 20_000), np.linspace(-1e-3, 1e-3, 480), np.arange(-126, 128)])
    x = np.resize(numbers.astype(np.float32), -(-len(numbers) // LANES) * LANES)
    power, sigmoids, plus, slope = (np.empty_like(x) for _ in range(4))
    words(len(x) // LANES, *(a.ctypes.data for a in (x, power, sigmoids, plus, slope)))
    exact = x.astype(np.float64)
    normal = x >= -126
    assert np.abs(power[normal] / np.exp2(exact[normal]) - 1).max() < 2e-7
    assert (power[normal & (x == np.rint(x))] == np.exp2(exact[normal & (x == np.rint(x))])).all()
    assert np.abs(power[~normal] - np.exp2(exact[~normal])).max() < 2.0**-126
    negative = 1 / (1 + np.exp(-exact))
    seen = np.abs(x) < 80
    for result in (sigmoids, slope):
        # e^-x is 2^(x log2 e), whose exponent is rounded.
        assert (np.abs(result[seen] / negative[seen] - 1) < 4e-7 + 9e-8 * np.abs(exact[seen])).all()
    assert np.abs(plus - np.logaddexp(0, exact)).max() < 1e-5  # of numbers up to 128: 8e-8 relative
    small = np.abs(x) < 4
    assert np.abs(plus[small] - np.logaddexp(0, exact[small])).max() < 5e-7


def test_what_is_not_a_number_stays_so():
    x = np.full(LANES, np.nan, np.float32)
    results = [np.zeros_like(x) for _ in range(4)]
    words(1, x.ctypes.data, *(a.ctypes.data for a in results))
    assert all(np.isnan(result).all() for result in results)


@pytest.mark.parametrize("count", [1, LANES - 1, LANES, LANES + 5])
def test_sums_over_lanes_and_rows_that_end(count):
    start = np.arange(LANES * LANES, dtype=np.float32)
    total, part, stored = (np.full(LANES, -1, np.float32) for _ in range(3))
    rows(1, start.ctypes.data, total.ctypes.data, part.ctypes.data, stored.ctypes.data, count)
    assert (total == start.reshape(LANES, LANES).sum(1)).all()
    inside = np.arange(LANES) < count
    assert (part == np.where(inside, start[:LANES], 0)).all()
    assert (stored == np.where(inside, start[:LANES], -1)).all()


OTHERS = {
    8: ("haswell", "+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+avx,+avx2,+fma,+bmi,+bmi2,+f16c"),
    4: ("nehalem", "+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt"),
}


@pytest.mark.skipif(platform.machine() != "x86_64" or not FEATURES.get("avx2"), reason="names CPUs of x86-64")
@pytest.mark.parametrize("lanes", OTHERS)
def test_narrower_vectors_give_the_same_answers(lanes, tmp_path):
    code = """if True:
        import torch
        from scans import arguments, gradients, layer, relative, sequential
        from seqdiff.denoisers.kernels import unavailable
        from seqdiff.denoisers.kernels.vectors import LANES
        from seqdiff.denoisers.residual import add_norm
        from seqdiff.denoisers.scan import cpu, reference
        assert unavailable() is None, unavailable()
        given = arguments(67, rows=3, width=20, states=5)
        y, truth = cpu.selective_scan(**given, delta_softplus=True), sequential(**given, delta_softplus=True)
        worst = [relative(y, truth)]
        ours, theirs = gradients([y], given.values()), gradients([truth], given.values())
        worst += [relative(a, b) / 10 for a, b in zip(ours, theirs)]
        xz, forward, backward, out = layer(67, rows=2, channels=22)
        inside = torch.ones(2, 67, 1)
        inside[0, 50:] = 0
        answers = [path.mix(xz, inside, forward, backward, out) * inside for path in (cpu, reference)]
        worst += [relative(*answers)]
        leaves = [xz, *forward, *backward, out]
        worst += [relative(a, b) / 10 for a, b in zip(*(gradients([y], leaves) for y in answers))]
        x = torch.randn(3, 7, 19)
        r = x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        worst += [relative(add_norm(x, None, torch.ones(19))[0], r)]
        print(LANES, max(float(w) for w in worst) < 1e-5)
    """
    name, features = OTHERS[lanes]
    settings = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features, "SEQDIFF_CACHE": str(tmp_path)}
    tests = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    environment = os.environ | settings | {"PYTHONPATH": tests, "OMP_NUM_THREADS": "1"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=240)
    assert result.stdout == f"{lanes} True\n", result.stderr
