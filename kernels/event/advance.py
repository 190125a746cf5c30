# The types of compiled code are Numba's.
# mypy: disable-error-code="assignment,arg-type"
"""The loop over windows, one for all networks: models and plasticity rules are called at their addresses."""

import numpy as np

from kernels.cpu.sync import wait
from kernels.entry import call, call_int
from kernels.event.calendar import clear_slot, next_window, window_of
from kernels.event.deliver import chunks_needed, deliver, next_spike, sort_spikes
from kernels.event.inputs import collect
from kernels.event.layout import (
    DONE,
    FAILED,
    FULL,
    GROW_HISTORY,
    GROW_INBOX,
    GROW_QUEUE,
    GROW_SCRATCH,
    INBOX,
    PARITY,
    PHASE,
    ROUND,
    WINDOW,
)
from kernels.event.window import arrange, count_events, few, forget_counts, place_events, place_few
from kernels.jit import kernel


@kernel
def advance(  # type: ignore[no-untyped-def]
    thread, stop, net, block, queue, scratch, edges, words, learned, entries, inputs, streams, sync
):
    """Advance to ``stop`` (ms), window by window; see kernels/event/engine.py for what it returns.

    ``words`` holds what the functions at ``entries`` take (kernels/packed.py), ``learned`` the plastic projections.
    """
    blocks = sync.n_spikes.shape[1]
    counts = block.counts
    k_stop = window_of(net, stop)
    room = sync.record_time.size - 2 * sync.spike_time.shape[1] * sync.spike_time.shape[2]  # two windows are to come
    while True:
        k, half = counts[WINDOW], counts[PARITY]
        if k > k_stop:
            return DONE
        complete = k < k_stop
        if counts[PHASE] == 0:
            slot = np.uint64(k & (net.slots - 1))
            if collect(net, block, scratch, inputs, streams, sync, thread, half, k, stop):
                return GROW_INBOX
            busy = queue.row_end[slot] > np.uint64(0) or queue.end[slot] > np.uint64(0)
            if not (few(block, queue, scratch, slot) and place_few(net, block, queue, scratch, slot)):
                if busy or counts[INBOX] > 0:
                    count_events(net, block, queue, scratch, edges, slot)
                wanted = arrange(block)
                if wanted > scratch.time.size:
                    forget_counts(block)
                    sync.wanted[thread, 0] = wanted
                    return GROW_SCRATCH
                if wanted > 0:
                    place_events(net, block, queue, scratch, edges, slot, k)
            for p in range(net.kind.size):
                if block.n_touched[p] > 0:
                    call(entries.process[net.kind[p]], words, thread, half, p, k, stop)
            if complete:
                counts[INBOX] = 0
                block.since[0] = -np.inf
                if busy:
                    clear_slot(net, block, queue, k)
            else:
                block.since[0] = stop
            n = sync.n_spikes[half, thread, 0]
            if n > 1:
                sort_spikes(
                    sync.spike_time[half, thread], sync.spike_id[half, thread], sync.spare_time[thread],
                    sync.spare_id[thread], n,
                )  # fmt: skip
            if sync.failed[thread, 0] > 0.0:
                sync.failed[thread, 4] = counts[ROUND] + 1  # others see it in this round, not before
            sync.next[half, thread, 0] = next_window(net, block, queue, k)
            if thread == 0 and sync.record_size[0] > room:
                sync.halt[0] = counts[ROUND]
            counts[ROUND] += 1
            if blocks > 1:
                wait(sync.arrived, counts[ROUND] * blocks)
            counts[PHASE] = 1
        spikes = 0
        following = sync.next[half, 0, 0]
        for b in range(blocks):
            if 0 < sync.failed[b, 4] <= counts[ROUND]:
                return FAILED
            spikes += sync.n_spikes[half, b, 0]
            following = min(following, sync.next[half, b, 0])
        if spikes > 0:
            rows, events = chunks_needed(net, edges, sync, half)
            if rows + net.slots > queue.row_n_free[0] or events + net.slots > queue.n_free[0]:
                sync.wanted[thread, 0], sync.wanted[thread, 1] = rows + net.slots, events + net.slots
                return GROW_QUEUE
            for q in range(entries.full.size):
                if call_int(entries.full[q], words, learned, q, thread, half) != 0:
                    sync.wanted[thread, 0] = q
                    return GROW_HISTORY
            for b in range(blocks):
                block.heads[b] = 0
            for _ in range(spikes):
                t, spike, p = next_spike(net, block, sync, half, thread == 0)
                deliver(net, block, queue, edges, t, spike, p, k)
                for q in range(entries.learn.size):
                    call(entries.learn[q], words, learned, q, t, spike, p, k)
            following = k + 1
        counts[PHASE] = 0
        counts[PARITY] = 1 - half
        sync.n_spikes[1 - half, thread, 0] = 0
        if not complete:
            return DONE
        counts[WINDOW] = following
        if sync.halt[0] == counts[ROUND] - 1:
            return FULL
