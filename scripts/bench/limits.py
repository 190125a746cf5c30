"""The machine's own limit for what a simulator spends its time on: plain loops in Numba, on random rows.

    python scripts/bench/limits.py

scatter, constant weight: 12,500 rows of 1,250 uint16 targets, one weight, one delay, float64 ring of 16 slots: the
delivery of Brunel's network and nothing else. scatter, weights and delays: the same with a float32 weight and a uint8
delay a synapse, ring of 64 slots. With two threads each owns half of the targets, its own rows and ring, and walks the
same spikes. decay: x = a x + b over an array that stays in cache. Figures are nanoseconds of the whole machine an event
(or element), best of several, so that other load on the machine counts least.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np

N, DEGREE = 12500, 1250


@numba.njit(nogil=True, error_model="numpy")
def scatter_constant(rows, targets, spikes, per_step, weight, ring, stride, mask):
    """Deliver ``spikes``, ``per_step`` a step, with one weight and a delay of 15 steps."""
    for j in range(np.uint64(spikes.size)):
        i = np.uint64(spikes[j])
        base = ((j // per_step + np.uint64(15)) & mask) * stride
        for k in range(np.uint64(rows[i]), np.uint64(rows[i + np.uint64(1)])):
            ring[base + np.uint64(targets[k])] += weight


@numba.njit(nogil=True, error_model="numpy")
def scatter_varying(rows, targets, weights, delays, spikes, per_step, ring, stride, mask):
    """Deliver ``spikes`` with a weight and a delay a synapse."""
    for j in range(np.uint64(spikes.size)):
        i = np.uint64(spikes[j])
        step = j // per_step
        for k in range(np.uint64(rows[i]), np.uint64(rows[i + np.uint64(1)])):
            slot = (step + np.uint64(delays[k])) & mask
            ring[slot * stride + np.uint64(targets[k])] += weights[k]


@numba.njit(nogil=True, error_model="numpy")
def decay(x, a, b, times):
    """x = a x + b, ``times`` times."""
    for _ in range(times):
        for i in range(np.uint64(x.size)):
            x[i] = a * x[i] + b


def best(work: Callable[[int], None], threads: int, repeat: int = 7) -> float:
    """Least wall seconds of ``work(thread)`` on ``threads`` threads."""
    times = []
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))
        for _ in range(repeat):
            begin = time.perf_counter()
            list(pool.map(work, range(threads)))
            times.append(time.perf_counter() - begin)
    return min(times)


def scatter(threads: int, varying: bool, n: int = N, degree: int = DEGREE, n_spikes: int = 20000) -> float:
    """Nanoseconds of the machine per synaptic event."""
    rng = np.random.default_rng(1)
    stride, slots = n // threads, 64 if varying else 16
    spikes = rng.integers(0, n, n_spikes).astype(np.uint32)
    parts = []
    for _ in range(threads):
        lengths = rng.binomial(degree, 1.0 / threads, n) if threads > 1 else np.full(n, degree)
        rows = np.concatenate(([0], np.cumsum(lengths)))
        targets = rng.integers(0, stride, rows[-1]).astype(np.uint16)
        weights = rng.random(rows[-1], np.float32) if varying else np.empty(0, np.float32)
        delays = rng.integers(1, 40, rows[-1]).astype(np.uint8) if varying else np.empty(0, np.uint8)
        parts.append((rows, targets, weights, delays, np.zeros(slots * stride)))
    size, mask, per_step = np.uint64(stride), np.uint64(slots - 1), np.uint64(46)

    def work(thread: int) -> None:
        rows, targets, weights, delays, ring = parts[thread]
        if varying:
            scatter_varying(rows, targets, weights, delays, spikes, per_step, ring, size, mask)
        else:
            scatter_constant(rows, targets, spikes, per_step, 0.1, ring, size, mask)

    return best(work, threads) / (n_spikes * degree) * 1e9


def decay_time(threads: int, n: int = 10000, times: int = 2000) -> float:
    """Nanoseconds of the machine per element and step."""
    arrays = [np.ones(n // threads) for _ in range(threads)]
    return best(lambda t: decay(arrays[t], 0.9, 0.1, times), threads) / (n * times) * 1e9


def measure(threads: tuple[int, ...] = (1, 2)) -> dict[str, dict[int, float]]:
    """All limits by name and number of threads."""
    return {
        "scatter, constant weight": {t: scatter(t, False) for t in threads},
        "scatter, weights and delays": {t: scatter(t, True) for t in threads},
        "decay": {t: decay_time(t) for t in threads},
    }


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args(arguments)
    print("### The machine's own limit (ns of the whole machine)\n")
    print("| loop | 1 thread | 2 threads |\n|---|--:|--:|")
    for name, row in measure().items():
        print(f"| {name} | {row[1]:.2f} | {row[2]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
