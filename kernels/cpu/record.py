"""Collect spikes and sample states (phases 3 and 5)."""

import numpy as np

from kernels.jit import kernel

_ZERO, _ONE, _EIGHT = np.uint64(0), np.uint64(1), np.uint64(8)


@kernel
def compact(flags, flags8, m, first_id, spikes, at):  # type: ignore[no-untyped-def]
    """Append first_id + i for every set flag i < m to spikes[at:]; returns the new end. Eight flags are tested at once.

    Flags from m up to the next multiple of eight must be 0.
    """
    for w in range((np.uint64(m) + np.uint64(7)) >> np.uint64(3)):
        if flags8[w] != _ZERO:
            base = w * _EIGHT
            for i in range(base, base + _EIGHT):
                if flags[i]:
                    spikes[at] = first_id + i
                    at += _ONE
    return at


@kernel
def record_window(tables, sync, half, steps, chunk_step):  # type: ignore[no-untyped-def]
    """Append the window's spikes of recorded populations to the record, ordered by (step, global id)."""
    n_blocks, n_populations = tables.lo.shape
    size = sync.record_size[0]
    for offset in range(steps):
        before = size
        for p in range(n_populations):
            if tables.recorded[p]:
                gid = np.uint32(tables.gid[p])
                for b in range(n_blocks):
                    where = tables.spikes[b, p] + half * (sync.spikes.size // 2)
                    first = sync.counts[half, b, p, offset - 1] if offset > 0 else 0
                    for j in range(where + first, where + sync.counts[half, b, p, offset]):
                        sync.record[size] = gid + sync.spikes[j]
                        size += 1
        sync.record_count[chunk_step + offset] = size - before
    sync.record_size[0] = size


@kernel
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
