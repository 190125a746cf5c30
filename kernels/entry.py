"""Compiled functions called at their addresses, so that a caller's machine code does not contain theirs.

Numba copies the code of every function into each compiled caller and optimises it there anew: a loop over steps would
be compiled for every network, with all that it calls. Where it finds addresses in an array it is compiled once, and so
is each of a network's own functions.
"""

from typing import Any

import numba
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

Signature = tuple[Any, tuple[Any, ...]]  # types of the result and of the arguments
_KNOWN: set[Signature] = set()


def _plain(kind: Any) -> Any:
    """Any integer as int64, any float as float64: what a call passes does not depend on how the caller computed it."""
    if isinstance(kind, types.Integer):
        return types.int64
    return types.float64 if isinstance(kind, types.Float) else kind


def signature(*arguments: Any, result: Any = types.none) -> Signature:
    """That of functions which take arguments like these; numbers stand for int64 and float64. Only calls with a known
    signature compile.
    """
    found = result, tuple(_plain(numba.typeof(a)) for a in arguments)
    _KNOWN.add(found)
    return found


def address(function: Any, signature: Signature) -> int:
    """Address of the machine code of ``function``, which is compiled if it is not yet, and must live as long as the
    address is used.
    """
    result, kinds = signature
    function.compile(kinds)
    compiled = function.overloads[kinds]
    assert compiled.signature.return_type == result, compiled.signature
    return int(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name))


def _caller(result: Any) -> Any:
    @intrinsic
    def call(typing, address, *arguments):  # type: ignore[no-untyped-def]
        kinds = tuple(_plain(types.unliteral(a)) for a in arguments)
        if (result, kinds) not in _KNOWN:  # it would read its arguments wrongly
            raise numba.TypingError(f"no function is called with the signature {result}{kinds}")

        def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
            given = cgutils.unpack_tuple(builder, args[1])
            values = [context.cast(builder, *x) for x in zip(given, arguments, kinds, strict=True)]
            kind = context.call_conv.get_function_type(result, kinds).as_pointer()
            place = builder.inttoptr(args[0], kind)
            status, value = context.call_conv.call_function(builder, place, result, kinds, values)
            with cgutils.if_unlikely(builder, status.is_error):
                context.call_conv.return_status_propagate(builder, status)
            return value

        return result(address, types.BaseTuple.from_types(arguments)), generate

    return call


call = _caller(types.none)  # call(address, *arguments)
call_int = _caller(types.int64)  # the same, of functions that return an integer
