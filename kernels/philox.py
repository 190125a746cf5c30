"""Counter-based random numbers: Philox-4x32-10 (Salmon et al. 2011, doi:10.1145/2063384.2063405).

A draw is a pure function of (key, counter): no state, any order, any thread. Keys come from named streams
(:func:`stream_key`), counters from (index, step), so that adding a population changes no other stream.
"""

import hashlib
from typing import Any

import numpy as np

from kernels.jit import inlined, kernel, stay_apart

_M0 = np.uint64(0xD2511F53)
_M1 = np.uint64(0xCD9E8D57)
_W0 = np.uint64(0x9E3779B9)
_W1 = np.uint64(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
_12 = np.uint64(12)
_THREE = np.uint64(3)
_TWO = np.uint64(2)


def stream_key(seed: int, *name: object) -> tuple[np.uint64, np.uint64]:
    """Two 32-bit key words of the stream called ``name`` under ``seed``."""
    digest = hashlib.blake2b(repr((int(seed), *map(str, name))).encode(), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest[:4], "little")), np.uint64(int.from_bytes(digest[4:], "little"))


def philox_scalar(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> Any:
    """Four 32-bit random words (as uint64) from a counter of four words and a key of two, all uint64."""
    for _ in range(10):
        p0 = _M0 * c0
        p1 = _M1 * c2
        c0, c1, c2, c3 = (p1 >> _32) ^ c1 ^ k0, p1 & _LOW, (p0 >> _32) ^ c3 ^ k1, p0 & _LOW
        k0 = (k0 + _W0) & _LOW
        k1 = (k1 + _W1) & _LOW
    return c0, c1, c2, c3


philox = kernel(philox_scalar)


def step_word_scalar(index: Any, step: Any, k0: Any, k1: Any) -> Any:
    """32-bit word (as uint64) number ``step`` of element ``index``: word ``step % 4`` of counter (index, step // 4)."""
    index, step = np.uint64(index), np.uint64(step)
    block = step >> _TWO
    words = philox_scalar(index & _LOW, block & _LOW, block >> _32, index >> _32, k0, k1)
    return words[int(step & _THREE)]


def unit_scalar(a: Any, b: Any) -> Any:
    """Uniform number in (0, 1), 52 bits (one more could round to 1), from two 32-bit words."""
    return (np.float64(((a << _32) | b) >> _12) + 0.5) * 2.220446049250313e-16


unit = kernel(unit_scalar)


@kernel
def uniforms(number, sent, k0, k1):  # type: ignore[no-untyped-def]
    """Two uniform numbers in (0, 1) of the synapse with this ``number``, < 2^53, at spike number ``sent``."""
    number, sent = np.uint64(number), np.uint64(sent)
    a, b, c, d = philox(number & _LOW, number >> _32, sent & _LOW, sent >> _32, k0, k1)
    a, b, c, d = np.uint64(a), np.uint64(b), np.uint64(c), np.uint64(d)  # Python gets integers of no type
    return unit(a, b), unit(c, d)


@kernel
def fill_words(first, n, step, k0, k1, out, at):  # type: ignore[no-untyped-def]
    """Write the words of steps 4*(step//4) .. +3 for elements first .. first+n-1 to out[at + j*n + i], uint32.

    The masks tell LLVM that all factors have 32 bits; without them the loop is not vectorised (2.0 ns a word, not 0.3).
    """
    stay_apart()
    n_ = np.uint64(n)
    b0 = np.uint64(at)
    b1, b2, b3 = b0 + n_, b0 + np.uint64(2) * n_, b0 + np.uint64(3) * n_
    block = np.uint64(step) >> _TWO
    low, high = block & _LOW, block >> _32
    for i in range(n_):
        element = np.uint64(first) + i
        c0, c1, c2, c3 = element & _LOW, low, high, element >> _32
        q0, q1 = k0, k1
        for _ in range(10):
            p0, p1 = _M0 * c0, _M1 * c2
            c0, c2 = ((p1 >> _32) ^ c1 ^ q0) & _LOW, ((p0 >> _32) ^ c3 ^ q1) & _LOW
            c1, c3 = p1 & _LOW, p0 & _LOW
            q0, q1 = (q0 + _W0) & _LOW, (q1 + _W1) & _LOW
        out[b0 + i], out[b1 + i] = np.uint32(c0), np.uint32(c1)
        out[b2 + i], out[b3 + i] = np.uint32(c2), np.uint32(c3)


@inlined
def _uniforms(number, low, high, k0, k1):  # type: ignore[no-untyped-def]
    """As :func:`uniforms`, of an int64 and the words of ``sent``; loops around it are vectorised."""
    number = np.uint64(np.int64(number))
    c0, c1, c2, c3 = number & _LOW, number >> _32, low, high
    for _ in range(10):
        p0, p1 = _M0 * c0, _M1 * c2
        c0, c2 = ((p1 >> _32) ^ c1 ^ k0) & _LOW, ((p0 >> _32) ^ c3 ^ k1) & _LOW
        c1, c3 = p1 & _LOW, p0 & _LOW
        k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    u = (np.float64(np.int64(((c0 << _32) | c1) >> _12)) + 0.5) * 2.220446049250313e-16
    return u, (np.float64(np.int64(((c2 << _32) | c3) >> _12)) + 0.5) * 2.220446049250313e-16


@kernel
def fill_uniforms(numbers, first, n, sent, k0, k1, out, out_2):  # type: ignore[no-untyped-def]
    """out[i], out_2[i] = uniforms(numbers[first + i], sent, k0, k1) for i < n, vectorised: a sixth of the time."""
    low, high = np.uint64(sent) & _LOW, np.uint64(sent) >> _32
    for i in range(np.uint64(n)):
        out[i], out_2[i] = _uniforms(numbers[first + i], low, high, k0, k1)


@kernel
def fill_uniforms_each(numbers, first, n, sent, k0, k1, out, out_2):  # type: ignore[no-untyped-def]
    """The same where ``sent[i]``, int64 as float64, differs from one to the next."""
    for i in range(np.uint64(n)):
        spike = np.uint64(np.int64(sent[i]))
        out[i], out_2[i] = _uniforms(numbers[first + i], spike & _LOW, spike >> _32, k0, k1)
