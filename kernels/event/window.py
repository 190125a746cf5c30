# The types of compiled code are Numba's.
# mypy: disable-error-code="assignment,arg-type"
"""The events of a window, by neuron: counted, then written lane by lane (see Scratch), in canonical order.

Canonical order: inputs, then rows, then single events, each in the order in which they came into the calendar, which is
that of their spikes: time, then global id, then place in the source's row. Neurons sort their own by time, stably.
"""

import numpy as np

from kernels.event.calendar import EVENT, EVENT_LAST, ROW, ROW_LAST
from kernels.event.inputs import touch
from kernels.event.layout import BINS, CURRENT_CODE, INBOX, LANES, NEVER, PARTS
from kernels.jit import inlined, kernel

WOKEN = 1 << 30  # in Block.counted while events are counted without touching
_ZERO, _ONE, L = np.uint64(0), np.uint64(1), np.uint64(LANES)


@inlined
def entries(head, end, following, slot, bits):  # type: ignore[no-untyped-def]
    """Number of entries of a slot, rows or events."""
    chunk, last = np.int64(head[slot]), (_ONE << bits) - _ONE
    n = np.int64(0) if chunk == 0 else np.int64(((end[slot] - _ONE) & last) + _ONE)
    while chunk > 0 and following[chunk] > 0:
        n += np.int64(last) + 1
        chunk = np.int64(following[chunk])
    return n


@inlined
def few(block, queue, scratch, slot):  # type: ignore[no-untyped-def]
    """Whether :func:`place_few` may be tried: a window with single events alone, at most LANES."""
    populations = block.lo.size
    room = populations <= BINS and populations * LANES <= scratch.time.size
    single = block.counts[INBOX] == 0 and queue.row_end[slot] == _ZERO
    return room and single and _ZERO < queue.end[slot] - (np.uint64(queue.head[slot]) << EVENT) <= L


@inlined
def place_few(net, block, queue, scratch, slot):  # type: ignore[no-untyped-def]
    """Place the events of a window that has few, no two for one neuron, without counting them first.

    The lanes of population p begin at p * LANES in Scratch. False, and nothing is done, where a neuron has two.
    """
    since, mask, bits = block.since[0], np.uint64((1 << net.bits) - 1), np.uint64(net.bits)
    counted, order, touched = block.counted, block.order, block.touched
    first, last = np.uint64(queue.head[slot]) << EVENT, queue.end[slot]
    populations = np.uint64(block.lo.size)
    for p in range(populations):
        block.bins[p] = 0
    alone = True
    for i in range(first, last):
        t, code = queue.time[i], np.uint64(queue.target[i])
        if t < since:
            continue
        neuron = code & mask
        p = np.uint64(block.population[neuron])
        j = np.uint64(block.bins[p])
        alone = counted[neuron] < 2
        if not alone:
            break
        counted[neuron] += 2
        order[np.uint64(block.first[p]) + j] = neuron
        block.bins[p] += 1
        e = p * L + j
        scratch.time[e], scratch.weight[e], scratch.receptor[e] = t, queue.weight[i], code >> bits
    for p in range(populations):
        begin, n = np.uint64(block.first[p]), np.uint64(block.bins[p])
        if alone:
            for i in range(begin, begin + np.uint64(block.n_touched[p])):
                if counted[np.uint64(touched[i])] == 1:
                    order[begin + n] = touched[i]
                    n += _ONE
            block.n_touched[p] = n
        for i in range(begin, begin + np.uint64(block.bins[p])):
            neuron = np.uint64(order[i])
            counted[neuron] = 2 if alone else counted[neuron] - 2
        if n > _ZERO:
            block.end[np.uint64(order[begin])] = np.int64((p + _ONE) * L)  # after its event, as place_events leaves it
    return alone


