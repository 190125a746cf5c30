"""Exponential numbers, many at a time: number m of a Poisson stream is a pure function of (key, group, m)."""

import math

import numpy as np

from kernels.jit import kernel

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_LOW, _32, _12 = np.uint64(0xFFFFFFFF), np.uint64(32), np.uint64(12)
_LN2, _ROOT = 0.6931471805599453, 0.7071067811865476
GAPS = 32


def exponential_scalar(u: float) -> float:
    """-log(u) for u in (0, 1), to about 2 units in the last place.

    u = m 2**e with m near 1; log m = 2 artanh(s) = 2 s (1 + s^2/3 + s^4/5 + ...), s = (m - 1) / (m + 1), |s| < 0.172.
    """
    m, e = math.frexp(u)
    if m < _ROOT:
        m, e = m + m, e - 1
    s = (m - 1.0) / (m + 1.0)
    return -(e * _LN2 + s * _series(s * s))


def _series(z: float) -> float:
    x = 2.0 / 23.0
    x = x * z + 2.0 / 21.0
    x = x * z + 2.0 / 19.0
    x = x * z + 2.0 / 17.0
    x = x * z + 2.0 / 15.0
    x = x * z + 2.0 / 13.0
    x = x * z + 2.0 / 11.0
    x = x * z + 2.0 / 9.0
    x = x * z + 2.0 / 7.0
    x = x * z + 2.0 / 5.0
    x = x * z + 2.0 / 3.0
    return x * z + 2.0


_series_jit = kernel(_series)


@kernel
def fill_gaps(key, group, first, n, gaps, mantissa, bits, words):  # type: ignore[no-untyped-def]
    """gaps[i] = exponential number first + i of the stream, words[i] = 64 more random bits, i < n <= GAPS.

    ``bits`` is ``mantissa`` seen as integers. Masks as in kernels.philox.fill_words: all loops are vectorised.
    """
    k0, k1 = key[0], key[1]
    for i in range(np.uint64(n)):
        m = first + i
        c0, c1, c2, c3 = m & _LOW, m >> _32, group, np.uint64(0)
        q0, q1 = k0, k1
        for _ in range(10):
            p0, p1 = _M0 * c0, _M1 * c2
            c0, c2 = ((p1 >> _32) ^ c1 ^ q0) & _LOW, ((p0 >> _32) ^ c3 ^ q1) & _LOW
            c1, c3 = p1 & _LOW, p0 & _LOW
            q0, q1 = (q0 + _W0) & _LOW, (q1 + _W1) & _LOW
        mantissa[i] = (np.float64(np.int64(((c0 << _32) | c1) >> _12)) + 0.5) * 2.220446049250313e-16
        words[i] = (c2 << _32) | c3
    for i in range(np.uint64(n)):
        b = bits[i]
        gaps[i] = np.float64((b >> np.int64(52)) - np.int64(1022))
        bits[i] = (b & np.int64(0x000FFFFFFFFFFFFF)) | np.int64(0x3FE0000000000000)
    for i in range(np.uint64(n)):
        m, e = mantissa[i], gaps[i]
        low = m < _ROOT
        m, e = (m + m if low else m), (e - 1.0 if low else e)
        s = (m - 1.0) / (m + 1.0)
        gaps[i] = -(e * _LN2 + s * _series_jit(s * s))
