"""The calendar of a block: which rows and events arrive in which window."""

import numpy as np

from kernels.event.heap import put
from kernels.event.layout import EVENT_BITS, HEAP, NEVER, NOT_LISTED, PENDING, ROW_BITS, TIMER_SLOTS, TIMERS
from kernels.jit import inlined

ROW, EVENT = np.uint64(ROW_BITS), np.uint64(EVENT_BITS)
ROW_LAST, EVENT_LAST = np.uint64((1 << ROW_BITS) - 1), np.uint64((1 << EVENT_BITS) - 1)
_ZERO, _ONE = np.uint64(0), np.uint64(1)


@inlined
def window_of(net, t):  # type: ignore[no-untyped-def]
    """The window that holds time ``t``."""
    k = np.floor(t / net.width)
    return np.int64(k) if k < 4.0e18 else NEVER


@inlined
def new_chunk(free, n_free, following, head, slot, p, bits):  # type: ignore[no-untyped-def]
    """Place for the next entry of a slot whose last chunk is full, or that has none."""
    n_free[0] -= 1
    chunk = free[n_free[0]]
    following[chunk] = 0
    if p == _ZERO:
        head[slot] = chunk
    else:
        following[np.int64((p - _ONE) >> bits)] = chunk
    return np.uint64(chunk) << bits


@inlined
def push_row(queue, slot, t, row, group):  # type: ignore[no-untyped-def]
    """All targets of a row get an event at ``t``."""
    p = queue.row_end[slot]
    if p & ROW_LAST == _ZERO:
        p = new_chunk(queue.row_free, queue.row_n_free, queue.row_next, queue.row_head, slot, p, ROW)
    queue.row_time[p], queue.row[p], queue.row_group[p] = t, row, group
    queue.row_end[slot] = p + _ONE


@inlined
def push_event(queue, slot, t, target, weight):  # type: ignore[no-untyped-def]
    """One target gets an event at ``t``."""
    p = queue.end[slot]
    if p & EVENT_LAST == _ZERO:
        p = new_chunk(queue.free, queue.n_free, queue.next, queue.head, slot, p, EVENT)
    queue.time[p], queue.target[p], queue.weight[p] = t, target, weight
    queue.end[slot] = p + _ONE


@inlined
def clear(head, end, following, free, n_free, slot):  # type: ignore[no-untyped-def]
    """Empty a slot."""
    chunk = np.int64(head[slot])
    while chunk > 0:
        free[n_free[0]] = chunk
        n_free[0] += 1
        chunk = np.int64(following[chunk])
    head[slot] = 0
    end[slot] = 0


@inlined
def clear_slot(net, block, queue, k):  # type: ignore[no-untyped-def]
    """Empty the slot of window ``k``."""
    slot = np.uint64(k & (net.slots - 1))
    if queue.row_end[slot] > _ZERO or queue.end[slot] > _ZERO:
        block.counts[PENDING] -= 1
        clear(queue.row_head, queue.row_end, queue.row_next, queue.row_free, queue.row_n_free, slot)
        clear(queue.head, queue.end, queue.next, queue.free, queue.n_free, slot)


@inlined
def leave(block, neuron):  # type: ignore[no-untyped-def]
    """Take a neuron out of its list of timers."""
    after, before = block.timer_next[neuron], block.timer_before[neuron]
    if before >= 0:
        block.timer_next[np.uint64(before)] = after
    else:
        block.timer_head[np.uint64(block.timer[neuron] & (TIMER_SLOTS - 1))] = after
    if after >= 0:
        block.timer_before[np.uint64(after)] = before
    block.timer[neuron], block.timer_before[neuron] = NEVER, NOT_LISTED
    block.counts[TIMERS] -= 1


@inlined
def set_timer(block, neuron, window, k):  # type: ignore[no-untyped-def]
    """Let a neuron come up in ``window`` at the latest, ``k`` being the present one; earlier does no harm."""
    if block.timer[neuron] <= window:
        return
    if block.timer_before[neuron] != NOT_LISTED:
        leave(block, neuron)
    if window - k >= TIMER_SLOTS:
        put(block, neuron, window)
        block.timer[neuron] = window
        return
    slot = np.uint64(window & (TIMER_SLOTS - 1))
    after = block.timer_head[slot]
    block.timer[neuron], block.timer_next[neuron], block.timer_before[neuron] = window, after, -1
    if after >= 0:
        block.timer_before[np.uint64(after)] = neuron
    block.timer_head[slot] = neuron
    block.counts[TIMERS] += 1


@inlined
def next_window(net, block, queue, k):  # type: ignore[no-untyped-def]
    """First window after ``k`` in which something happens in this block, as far as is known now."""
    first = block.key[0] if block.counts[HEAP] > 0 else NEVER
    if block.counts[PENDING] > 0:  # first, as most sparse events, too, are followed by some in the next window
        for j in range(k + 1, min(first, k + net.slots)):
            slot = np.uint64(j & (net.slots - 1))
            if queue.row_end[slot] > _ZERO or queue.end[slot] > _ZERO:
                first = j
                break
    if block.counts[TIMERS] > 0:
        for j in range(k + 1, min(first, k + TIMER_SLOTS)):
            if block.timer_head[np.uint64(j & (TIMER_SLOTS - 1))] >= 0:
                return j
    return first
