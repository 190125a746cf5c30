# The types of compiled code are Numba's.
# mypy: disable-error-code="assignment,arg-type"
"""The events of a window, by neuron: counted, then written one neuron after another, in canonical order.

Canonical order: inputs, then rows, then single events, each in the order in which they came into the calendar, which is
that of their spikes: time, then global id, then place in the source's row. Neurons sort their own by time, stably.
"""

import numpy as np

from kernels.event.calendar import EVENT, EVENT_LAST, ROW, ROW_LAST
from kernels.event.inputs import touch
from kernels.event.layout import BINS, CURRENT_CODE, INBOX, NEVER, PARTS
from kernels.jit import inlined, kernel

_ZERO, _ONE = np.uint64(0), np.uint64(1)


@inlined
def in_slot(queue, edges, slot):  # type: ignore[no-untyped-def]
    """Number of events in a slot of the calendar."""
    total = 0
    chunk = np.int64(queue.row_head[slot])
    while chunk > 0:
        following = np.int64(queue.row_next[chunk])
        first = np.uint64(chunk) << ROW
        last = first + ROW_LAST + _ONE if following > 0 else queue.row_end[slot]
        for i in range(first, last):
            r = np.uint64(queue.row[i])
            total += np.int64(edges.rows[r + _ONE] - edges.rows[r])
        chunk = following
    chunk = np.int64(queue.head[slot])
    while chunk > 0:
        chunk = np.int64(queue.next[chunk])
        total += 1 << np.int64(EVENT)
    return total


@inlined
def count(block, neuron):  # type: ignore[no-untyped-def]
    """One more event of ``neuron``."""
    if block.counted[neuron] == 0:
        touch(block, neuron)
    block.counted[neuron] += 1


@inlined
def count_events(net, block, queue, scratch, edges, slot):  # type: ignore[no-untyped-def]
    """Count the events of every neuron and touch those that have any."""
    since = block.since[0]
    mask = np.uint64((1 << net.bits) - 1)
    for i in range(np.uint64(block.counts[INBOX])):
        if scratch.inbox_time[i] >= since:
            count(block, np.uint64(scratch.inbox_target[i]) & mask)
    chunk = np.int64(queue.row_head[slot])
    while chunk > 0:
        following = np.int64(queue.row_next[chunk])
        first = np.uint64(chunk) << ROW
        last = first + ROW_LAST + _ONE if following > 0 else queue.row_end[slot]
        for i in range(first, last):
            if queue.row_time[i] >= since:
                r = np.uint64(queue.row[i])
                for j in range(np.uint64(edges.rows[r]), np.uint64(edges.rows[r + _ONE])):
                    count(block, np.uint64(edges.targets[j]) & mask)
        chunk = following
    chunk = np.int64(queue.head[slot])
    while chunk > 0:
        following = np.int64(queue.next[chunk])
        first = np.uint64(chunk) << EVENT
        last = first + EVENT_LAST + _ONE if following > 0 else queue.end[slot]
        for i in range(first, last):
            if queue.time[i] >= since:
                count(block, np.uint64(queue.target[i]) & mask)
        chunk = following


@kernel
def part_of(t, begin, scale):  # type: ignore[no-untyped-def]
    """The part of the window that holds ``t``."""
    return min(max(np.int64((t - begin) * scale), 0), PARTS - 1)


@inlined
def order_inbox(block, scratch, begin, scale):  # type: ignore[no-untyped-def]
    """Order the inbox by part of the window, into scratch.inbox_order; block.bins[q] is where part q ends then."""
    bins, order, time = block.bins, scratch.inbox_order, scratch.inbox_time
    n = np.uint64(block.counts[INBOX])
    for q in range(PARTS + 1):
        bins[q] = 0
    for i in range(n):
        bins[np.uint64(part_of(time[i], begin, scale) + 1)] += 1
    for q in range(1, PARTS + 1):
        bins[q] += bins[q - 1]
    for i in range(n):
        q = np.uint64(part_of(time[i], begin, scale))
        order[np.uint64(bins[q])] = i
        bins[q] += 1


