"""Draw from a distribution by its quantile function: one uniform number, one value.

A distribution in kernels is a row of six numbers (kind, a, b, u_low, u_high, step): the value is the quantile of a
uniform number in (u_low, u_high), which draws from the distribution truncated to an interval without rejection.
Constants are a kind too.
"""

import math
from typing import Any

import numpy as np

from kernels.jit import kernel
from kernels.philox import philox, unit

CONSTANT, UNIFORM, NORMAL, LOGNORMAL, EXPONENTIAL = range(5)
_BELOW_ONE = 1.0 - 2.0**-53  # the largest float64 below 1


def _central(q: float) -> float:
    r = 0.180625 - q * q
    top = ((((((2509.0809287301226727 * r + 33430.575583588128105) * r + 67265.770927008700853) * r
              + 45921.953931549871457) * r + 13731.693765509461125) * r + 1971.5909503065514427) * r
           + 133.14166789178437745) * r + 3.387132872796366608  # fmt: skip
    low = ((((((5226.495278852545925 * r + 28729.085735721942674) * r + 39307.89580009271061) * r
              + 21213.794301586595867) * r + 5394.1960214247511077) * r + 687.1870074920579083) * r
           + 42.313330701600911252) * r + 1.0  # fmt: skip
    return q * top / low


def _tail(p: float) -> float:
    """Size of the quantile at distance ``p`` <= 0.075 from 0 or 1."""
    r = math.sqrt(-math.log(p))
    if r <= 5.0:
        r = r - 1.6
        top = ((((((7.7454501427834140764e-4 * r + 0.0227238449892691845833) * r + 0.24178072517745061177) * r
                  + 1.27045825245236838258) * r + 3.64784832476320460504) * r + 5.7694972214606914055) * r
               + 4.6303378461565452959) * r + 1.42343711074968357734  # fmt: skip
        low = ((((((1.05075007164441684324e-9 * r + 5.475938084995344946e-4) * r + 0.0151986665636164571966) * r
                  + 0.14810397642748007459) * r + 0.68976733498510000455) * r + 1.6763848301838038494) * r
               + 2.05319162663775882187) * r + 1.0  # fmt: skip
    else:
        r = r - 5.0
        top = ((((((2.01033439929228813265e-7 * r + 2.71155556874348757815e-5) * r + 0.0012426609473880784386) * r
                  + 0.026532189526576123093) * r + 0.29656057182850489123) * r + 1.7848265399172913358) * r
               + 5.4637849111641143699) * r + 6.6579046435011037772  # fmt: skip
        low = ((((((2.04426310338993978564e-15 * r + 1.4215117583164458887e-7) * r + 1.8463183175100546818e-5) * r
                  + 7.868691311456132591e-4) * r + 0.0148753612908506148525) * r + 0.13692988092273580531) * r
               + 0.59983220655588793769) * r + 1.0  # fmt: skip
    return top / low


def normal_quantile_scalar(p: float) -> float:
    """Quantile of the standard normal, relative error about 1e-16 (Wichura 1988, AS 241, doi:10.2307/2347330)."""
    q = p - 0.5
    if abs(q) <= 0.425:
        return _central(q)
    return -_tail(p) if q < 0.0 else _tail(1.0 - p)


_central_jit, _tail_jit = kernel(_central), kernel(_tail)


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
