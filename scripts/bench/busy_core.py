"""How much a run on all cores loses when another process takes one of them.

    python scripts/bench/busy_core.py

Brunel's network on as many threads as there are cores, alone and beside a process that keeps one core busy, in turn.
Losing that core costs a factor of cores / (cores - 1/2) where the scheduler shares fairly, at worst cores / (cores - 1)
with one thread a core; spinning barriers cost more.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

BUSY = "while True: pass"


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--duration", type=float, default=300.0, help="ms a run [300]")
    parser.add_argument("--threads", type=int, default=cores, help="[cores]")
    options = parser.parse_args(arguments)
    import brunel_2000

    import snn

    sims = {t: snn.Simulation(brunel_2000.build(), dt=0.1, threads=t, quiet=True) for t in (1, options.threads)}
    for sim in sims.values():
        sim.run(100.0)

    def run(threads: int) -> float:
        begin = time.perf_counter()
        sims[threads].run(options.duration)
        return (time.perf_counter() - begin) / options.duration * 1000.0

    times: dict[str, list[float]] = {"alone": [], "beside": [], "one thread alone": []}
    for _ in range(options.repeat):
        times["alone"].append(run(options.threads))
        times["one thread alone"].append(run(1))
        other = subprocess.Popen([sys.executable, "-c", BUSY])
        try:
            time.sleep(0.2)
            times["beside"].append(run(options.threads))
        finally:
            other.kill()
            other.wait()
    print(f"### Brunel N = 12,500 on {options.threads} threads, {cores} cores (real-time factors)\n")
    print("| | median | range |\n|---|--:|--:|")
    for name, values in times.items():
        print(f"| {name} | {statistics.median(values):.2f} | {min(values):.2f}-{max(values):.2f} |")
    alone, beside = statistics.median(times["alone"]), statistics.median(times["beside"])
    print(f"\nslowdown with one core taken: {beside / alone:.2f}")


if __name__ == "__main__":
    main()
