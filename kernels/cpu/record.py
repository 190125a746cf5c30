"""Collect spikes and sample states (phases 3 and 5)."""

import numpy as np

from kernels.jit import inner, kernel

_ZERO, _ONE, _EIGHT = np.uint64(0), np.uint64(1), np.uint64(8)
GROUP = 64  # flags tested at once


@inner
def compact(flags, flags8, m, first_id, spikes, at):  # type: ignore[no-untyped-def]
    """Append first_id + i for every set flag i < m to spikes[at:]; returns the new end.

    Flags from m up to the next multiple of GROUP must be 0.
    """
    for g in range(np.uint64(0), (np.uint64(m) + np.uint64(7)) >> np.uint64(3), np.uint64(8)):
        some = flags8[g]
        for w in range(g + _ONE, g + _EIGHT):
            some |= flags8[w]
        if some != _ZERO:
            for w in range(g, g + _EIGHT):
                if flags8[w] != _ZERO:  # written in any case, kept if it spiked: a branch would be guessed wrong
                    for i in range(w * _EIGHT, min(w * _EIGHT + _EIGHT, np.uint64(m))):
                        spikes[at] = first_id + i
                        at += np.uint64(flags[i])
    return at


@inner
def record_window(places, sync, half, steps, chunk_step):  # type: ignore[no-untyped-def]
    """Append the window's spikes of recorded populations to the record, ordered by (step, global id).

    Of this process's blocks alone.
    """
    n_populations = places.lo.shape[1]
    size = sync.record_size[0]
    for offset in range(steps):
        before = size
        for p in range(n_populations):
            if places.recorded[p]:
                gid = np.uint32(places.gid[p])
                for b in range(places.first_block[0], places.first_block[-1]):
                    where = places.spikes[b, p] + half * (sync.spikes.size // 2)
                    first = sync.counts[half, b, p, offset - 1] if offset > 0 else 0
                    for j in range(where + first, where + sync.counts[half, b, p, offset]):
                        sync.record[size] = gid + sync.spikes[j]
                        size += 1
        sync.record_count[chunk_step + offset] = size - before
    sync.record_size[0] = size


@kernel
def spikes_of(record, counts, start, dt, gid, n, times, ids):  # type: ignore[no-untyped-def]
    """Times in ms and local ids of the recorded spikes of global ids gid .. gid + n - 1; returns how many.

    counts[k]: spikes recorded in step start + k, which end at (start + k + 1) dt.
    """
    at, j = np.uint64(0), np.uint64(0)
    for k in range(counts.size):
        t = (start + k + 1) * dt
        for _ in range(counts[k]):
            i = np.int64(record[j]) - gid
            if 0 <= i < n:
                times[at], ids[at] = t, i
                at += _ONE
            j += _ONE
    return at


@inner
def sample(tables, probes, state, block, step, chunk_start):  # type: ignore[no-untyped-def]
    """Sample the block's part of every probe that is due at the end of ``step``."""
    for q in range(probes.population.size):
        every = probes.every[q]
        if (step + 1) % every == 0:
            p = probes.population[q]
            lo, hi = tables.lo[block, p], tables.hi[block, p]
            first, last = probes.first[q], probes.first[q + 1]
            row = (step + 1) // every - chunk_start // every - 1
            at = probes.at[q] + row * (last - first)
            j = first + np.searchsorted(probes.ids[first:last], lo)
            while j < last and probes.ids[j] < hi:
                index = probes.offset[q] + probes.ids[j]
                probes.samples[at + j - first] = state.i[index] if probes.is_int[q] else state.f[index]
                j += 1
