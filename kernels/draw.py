"""Draw from a distribution by its quantile function: one uniform number, one value.

A distribution in kernels is a row of six numbers (kind, a, b, u_low, u_high, step): the value is the quantile of a
uniform number in (u_low, u_high), which draws from the distribution truncated to an interval without rejection.
Constants are a kind too.
"""

import math
from typing import Any

import numpy as np

from kernels.jit import kernel, stay_apart
from kernels.philox import philox, unit
from kernels.scalar import _central, _far_tail, _near_tail

CONSTANT, UNIFORM, NORMAL, LOGNORMAL, EXPONENTIAL = range(5)
_BELOW_ONE = 1.0 - 2.0**-53  # the largest float64 below 1


def normal_quantile_scalar(p: float) -> float:
    """Quantile of the standard normal, relative error about 1e-16 (Wichura 1988, AS 241, doi:10.2307/2347330)."""
    q = p - 0.5
    if abs(q) <= 0.425:
        return _central(q)  # type: ignore[no-any-return]
    return -_tail(p) if q < 0.0 else _tail(1.0 - p)


def _tail(p: float) -> float:
    """Size of the quantile at distance ``p`` <= 0.075 from 0 or 1."""
    r = math.sqrt(-math.log(p))
    return _near_tail(r - 1.6) if r <= 5.0 else _far_tail(r - 5.0)  # type: ignore[no-any-return]


_central_jit, _near_jit, _far_jit = kernel(_central), kernel(_near_tail), kernel(_far_tail)


@kernel
def _tail_jit(p):  # type: ignore[no-untyped-def]
    r = math.sqrt(-math.log(p))
    return _near_jit(r - 1.6) if r <= 5.0 else _far_jit(r - 5.0)


@kernel
def normal_quantile(p):  # type: ignore[no-untyped-def]
    """:func:`normal_quantile_scalar`, compiled."""
    q = p - 0.5
    if abs(q) <= 0.425:
        return _central_jit(q)
    return -_tail_jit(p) if q < 0.0 else _tail_jit(1.0 - p)


@kernel
def fill_normals(words, at, m, low, width, out, to):  # type: ignore[no-untyped-def]
    """out[to + i] = normal quantile of low + width * u, u in (0, 1) being the 32-bit word words[at + i], i < m.

    Two passes: the first serves the middle of the law for all and vectorises, the second mends the tails (7 ns a
    number in place of 20).
    """
    stay_apart()
    at_, to_, scale = np.uint64(at), np.uint64(to), width * 2.3283064365386963e-10
    for i in range(np.uint64(m)):
        out[to_ + i] = _central_jit(low + (np.float64(words[at_ + i]) + 0.5) * scale - 0.5)
    for i in range(np.uint64(m)):
        p = low + (np.float64(words[at_ + i]) + 0.5) * scale
        if abs(p - 0.5) > 0.425:
            out[to_ + i] = -_tail_jit(p) if p < 0.5 else _tail_jit(1.0 - min(p, _BELOW_ONE))


@kernel
def fill_values(row, words, at, m, out):  # type: ignore[no-untyped-def]
    """out[i] = value of the distribution ``row`` at the 32-bit word words[at + i], i < m; as :func:`quantile`."""
    kind, a, b, low, width = row[0], row[1], row[2], row[3], row[4] - row[3]
    at_, n = np.uint64(at), np.uint64(m)
    if kind == CONSTANT:
        for i in range(n):
            out[i] = a
    elif kind == NORMAL or kind == LOGNORMAL:
        fill_normals(words, at, m, low, width, out, 0)
        for i in range(n):
            out[i] = a + b * out[i]
        if kind == LOGNORMAL:
            for i in range(n):
                out[i] = math.exp(out[i])
    else:
        scale = width * 2.3283064365386963e-10
        for i in range(n):
            p = low + (np.float64(words[at_ + i]) + 0.5) * scale
            out[i] = a + p * (b - a) if kind == UNIFORM else -a * math.log1p(-min(p, _BELOW_ONE))


@kernel
def quantile(row, u):  # type: ignore[no-untyped-def]
    """Value at uniform number ``u`` of the distribution ``row`` = (kind, a, b, u_low, u_high, quantum).

    With quantum > 0 the value is rounded to its multiples.
    """
    kind, a, b = row[0], row[1], row[2]
    if kind == CONSTANT:
        x = a
    else:
        u = min(row[3] + u * (row[4] - row[3]), _BELOW_ONE)  # the sum may round to 1, whose quantile is infinite
        if kind == UNIFORM:
            x = a + u * (b - a)
        elif kind == EXPONENTIAL:
            x = -a * math.log1p(-u)
        else:
            x = a + b * normal_quantile(u)
            if kind == LOGNORMAL:
                x = math.exp(x)
    return np.rint(x / row[5]) * row[5] if row[5] > 0.0 else x


@kernel
def _draw(row, k0, k1, out):  # type: ignore[no-untyped-def]
    zero = np.uint64(0)
    for i in range(np.uint64(out.size)):
        a, b, _, _ = philox(i & np.uint64(0xFFFFFFFF), i >> np.uint64(32), zero, zero, k0, k1)
        out[i] = quantile(row, unit(a, b))


def draw(row: np.ndarray, n: int, key: tuple[Any, Any]) -> np.ndarray:
    """``n`` float64 values of the distribution ``row``; value i depends on (key, i) alone."""
    out = np.empty(n)
    _draw(row, key[0], key[1], out)
    return out
