"""The benchmark models in Volley: the networks of scripts/examples."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

import brunel_2000
import izhikevich_2003
import potjans_diesmann_2014
import vogels_abbott_2005
from common import Run, rss

import snn

NETWORKS: dict[str, Callable[[int], snn.Network]] = {
    "brunel": lambda seed: brunel_2000.build(seed=seed),
    "microcircuit": lambda seed: potjans_diesmann_2014.build(scale=0.1, seed=seed),
    "cuba": lambda seed: vogels_abbott_2005.build("CUBA", seed=seed),
    "coba": lambda seed: vogels_abbott_2005.build("COBA", seed=seed),
    "izhikevich": lambda seed: izhikevich_2003.build(1000, seed=seed),
    "izhikevich10k": lambda seed: izhikevich_2003.build(10000, seed=seed),
    "cuba_ps": lambda seed: vogels_abbott_2005.build("CUBA", seed=seed),
    "brunel_ps": lambda seed: brunel_2000.build(1250, j=1.0, seed=seed),
}


def run(model: str, threads: int, seed: int, duration: float, precision: str = "float64") -> Run:
    """Build and run ``model``; the kernels come from the cache where they are there."""
    net = NETWORKS[model](seed)
    before = rss()
    begin = time.perf_counter()
    dt, engine = 1.0 if model.startswith("izh") else 0.1, "event" if model.endswith("_ps") else "clock"
    sim = snn.Simulation(net, dt=dt, engine=engine, threads=threads, precision=precision)
    ready = time.perf_counter() - begin
    after = rss()
    begin, cpu = time.perf_counter(), time.process_time()
    result = sim.run(duration)
    wall, cpu = time.perf_counter() - begin, time.process_time() - cpu
    firsts = np.concatenate(([0], np.cumsum([r.n_nodes for r in result.spikes.values()])))
    times = np.concatenate([r.times for r in result.spikes.values()])
    ids = np.concatenate([r.ids + first for r, first in zip(result.spikes.values(), firsts[:-1], strict=True)])
    return Run(
        neurons=int(firsts[-1]), synapses=sim.compiled.n_edges, build=sim.build_seconds,
        compile=ready - sim.build_seconds, wall=wall, cpu=cpu, grown=after - before, times=times, ids=ids,
    )  # fmt: skip
