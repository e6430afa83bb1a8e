"""Names are remembered exactly, in few bytes."""

import tracemalloc

import numpy as np

from seqdiff.data.names import Names


def test_it_remembers_what_a_dictionary_does():
    draw = np.random.default_rng(0)
    names, known = Names(), {}
    for number in range(20_000):
        name = f"read{draw.integers(0, 12_000)}\udcff"
        assert (name in names) == (name in known)
        names[name] = known[name] = number
        assert len(names) == len(known)
    assert all(names[name] == place for name, place in known.items())
    assert not any(f"read{number}" in names for number in range(1000))


def test_a_key_is_not_found_across_two_entries(monkeypatch):
    parts = {
        "one": (b"\0\0", b"A" * 9 + b"B"),
        "across": (b"\0\0", b"A" * 8 + b"B" + b"\0"),
        "none": (b"\0\0", b"B" * 10),
    }
    monkeypatch.setattr("seqdiff.data.names._parts", parts.__getitem__)
    names = Names()
    names["one"] = 5
    assert "across" not in names
    assert "none" not in names
    names["across"] = 6
    assert (names["one"], names["across"]) == (5, 6)


def test_a_name_takes_few_bytes_whatever_its_length():
    """Beside the drawers, which there are 65,536 of."""
    many, names = 200_000, Names()
    for number in range(65_536 * 3):
        names[f"first{number}"] = number
    tracemalloc.start()
    for number in range(many):
        names[f"a name of a read of a sequencer, which is long {number}"] = number
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert grown / many < 40
