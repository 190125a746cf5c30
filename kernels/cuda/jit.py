"""numba.cuda as the engine uses it: functions for the device, which device is there, and why there is none."""

import ctypes
import math
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from types import FunctionType
from typing import Any

import numpy as np
from llvmlite import ir
from numba import cuda, types
from numba.core import cgutils, config
from numba.extending import intrinsic

from kernels import packed
from kernels.errors import BackendUnavailable

SIMULATED = bool(config.ENABLE_CUDASIM)  # NUMBA_ENABLE_CUDASIM=1: kernels run as Python threads, for tests
ADD = "cuda.atomic.add" if SIMULATED else "add_to"  # in generated text: adds where nobody asks for the old value
# small networks are no mistake
warnings.filterwarnings("ignore", "Grid size [0-9]+ will likely result in GPU under-utilization")


def inner(function: Callable[..., Any]) -> Any:
    """Compile ``function`` for the device, to be called from kernels."""
    return cuda.jit(device=True)(function)


_compiling = threading.RLock()


@contextmanager
def unfused() -> Iterator[None]:
    """Compiling: each multiplication and addition is rounded, as on the cpu.

    What NVVM fuses depends on what stands beside it, so code that is inlined twice could give other bits in each place.
    """
    from numba.cuda.cudadrv import nvvm

    with _compiling:
        original = nvvm.compile_ir
        nvvm.compile_ir = lambda text, **options: original(text, **{**options, "fma": False})
        try:
            yield
        finally:
            nvvm.compile_ir = original


def kernel(function: Callable[..., Any]) -> Any:
    """Compile ``function`` as a kernel, :func:`unfused`; not once more when it is linked, which doubles the time."""
    if SIMULATED:
        return cuda.jit(function)
    found = cuda.jit(function, lto=False)  # numba-cuda 0.30 drops lto from cuda.jit(lto=..)
    compiled = found.compile

    def compile_unfused(signature: Any) -> Any:
        with unfused():
            return compiled(signature)

    found.compile = compile_unfused
    return found


@intrinsic
def add_to(typing, array, at, value):  # type: ignore[no-untyped-def]
    """array[at] += value, atomically. ptxas makes an addition that waits for the old value of ``cuda.atomic.add`` in
    what is linked with other code, as cooperative kernels are."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        view = context.make_array(signature.args[0])(context, builder, args[0])
        at = context.cast(builder, args[1], signature.args[1], types.intp)
        item = cgutils.get_item_pointer(context, builder, signature.args[0], view, [at], wraparound=False)
        value = context.cast(builder, args[2], signature.args[2], signature.args[0].dtype)
        place = builder.ptrtoint(builder.addrspacecast(item, value.type.as_pointer(1)), ir.IntType(64))
        kind, register = {"float32": ("f32", "f"), "float64": ("f64", "d"), "int64": ("u64", "l")}[
            str(signature.args[0].dtype)
        ]
        form = ir.FunctionType(ir.VoidType(), [place.type, value.type])
        text = ir.InlineAsm(form, f"red.global.add.{kind} [$0], $1;", f"l,{register},~{{memory}}", side_effect=True)
        builder.call(text, [place, value])
        return context.get_dummy_value()

    return types.void(array, at, value), generate


@intrinsic
def cycles(typing):  # type: ignore[no-untyped-def]
    """The clock of the multiprocessor, to measure with."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        text = ir.InlineAsm(
            ir.FunctionType(ir.IntType(64), []), "mov.u64 $0, %clock64;", "=l,~{memory}", side_effect=True
        )
        return builder.call(text, [])

    return types.int64(), generate


inlined = inner  # NVVM sees all functions of a kernel at once and inlines by itself


def device(function: Callable[..., Any], **called: Any) -> Any:
    """As :func:`inner`, for a plain function of another module; ``called`` are the functions that it calls by name."""
    return inner(FunctionType(function.__code__, {**function.__globals__, **called}, function.__name__))


def select(number: int) -> None:
    """Take device ``number``, or raise BackendUnavailable with the reason."""
    if SIMULATED:
        return
    fix = 'Install the extra "cuda" and an NVIDIA driver, or use backend="cpu".'
    if not cuda.is_available():
        try:
            reason = str(cuda.cuda_error() or "no CUDA device found")
        except Exception as error:  # whatever numba-cuda meets on the way to a driver
            reason = str(error)
        raise BackendUnavailable(f'backend="cuda": {" ".join(reason.split()).rstrip(".")}. {fix}')
    count = len(cuda.gpus)
    if not 0 <= number < count:
        raise BackendUnavailable(f'backend="cuda": device must be from 0 to {count - 1}; got {number}.')
    cuda.select_device(number)


