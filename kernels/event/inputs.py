# The types of compiled code are Numba's.
# mypy: disable-error-code="assignment,arg-type"
"""Streams of input: what arrives from outside, and when timers are due (collected at the beginning of a window)."""

import math

import numpy as np

from kernels.event.calendar import leave, set_timer, window_of
from kernels.event.exponential import GAPS, fill_gaps
from kernels.event.heap import pop, put, sift_down
from kernels.event.layout import (
    CHECK,
    CURRENT,
    DEFERRED,
    EVENTS,
    GROW_INBOX,
    HEAP,
    INBOX,
    INBOX_CURRENT,
    NEVER,
    NOT_LISTED,
    POISSON,
    SHARED,
    SOURCE_EVENTS,
    SOURCE_POISSON,
    SOURCE_SHARED,
    TIMER_SLOTS,
)
from kernels.jit import inlined, kernel

_32, _53 = np.uint64(32), 2.0**-53


@kernel
def total_rate(inputs, streams, s, row):  # type: ignore[no-untyped-def]
    """Rate of a Poisson stream in segment ``row``, 1/ms."""
    k = streams.input[s]
    rate, at = inputs.rate[row], inputs.at[row]
    if inputs.own_rates[k] == 0:
        return rate if streams.kind[s] == SHARED or streams.kind[s] == SOURCE_SHARED else rate * streams.n[s]
    total = 0.0
    for i in range(at + streams.first[s], at + streams.first[s] + streams.n[s]):
        total += inputs.values[i]
    return rate * total


@kernel
def draw_next(scratch, inputs, streams, s, t):  # type: ignore[no-untyped-def]
    """Draw the next event of a Poisson stream after ``t``.

    At the end of a segment the wait begins anew: exponential intervals have no memory.
    """
    k = streams.input[s]
    key = inputs.key[k]
    group = np.uint64(streams.first[s])
    last = inputs.segment[k + 1] - 1
    while True:
        row = streams.cursor[s]
        end = inputs.start[row + 1] if row < last else math.inf
        rate = total_rate(inputs, streams, s, row)
        if rate > 0.0:
            m = streams.draws[s]
            fill_gaps(key, group, m, 1, scratch.gaps, scratch.mantissa, scratch.bits, scratch.words)
            streams.draws[s] = m + np.uint64(1)
            after = t + scratch.gaps[0] / rate
            if after < end:
                streams.next[s] = after
                streams.word[s] = scratch.words[0]
                return
        if row == last:
            streams.next[s] = math.inf
            return
        t = end
        streams.cursor[s] = row + 1


@kernel
def picked(inputs, streams, s, row, word, total):  # type: ignore[no-untyped-def]
    """The neuron that an event of a Poisson stream falls on, whose rate in segment ``row`` is ``total``."""
    k, first, n = streams.input[s], streams.first[s], streams.n[s]
    if inputs.own_rates[k] == 0:
        return first + np.int64(((word >> _32) * np.uint64(n)) >> _32)
    at = inputs.at[row]
    x = np.float64(word >> np.uint64(11)) * _53 * total / inputs.rate[row]
    for i in range(first, first + n - 1):
        x -= inputs.values[at + i]
        if x < 0.0:
            return i
    return first + n - 1


@kernel
def inbox_code(net, inputs, k):  # type: ignore[no-untyped-def]
    """What an entry of input ``k`` has in Scratch.inbox_target beside its neuron; a current is negative."""
    receptor = inputs.receptor[k]
    return k << (net.bits + 8) | (receptor << net.bits if receptor >= 0 else INBOX_CURRENT)


@kernel
def to_inbox(net, block, scratch, inputs, p, k, i, t, weight):  # type: ignore[no-untyped-def]
    """Neuron ``i`` of population ``p`` gets an event of input ``k``."""
    at = block.counts[INBOX]
    neuron = block.first[p] + i - block.lo[p]
    scratch.inbox_time[at] = t
    scratch.inbox_weight[at] = weight
    scratch.inbox_target[at] = inbox_code(net, inputs, k) | neuron
    block.counts[INBOX] = at + 1


