"""A barrier between threads inside compiled code: one atomic counter, a bounded spin, then yielding."""

import sys

import numba
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from kernels.jit import inner

_SPINS = 4000
_yield = numba.types.ExternalFunction(
    "SwitchToThread" if sys.platform == "win32" else "sched_yield", numba.types.int32()
)


def element_pointer(context, builder, array_type, array, index):  # type: ignore[no-untyped-def]
    """LLVM pointer to array[index]."""
    view = context.make_array(array_type)(context, builder, array)
    return cgutils.get_item_pointer(context, builder, array_type, view, [index], wraparound=False)


@intrinsic
def atomic_add(typing, array, index, value):  # type: ignore[no-untyped-def]
    """array[index] += value for an int64 array, atomically; returns the old value."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        index = context.cast(builder, args[1], signature.args[1], numba.types.intp)
        value = context.cast(builder, args[2], signature.args[2], numba.types.int64)
        pointer = element_pointer(context, builder, signature.args[0], args[0], index)
        return builder.atomic_rmw("add", pointer, value, "seq_cst")

    return numba.types.int64(array, index, value), generate


@intrinsic
def atomic_load(typing, array, index):  # type: ignore[no-untyped-def]
    """array[index] of an int64 array, read atomically."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        index = context.cast(builder, args[1], signature.args[1], numba.types.intp)
        pointer = element_pointer(context, builder, signature.args[0], args[0], index)
        return builder.load_atomic(pointer, "seq_cst", 8, typ=ir.IntType(64))

    return numba.types.int64(array, index), generate


@inner
def wait(arrived, target):  # type: ignore[no-untyped-def]
    """Arrive, then wait until ``target`` arrivals were counted in arrived[0].

    The spin is short: where a core is taken by another process, the waiting thread gives its own away.
    """
    atomic_add(arrived, 0, 1)
    spins = 0
    while atomic_load(arrived, 0) < target:
        spins += 1
        if spins > _SPINS:
            _yield()