def on(number: int) -> AbstractContextManager[Any]:
    """Work on device ``number``, whatever this thread has worked on, or another simulation."""
    if SIMULATED or cuda.get_current_device().id == number:
        return nullcontext()
    found: AbstractContextManager[Any] = cuda.gpus[number]
    return found


def send(value: Any) -> Any:
    """The arrays of a tuple on the device, in rows; what is no array stays.

    The simulator takes NumPy arrays in tuples as they are.
    """
    if isinstance(value, np.ndarray):
        return value.copy() if SIMULATED else cuda.to_device(np.ascontiguousarray(value))
    if isinstance(value, tuple):
        return type(value)(*map(send, value)) if hasattr(value, "_fields") else tuple(map(send, value))
    return value


_LACKS = {"NumbaError", "NvvmError", "LinkerError", "NvrtcError"}  # of numba, numba-cuda and their simulator


@contextmanager
def named_errors() -> Iterator[None]:
    """Compiling and taking memory: what goes wrong on the device is raised as BackendUnavailable."""
    try:
        yield
    except Exception as error:
        text = " ".join(str(error).split())
        if isinstance(error, MemoryError) or "OUT_OF_MEMORY" in text.upper().replace(" ", "_"):
            free = free_bytes()
            there = "" if free is None else f"; {free:,} bytes are free"
            raise BackendUnavailable(
                f'backend="cuda": the device ran out of memory{there} ({text[:200]}). Use a smaller network, '
                'precision="float32", or backend="cpu".'
            ) from error
        if _LACKS & {kind.__name__ for kind in type(error).__mro__}:
            raise BackendUnavailable(
                f'backend="cuda": the kernels of this network do not compile for the device: {text[:1000]}. A model or '
                'rule uses what CUDA lacks; change it, or use backend="cpu".'
            ) from error
        raise


def stream() -> Any:
    """An order of work that does not wait for that of other streams, only for that of none; none in the simulator."""
    return 0 if SIMULATED else cuda.stream()


def fetch(array: Any, n: int | None = None, stream: Any = 0) -> Any:
    """A copy of a device array on the host, or of its first ``n`` elements; in ``stream``, if one is given."""
    if n == 0 or array.size == 0:
        return np.empty(array.shape if n is None else 0, array.dtype)
    array = array if n is None else array[:n]
    if SIMULATED:
        return array.copy()
    host = array.copy_to_host(stream=stream)
    if stream:
        stream.synchronize()
    return host


def empty(shape: int | tuple[int, ...], dtype: Any) -> Any:
    """A device array whose numbers mean nothing yet."""
    return np.empty(shape, dtype) if SIMULATED else cuda.device_array(shape, dtype)


def address(array: Any) -> int:
    """Where the elements of a device array lie."""
    return int(array.ctypes.data if SIMULATED else array.__cuda_array_interface__["data"][0] or 0)


def reader(cls: type, text: str, at: int) -> Any:
    """As kernels.packed.reader, for kernels."""
    if not SIMULATED:
        return packed.reader(cls, text, at)
    view = cache(lambda row: _view(cls, text, np.frombuffer(row, np.int64)[at:].tolist()))
    return lambda table, row: view(table[row].tobytes())


def _view(cls: type, text: str, words: list[int]) -> Any:
    """The tuple of which ``words`` are addresses, shapes and numbers."""
    given, values = iter(words), list[Any]()
    for kind in text.split():
        dtype, array, ndim = kind.partition(":")
        word = next(given)
        if array:
            shape = [next(given) for _ in range(int(ndim))]
            memory: Any = (ctypes.c_char * (math.prod(shape) * np.dtype(dtype).itemsize)).from_address(word)
            values.append(np.ndarray(shape, dtype, memory))
        else:
            values.append(np.int64(word).view(np.float64) if kind == "f" else word)
    return cls(*values)


def free_bytes() -> int | None:
    """Bytes of device memory that are free; None in the simulator."""
    return None if SIMULATED else int(cuda.current_context().get_memory_info()[0])


def release() -> None:
    """Free the memory of arrays that are gone, of which numba-cuda keeps up to ten."""
    if not SIMULATED:
        cuda.current_context().deallocations.clear()
