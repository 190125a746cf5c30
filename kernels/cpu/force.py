"""The closed loop of FORCE learning: neurons, filtered spikes, readout, feedback and recursive least squares."""

from typing import NamedTuple

import numpy as np

from kernels.cpu.record import compact
from kernels.jit import inner
from kernels.layout import Array

RANK = 8  # updates of P that are put off and made at once: memory is read and written once for all of them
TILE = 512  # columns of P that are updated at once, so that the vectors stay in the cache
_ONE, _EIGHT = np.uint64(1), np.uint64(8)


class Loop(NamedTuple):
    """n neurons, k outputs, d inputs; all float64 unless said otherwise."""

    decoders: Array  # (k, n)
    encoders: Array  # (k, n)
    w_in: Array  # (d, n)
    first: Array  # (n + 1,) int64: the synapses of source i are first[i] .. first[i + 1] - 1
    targets: Array  # int32
    weights: Array
    s: Array  # (n,) recurrent current
    h: Array  # (n,) what it rises by
    r: Array  # (n,) filtered spikes
    g: Array  # (n,) what they rise by
    z: Array  # (k,) output
    p: Array  # (n, n) inverse of the correlations of r
    put_off: Array  # (RANK, n) vectors q, of which p - sum_j scale[j] q_j q_j^T is the matrix meant
    scale: Array  # (RANK,)
    waiting: Array  # (1,) int64: how many there are
    spikes: Array  # (n,) int64: of each neuron, counted


class Filter(NamedTuple):
    """One step of the double-exponential filter: x = x p_rise + g mix, g = g p_fall; a spike: g += jump."""

    p_rise: float
    p_fall: float
    mix: float
    jump: float


@inner
def dot(a, b):  # type: ignore[no-untyped-def]
    """Eight sums side by side, in an order that no compiler changes."""
    n = np.uint64(len(a))
    whole = n & ~np.uint64(7)
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    for i in range(np.uint64(0), whole, _EIGHT):
        s0 += a[i] * b[i]
        s1 += a[i + _ONE] * b[i + _ONE]
        s2 += a[i + np.uint64(2)] * b[i + np.uint64(2)]
        s3 += a[i + np.uint64(3)] * b[i + np.uint64(3)]
        s4 += a[i + np.uint64(4)] * b[i + np.uint64(4)]
        s5 += a[i + np.uint64(5)] * b[i + np.uint64(5)]
        s6 += a[i + np.uint64(6)] * b[i + np.uint64(6)]
        s7 += a[i + np.uint64(7)] * b[i + np.uint64(7)]
    for i in range(whole, n):
        s0 += a[i] * b[i]
    return ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))


@inner
def product(p, x, out):  # type: ignore[no-untyped-def]
    """out = p x of a symmetric matrix: a sum of rows, four at a time, which vectorises as sums along rows do not."""
    n = np.uint64(len(x))
    whole = n & ~np.uint64(3)
    out[:] = 0.0
    for i in range(np.uint64(0), whole, np.uint64(4)):
        r0, r1, r2, r3 = p[i], p[i + _ONE], p[i + np.uint64(2)], p[i + np.uint64(3)]
        x0, x1, x2, x3 = x[i], x[i + _ONE], x[i + np.uint64(2)], x[i + np.uint64(3)]
        for j in range(n):
            out[j] += (x0 * r0[j] + x1 * r1[j]) + (x2 * r2[j] + x3 * r3[j])
    for i in range(whole, n):
        xi, row = x[i], p[i]
        for j in range(n):
            out[j] += xi * row[j]


@inner
def settle(p, q, scale):  # type: ignore[no-untyped-def]
    """Make the RANK updates that were put off."""
    n = len(p)
    for begin in range(0, n, TILE):
        end = min(begin + TILE, n)
        for i in range(n):
            row = p[i, begin:end]
            a0, a1, a2, a3 = scale[0] * q[0, i], scale[1] * q[1, i], scale[2] * q[2, i], scale[3] * q[3, i]
            a4, a5, a6, a7 = scale[4] * q[4, i], scale[5] * q[5, i], scale[6] * q[6, i], scale[7] * q[7, i]
            q0, q1, q2, q3 = q[0, begin:end], q[1, begin:end], q[2, begin:end], q[3, begin:end]
            q4, q5, q6, q7 = q[4, begin:end], q[5, begin:end], q[6, begin:end], q[7, begin:end]
            for j in range(np.uint64(len(row))):
                row[j] -= ((a0 * q0[j] + a1 * q1[j]) + (a2 * q2[j] + a3 * q3[j])) + (
                    (a4 * q4[j] + a5 * q5[j]) + (a6 * q6[j] + a7 * q7[j])
                )


