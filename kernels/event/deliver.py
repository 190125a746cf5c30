# The types of compiled code are Numba's.
# mypy: disable-error-code="assignment,arg-type"
"""Sort the spikes of a window, record them, and put what they cause through static synapses into the calendar.

What plastic synapses do is in kernels/event/learn.py.
"""

import math

import numpy as np

from kernels.cpu.deliver import prefetch
from kernels.event.calendar import EVENT, ROW, push_event, push_row, window_of
from kernels.event.layout import NEVER, PENDING
from kernels.jit import inlined, kernel

_ZERO, _ONE = np.uint64(0), np.uint64(1)
RUN = 16


@kernel
def before(t, i, u, j):  # type: ignore[no-untyped-def]
    """Whether spike (t, i) comes before (u, j)."""
    return t < u or (t == u and i < j)


@inlined
def sort_spikes(time, ids, spare_time, spare_id, n):  # type: ignore[no-untyped-def]
    """Sort the first ``n`` spikes by time, then id: runs by insertion, then merged."""
    for first in range(0, n, RUN):
        for i in range(first + 1, min(first + RUN, n)):
            t, k = time[i], ids[i]
            j = i - 1
            while j >= first and before(t, k, time[j], ids[j]):
                time[j + 1], ids[j + 1] = time[j], ids[j]
                j -= 1
            time[j + 1], ids[j + 1] = t, k
    size = RUN
    while size < n:
        for first in range(0, n, 2 * size):
            middle, end = min(first + size, n), min(first + 2 * size, n)
            for i in range(first, middle):
                spare_time[i], spare_id[i] = time[i], ids[i]
            i, j, at = first, middle, first
            while i < middle:
                if j < end and before(time[j], ids[j], spare_time[i], spare_id[i]):
                    time[at], ids[at] = time[j], ids[j]
                    j += 1
                else:
                    time[at], ids[at] = spare_time[i], spare_id[i]
                    i += 1
                at += 1
        size *= 2


@inlined
def population_of(net, spike):  # type: ignore[no-untyped-def]
    """Population of a global id."""
    p = np.uint64(0)
    while p + _ONE < np.uint64(net.gid.size) and net.gid[p + _ONE] <= spike:
        p += _ONE
    return p


@inlined
def chunks_needed(net, edges, sync, half):  # type: ignore[no-untyped-def]
    """Most chunks of rows and of events that delivering the window's spikes can take, but for one a slot."""
    rows = events = 0
    for b in range(sync.n_spikes.shape[1]):
        for j in range(sync.n_spikes[half, b, 0]):
            spike = sync.spike_id[half, b, j]
            p = population_of(net, spike)
            for g in range(edges.by_source[p], edges.by_source[p + _ONE]):
                if edges.delay_shift[g] == NEVER and edges.learner[g] < 0:
                    rows += 1
                else:
                    r = np.uint64(edges.at[g] + spike - net.gid[p])
                    events += np.int64(edges.rows[r + _ONE] - edges.rows[r])
    return rows >> np.int64(ROW), events >> np.int64(EVENT)


@inlined
def slot_of(net, block, queue, t, k):  # type: ignore[no-untyped-def]
    """Slot of an event at ``t`` that a spike in window ``k`` causes."""
    slot = np.uint64(max(window_of(net, t), k + 1) & (net.slots - 1))
    if queue.row_end[slot] == _ZERO and queue.end[slot] == _ZERO:
        block.counts[PENDING] += 1
    return slot


@inlined
def next_spike(net, block, sync, half, recording):  # type: ignore[no-untyped-def]
    """Time, global id and population of the window's next spike, after block.heads; recorded if it is to be."""
    first = -1
    t = math.inf
    spike = np.int64(0)
    for b in range(sync.n_spikes.shape[1]):
        j = block.heads[b]
        if j < sync.n_spikes[half, b, 0]:
            u, i = sync.spike_time[half, b, j], sync.spike_id[half, b, j]
            if first < 0 or before(u, i, t, spike):
                first, t, spike = b, u, i
    block.heads[first] += 1
    p = population_of(net, spike)
    if recording and net.recorded[p]:
        size = sync.record_size[0]
        sync.record_time[size], sync.record_id[size] = t, spike
        sync.record_size[0] = size + 1
    return t, spike, p


@inlined
def deliver(net, block, queue, edges, t, spike, p, k):  # type: ignore[no-untyped-def]
    """Put what a spike in window ``k`` causes in this block through static synapses into its calendar."""
    mask = np.uint64((1 << net.bits) - 1)
    for g in range(np.uint64(edges.by_source[p]), np.uint64(edges.by_source[p + _ONE])):
        r = np.uint64(edges.at[g] + spike - net.gid[p])
        lo, hi = np.uint64(edges.rows[r]), np.uint64(edges.rows[r + _ONE])
        if lo == hi or edges.learner[g] >= 0:
            continue
        shift = edges.delay_shift[g]
        if shift == NEVER:
            at = t + edges.delay[g]
            push_row(queue, slot_of(net, block, queue, at, k), at, r, g)
        else:
            w, w_shift = edges.weight[g], edges.weight_shift[g]
            for j in range(lo, hi):
                at = t + edges.delays[np.uint64(np.int64(j) + shift)]
                if w_shift != NEVER:
                    w = np.float64(edges.weights[np.uint64(np.int64(j) + w_shift)])
                push_event(queue, slot_of(net, block, queue, at, k), at, edges.targets[j], w)
                prefetch(block.f, (np.uint64(edges.targets[j]) & mask) * np.uint64(net.record))
