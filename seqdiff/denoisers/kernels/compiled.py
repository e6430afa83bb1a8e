"""How a kernel becomes machine code.

A kernel is a function of one address: 64-bit integers, of which the first is the next task nobody has taken and
the second the next worker without a place. It takes tasks until there are none; which thread computes a task changes
nothing in its result. A kernel is written in loops and integers, as numba compiles them, and calls `Operation`s. Its
code is that of LLVM alone: nothing of Python is called and no exception exists in it.

    kernel -> numba -> LLVM's assembly -> object code -> store -> memory

Where the object code is in the store, numba is not even imported.
"""

import functools
import logging
import os
import threading
from array import array
from collections.abc import Callable
from types import FunctionType

from llvmlite import ir

from seqdiff.denoisers.kernels import in_a_line, machine, store, threads
from seqdiff.errors import SeqdiffError

logger = logging.getLogger("seqdiff")

_HEADER = 2
_LONG = ir.IntType(64)

_lock = threading.RLock()
# Whoever forks waits for what is being compiled: the child would wait for ever.
os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


class Kernel:
    """Machine code for a kernel, fetched or compiled when it first runs."""

    def __init__(self, function: Callable):
        self.function = function
        self.name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
        self._engine = None
        self._address = 0

    def __call__(self, tasks: int, *numbers: int) -> None:
        """Run tasks 0..tasks-1 with these addresses and numbers, by `torch.get_num_threads()` workers at most.

        Raises SeqdiffError where the kernel cannot be compiled.
        """
        if not self._address:
            self._load()
        shared = array("q", (0, 0, tasks, *numbers))
        threads.run(self._address, shared.buffer_info()[0], tasks)

    def _load(self) -> None:
        with _lock:
            if self._address:
                return
            try:
                self._engine = machine.loaded(self._code())
                self._address = self._engine.get_function_address(_ENTRY)
            except Exception as error:  # a numba beside the wrong numpy raises ImportError, SystemError, ...
                raise SeqdiffError(
                    f"the CPU kernel {self.name} cannot be compiled ({in_a_line(error)}); "
                    "SEQDIFF_PATH=reference does without it"
                ) from error

    def _code(self) -> bytes:
        code = store.read(self.name)
        if code is None:
            _check_numba()  # before anything is said or made
            with store.alone(self.name) as kept:
                code = store.read(self.name)
                if code is None:
                    _say(kept)
                    code = machine.object_code(assembly(self))
                    store.write(self.name, code)
        return code


def kernel(function: Callable) -> Kernel:
    """Make a function of one address a kernel."""
    return Kernel(function)


class Operation:
    """What a kernel may call. `define` makes it something of numba's, when a kernel is compiled that calls it."""

    def __init__(self, define: Callable[[], object]):
        self.intrinsic = functools.cache(define)


def loop(function: Callable) -> Operation:
    """Make a function of numbers, addresses or tuples of them a part of the kernels that call it."""

    def define():
        import numba

        return numba.njit(error_model="numpy", boundscheck=False, forceinline=True)(_bound(function))

    return Operation(define)


_ENTRY = "seqdiff_kernel"


def assembly(kernel: Kernel) -> str:
    """A kernel in LLVM's assembly, optimised."""
    import numba

    function, signature = _bound(kernel.function), numba.types.void(numba.types.int64)
    settings = {"error_model": "numpy", "boundscheck": False, "debug": False}
    compiled = numba.njit(signature, **settings, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)
    name = compiled.overloads[signature.args].fndesc.llvm_func_name
    # numba's functions take two more addresses, for a result and an exception: neither is used.
    return f"""{compiled.inspect_llvm(signature.args)}
define void @{_ENTRY}(i64 %shared) {{
  %unused = alloca ptr
  %status = call i32 @{name}(ptr %unused, ptr %unused, i64 %shared)
  ret void
}}
"""


def _check_numba() -> None:
    """Raises SeqdiffError where numba is told not to compile, or to do it for another machine than we."""
    import numba

    if numba.config.DISABLE_JIT:
        raise SeqdiffError("NUMBA_DISABLE_JIT is set")
    if machine.differs(numba.config.CPU_FEATURES, bool(numba.config.ENABLE_AVX)):
        raise SeqdiffError("numba is configured for another CPU, and not by NUMBA_CPU_FEATURES")


def _bound(function: Callable) -> FunctionType:
    """The function with the operations it calls as numba knows them."""
    known = {**function.__globals__}
    for name in function.__code__.co_names:
        if isinstance(operation := known.get(name), Operation):
            known[name] = operation.intrinsic()
    return FunctionType(function.__code__, known, function.__name__)


@functools.cache
def _say(kept: bool) -> None:
    """Once for each process, what takes so long."""
    how_often = (
        "once on this machine" if kept else f"in every process, for they can be kept nowhere: {store.obstacles()}"
    )
    logger.info("compiling the CPU kernels (%s)", how_often)


@Operation
def taken():
    """taken(shared, which): the value of counter `which`, which is one more from now on."""
    from numba import types
    from numba.extending import intrinsic

    @intrinsic
    def taken(context, shared, which):
        def write(context, builder, signature, values):
            address = builder.add(values[0], builder.mul(values[1], ir.Constant(_LONG, 8)))
            counter = builder.inttoptr(address, _LONG.as_pointer())
            return builder.atomic_rmw("add", counter, ir.Constant(_LONG, 1), "monotonic")

        return types.int64(types.int64, types.int64), write

    return taken


@Operation
def arguments():
    """arguments(shared, count): a tuple of the numbers that the kernel was given, the number of tasks first."""
    from numba import errors, types
    from numba.extending import intrinsic

    @intrinsic
    def arguments(context, shared, count):
        if not isinstance(count, types.IntegerLiteral):
            raise errors.RequireLiteralValue("the count of arguments is a constant")
        wanted = count.literal_value

        def write(context, builder, signature, values):
            numbers = []
            for i in range(wanted):
                address = builder.add(values[0], ir.Constant(_LONG, 8 * (_HEADER + i)))
                numbers.append(builder.load(builder.inttoptr(address, _LONG.as_pointer())))
            return context.make_tuple(builder, signature.return_type, numbers)

        return types.UniTuple(types.int64, wanted)(types.int64, count), write

    return arguments
