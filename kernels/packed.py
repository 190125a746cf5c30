"""Named tuples of arrays in memory, for compiled functions that take any number of them.

Numba passes a tuple word by word, seven words an array, and unpacks every array of it where Python calls. A function
that takes a dozen tuples of forty arrays compiles for a minute. Here the addresses, shapes and numbers of a tuple are a
row of one array of words, and the function makes the tuple from a row when it needs it.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np import arrayobj, numpy_support

from kernels.layout import Array


def form(value: Any) -> str:
    """What :func:`reader` must know of a named tuple: of each field "i" or "f", or an array's dtype and dimensions."""
    numbers = {int: "i", float: "f"}
    return " ".join(
        numbers.get(kind) or f"{field.dtype.str[1:]}:{field.ndim}"
        for kind, field in zip(type(value).__annotations__.values(), value, strict=True)
    )


def width(text: str) -> int:
    """Words of a tuple of this form."""
    return sum(1 + int(kind.partition(":")[2] or 0) for kind in text.split())


def _here(array: Array) -> int:
    assert array.flags.c_contiguous
    return array.ctypes.data


def pack(rows: Sequence[tuple[Any, ...]], address: Callable[[Any], int] = _here) -> Array:
    """A row of words for each of ``rows``, a number and named tuples: shape (rows, longest).

    The tuples must outlive the words, which hold addresses: what ``address`` says of an array.
    """
    packed = [[number, *(word for value in values for word in _words(value, address))] for number, *values in rows]
    table = np.zeros((len(packed), max(map(len, packed), default=0)), np.int64)
    for words, out in zip(packed, table, strict=True):
        out[: len(words)] = words
    return table


def _words(value: Any, address: Callable[[Any], int]) -> Iterator[int]:
    for kind, field in zip(type(value).__annotations__.values(), value, strict=True):
        if kind is int:
            yield int(field)
        elif kind is float:
            yield int(np.float64(field).view(np.int64))
        else:
            yield address(field)
            yield from field.shape


def reader(cls: type, text: str, at: int) -> Any:
    """``read(table, row)`` for compiled functions: the tuple of class ``cls`` and form ``text`` from word ``at`` on."""
    kinds: list[Any] = []
    for kind in text.split():
        dtype, array, ndim = kind.partition(":")
        plain = types.float64 if kind == "f" else types.int64
        kinds.append(types.Array(numpy_support.from_dtype(np.dtype(dtype)), int(ndim), "C") if array else plain)
    result = types.NamedTuple(kinds, cls)

    @intrinsic
    def read(typing, table, row):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
            whole = context.make_array(signature.args[0])(context, builder, args[0])
            number = context.cast(builder, args[1], signature.args[1], types.intp)
            begin = cgutils.pointer_add(
                builder, whole.data, builder.mul(number, cgutils.unpack_tuple(builder, whole.strides)[0])
            )
            place = at

            def word(kind):  # type: ignore[no-untyped-def]
                nonlocal place
                pointer = builder.gep(begin, [context.get_constant(types.intp, place)])
                place += 1
                return builder.load(builder.bitcast(pointer, context.get_value_type(kind).as_pointer()))

            values = []
            for kind in kinds:
                if not isinstance(kind, types.Array):
                    values.append(word(kind))
                    continue
                array = cgutils.create_struct_proxy(kind)(context, builder)
                data = builder.inttoptr(word(types.intp), array.data.type)
                shape = [word(types.intp) for _ in range(kind.ndim)]
                size = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(kind.dtype)))
                strides = [size]
                for length in shape[:0:-1]:
                    strides.insert(0, builder.mul(strides[0], length))
                arrayobj.populate_array(array, data=data, shape=shape, strides=strides, itemsize=size, meminfo=None)
                values.append(array._getvalue())
            return context.make_tuple(builder, result, values)

        return result(table, row), generate

    return read
