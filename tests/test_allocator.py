import os
import subprocess
import sys

import pytest

from seqdiff import allocator
from seqdiff.errors import ConfigError

GLIBC = allocator._is_glibc()


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    for name in (allocator.VARIABLE, "LD_PRELOAD", "GLIBC_TUNABLES", *allocator.OTHERS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(allocator, "_kept", None)


class CLibrary:
    """What mallopt was asked for; it refuses some calls."""

    def __init__(self, monkeypatch, refused=()):
        self.calls = []
        self.mallopt = lambda name, value: self.calls.append((name, value)) or int((name, value) not in refused)
        monkeypatch.setattr(allocator.ctypes, "CDLL", lambda path: self)
        monkeypatch.setattr(os, "confstr", lambda name: "glibc 2.36")


def faults(code):
    """Pages that a process takes anew while it fills 16 MiB ten times."""
    code = f"""if True:
        import ctypes, resource
        {code}
        libc = ctypes.CDLL(None)
        libc.malloc.restype = ctypes.c_void_p
        def fill():
            block = libc.malloc(ctypes.c_size_t(2**24))
            ctypes.memset(block, 1, 2**24)
            libc.free(ctypes.c_void_p(block))
        fill()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(10):
            fill()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    """
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not GLIBC, reason="the C library is not glibc")
def test_glibc_keeps_what_is_freed(monkeypatch):
    keep = "from seqdiff import allocator; allocator.keep_freed(); assert allocator._kept"
    assert faults(keep) < 100
    monkeypatch.setenv(allocator.VARIABLE, "system")
    # glibc raises its threshold by itself, up to 32 MiB; set by hand it stays.
    unset = "from seqdiff import allocator; allocator.keep_freed(); assert not allocator._kept; "
    assert faults(unset + "ctypes.CDLL(None).mallopt(-3, 2**20)") > 10 * 1000


@pytest.mark.skipif(not GLIBC, reason="the C library is not glibc")
def test_a_glibc_that_refuses_so_high_a_threshold_keeps_it_too():
    keep = """
        from seqdiff import allocator
        whole = ctypes.CDLL
        class Older:
            def __init__(self, path):
                self.mallopt = lambda name, value: 0 if name == -3 else whole(path).mallopt(name, value)
        ctypes.CDLL = Older
        allocator.keep_freed()
        ctypes.CDLL = whole
        assert allocator._kept
    """
    assert faults(keep) < 100


@pytest.mark.skipif(not GLIBC, reason="the C library is not glibc")
def test_more_than_2_gib_are_not_trimmed():
    code = """if True:
        import ctypes
        from seqdiff import allocator
        libc = ctypes.CDLL(None)
        libc.malloc.restype = libc.sbrk.restype = ctypes.c_void_p
        allocator.keep_freed()
        blocks = [libc.malloc(ctypes.c_size_t(2**29)) for _ in range(5)]  # never touched
        end = libc.sbrk(0)
        for block in blocks:
            libc.free(ctypes.c_void_p(block))
        print(end - libc.sbrk(0))
    """
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "0\n"


HIGHEST, UNMAPPED, UNTRIMMED = (-3, 2**31 - 1), (-4, 0), (-1, -1)


def test_nothing_is_mapped_on_its_own_and_nothing_trimmed(monkeypatch):
    library = CLibrary(monkeypatch)
    allocator.keep_freed()
    assert sorted(library.calls) == sorted([HIGHEST, UNTRIMMED])
    assert allocator.status().startswith("freed memory is kept")


def test_a_refused_threshold_is_replaced(monkeypatch):
    library = CLibrary(monkeypatch, refused=[HIGHEST])
    allocator.keep_freed()
    assert sorted(library.calls) == sorted([HIGHEST, UNMAPPED, UNTRIMMED])
    assert allocator.status().startswith("freed memory is kept")


@pytest.mark.parametrize("refused", [[HIGHEST, UNMAPPED], [UNTRIMMED], [HIGHEST, UNMAPPED, UNTRIMMED]])
def test_a_refusal_is_told(monkeypatch, refused):
    CLibrary(monkeypatch, refused)
    allocator.keep_freed()
    assert allocator.status() == "freed memory goes back to the system: glibc refused"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("SEQDIFF_MALLOC", "system", "SEQDIFF_MALLOC=system"),
        ("MALLOC_MMAP_THRESHOLD_", "1000", "MALLOC_MMAP_THRESHOLD_ is set"),
        ("MALLOC_TRIM_THRESHOLD_", "1000", "MALLOC_TRIM_THRESHOLD_ is set"),
        ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1", "GLIBC_TUNABLES is set"),
        ("LD_PRELOAD", "/usr/lib/libjemalloc.so.2", "LD_PRELOAD brings another allocator"),
    ],
)
def test_who_has_decided_otherwise_is_obeyed(monkeypatch, name, value, reason):
    library = CLibrary(monkeypatch)
    monkeypatch.setenv(name, value)
    allocator.keep_freed()
    assert not library.calls
    assert allocator.status() == f"freed memory goes back to the system: {reason}"


def other_library(name):
    raise ValueError("unrecognized configuration name")


@pytest.mark.parametrize("confstr", [other_library, lambda name: None])
def test_other_libraries_are_left_alone(monkeypatch, confstr):
    library = CLibrary(monkeypatch)
    monkeypatch.setattr(os, "confstr", confstr)
    allocator.keep_freed()
    assert not library.calls
    assert allocator.left_alone() == "the C library is not glibc"


def test_an_unknown_word_is_an_error(monkeypatch):
    monkeypatch.setenv(allocator.VARIABLE, "mine")
    with pytest.raises(ConfigError, match="SEQDIFF_MALLOC=mine: choose keep or system"):
        allocator.keep_freed()


def test_the_library_leaves_the_allocator_alone():
    code = "import seqdiff.model, seqdiff.train.loop, seqdiff.cli; print(seqdiff.allocator._kept)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "None\n"
