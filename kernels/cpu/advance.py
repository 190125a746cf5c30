# The types of compiled code are Numba's.
# mypy: disable-error-code="assignment,arg-type"
"""The loop over steps, one for all networks: a network's own functions are called at their addresses."""

import numpy as np

from kernels.cpu.deliver import drain
from kernels.cpu.inputs import any_active, apply, emit, words_of_step
from kernels.cpu.record import compact, record_window, sample
from kernels.cpu.sync import wait
from kernels.entry import call, call_int
from kernels.jit import inner, kernel, stay_apart
from kernels.layout import EXCHANGE, Places


@inner
def several(addresses, more):  # type: ignore[no-untyped-def]
    """Whether there are two functions or more, of these and ``more``."""
    for k in range(addresses.size):
        if addresses[k] != 0:
            more += 1
    return more > 1


@inner
def show(state, at, g, m, row):  # type: ignore[no-untyped-def]
    """Copy potentials of ``m`` neurons to where the junctions of other threads see them in the next step."""
    v = state.v[row]
    for i in range(np.uint64(m)):
        v[np.uint64(g) + i] = state.f[np.uint64(at) + i]


@kernel
def advance(  # type: ignore[no-untyped-def]
    thread, start, stop, tables, constants, state, inputs, entries, lists, learned, queue, probes, sync, counts,
    normals, resumed,
):  # fmt: skip
    """Advance from step ``start`` to ``stop``, or until the record is nearly full; returns the step reached.

    Returns -1 where the thread's queue could overflow in a window's delivery: call again with a larger one, resumed;
    EXCHANGE where the window's spikes are to be exchanged with other processes: call again, resumed. ``lists`` holds
    the edges of each storage kind, ``learned`` edges and state of plastic projections (see kernels/packed.py).
    Phases as numbered in kernels/reference/engine.py.
    """
    stay_apart()
    n_threads = tables.first_block.size - 1
    n_blocks, n_populations = tables.lo.shape
    first_block, last_block = tables.first_block[thread], tables.first_block[thread + 1]
    flags = sync.flags[thread]
    flags8 = flags.view(np.uint64)
    scratch = counts[thread]
    room = sync.record.size - sync.spikes.size
    places = Places(
        tables.ring_mask, tables.queue_mask, tables.first_block, tables.gid, tables.recorded, tables.lo,
        tables.stride, tables.ring, tables.spikes,
    )  # fmt: skip
    half_size = sync.spikes.size // 2
    # an accumulator's sum must not depend on where a window ends: what several add to goes step by step
    together = 1 if several(entries.deliver, entries.learn.size) or several(entries.enqueue, 0) else tables.window
    begin = start
    window_number = 0
    if resumed:
        begin, window_number = sync.resume[thread, 0], sync.resume[thread, 1]
    while begin < stop:
        steps = min(tables.window, stop - begin)
        half = window_number & 1
        for block in range(first_block, last_block if not resumed else first_block):
            for offset in range(steps):
                step = begin + offset
                ring_slot = tables.ring[block] + (step & tables.ring_mask) * tables.stride[block]
                if tables.queue_mask >= 0:
                    drain(queue, state.ring, ring_slot, block, step & tables.queue_mask)
                for p in range(n_populations):
                    lo, hi = tables.lo[block, p], tables.hi[block, p]
                    if lo == hi:
                        sync.counts[half, block, p, offset] = 0
                        continue
                    first = tables.spikes[block, p] + half * half_size
                    at = np.uint64(first)
                    if offset > 0:
                        at += np.uint64(sync.counts[half, block, p, offset - 1])
                    kind = tables.kind[p]
                    if kind < 0:
                        at = emit(inputs, state, p, lo, hi, step, start, scratch, sync.spikes, at)
                    else:
                        slot, g, words = ring_slot + tables.acc[block, p], tables.at[p] + lo, np.uint64(0)
                        if any_active(inputs, p, step):
                            apply(
                                inputs, state, p, lo, hi, slot, g, tables.current[p], step, start, scratch,
                                normals[thread],
                            )  # fmt: skip
                        for j in range(tables.draws[p] - 1, -1, -1):
                            own = tables.uniform[p] + j * 4 * tables.pad[p]
                            words = words_of_step(state, own, j, lo, hi, step, step == start, tables.key[p])
                        call(
                            entries.update[kind],
                            hi - lo, tables.pad[p], slot, tables.state_f[p] + lo, tables.state_i[p] + lo,
                            tables.par_f[p], tables.par_i[p], tables.het_f[p] + lo, tables.het_i[p] + lo, g, words,
                            state.f, state.i, state.ring, state.current, state.words, constants, flags,
                        )  # fmt: skip
                        if tables.v[p] >= 0:
                            show(state, tables.v[p] + lo, g, hi - lo, (step + 1) & 1)
                        for k in range(entries.watch.size):
                            if entries.watch[k] != 0:
                                call(entries.watch[k], learned, k, p, state.f, flags, lo, hi - lo, step)
                        at = compact(flags, flags8, hi - lo, lo, sync.spikes, at)
                    sync.counts[half, block, p, offset] = np.int64(at) - first
                if probes.population.size > 0:
                    sample(tables, probes, state, block, step, start)
        if not resumed:
            if thread == 0 and sync.record_size[0] > room:
                sync.stop[0] = begin + steps
            if tables.shared:
                sync.resume[thread, 0], sync.resume[thread, 1] = begin, window_number
                return EXCHANGE
            if n_threads > 1:
                wait(sync.arrived, (window_number + 1) * n_threads)
        if entries.needed.size > 0:
            wanted = (last_block - first_block) * (tables.queue_mask + 1)
            for block in range(first_block, last_block):
                for k in range(entries.needed.size):
                    if entries.needed[k] != 0:
                        wanted += call_int(entries.needed[k], places, lists, k, sync, half, block, steps)
            if wanted > queue.n_free[0]:
                sync.resume[thread, 0], sync.resume[thread, 1], sync.resume[thread, 2] = begin, window_number, wanted
                return -1
        resumed = False
        for block in range(first_block, last_block):
            for offset in range(0, steps, together):
                last = min(offset + together, steps)
                for k in range(entries.deliver.size):
                    if entries.deliver[k] != 0:
                        call(
                            entries.deliver[k], places, lists, k, state.ring, sync.spikes, sync.counts, half, block,
                            begin, offset, last,
                        )  # fmt: skip
                for k in range(entries.enqueue.size):
                    if entries.enqueue[k] != 0:
                        call(
                            entries.enqueue[k], places, lists, k, queue, sync.spikes, sync.counts, half, block, begin,
                            offset, last,
                        )  # fmt: skip
                for k in range(entries.learn.size):
                    call(
                        entries.learn[k], tables, learned, k, state.ring, sync, half, block, begin, offset, last,
                        entries.visit[k],
                    )  # fmt: skip
        if thread == 0:
            record_window(places, sync, half, steps, begin - start)
        window_number += 1
        begin += steps
        if begin == sync.stop[0]:
            break
    return begin
