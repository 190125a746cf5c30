"""Views of device arrays for other libraries: DLPack (https://dmlc.github.io/dlpack) and the CUDA array interface.

numba-cuda's arrays speak the latter alone. A capsule holds a ``DLManagedTensor`` of DLPack 0.8, which torch, CuPy, JAX
and NumPy take; the names of its fields are those of ``dlpack.h``.
"""

import ctypes
from typing import Any

from kernels.cuda.jit import SIMULATED, address

_CPU, _CUDA = 1, 2  # DLDeviceType
_CODES = {"i": 0, "u": 1, "f": 2}  # DLDataTypeCode, by NumPy's kind


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]  # fmt: skip


class _Managed(ctypes.Structure):
    pass


_Deleter = ctypes.CFUNCTYPE(None, ctypes.POINTER(_Managed))
_Managed._fields_ = [("dl_tensor", _Tensor), ("manager_ctx", ctypes.c_void_p), ("deleter", _Deleter)]
_API = ctypes.pythonapi
_API.PyCapsule_New.restype = ctypes.py_object
_API.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_API.PyCapsule_IsValid.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
_API.PyCapsule_GetPointer.restype = ctypes.c_void_p
_API.PyCapsule_GetPointer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]


@_Deleter
def _let_go(managed: Any) -> None:
    """Whoever took a capsule needs it no more."""
    _API.Py_DecRef(ctypes.cast(managed.contents.manager_ctx, ctypes.py_object))


@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def _unused(capsule: Any) -> None:
    """A capsule ends: if nobody took what it holds, let that go."""
    if _API.PyCapsule_IsValid(capsule, b"dltensor"):
        _let_go(ctypes.cast(_API.PyCapsule_GetPointer(capsule, b"dltensor"), ctypes.POINTER(_Managed)))


class View:
    """A contiguous device array as other libraries take it, where it lies; to be read.

    ``torch.from_dlpack(view)``, ``cupy.from_dlpack(view)``, ``torch.as_tensor(view)``; ``copy_to_host()`` for NumPy.
    ``number``: of the device.
    """

    def __init__(self, array: Any, number: int = 0) -> None:
        self.array, self.shape, self.dtype, self.number = array, tuple(array.shape), array.dtype, number

    @property
    def __cuda_array_interface__(self) -> Any:
        return self.array.__cuda_array_interface__

    def copy_to_host(self) -> Any:
        """A NumPy array of the same values."""
        return self.array.copy() if SIMULATED else self.array.copy_to_host()

    def __dlpack_device__(self) -> tuple[int, int]:
        """(kind of device, number); in the simulator, the CPU."""
        return (_CPU, 0) if SIMULATED else (_CUDA, self.number)

    def __dlpack__(self, *, stream: Any = None, **options: Any) -> Any:
        """A capsule. Nothing is left to wait for in ``stream``: a run returns when the device has done its work."""
        if options.get("copy"):
            raise BufferError("View.__dlpack__: gives no copies. Copy the array that takes it.")
        kind, number = here = self.__dlpack_device__()
        if options.get("dl_device") not in (None, here):
            raise BufferError(f"View.__dlpack__: lies on device {here}; got {options['dl_device']}.")
        n, code, bits = len(self.shape), _CODES[self.dtype.kind], 8 * self.dtype.itemsize
        shape = (ctypes.c_int64 * n)(*self.shape)
        managed = _Managed(_Tensor(address(self.array), kind, number, n, code, bits, 1, shape), None, _let_go)
        holder = [managed, shape, self.array]  # live until _let_go
        managed.manager_ctx = id(holder)
        _API.Py_IncRef(ctypes.py_object(holder))
        return _API.PyCapsule_New(ctypes.addressof(managed), b"dltensor", ctypes.cast(_unused, ctypes.c_void_p))