@inlined
def count_events(net, block, queue, scratch, edges, slot):  # type: ignore[no-untyped-def]
    """Count the events of every neuron and touch those that have any.

    Where there are more events than neurons, all neurons are looked through afterwards: no branch at each event.
    """
    since = block.since[0]
    mask = np.uint64((1 << net.bits) - 1)
    counted = block.counted
    rows = entries(queue.row_head, queue.row_end, queue.row_next, slot, ROW)
    events = entries(queue.head, queue.end, queue.next, slot, EVENT)
    mean = edges.targets.size // max(edges.rows.size - 1, 1)
    many = block.counts[INBOX] + rows * mean + events > counted.size
    if many:
        mark_touched(block)
    for i in range(np.uint64(block.counts[INBOX])):
        if scratch.inbox_time[i] >= since:
            neuron = np.uint64(scratch.inbox_target[i]) & mask
            if not many:
                touch(block, neuron)
            counted[neuron] += 1
    chunk = np.int64(queue.row_head[slot])
    while chunk > 0:
        following = np.int64(queue.row_next[chunk])
        first = np.uint64(chunk) << ROW
        last = first + ROW_LAST + _ONE if following > 0 else queue.row_end[slot]
        for i in range(first, last):
            if queue.row_time[i] >= since:
                r = np.uint64(queue.row[i])
                if many:
                    for j in range(np.uint64(edges.rows[r]), np.uint64(edges.rows[r + _ONE])):
                        counted[np.uint64(edges.targets[j]) & mask] += 1
                else:
                    for j in range(np.uint64(edges.rows[r]), np.uint64(edges.rows[r + _ONE])):
                        neuron = np.uint64(edges.targets[j]) & mask
                        touch(block, neuron)
                        counted[neuron] += 1
        chunk = following
    chunk = np.int64(queue.head[slot])
    while chunk > 0:
        following = np.int64(queue.next[chunk])
        first = np.uint64(chunk) << EVENT
        last = first + EVENT_LAST + _ONE if following > 0 else queue.end[slot]
        for i in range(first, last):
            if queue.time[i] >= since:
                neuron = np.uint64(queue.target[i]) & mask
                if not many:
                    touch(block, neuron)
                counted[neuron] += 1
        chunk = following
    if many:
        touch_counted(block)


@inlined
def mark_touched(block):  # type: ignore[no-untyped-def]
    """Let :func:`touch_counted` touch again what is touched now."""
    for p in range(np.uint64(block.lo.size)):
        for i in range(np.uint64(block.first[p]), np.uint64(block.first[p] + block.n_touched[p])):
            block.counted[np.uint64(block.touched[i])] = WOKEN
        block.n_touched[p] = 0


@inlined
def touch_counted(block):  # type: ignore[no-untyped-def]
    """Touch all neurons that have events or are marked."""
    counted, touched = block.counted, block.touched
    for p in range(np.uint64(block.lo.size)):
        first = np.uint64(block.first[p])
        at = first
        for neuron in range(first, np.uint64(block.first[p + 1])):
            c = counted[neuron]
            some = c != 0
            touched[at] = neuron
            counted[neuron] = (c & (WOKEN - 1)) + some
            at += np.uint64(some)
        block.n_touched[p] = at - first


@kernel
def part_of(t, begin, scale, parts):  # type: ignore[no-untyped-def]
    """The part of the window that holds ``t``."""
    return min(max(np.int64((t - begin) * scale), 0), parts - 1)


@inlined
def order_inbox(block, scratch, begin, scale, parts):  # type: ignore[no-untyped-def]
    """Order the inbox by part of the window, into scratch.inbox_order; block.bins[q] is where part q ends then."""
    bins, order, time = block.bins, scratch.inbox_order, scratch.inbox_time
    n = np.uint64(block.counts[INBOX])
    for q in range(parts + 1):
        bins[q] = 0
    for i in range(n):
        bins[np.uint64(part_of(time[i], begin, scale, parts) + 1)] += 1
    for q in range(1, parts + 1):
        bins[q] += bins[q - 1]
    for i in range(n):
        q = np.uint64(part_of(time[i], begin, scale, parts))
        order[np.uint64(bins[q])] = i
        bins[q] += 1


