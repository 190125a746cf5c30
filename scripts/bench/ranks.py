"""One network on several MPI processes: time by part, memory of a rank, and a hash of what came out.

    mpiexec -n 2 python scripts/bench/ranks.py brunel --threads 1 --duration 200

Rank 0 prints one JSON line: seconds of the simulation, of waiting for and exchanging spikes (the slowest rank's), of
building; megabytes by which a rank's memory grew, and of its arrays; spikes and their hash, which is the same for any
number of ranks and threads.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time

import numpy as np
from common import rss
from models_volley import NETWORKS

import snn
from snn.ranks import world


def main() -> None:
    """Run, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", choices=sorted(NETWORKS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--duration", type=float, default=200.0, help="ms of model time")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    comm = world()
    net = NETWORKS[given.network](given.seed)
    before = rss()
    sim = snn.Simulation(net, threads=given.threads, comm=comm, quiet=True)
    held = rss() - before
    spent = [0.0, 0]
    engine = sim._drive.engine
    exchange = engine._exchange

    def timed(stop: int) -> None:
        begin = time.perf_counter()
        exchange(stop)
        spent[0] += time.perf_counter() - begin
        spent[1] += 1

    engine._exchange = timed
    begin = time.perf_counter()
    result = sim.run(given.duration)
    wall = time.perf_counter() - begin
    digest = hashlib.sha256()
    for record in result.spikes.values():
        digest.update(np.ascontiguousarray(record.times).data)
        digest.update(np.ascontiguousarray(record.ids).data)
    measured = {"wall": wall, "exchange": spent[0], "windows": spent[1], "build": sim.build_seconds, "held": held}
    measured |= {f"{part} bytes": n for part, n in sim.compiled.nbytes().items()}
    all_ = [measured] if comm is None else comm.allgather(measured)
    if comm is None or comm.rank == 0:
        print(json.dumps({
            "network": given.network, "ranks": len(all_), "threads": given.threads, "duration": given.duration,
            "wall": max(x["wall"] for x in all_), "exchange": max(x["exchange"] for x in all_),
            "windows": spent[1], "build": max(x["build"] for x in all_),
            "rank MB": {
                part: round(max(x[part] for x in all_) / 1e6, 2)
                for part in ("held", "edges bytes", "state bytes", "plasticity bytes")
            }, "synapses": sim.compiled.n_edges,
            "spikes": sum(len(r) for r in result.spikes.values()), "hash": digest.hexdigest()[:16],
        }))  # fmt: skip


if __name__ == "__main__":
    main()
