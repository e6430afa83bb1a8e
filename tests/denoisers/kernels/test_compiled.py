import importlib
import logging
import os
import pkgutil
import subprocess
import sys
import threading
from pathlib import Path

import llvmlite.binding as llvm
import pytest

from seqdiff.denoisers import kernels
from seqdiff.denoisers.kernels import compiled, machine, probe, store
from seqdiff.denoisers.kernels.compiled import Kernel
from seqdiff.errors import SeqdiffError

MODULES = [importlib.import_module(f"{kernels.__name__}.{m.name}") for m in pkgutil.iter_modules(kernels.__path__)]
KERNELS = {k.name: k for module in MODULES for k in vars(module).values() if isinstance(k, Kernel)}


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_calls_nothing_of_python_and_raises_nothing(name):
    text = compiled.assembly(KERNELS[name])
    module = llvm.parse_assembly(text)
    assert not [f.name for f in module.functions if f.is_declaration and not f.name.startswith("llvm.")]
    assert {line.strip() for line in text.splitlines() if line.strip().startswith("ret ")} == {"ret i32 0", "ret void"}


@pytest.fixture
def new_probe(monkeypatch):
    kernel = Kernel(probe.forward.function)
    monkeypatch.setattr(probe, "forward", kernel)
    return kernel


@pytest.fixture
def nothing_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("SEQDIFF_CACHE", str(tmp_path))
    monkeypatch.setattr(store, "_used", None)
    compiled._say.cache_clear()


def test_it_is_compiled_once_even_when_several_threads_want_it(new_probe, nothing_kept, monkeypatch):
    calls = []
    assembly = compiled.assembly
    monkeypatch.setattr(compiled, "assembly", lambda kernel: (calls.append(kernel), assembly(kernel))[1])
    right = []
    workers = [threading.Thread(target=lambda: right.append(probe.check())) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(right) == 4
    assert calls == [new_probe]


def test_a_kernel_that_cannot_be_compiled_is_an_error_with_a_cure(nothing_kept):
    @compiled.kernel
    def wrong(shared):
        shared.nothing()

    with pytest.raises(SeqdiffError, match=r"kernel test_compiled\.wrong cannot .* SEQDIFF_PATH=reference"):
        wrong(1)


def test_a_numba_that_aims_at_another_cpu_than_we_is_refused(new_probe, nothing_kept, monkeypatch):
    """LLVM would end the process."""
    monkeypatch.setattr("numba.config.CPU_FEATURES", "-avx512f,-avx2")
    with pytest.raises(SeqdiffError, match="numba is configured for another CPU"):
        probe.check()


@pytest.mark.parametrize(
    ("name", "value", "features"),
    [
        ("NUMBA_CPU_FEATURES", "+avx2, -avx512f", {"avx2": True, "avx512f": False}),
        ("NUMBA_CPU_FEATURES", "", {}),
        ("NUMBA_CPU_NAME", "generic", {}),
    ],
)
def test_the_machine_is_the_one_that_numba_is_told_of(monkeypatch, name, value, features):
    monkeypatch.setenv(name, value)
    assert machine._features() == features


def test_without_avx_as_numba_says_it(monkeypatch):
    monkeypatch.setenv("NUMBA_ENABLE_AVX", "0")
    assert not any(has for name, has in machine._features().items() if name.startswith("avx"))


CHECK = """if True:
    import logging, sys
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    from seqdiff.denoisers import kernels
    assert kernels.unavailable() is None, kernels.unavailable()
    print(kernels.cache())
    print("numba" in sys.modules)
    if "numba" in sys.modules:
        assert sys.modules["numba"].config.CACHE_DIR == "", "users' own functions would be kept elsewhere"
"""


def start(cache, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", CHECK], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"SEQDIFF_CACHE": str(cache)} | environment,
    )  # fmt: skip


def said(process):
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    return out.splitlines()


def test_processes_that_start_at_once_compile_once_and_later_ones_do_without_numba(tmp_path):
    folder = tmp_path / f"kernels-{os.geteuid()}" / store.DIGEST
    lines = [said(process) for process in [start(tmp_path) for _ in range(3)]]
    assert sorted(len(line) for line in lines) == [2, 2, 3]
    assert max(lines, key=len) == ["compiling the CPU kernels (once on this machine)", str(folder), "True"]
    assert said(start(tmp_path)) == [str(folder), "False"]
    (folder / "probe.forward").write_bytes(b"")
    assert said(start(tmp_path))[2] == "True"


def test_where_nothing_can_be_kept_it_works_and_says_so(tmp_path):
    (tmp_path / f"seqdiff-kernels-{os.geteuid()}").touch()
    warning, message, status, _ = said(start("/proc/nowhere", TMPDIR=str(tmp_path)))
    nowhere = "No such file or directory"
    assert warning == f"SEQDIFF_CACHE=/proc/nowhere cannot be used for compiled kernels: {nowhere}"
    why = f"SEQDIFF_CACHE=/proc/nowhere cannot be used: {nowhere}; {tmp_path}/seqdiff-kernels-{os.geteuid()} cannot"
    assert message.startswith(f"compiling the CPU kernels (in every process, for they can be kept nowhere: {why}")
    assert message.count("every process") == 1
    assert status.startswith(f"nowhere, every process compiles them ({why}")


def test_where_nothing_may_be_compiled_nothing_says_so_and_no_folder_is_made(
    new_probe, nothing_kept, monkeypatch, caplog, tmp_path
):
    monkeypatch.setattr("numba.config.DISABLE_JIT", 1)
    kernels.unavailable.cache_clear()
    with caplog.at_level(logging.INFO, "seqdiff"):
        assert kernels.unavailable() == "the CPU kernels do not work here (NUMBA_DISABLE_JIT is set)"
    kernels.unavailable.cache_clear()
    assert not caplog.text
    assert not list(tmp_path.iterdir())


def test_a_cluster_that_compiles_for_any_cpu_gets_code_of_its_own(tmp_path):
    folder, with_numba = said(start(tmp_path, NUMBA_CPU_NAME="generic"))[1:]
    assert with_numba == "True"
    assert Path(folder).name != store.DIGEST


def test_the_message_comes_once(nothing_kept, caplog):
    with caplog.at_level(logging.INFO, "seqdiff"):
        for _ in range(2):
            Kernel(probe.forward.function)._code()
            for path in store._places()[0].folder.iterdir():
                path.unlink()
    assert caplog.text.count("compiling the CPU kernels") == 1
