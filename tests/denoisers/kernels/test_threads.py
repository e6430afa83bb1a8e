import ctypes
import logging
import subprocess
import sys
import threading

import pytest
import torch
from scans import Draw, arguments, gradients

from seqdiff.denoisers import kernels, paths
from seqdiff.denoisers.kernels import probe, threads, vectors
from seqdiff.denoisers.residual import add_norm
from seqdiff.denoisers.scan import selective_scan


@pytest.fixture
def with_threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def by_the_kernels():
    with paths.use("cpu"):
        yield


def scanned(length, reverse):
    given = arguments(length, rows=3, width=40, states=5)
    y = selective_scan(**given, delta_softplus=True, reverse=reverse)
    return [y, *gradients([y], given.values())]


def normed():
    draw = Draw(0)
    given = [draw.normal(3, 400, 40), draw.normal(3, 400, 40), draw.normal(40)]
    answers = add_norm(*given)
    return [*answers, *gradients(answers, given)]


def equal(these, those):
    return all(torch.equal(a, b) for a, b in zip(these, those, strict=True))


def test_the_number_of_threads_changes_no_bit(with_threads):
    results = {}
    for number in (1, 2, 3, 4):
        with_threads(number)
        results[number] = [*scanned(149, False), *scanned(149, True), *normed()]
    assert all(equal(result, results[1]) for result in results.values())


def test_python_threads_do_not_disturb_each_other(with_threads):
    with_threads(2)
    expected = {length: scanned(length, False) for length in (50, 100, 150, 200)}
    right = {}

    def work(length):
        torch.set_num_threads(2)
        right[length] = all(equal(scanned(length, False), expected[length]) for _ in range(10))

    workers = [threading.Thread(target=work, args=[length]) for length in expected]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert right == dict.fromkeys(expected, True)


def test_openmp_is_asked_for_torchs_number_of_threads_however_few_the_tasks(with_threads, monkeypatch):
    asked = []
    parallel = threads._parallel()
    monkeypatch.setattr(threads, "_parallel", lambda: lambda *given: (asked.append(given[2]), parallel(*given)))
    for number in (1, 3):
        with_threads(number)
        probe.check()
    assert asked == [3]


def test_without_openmp_one_thread_does_it_and_that_is_said_once(with_threads, monkeypatch, caplog):
    def absent(library):
        raise OSError(library)

    with_threads(2)
    monkeypatch.setattr(ctypes, "CDLL", absent)
    threads._parallel.cache_clear()
    with caplog.at_level(logging.INFO, "seqdiff"):
        probe.check()
        probe.check()
    threads._parallel.cache_clear()
    assert caplog.text.count("without OpenMP") == 1


def test_what_the_kernels_run_on_is_described(with_threads, monkeypatch):
    with_threads(2)
    assert kernels.described() == f"vectors of {vectors.LANES} floats, 2 threads"
    with_threads(1)
    assert threads.described() == "1 thread"
    with_threads(2)
    with monkeypatch.context() as patched:
        patched.setattr(threads, "_parallel", lambda: None)
        assert threads.described() == "1 thread, for torch comes without OpenMP"
    monkeypatch.setattr(threads, "_forked", True)
    assert threads.described().startswith("1 thread, for this process was forked")


def test_a_forked_child_says_once_that_it_has_one_thread():
    code = """if True:
        import logging, os, sys, torch
        from seqdiff.denoisers.kernels import probe
        logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(process)d %(message)s")
        torch.set_num_threads(2)
        probe.check()
        child = os.fork()
        if not child:
            probe.check()
            probe.check()
            grandchild = os.fork()
            if not grandchild:
                probe.check()
                os._exit(0)
            os.waitpid(grandchild, 0)
            os._exit(0)
        os.waitpid(child, 0)
        print(os.getpid())
    """
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    *said, parent = [line for line in result.stdout.splitlines() if "compiling" not in line]
    assert [line.partition(" ")[2] for line in said] == [
        f"{threads.FORKED}: the CPU kernels run on one thread in it"
    ] * 2
    assert len({parent, *(line.split()[0] for line in said)}) == 3


# Children that GCC's OpenMP would leave waiting for ever.
FORKS = {
    "os.fork": """
        child = os.fork()
        if not child:
            os._exit(0 if same() else 3)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """,
    "multiprocessing": """
        with multiprocessing.get_context("fork").Pool(1) as pool:
            print(0 if pool.apply(same) else 3)
    """,
    "DataLoader": """
        class Scans(torch.utils.data.Dataset):
            def __len__(self):
                return 2
            def __getitem__(self, i):
                return same()
        loader = torch.utils.data.DataLoader(Scans(), num_workers=1, multiprocessing_context="fork")
        print(0 if all(map(all, loader)) else 3)
    """,
}


@pytest.mark.parametrize("way", FORKS)
def test_forked_children_work(way):
    code = f"""if True:
        import multiprocessing, os, torch
        from seqdiff.denoisers import paths
        from seqdiff.denoisers.scan import selective_scan
        torch.set_num_threads(2)
        given = [torch.rand(2, 40, 100), torch.rand(2, 40, 100), -torch.ones(40, 4), *torch.rand(2, 2, 4, 100)]
        def scan():
            with paths.use("cpu"):
                return selective_scan(*given)
        before = scan()
        def same():
            return torch.equal(scan(), before)
        {FORKS[way]}
    """
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (result.stdout, result.stderr) == ("0\n", "")
