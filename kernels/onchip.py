"""Loihi's learning engine in integers, one projection and one step at a time, as Lava 0.10 computes it.

A step: presynaptic spikes, then postsynaptic ones, are noted with their place 1 .. T in the epoch; a neuron's second
spike of an epoch adds to its traces at once. Where the epoch ends, traces are replayed step by step, h_0 the trace:

    h_k = decay(h_(k-1)), and add_impulse where the neuron's (last) spike was in step k

and each synapse's w, d and t change, all three from the old values, by sums of products (:func:`changed`).
Random numbers are shared by all neurons and synapses of a projection, and are given. Functions that go through neurons
or synapses take every ``threads``-th from number ``thread`` on: a device has many at work, a processor one.

Sources: Davies et al. 2018, doi:10.1109/MM.2018.112130359; Lava 0.10.0 (``LearningConnectionModelBitApproximate``).
"""

import math
from typing import NamedTuple

import numpy as np

from kernels.jit import jit

X0, Y0, U = range(3)  # what a product waits for, and the first factors of the table below
X1, X2, Y1, Y2, Y3, W, D, T = range(3, 11)  # the others
POST, X_DECAY, X_IMPULSE, Y_DECAY, Y_IMPULSE, WEIGHT = range(6)  # columns of the random numbers of a step


class Learners(NamedTuple):
    """Learning projections; arrays of shape (projections,) unless said otherwise."""

    link: np.ndarray  # which projection
    epoch: np.ndarray
    period: np.ndarray  # u is 1 in every so many-th epoch, 0 where the rule has no u
    third: np.ndarray  # y1 .. y3 are given in each step
    sign_mode: np.ndarray
    own: np.ndarray  # (projections, 3): of a three-factor rule, what stays of y1 and y2 after a step, and y1's impulse
    bits: np.ndarray  # of fraction that neurons keep of these
    decay: np.ndarray  # (projections, 5), of x1, x2, y1, y2, y3: the part that stays after a step
    whole: np.ndarray  # (projections, 5), impulses
    fraction: np.ndarray  # (projections, 5), of 256
    series: np.ndarray  # (projections, 4): products of dw, dd and dt are series[l, k] .. series[l, k + 1]
    products: np.ndarray  # (products, 6): dependency, mantissa, shift to the right, to the left, first factor, last + 1
    factors: np.ndarray  # (factors, 4): variable, constant, whether its sign is taken, bits
    pre_at: np.ndarray  # place of a projection's first pre- and postsynaptic neuron in the arrays below
    post_at: np.ndarray
    tx: np.ndarray  # (pre,) step of the epoch of the last spike, 0: none
    ty: np.ndarray
    x: np.ndarray  # (2, pre)
    y: np.ndarray  # (3, post)
    updates: np.ndarray  # how many times a synapse was computed anew
    before: np.ndarray  # (post,) whether a neuron spiked in the step before
    fine: np.ndarray  # (2, post), y1 and y2 with their fraction
    t: np.ndarray  # (synapses,), tags; places as of the weights
    d: np.ndarray


@jit
def decayed(x, keep, r):  # type: ignore[no-untyped-def]
    """A trace after one step, rounded up where r is below its fraction."""
    exact = keep * x
    low = math.floor(exact)
    return int(low) + (r < exact - low)


@jit
def add_impulse(x, whole, fraction, r):  # type: ignore[no-untyped-def]
    """A trace after a spike; r is 0..127 beside a fraction of 256."""
    return min(max(x + whole + (r < fraction), 0), 127)


@jit
def replay(history, steps, keep, whole, fraction, spike, r_decay, r_impulse):  # type: ignore[no-untyped-def]
    """Values of a trace in the epoch: history[0] is given, [1] .. [steps] are written."""
    for k in range(1, steps + 1):
        x = decayed(history[k - 1], keep, r_decay)
        if spike == k:
            x = add_impulse(x, whole, fraction, r_impulse)
        history[k] = x


