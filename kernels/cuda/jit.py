"""numba.cuda as the engine uses it: functions for the device, which device is there, and why there is none."""

import ctypes
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from types import FunctionType
from typing import Any

import numpy as np
from numba import cuda
from numba.core import config

from kernels import packed
from kernels.errors import BackendUnavailable

SIMULATED = bool(config.ENABLE_CUDASIM)  # NUMBA_ENABLE_CUDASIM=1: kernels run as Python threads, for tests


def inner(function: Callable[..., Any]) -> Any:
    """Compile ``function`` for the device, to be called from kernels."""
    return cuda.jit(device=True)(function)


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
