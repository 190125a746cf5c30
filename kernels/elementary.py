"""Elementary functions of arithmetic alone: loops with them vectorise, and every processor gets the same bits.

``math``'s are calls of the C library, 4 to 10 ns each, and a loop with one of them takes neuron by neuron. The first
three functions here are so, too; the cpu's kernels have them from the bits of numbers, from kernels.jit.
"""

import math

IN_MATH = ("cos", "cosh", "exp", "expm1", "log", "sin", "sinh", "tanh")  # those that math and torch have by these names


def _frexp(x):  # type: ignore[no-untyped-def]
    return math.frexp(x)


def _whole(x):  # type: ignore[no-untyped-def]
    """x without what is behind its point."""
    return float(int(x))


def _two_to(n):  # type: ignore[no-untyped-def]
    """2^n, a normal number, of a whole number n."""
    return math.ldexp(1.0, int(n))


def exp(x):  # type: ignore[no-untyped-def]
    """exp(x) with a relative error below 3e-16 where it is a normal number; inf beyond 709.78, 0 below -745.2.

    x less a multiple n of log(2) (Cody & Waite 1980), an interpolating polynomial on what is left, 2^n in two parts.
    """
    y = 710.0 if x > 710.0 else x
    y = -746.0 if y < -746.0 else y
    n = _whole(y * 1.4426950408889634 + (0.5 if y >= 0.0 else -0.5) if y == y else 0.0)  # y is NaN where x is
    r = ((y - n * 0.693359375) + n * 0.0002121944401096698) - n * 5.497923018708371e-14
    half = _whole(0.5 * n)
    return _exp_near_0(r) * _two_to(half) * _two_to(n - half)


def _exp_near_0(x):  # type: ignore[no-untyped-def]
    """exp(x) for abs(x) < 0.35: an interpolating polynomial."""
    x2 = x * x
    x4 = x2 * x2
    low = (0.5 + x * 0.1666666666666667) + x2 * (0.04166666666666667 + x * 0.008333333333326136)
    mid = (0.0013888888888883748 + x * 0.00019841269874820627) + x2 * (
        2.4801587325547743e-05 + x * 2.7557255400206422e-06
    )
    top = (2.75572736431103e-07 + x * 2.5105217004720745e-08) + x2 * 2.0914686968086876e-09
    return 1.0 + (x + x2 * (low + x4 * (mid + x4 * top)))


def decay(x):  # type: ignore[no-untyped-def]
    """exp(-x) for x >= 0 with a relative error below 1.5e-16; exp(-86) = 4.5e-38 beyond x = 86. Faster than ``exp``."""
    x = min(x, 86.0)
    n = _whole(x * 1.4426950408889634 + 0.5)
    r = ((n * 0.693359375 - x) - n * 0.0002121944401096698) + n * 5.497923018708371e-14
    return _exp_near_0(r) * _two_to(-n)


def _exprel_near_0(x):  # type: ignore[no-untyped-def]
    """(exp(x) - 1) / x for abs(x) < 0.5: its series."""
    x2 = x * x
    x4 = x2 * x2
    low = (1.0 + x * 0.5) + x2 * (0.16666666666666666 + x * 0.041666666666666664)
    mid = (0.008333333333333333 + x * 0.001388888888888889) + x2 * (0.0001984126984126984 + x * 2.48015873015873e-05)
    top = (2.7557319223985893e-06 + x * 2.755731922398589e-07) + x2 * (2.505210838544172e-08 + x * 2.08767569878681e-09)
    last = 1.6059043836821613e-10 + x * 1.1470745597729725e-11
    return low + x4 * (mid + x4 * (top + x4 * last))


def exprel(x):  # type: ignore[no-untyped-def]
    """(exp(x) - 1) / x, and 1 at x = 0; a relative error below 1e-15. Its series where exp(x) is near 1."""
    y = x if abs(x) < 0.5 else 0.0
    z = x if abs(x) >= 0.5 else 1.0
    return _exprel_near_0(y) if abs(x) < 0.5 else (exp(z) - 1.0) / z


def expm1(x):  # type: ignore[no-untyped-def]
    """exp(x) - 1 with a relative error below 1e-15."""
    y = x if abs(x) < 0.5 else 0.0
    return y * _exprel_near_0(y) if abs(x) < 0.5 else exp(x) - 1.0