@jit
def changed(old, seen, products, factors, first, last, r):  # type: ignore[no-untyped-def]
    """A synaptic variable after the epoch, before it is clipped; its sum has 15 bits and sign, 7 of them fraction."""
    total = old << 7
    for p in range(first, last):
        dependency, mantissa, right, left = products[p, 0], products[p, 1], products[p, 2], products[p, 3]
        product = seen[dependency, dependency]
        for f in range(products[p, 4], products[p, 5]):
            value = seen[dependency, factors[f, 0]] + factors[f, 1]
            if factors[f, 2]:
                value = 1 if value > 0 else -1 if value < 0 else 0
            top = 1 << factors[f, 3]
            product *= min(max(value, -top), top - 1)
        product = (product * mantissa) >> right << left
        total = min(max(total + min(max(product, -32769), 32767), -32769), 32767)
    return (total >> 7) + (r < (total & 127) / 128.0)


@jit
def note_spikes(t, me, learners, n_pre, n_post, spiked, pre, post, given, draws, thread, threads):  # type: ignore[no-untyped-def]
    """Spikes of step t of projection ``me``; ``spiked[pre + i]``, ``spiked[post + j]`` tell who did.

    ``given`` (3, n_post) are the traces that three-factor rules receive.
    """
    place = (t - 1) % learners.epoch[me] + 1
    at, to = learners.pre_at[me], learners.post_at[me]
    whole, fraction = learners.whole[me], learners.fraction[me]
    for i in range(thread, n_pre, threads):
        if spiked[pre + i]:
            if learners.tx[at + i] > 0:
                for k in range(2):
                    learners.x[k, at + i] = add_impulse(learners.x[k, at + i], whole[k], fraction[k], 0)
            learners.tx[at + i] = place
    for j in range(thread, n_post, threads):
        if spiked[post + j]:
            if learners.ty[to + j] > 0:
                for k in range(3):
                    learners.y[k, to + j] = add_impulse(
                        learners.y[k, to + j], whole[2 + k], fraction[2 + k], draws[POST]
                    )
            learners.ty[to + j] = place
        learners.before[to + j] = spiked[post + j]
        if learners.third[me]:
            for k in range(3):
                learners.y[k, to + j] = given[k, j]


