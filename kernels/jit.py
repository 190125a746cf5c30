"""One way to compile: ``jit`` is ``numba.njit`` without the GIL, cached on disk in a folder of our own.

Numba's cache does not notice changes in functions imported from another file, so the folder's name holds
a hash of every source file of this package, the Numba version and the CPU.
"""

import atexit
import hashlib
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import llvmlite.binding
import llvmlite.ir
import numba
import platformdirs
from numba.core.caching import FunctionCache
from numba.extending import intrinsic


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


@lru_cache(maxsize=1)
def cache_dir() -> Path:
    """Folder of compiled kernels: ``$VOLLEY_CACHE_DIR``, else the user's cache folder, else a temporary one."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    digest.update(repr((numba.__version__, sys.version_info[:2], llvmlite.binding.get_host_cpu_name())).encode())
    root = Path(os.environ.get("VOLLEY_CACHE_DIR") or platformdirs.user_cache_dir("volley-snn"))
    folder = root / digest.hexdigest()
    if not _writable(folder):
        # a new folder, never a shared predictable one: what is in it will be executed
        folder = Path(tempfile.mkdtemp(prefix="volley-snn-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        warnings.warn(
            f"kernel cache: {root} cannot be written; kernels are compiled anew into {folder} by every process. "
            "Set VOLLEY_CACHE_DIR to a writable folder.",
            RuntimeWarning,
            stacklevel=2,
        )
    return folder


def jit(function: Callable[..., Any]) -> Any:
    """Compile ``function`` on first use, without the GIL, cached in :func:`cache_dir`."""
    return _compile(function)


def kernel(function: Callable[..., Any]) -> Any:
    """As :func:`jit`, for functions of the step loop: they allocate nothing and count no references.

    Numba counts references to arrays atomically, also where a view is only read: threads would fight for them.
    """
    return _compile(function, _nrt=False)


def inner(function: Callable[..., Any]) -> Any:
    """As :func:`kernel`, for functions that only compiled functions call; called from Python it would crash.

    Its wrapper for Python, which unpacks every array of every tuple, would cost a fifth of the time to compile.
    """
    return _compile(function, _nrt=False, no_cpython_wrapper=True)


def inlined(function: Callable[..., Any]) -> Any:
    """As :func:`inner`, inlined by the compiler wherever it is called.

    For a model's functions, because a loop vectorises only then, and LLVM by itself stops at a size that larger models
    pass; and for functions that take tuples of many arrays, which are copied word by word into a call.
    """
    return _compile(function, _nrt=False, forceinline=True, no_cpython_wrapper=True)


@intrinsic
def stay_apart(typing):  # type: ignore[no-untyped-def]
    """Keep the function that calls this out of its compiled callers: a large one inside another takes a minute."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        builder.function.attributes.discard("alwaysinline")  # Numba hands it from a caller to what it compiles first
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return numba.types.void(), generate


@intrinsic
def distinct(typing):  # type: ignore[no-untyped-def]
    """Promise that the function that calls this writes to no array that it also has as another argument.

    Else a vector loop compares the addresses of all its arrays each time that it is entered.
    """

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        for argument in builder.function.args:
            if isinstance(argument.type, llvmlite.ir.PointerType):
                argument.add_attribute("noalias")
        return context.get_dummy_value()

    return numba.types.void(), generate


@intrinsic
def frexp(typing, x):  # type: ignore[no-untyped-def]
    """``math.frexp``, by the bits of x in place of a call of the C library: loops with it vectorise."""
    wide, low, bias = (64, 52, 1022) if x == numba.float64 else (32, 23, 126)
    word, short, field = llvmlite.ir.IntType(wide), llvmlite.ir.IntType(32), (1 << (wide - 1 - low)) - 1

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        (value,) = args
        number = value.type
        size = builder.call(builder.module.declare_intrinsic("llvm.fabs", [number]), [value])
        subnormal = builder.fcmp_ordered("<", size, number(2.0 ** (1 - bias)))
        bits = builder.bitcast(builder.select(subnormal, builder.fmul(value, number(2.0**64)), value), word)
        power = builder.and_(builder.lshr(bits, word(low)), word(field))
        mantissa = builder.or_(builder.and_(bits, word((1 << wide) - 1 - (field << low))), word(bias << low))
        counted = power if wide == 32 else builder.trunc(power, short)
        exponent = builder.sub(counted, builder.select(subnormal, short(bias + 64), short(bias)))
        zero = builder.fcmp_ordered("==", value, number(0.0))
        kept = builder.or_(zero, builder.icmp_unsigned("==", power, word(field)))  # inf and NaN
        found = (
            builder.select(kept, value, builder.bitcast(mantissa, number)),
            builder.select(kept, short(0), exponent),
        )
        return context.make_tuple(builder, signature.return_type, found)

    return numba.types.Tuple((x, numba.int32))(x), generate


@intrinsic
def whole(typing, x):  # type: ignore[no-untyped-def]
    """``float(int(x))``; not every processor has vectors of floats that become integers of 64 bits."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.call(builder.module.declare_intrinsic("llvm.trunc", [args[0].type]), args)

    return x(x), generate


@intrinsic
def two_to(typing, n):  # type: ignore[no-untyped-def]
    """2.0**n of a float that is whole; 0 where that is no normal number, inf beyond the largest."""
    wide, low, bias = (64, 52, 1023) if n == numba.float64 else (32, 23, 127)

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        (value,) = args
        number, word = value.type, llvmlite.ir.IntType(wide)
        for test, end in (("<", -bias), (">", bias + 1)):
            value = builder.select(builder.fcmp_ordered(test, value, number(end)), number(end), value)
        bits = builder.bitcast(builder.fadd(value, number(1.5 * 2.0**low)), word)  # its last are n's
        return builder.bitcast(builder.shl(builder.add(bits, word(bias)), word(low)), number)

    return n(n), generate


class _Cache(FunctionCache):  # type: ignore[misc]
    """Numba's, but what cannot be read, as a full disk or a power cut leaves it, is compiled anew."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Machine code for a signature; None where there is none."""
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:
            warnings.warn(
                f"kernel cache: {self._name} in {self.cache_path} is damaged ({error}) and compiled anew.",
                RuntimeWarning,
                stacklevel=2,
            )
            self.flush()
            return None


def in_cache(function: Any) -> bool:
    """Whether machine code of a function that was compiled here is in the cache, of any signature."""
    cache = getattr(function, "_cache", None)
    return isinstance(cache, _Cache) and Path(cache._cache_file._index_path).exists()


def _compile(function: Callable[..., Any], **options: bool) -> Any:
    saved = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(cache_dir())
    try:
        found = numba.njit(nogil=True, error_model="numpy", no_cfunc_wrapper=True, **options)(function)
        if not numba.config.DISABLE_JIT:
            found._cache = _Cache(function)
        return found
    finally:
        numba.config.CACHE_DIR = saved
