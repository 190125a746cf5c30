"""What the workers of peers.py share: a run's record and memory of this process."""

from __future__ import annotations

import resource
from dataclasses import dataclass

import numpy as np

LEARNING_RATE = 1e-3  # of pair STDP: multiplicative, time constants 20 ms, weights up to twice the initial one


@dataclass
class Run:
    """A model built and run once: seconds, bytes, and the spikes (times in ms, ids over all populations)."""

    neurons: int
    synapses: int
    build: float  # wall seconds to draw and lay out connections
    compile: float  # wall seconds of code generation and compilation
    wall: float  # wall seconds of the simulation
    cpu: float  # processor seconds of the simulation, nan where not known
    grown: int  # bytes by which memory grew while building
    times: np.ndarray
    ids: np.ndarray
    peak: int | None = None  # bytes; None: of this process

    def statistics(self, duration: float, transient: float) -> dict[str, float]:
        """Rate, mean CV of intervals, and variance over mean of the population's count in 2 ms, after ``transient``."""
        keep = self.times > transient
        times, ids = self.times[keep], self.ids[keep]
        order = np.lexsort((times, ids))
        gaps, owner = np.diff(times[order]), ids[order][1:]
        same = owner == ids[order][:-1]
        gaps, owner = gaps[same], owner[same]
        n = np.bincount(owner, minlength=self.neurons)
        mean = np.bincount(owner, gaps, self.neurons) / np.maximum(n, 1)
        square = np.bincount(owner, gaps**2, self.neurons) / np.maximum(n, 1)
        some = n >= 2
        cv = np.sqrt(np.maximum(square[some] - mean[some] ** 2, 0.0)) / mean[some]
        counts = np.histogram(times, np.arange(transient, duration + 1e-9, 2.0))[0]
        return {
            "rate": 1000.0 * times.size / self.neurons / (duration - transient),
            "cv": float(cv.mean()) if cv.size else float("nan"),
            "synchrony": float(counts.var() / max(counts.mean(), 1e-12)),
        }


def rss() -> int:
    """Bytes of memory this process holds now (0 where the system does not say)."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        return 0


def peak_rss() -> int:
    """Most bytes of memory this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