@jit
def post_traces(me, learners, n_post, third, first, given, thread, threads):  # type: ignore[no-untyped-def]
    """Traces that the postsynaptic neurons of three-factor rule ``me`` send in a step; third[first + j] arrived."""
    to, bits, fine = learners.post_at[me], learners.bits[me], learners.fine
    one = 1 << bits
    for j in range(thread, n_post, threads):
        fresh = learners.own[me, 2] * one if learners.before[to + j] else 0.0
        fine[0, to + j] = math.floor(fine[0, to + j] * learners.own[me, 0] + fresh)
        fine[1, to + j] = math.floor(fine[1, to + j] * learners.own[me, 1] + float(third[first + j] * one))
        given[0, j], given[1, j] = (fine[0, to + j] + one // 2) >> bits, (fine[1, to + j] + one // 2) >> bits
        given[2, j] = 0


@jit
def learn(t, me, learners, n_pre, n_post, row_at, rows, targets, weights, draws):  # type: ignore[no-untyped-def]
    """End of an epoch at step t: traces, then the synapses of projection ``me``, whose rows begin at ``row_at``."""
    steps = learners.epoch[me]
    hx, hy = np.empty((2, n_pre, steps + 1), np.int64), np.empty((3, n_post, steps + 1), np.int64)
    seen = np.empty((3, 11), np.int64)
    move_traces(me, learners, n_pre, n_post, hx, hy, draws, 0, 1)
    learners.updates[me] += change_synapses(
        t, me, learners, n_pre, row_at, rows, targets, weights, hx, hy, seen, draws, 0, 1
    )
    forget_spikes(me, learners, n_pre, n_post, 0, 1)


@jit
def move_traces(me, learners, n_pre, n_post, hx, hy, draws, thread, threads):  # type: ignore[no-untyped-def]
    """Traces at the end of an epoch; ``hx`` and ``hy``, (2 or 3, neurons, steps + 1), get those of its steps."""
    steps, at, to = learners.epoch[me], learners.pre_at[me], learners.post_at[me]
    keep, whole, fraction = learners.decay[me], learners.whole[me], learners.fraction[me]
    for k in range(2):
        for i in range(thread, n_pre, threads):
            hx[k, i, 0] = learners.x[k, at + i]
            replay(
                hx[k, i], steps, keep[k], whole[k], fraction[k], learners.tx[at + i], draws[X_DECAY], draws[X_IMPULSE]
            )
            learners.x[k, at + i] = hx[k, i, steps]
    for k in range(3):
        for j in range(thread, n_post, threads):
            hy[k, j, 0] = learners.y[k, to + j]
            replay(
                hy[k, j], steps, keep[2 + k], whole[2 + k], fraction[2 + k], learners.ty[to + j],
                draws[Y_DECAY], draws[Y_IMPULSE],
            )  # fmt: skip
            if not learners.third[me]:
                learners.y[k, to + j] = hy[k, j, steps]


@jit
def change_synapses(  # type: ignore[no-untyped-def]
    t, me, learners, n_pre, row_at, rows, targets, weights, hx, hy, seen, draws, thread, threads
):  # fmt: skip
    """Synapses at the end of an epoch; ``seen``, of shape (3, 11), is scratch. Returns how many were computed anew."""
    steps, at, to, updates = learners.epoch[me], learners.pre_at[me], learners.post_at[me], 0
    period, mode, series = learners.period[me], learners.sign_mode[me], learners.series[me]
    u = int(period > 0 and t // steps % max(period, 1) == 0)
    bottom, top = (-256, 255) if mode == 1 else (0, 255) if mode == 2 else (-255, 0)
    for i in range(thread, n_pre, threads):
        tx = learners.tx[at + i]
        for e in range(rows[row_at + i], rows[row_at + i + 1]):
            j = targets[e]
            ty = learners.ty[to + j]
            if tx == 0 and ty == 0 and u == 0 and learners.t[e] > -257:
                continue  # all products are 0
            updates += 1
            for dependency in range(3):  # of seen; its columns are variables
                when = tx if dependency == X0 else ty if dependency == Y0 else steps
                row = seen[dependency]
                row[X0], row[Y0], row[U] = tx > 0, ty > 0, u
                for k in range(2):
                    row[X1 + k] = hx[k, i, when]
                for k in range(3):
                    row[Y1 + k] = hy[k, j, when]
                row[W], row[D], row[T] = weights[e], learners.d[e], learners.t[e]
            w, d, tag = seen[0, W], seen[0, D], seen[0, T]
            p, f, r = learners.products, learners.factors, draws[WEIGHT]
            if series[1] > series[0]:
                weights[e] = min(max(changed(w, seen, p, f, series[0], series[1], r), bottom), top)
            if series[2] > series[1]:
                learners.d[e] = min(max(changed(d, seen, p, f, series[1], series[2], r), 0), 255)
            if series[3] > series[2]:
                learners.t[e] = min(max(changed(tag, seen, p, f, series[2], series[3], r), -257), 255)
    return updates


@jit
def forget_spikes(me, learners, n_pre, n_post, thread, threads):  # type: ignore[no-untyped-def]
    """What :func:`note_spikes` noted of an epoch that has ended."""
    at, to = learners.pre_at[me], learners.post_at[me]
    for i in range(thread, n_pre, threads):
        learners.tx[at + i] = 0
    for j in range(thread, n_post, threads):
        learners.ty[to + j] = 0