@inner
def multiply(p, put_off, scale, k, x):  # type: ignore[no-untyped-def]
    """put_off[k] = P x, of the matrix meant, where k updates were put off."""
    q = put_off[k]
    product(p, x, q)
    for j in range(k):
        old = put_off[j]
        amount = scale[j] * dot(old, x)
        for i in range(np.uint64(len(q))):
            q[i] -= amount * old[i]


@inner
def learn(loop, target):  # type: ignore[no-untyped-def]
    """One step of recursive least squares: q = P r, w -= e q / (1 + r q), P -= q q^T / (1 + r q)."""
    k = loop.waiting[0]
    multiply(loop.p, loop.put_off, loop.scale, k, loop.r)
    q = loop.put_off[k]
    scale = 1.0 / (1.0 + dot(loop.r, q))
    for o in range(len(loop.z)):
        amount = (loop.z[o] - target[o]) * scale
        decoders = loop.decoders[o]
        for i in range(np.uint64(len(q))):
            decoders[i] -= amount * q[i]
    loop.scale[k] = scale
    loop.waiting[0] = k + 1
    if k + 1 == RANK:
        settle(loop.p, loop.put_off, loop.scale)
        loop.waiting[0] = 0


@inner
def drive(loop, u, current):  # type: ignore[no-untyped-def]
    """current = recurrent current + feedback + input, inputs of 0 left out."""
    n = np.uint64(len(loop.s))
    for i in range(n):
        current[i] = loop.s[i]
    for o in range(len(loop.z)):
        x, row = loop.z[o], loop.encoders[o]
        for i in range(n):
            current[i] += x * row[i]
    for o in range(len(u)):
        if u[o] != 0.0:
            x, row = u[o], loop.w_in[o]
            for i in range(n):
                current[i] += x * row[i]


@inner
def propagate(loop, f, flags, flags8, fired):  # type: ignore[no-untyped-def]
    """Filters and output after the step; walks the synapses of neurons that spiked alone."""
    n = np.uint64(len(loop.s))
    s, h, r, g = loop.s, loop.h, loop.r, loop.g
    for i in range(n):
        s[i] = s[i] * f.p_rise + h[i] * f.mix
        h[i] *= f.p_fall
        r[i] = r[i] * f.p_rise + g[i] * f.mix
        g[i] *= f.p_fall
    end = compact(flags, flags8, n, np.uint64(0), fired, np.uint64(0))
    for k in range(end):
        pre = np.uint64(fired[k])
        g[pre] += f.jump
        loop.spikes[pre] += 1
        for j in range(np.uint64(loop.first[pre]), np.uint64(loop.first[pre + _ONE])):
            h[loop.targets[j]] += f.jump * loop.weights[j]
    for o in range(len(loop.z)):
        loop.z[o] = dot(loop.decoders[o], r)


_SOURCE = '''"""Generated by kernels.cpu.force; do not edit."""

import numpy as np

from kernels.cpu.force import drive, learn, propagate
from kernels.jit import kernel
from {update} import update


@kernel
def advance(loop, f, n, pad, state_f, state_i, constants, ring, current, words, flags, flags8, fired, u, y, out, every,
            start):
    """All steps of ``u``, outputs into ``out``; learns from ``y`` at steps that are multiples of ``every``, counted
    from ``start``; never where ``every`` is 0."""
    for t in range(len(u)):
        drive(loop, u[t], current)
        update(n, pad, 0, 0, 0, 0, 0, 0, 0, 0, 0, state_f, state_i, ring, current, words, constants, flags)
        propagate(loop, f, flags, flags8, fired)
        for o in range(len(loop.z)):
            out[t, o] = loop.z[o]
        if every > 0 and (start + t) % every == 0:
            learn(loop, y[t])
'''


def source(update: str) -> str:
    """Source of a module with ``advance``, for the neurons of the module ``update``."""
    return _SOURCE.format(update=update)
