"""Spikes of a window on their way to other processes: their blocks' counts and ids, packed one after another."""

import numpy as np

from kernels.jit import jit

_ONE = np.uint64(1)


@jit
def pack(places, counts, n_populations, first, last, final, base, spikes, out):  # type: ignore[no-untyped-def]
    """Copy the ids of blocks first .. last - 1 to ``out``, by block, then population; returns how many.

    places (B, P); counts (B, at least P, steps) up to and including step ``final``; ids begin at base + places.
    """
    at = np.uint64(0)
    for b in range(first, last):
        for p in range(n_populations):
            where = np.uint64(base + places[b, p])
            for j in range(where, where + np.uint64(counts[b, p, final])):
                out[at] = spikes[j]
                at += _ONE
    return np.int64(at)


@jit
def unpack(places, counts, n_populations, first, last, final, base, spikes, given):  # type: ignore[no-untyped-def]
    """The inverse of :func:`pack`: ids of blocks first .. last - 1 from ``given`` into ``spikes``."""
    at = np.uint64(0)
    for b in range(first, last):
        for p in range(n_populations):
            where = np.uint64(base + places[b, p])
            for j in range(where, where + np.uint64(counts[b, p, final])):
                spikes[j] = given[at]
                at += _ONE