def sinh(x):  # type: ignore[no-untyped-def]
    """sinh(x) with a relative error below 1e-15; infinite where exp(abs(x)) is."""
    y = expm1(abs(x))
    z = y if y < 1e30 else 1e30
    found = 0.5 * (y + z / (z + 1.0))
    return found if x >= 0.0 else -found


def cosh(x):  # type: ignore[no-untyped-def]
    """cosh(x) with a relative error below 1e-15; infinite where exp(abs(x)) is."""
    y = exp(abs(x))
    return 0.5 * (y + 1.0 / y)


def tanh(x):  # type: ignore[no-untyped-def]
    """tanh(x) with a relative error below 1e-15."""
    y = expm1(-2.0 * abs(x))
    found = -y / (2.0 + y)
    return found if x >= 0.0 else -found


def log(x):  # type: ignore[no-untyped-def]
    """The natural logarithm with a relative error below 3e-16; -inf at 0, NaN below.

    x is 2^n y, y from sqrt(1/2) to sqrt(2), and log(y) = 2 artanh(z) of z = (y - 1) / (y + 1), as in fdlibm's.
    """
    half, k = _frexp(1.0 * abs(x))
    low = half < 0.7071067811865476
    n = float(k - 1 if low else k)
    y = (half + half if low else half) - 1.0
    z = y / (2.0 + y)
    z2 = z * z
    z4 = z2 * z2
    odd = z2 * (0.6666666666666735 + z4 * (0.2857142874366239 + z4 * (0.1818357216161805 + z4 * 0.14798198605116586)))
    even = z4 * (0.3999999999940942 + z4 * (0.22222198432149784 + z4 * 0.15313837699209373))
    square = 0.5 * y * y
    found = n * 0.6931471803691238 - ((square - (z * (square + odd + even) + n * 1.9082149292705877e-10)) - y)
    found = found if x < 1e999 else x
    return found if x > 0.0 else (-1e999 if x == 0.0 else 1e999 - 1e999)


def power(x, y):  # type: ignore[no-untyped-def]
    """x**y with a relative error below 3e-16 (1 + abs(y log(x))), 0 where y is 1; for x < 0 NaN unless y is whole."""
    size = exp(y * log(abs(x)))
    n = _whole(min(max(y, -1e9), 1e9) if y == y else 0.0)
    signed = size if n == 2.0 * _whole(0.5 * n) else -size
    found = size if x >= 0.0 else (signed if n == y else 1e999 - 1e999)
    return 1.0 if y == 0.0 else (x if y == 1.0 else found)


def sin(x):  # type: ignore[no-untyped-def]
    """sin(x) with an absolute error below 2e-16 and that of x's own rounding; NaN where abs(x) > 1e15."""
    return _turned(x, 0.0)


def cos(x):  # type: ignore[no-untyped-def]
    """cos(x) with an absolute error below 2e-16 and that of x's own rounding; NaN where abs(x) > 1e15."""
    return _turned(x, 1.0)


def _turned(x, quarters):  # type: ignore[no-untyped-def]
    """sin(x + quarters pi / 2); pi / 2 in four parts (Cody & Waite 1980) and interpolating polynomials."""
    y = x if abs(x) <= 1e15 else 1e999 - 1e999
    n = _whole(y * 0.6366197723675814 + (0.5 if y >= 0.0 else -0.5) if y == y else 0.0)
    r = ((y - n * 1.5703125) - n * 0.00048351287841796875) - n * 3.1385570764541626e-07 - n * 6.077100506506192e-11
    r2 = r * r
    s = -2.5051129896450185e-08 + r2 * 1.5917988979397435e-10
    s = r2 * (0.008333333333330936 + r2 * (-0.00019841269836740532 + r2 * (2.7557316093198404e-06 + r2 * s)))
    c = 2.087614504941318e-09 + r2 * -1.138254464534925e-11
    c = r2 * (-0.0013888888888887389 + r2 * (2.48015872987544e-05 + r2 * (-2.755731726587808e-07 + r2 * c)))
    s = r + r * r2 * (-0.16666666666666666 + s)
    c = 1.0 - (0.5 * r2 - r2 * r2 * (0.041666666666666664 + c))
    turned = (n + quarters) - 4.0 * _whole(0.25 * (n + quarters))
    turned = turned + 4.0 if turned < 0.0 else turned
    found = c if (turned == 1.0) | (turned == 3.0) else s
    return -found if turned >= 2.0 else found
