"""How a kernel becomes machine code, where that is kept, and on which threads it runs.

A kernel is a function of one address: 64-bit integers, of which the first is the next task nobody has taken and
the second the next worker without a place. It takes tasks until there are none. Threads are those of torch's own
OpenMP, so that the two never fight for the cores; which thread computes a task changes nothing in its result.
"""

import ctypes
from collections.abc import Callable

import numba
import torch
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_HEADER = 2


class Kernel:
    """Machine code for a kernel, compiled when it first runs."""

    def __init__(self, function: Callable):
        self.function = function
        self.compiled = None

    def __call__(self, tasks: int, *arguments: int) -> None:
        """Run tasks 0..tasks-1 with these addresses and numbers."""
        if self.compiled is None:
            self.compiled = numba.cfunc("void(int64)", error_model="numpy", boundscheck=False)(self.function)
        shared = (ctypes.c_int64 * (_HEADER + 1 + len(arguments)))(0, 0, tasks, *arguments)
        threads = min(torch.get_num_threads(), tasks)
        _parallel(self.compiled.address, ctypes.addressof(shared), threads)


def _parallel(function: int, shared: int, threads: int) -> None:
    _gomp(ctypes.c_void_p(function), ctypes.c_void_p(shared), ctypes.c_uint(threads), ctypes.c_uint(0))


_gomp = ctypes.CDLL(None).GOMP_parallel
_gomp.restype = None


def kernel(function: Callable) -> Kernel:
    return Kernel(function)


@intrinsic
def taken(context, shared, which):
    """The value of counter `which`, which is one more from now on."""

    def write(context, builder, signature, values):
        address = builder.add(values[0], builder.mul(values[1], ir.Constant(ir.IntType(64), 8)))
        counter = builder.inttoptr(address, ir.IntType(64).as_pointer())
        return builder.atomic_rmw("add", counter, ir.Constant(ir.IntType(64), 1), "monotonic")

    return types.int64(types.int64, types.int64), write


@intrinsic
def arguments(context, shared, count):
    """A tuple of the `count` numbers that the kernel was given, the number of tasks first."""
    if not isinstance(count, types.IntegerLiteral):
        raise numba.errors.RequireLiteralValue("the count of arguments is a constant")
    wanted = count.literal_value

    def write(context, builder, signature, values):
        numbers = []
        for i in range(wanted):
            address = builder.add(values[0], ir.Constant(ir.IntType(64), 8 * (_HEADER + i)))
            numbers.append(builder.load(builder.inttoptr(address, ir.IntType(64).as_pointer())))
        return context.make_tuple(builder, signature.return_type, numbers)

    return types.UniTuple(types.int64, wanted)(types.int64, count), write