@kernel
def weight_of(inputs, k, i):  # type: ignore[no-untyped-def]
    """Weight of input ``k`` at neuron ``i``."""
    return inputs.weight[k] if inputs.weights[k] < 0 else inputs.values[inputs.weights[k] + i]


@inlined
def run_poisson(net, block, scratch, inputs, streams, sync, thread, half, s, k, stop):  # type: ignore[no-untyped-def]
    """:func:`run_stream` of a Poisson stream: gaps are drawn as many at a time as may be needed."""
    source, p, number = streams.kind[s] == SOURCE_POISSON, streams.population[s], streams.input[s]
    lo, hi = block.lo[p], block.hi[p]
    key, group, last = inputs.key[number], np.uint64(streams.first[s]), inputs.segment[number + 1] - 1
    own, wend = block.first[p] - lo, (k + 1) * net.width
    code = inbox_code(net, inputs, number)
    inbox_time, inbox_target, inbox_weight = scratch.inbox_time, scratch.inbox_target, scratch.inbox_weight
    t, word, draws, at_inbox = streams.next[s], streams.word[s], streams.draws[s], block.counts[INBOX]
    row = streams.cursor[s]
    rate, end = total_rate(inputs, streams, s, row), (inputs.start[row + 1] if row < last else math.inf)
    at = have = 0
    room = True
    while window_of(net, t) <= k and not (source and t >= stop):
        i = picked(inputs, streams, s, row, word, rate)
        if lo <= i < hi:
            if source:
                j = sync.n_spikes[half, thread, 0]
                sync.spike_time[half, thread, j], sync.spike_id[half, thread, j] = t, net.gid[p] + i
                sync.n_spikes[half, thread, 0] = j + 1
            else:
                room = at_inbox < inbox_time.size
                if not room:
                    break
                e = np.uint64(at_inbox)
                inbox_time[e], inbox_target[e], inbox_weight[e] = t, code | (own + i), weight_of(inputs, number, i)
                at_inbox += 1
        if at == have:
            expected = min(rate * (wend - t), 1.0 * GAPS)
            have = min(GAPS, (np.int64(expected) + 9) & ~7) if expected > 1.0 else 1  # one, or whole vectors
            fill_gaps(key, group, draws, have, scratch.gaps, scratch.mantissa, scratch.bits, scratch.words)
            at = 0
        after = t + scratch.gaps[at] / rate
        draws += np.uint64(1)
        if after < end:
            t, word = after, scratch.words[at]
            at += 1
        else:
            streams.draws[s], streams.cursor[s] = draws, row + 1
            draw_next(scratch, inputs, streams, s, end)
            t, word, draws, row = streams.next[s], streams.word[s], streams.draws[s], streams.cursor[s]
            rate, end = total_rate(inputs, streams, s, row), (inputs.start[row + 1] if row < last else math.inf)
            at = have = 0
    streams.next[s], streams.word[s], streams.draws[s], block.counts[INBOX] = t, word, draws, at_inbox
    return room


@inlined
def run_stream(net, block, scratch, inputs, streams, sync, thread, half, s, k, stop):  # type: ignore[no-untyped-def]
    """Take a stream's events of window ``k``; those of a source only before ``stop``. False if the inbox is full."""
    kind, p, number = streams.kind[s], streams.population[s], streams.input[s]
    lo, hi = block.lo[p], block.hi[p]
    if kind == POISSON or kind == SOURCE_POISSON:
        return run_poisson(net, block, scratch, inputs, streams, sync, thread, half, s, k, stop)
    while window_of(net, streams.next[s]) <= k:
        t = streams.next[s]
        if kind >= SOURCE_EVENTS:
            if t >= stop:
                return True
            at = sync.n_spikes[half, thread, 0]
            if kind == SOURCE_SHARED:
                for i in range(lo, hi):
                    sync.spike_time[half, thread, at], sync.spike_id[half, thread, at] = t, net.gid[p] + i
                    at += 1
            else:
                i = inputs.event_id[streams.cursor[s]]
                if lo <= i < hi:
                    sync.spike_time[half, thread, at], sync.spike_id[half, thread, at] = t, net.gid[p] + i
                    at += 1
            sync.n_spikes[half, thread, 0] = at
        else:
            if block.counts[INBOX] + max(hi - lo, 1) > scratch.inbox_time.size:
                return False
            if kind == EVENTS:
                e = streams.cursor[s]
                i = inputs.event_id[e]
                if lo <= i < hi:
                    to_inbox(net, block, scratch, inputs, p, number, i, t, inputs.event_weight[e])
            elif kind == SHARED:
                for i in range(lo, hi):
                    to_inbox(net, block, scratch, inputs, p, number, i, t, weight_of(inputs, number, i))
            else:
                row = streams.cursor[s]
                for i in range(lo, hi):
                    value = inputs.values[inputs.at[row] + (i if inputs.size[row] > 1 else 0)]
                    to_inbox(net, block, scratch, inputs, p, number, i, t, value)
        if kind == EVENTS or kind == SOURCE_EVENTS:
            streams.cursor[s] += 1
            e = streams.cursor[s]
            streams.next[s] = inputs.event_time[e] if e < inputs.event[number + 1] else math.inf
        elif kind == CURRENT:
            streams.cursor[s] += 1
            row = streams.cursor[s]
            streams.next[s] = inputs.start[row] if row < inputs.segment[number + 1] else math.inf
        else:
            draw_next(scratch, inputs, streams, s, t)
    return True