@inlined
def place_events(net, block, queue, scratch, edges, slot, k):  # type: ignore[no-untyped-def]
    """Write the events of every touched neuron to scratch, neuron after neuron.

    Inbox and rows are written part by part of the window: a neuron then finds its events nearly sorted.
    """
    since = block.since[0]
    bits, mask = np.uint64(net.bits), np.uint64((1 << net.bits) - 1)
    time, weight, receptor, end = scratch.time, scratch.weight, scratch.receptor, block.end
    at = np.int64(0)
    for p in range(block.lo.size):
        for i in range(np.uint64(block.first[p]), np.uint64(block.first[p] + block.n_touched[p])):
            neuron = np.uint64(block.touched[i])
            end[neuron] = at
            at += np.int64(block.counted[neuron]) - 1
    if at == 0:
        return
    begin, scale = k * net.width, PARTS / net.width
    inbox = block.counts[INBOX] > 0
    if inbox:
        order_inbox(block, scratch, begin, scale)
    chunk = np.int64(queue.row_head[slot])
    row = np.uint64(chunk) << ROW
    for part in range(PARTS if inbox else 1):
        if inbox:
            for j in range(np.uint64(block.bins[part - 1] if part > 0 else 0), np.uint64(block.bins[part])):
                i = np.uint64(scratch.inbox_order[j])
                if scratch.inbox_time[i] >= since:
                    code = scratch.inbox_target[i]
                    neuron = np.uint64(code) & mask
                    e = np.uint64(end[neuron])
                    end[neuron] = np.int64(e + _ONE)
                    time[e], weight[e] = scratch.inbox_time[i], scratch.inbox_weight[i]
                    receptor[e] = CURRENT_CODE if code < 0 else code >> np.int64(bits)
        while chunk > 0:
            following = np.int64(queue.row_next[chunk])
            last = (np.uint64(chunk) << ROW) + ROW_LAST + _ONE if following > 0 else queue.row_end[slot]
            while row < last:
                t = queue.row_time[row]
                if inbox and part_of(t, begin, scale) > part:
                    break
                if t >= since:
                    r, g = np.uint64(queue.row[row]), np.uint64(queue.row_group[row])
                    w, shift = edges.weight[g], edges.weight_shift[g]
                    for j in range(np.uint64(edges.rows[r]), np.uint64(edges.rows[r + _ONE])):
                        code = np.uint64(edges.targets[j])
                        neuron = code & mask
                        e = np.uint64(end[neuron])
                        end[neuron] = np.int64(e + _ONE)
                        time[e], receptor[e] = t, code >> bits
                        weight[e] = w if shift == NEVER else np.float64(edges.weights[np.uint64(np.int64(j) + shift)])
                row += _ONE
            if row < last:
                break
            chunk = following
            row = np.uint64(chunk) << ROW
    chunk = np.int64(queue.head[slot])
    while chunk > 0:
        following = np.int64(queue.next[chunk])
        first = np.uint64(chunk) << EVENT
        last = first + EVENT_LAST + _ONE if following > 0 else queue.end[slot]
        for i in range(first, last):
            t = queue.time[i]
            if t >= since:
                code = np.uint64(queue.target[i])
                neuron = code & mask
                e = np.uint64(end[neuron])
                end[neuron] = np.int64(e + _ONE)
                time[e], weight[e], receptor[e] = t, queue.weight[i], code >> bits
        chunk = following


@inlined
def by_count(block, p):  # type: ignore[no-untyped-def]
    """block.order[first[p]:] = touched neurons of population ``p``, those with most events first."""
    first, n = np.uint64(block.first[p]), np.uint64(block.n_touched[p])
    order, touched, bins = block.order, block.touched, block.bins
    most, front, back = 0, first, first + n
    for i in range(first, first + n):
        neuron = touched[i]
        events = np.int64(block.counted[np.uint64(neuron)])
        most = max(most, events)
        some = events > 1
        back -= np.uint64(not some)
        order[front if some else back] = neuron
        front += np.uint64(some)
    if most <= 2:  # none has more than one event: those with one are in front
        return
    most = min(most, BINS - 1)
    for b in range(most + 2):
        bins[b] = 0
    for i in range(first, first + n):
        bins[np.uint64(min(np.int64(block.counted[np.uint64(touched[i])]), most))] += 1
    at = np.int64(first)
    for b in range(most, -1, -1):
        size = bins[b]
        bins[b] = at
        at += size
    for i in range(first, first + n):
        b = np.uint64(min(np.int64(block.counted[np.uint64(touched[i])]), most))
        order[np.uint64(bins[b])] = touched[i]
        bins[b] += 1
    if most == BINS - 1:
        for i in range(np.int64(first) + 1, bins[most]):  # counts that share the last bin
            neuron = order[i]
            j = i - 1
            while j >= np.int64(first) and block.counted[order[j]] < block.counted[neuron]:
                order[j + 1] = order[j]
                j -= 1
            order[j + 1] = neuron


@inlined
def sort_events(scratch, begin, n):  # type: ignore[no-untyped-def]
    """Sort a neuron's events by time, keeping the order of equal ones; they come nearly sorted."""
    time, weight, receptor = scratch.time, scratch.weight, scratch.receptor
    for i in range(begin + _ONE, begin + np.uint64(n)):
        t = time[i]
        if t < time[i - _ONE]:
            w, r = weight[i], receptor[i]
            j = i
            while j > begin and time[j - _ONE] > t:
                time[j], weight[j], receptor[j] = time[j - _ONE], weight[j - _ONE], receptor[j - _ONE]
                j -= _ONE
            time[j], weight[j], receptor[j] = t, w, r