@inlined
def arrange(block):  # type: ignore[no-untyped-def]
    """Order the touched neurons and give each its place in Scratch; the number of places."""
    at = np.int64(0)
    for p in range(np.uint64(block.lo.size)):
        if block.n_touched[p] == 0:
            continue
        by_count(block, p)
        begin, stop = np.uint64(block.first[p]), np.uint64(block.first[p] + block.n_touched[p])
        for first in range(begin, stop, L):
            for lane in range(min(L, stop - first)):
                block.end[np.uint64(block.order[first + lane])] = at + np.int64(lane)
            at += LANES * (np.int64(block.counted[np.uint64(block.order[first])]) - 1)
    return at


@inlined
def forget_counts(block):  # type: ignore[no-untyped-def]
    """Undo :func:`count_events`; neurons stay touched."""
    for p in range(np.uint64(block.lo.size)):
        for i in range(np.uint64(block.first[p]), np.uint64(block.first[p] + block.n_touched[p])):
            block.counted[np.uint64(block.touched[i])] = 1


@inlined
def place_events(net, block, queue, scratch, edges, slot, k):  # type: ignore[no-untyped-def]
    """Write the events of every touched neuron to scratch, where :func:`arrange` says.

    Inbox and rows are written part by part of the window: a neuron then finds its events nearly sorted.
    """
    since = block.since[0]
    bits, mask = np.uint64(net.bits), np.uint64((1 << net.bits) - 1)
    time, weight, receptor, end = scratch.time, scratch.weight, scratch.receptor, block.end
    parts = min(block.counts[INBOX], PARTS)
    begin, scale = k * net.width, parts / net.width
    inbox = block.counts[INBOX] > 0
    if inbox:
        order_inbox(block, scratch, begin, scale, parts)
    chunk = np.int64(queue.row_head[slot])
    row = np.uint64(chunk) << ROW
    for part in range(parts if inbox else 1):
        if inbox:
            for j in range(np.uint64(block.bins[part - 1] if part > 0 else 0), np.uint64(block.bins[part])):
                i = np.uint64(scratch.inbox_order[j])
                if scratch.inbox_time[i] >= since:
                    code = scratch.inbox_target[i]
                    neuron = np.uint64(code) & mask
                    e = np.uint64(end[neuron])
                    end[neuron] = np.int64(e + L)
                    time[e], weight[e] = scratch.inbox_time[i], scratch.inbox_weight[i]
                    receptor[e] = CURRENT_CODE if code < 0 else code >> np.int64(bits)
        while chunk > 0:
            following = np.int64(queue.row_next[chunk])
            last = (np.uint64(chunk) << ROW) + ROW_LAST + _ONE if following > 0 else queue.row_end[slot]
            while row < last:
                t = queue.row_time[row]
                if inbox and part_of(t, begin, scale, parts) > part:
                    break
                if t >= since:
                    r, g = np.uint64(queue.row[row]), np.uint64(queue.row_group[row])
                    w, shift = edges.weight[g], edges.weight_shift[g]
                    for j in range(np.uint64(edges.rows[r]), np.uint64(edges.rows[r + _ONE])):
                        code = np.uint64(edges.targets[j])
                        neuron = code & mask
                        e = np.uint64(end[neuron])
                        end[neuron] = np.int64(e + L)
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
                end[neuron] = np.int64(e + L)
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
    """Sort the ``n`` events of a lane by time, keeping the order of equal ones; they come nearly sorted."""
    time, weight, receptor = scratch.time, scratch.weight, scratch.receptor
    for i in range(begin + L, begin + np.uint64(n) * L, L):
        t = time[i]
        if t < time[i - L]:
            w, r = weight[i], receptor[i]
            j = i
            while j > begin and time[j - L] > t:
                time[j], weight[j], receptor[j] = time[j - L], weight[j - L], receptor[j - L]
                j -= L
            time[j], weight[j], receptor[j] = t, w, r