@inlined
def touch(block, neuron):  # type: ignore[no-untyped-def]
    """Let ``neuron`` be looked at in this window."""
    if block.counted[neuron] == 0:
        p = np.uint64(block.population[neuron])
        block.touched[np.uint64(block.first[p] + block.n_touched[p])] = neuron
        block.n_touched[p] += 1
        block.counted[neuron] = 1


@inlined
def wake(net, block, neuron, k):  # type: ignore[no-untyped-def]
    """A neuron's timer is due: look at it in window ``k``, or, where events have moved its check, set it anew."""
    window = window_of(net, block.f[neuron * np.uint64(net.record) + np.uint64(CHECK)])
    if window <= k:
        touch(block, neuron)
    elif window < NEVER:
        set_timer(block, neuron, window, k)


@inlined
def collect(net, block, scratch, inputs, streams, sync, thread, half, k, stop):  # type: ignore[no-untyped-def]
    """Take from the heap what is due in window ``k``: timers touch their neurons, streams fill the inbox.

    Returns 0, or GROW_INBOX: call again with a larger inbox.
    """
    n = block.counted.size
    neuron = np.int64(block.timer_head[np.uint64(k & (TIMER_SLOTS - 1))])
    while neuron >= 0:
        leave(block, np.uint64(neuron))
        wake(net, block, np.uint64(neuron), k)
        neuron = np.int64(block.timer_head[np.uint64(k & (TIMER_SLOTS - 1))])
    while block.counts[HEAP] > 0 and block.key[0] <= k:
        item = np.int64(block.item[0])
        if item < n:
            pop(block)
            if block.timer_before[np.uint64(item)] == NOT_LISTED:
                block.timer[np.uint64(item)] = NEVER
            wake(net, block, np.uint64(item), k)
            continue
        s = item - n
        if not run_stream(net, block, scratch, inputs, streams, sync, thread, half, s, k, stop):
            return GROW_INBOX
        key = window_of(net, streams.next[s])
        if key <= k:
            pop(block)
            block.deferred[block.counts[DEFERRED]] = item
            block.counts[DEFERRED] += 1
        elif key == NEVER:
            pop(block)
        else:
            block.key[0] = key
            sift_down(block, 0)
    for j in range(block.counts[DEFERRED]):
        put(block, np.int64(block.deferred[j]), k)
    block.counts[DEFERRED] = 0
    return 0


@kernel
def start_streams(net, block, scratch, inputs, streams, which, t):  # type: ignore[no-untyped-def]
    """Draw the first event after ``t`` of the Poisson streams of inputs ``which`` (flags), and put all streams into the
    heap."""
    for s in range(streams.kind.size):
        kind = streams.kind[s]
        poisson = kind == POISSON or kind == SHARED or kind == SOURCE_POISSON or kind == SOURCE_SHARED
        if poisson and which[streams.input[s]]:
            draw_next(scratch, inputs, streams, s, t)
        if streams.next[s] < math.inf:
            put(block, block.counted.size + s, window_of(net, streams.next[s]))
