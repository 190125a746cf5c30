"""Deliver the spikes of a window to the ring buffers (phase 4): one function for each storage kind.

Names end in the storage of weight, then delay: c constant in a group, v one a synapse. All indices are unsigned: Numba
then needs no test for negative ones (about half of the time of a synaptic event).
"""

import numpy as np

from kernels.jit import kernel


@kernel
def row_table(edges, group, block):  # type: ignore[no-untyped-def]
    """Where the rows of a group in a block begin."""
    return np.uint64(edges.at[group] + block * (edges.n_source[group] + 1))


@kernel
def row_cc(ring, base, targets, weight, lo, hi):  # type: ignore[no-untyped-def]
    """Add ``weight`` for each target; base already points to the slot."""
    for k in range(lo, hi):
        ring[base + np.uint64(targets[k])] += weight


@kernel
def row_vc(ring, base, targets, weights, lo, hi):  # type: ignore[no-untyped-def]
    """Add each synapse's weight; base already points to the slot."""
    for k in range(lo, hi):
        ring[base + np.uint64(targets[k])] += weights[k]


@kernel
def row_cv(ring, base, targets, weight, delays, lo, hi, step, mask, stride):  # type: ignore[no-untyped-def]
    """Add ``weight`` for each target to the slot of its delay."""
    for k in range(lo, hi):
        slot = (step + np.uint64(delays[k])) & mask
        ring[base + slot * stride + np.uint64(targets[k])] += weight


@kernel
def row_vv(ring, base, targets, weights, delays, lo, hi, step, mask, stride):  # type: ignore[no-untyped-def]
    """Add each synapse's weight to the slot of its delay."""
    for k in range(lo, hi):
        slot = (step + np.uint64(delays[k])) & mask
        ring[base + slot * stride + np.uint64(targets[k])] += weights[k]


_TEMPLATE = '''
@kernel
def deliver(tables, edges, ring, sync, half, block, start, steps):
    """Deliver all spikes of the window [start, start + steps) to ``block``."""
    mask = np.uint64(tables.ring_mask)
    stride = np.uint64(tables.stride[block])
    origin = np.uint64(tables.ring[block])
    spikes, targets, rows = sync.spikes, edges.targets, edges.rows
    weights, delays = edges.weights, edges.delays
    n_blocks, n_populations = tables.lo.shape
    for offset in range(steps):
        step = np.uint64(start + offset)
        for p in range(n_populations):
            g0, g1 = edges.by_source[p], edges.by_source[p + 1]
            if g0 == g1:
                continue
            for b in range(n_blocks):
                first = sync.counts[half, b, p, offset - 1] if offset > 0 else 0
                last = sync.counts[half, b, p, offset]
                if first == last:
                    continue
                where = tables.spikes[b, p] + half * (sync.spikes.size // 2)
                for j in range(np.uint64(where + first), np.uint64(where + last)):
                    i = np.uint64(spikes[j])
                    for g in range(g0, g1):
                        r = row_table(edges, g, block) + i
                        lo, hi = np.uint64(rows[r]), np.uint64(rows[r + np.uint64(1)])
                        {call}
'''
_CONSTANT_DELAY = "base = origin + ((step + np.uint64(edges.delay[g])) & mask) * stride\n" + " " * 24
_CALLS = {
    "cc": _CONSTANT_DELAY + "row_cc(ring, base, targets, edges.weight[g], lo, hi)",
    "vc": _CONSTANT_DELAY + "row_vc(ring, base, targets, weights, lo, hi)",
    "cv": "row_cv(ring, origin, targets, edges.weight[g], delays, lo, hi, step, mask, stride)",
    "vv": "row_vv(ring, origin, targets, weights, delays, lo, hi, step, mask, stride)",
}


def source(kind: str) -> str:
    """Source text of ``deliver`` for a storage kind."""
    return _TEMPLATE.format(call=_CALLS[kind])
