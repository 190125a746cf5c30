"""Time from the start of a process to the first spike of Brunel's network of 1,000 neurons, cold and warm.

    python scripts/bench/first_spike.py

Cold: an empty kernel cache, so that everything is compiled. Warm: the cache that the cold process left.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent


def worker() -> None:
    """Import, build, compile, run to the first spike; print the seconds since the process began as JSON."""
    begin = time.perf_counter()
    import snn

    imported = time.perf_counter() - begin
    sys.path.insert(0, str(HERE.parent / "examples"))
    import brunel_2000

    sim = snn.Simulation(brunel_2000.build(n=1000, j=0.5), dt=0.1)
    ready = time.perf_counter() - begin
    while not any(len(r) for r in sim.run(5.0).spikes.values()):
        pass
    print("RESULT " + json.dumps({"import": imported, "ready": ready, "spike": time.perf_counter() - begin}))


def call(cache: str) -> dict[str, float]:
    """The worker in a fresh process with its kernel cache in ``cache``; "process" is its whole wall time."""
    environment = dict(os.environ, VOLLEY_CACHE_DIR=cache)
    environment["PYTHONPATH"] = os.pathsep.join([str(HERE.parents[1]), environment.get("PYTHONPATH", "")])
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, str(Path(__file__).resolve()), "--worker"], capture_output=True, text=True, env=environment,
        check=True,
    )  # fmt: skip
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    return json.loads(line[7:]) | {"process": time.perf_counter() - begin}


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3, help="warm processes [3]")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        worker()
        return
    print("### First spike, Brunel N = 1,000 (seconds)\n")
    print("| cache | import snn | ready to run | first spike | whole process |\n|---|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as cache:
        for name in ("cold", *["warm"] * options.repeat):
            r = call(cache)
            row = " | ".join(f"{r[key]:.2f}" for key in ("import", "ready", "spike", "process"))
            print(f"| {name} | {row} |", flush=True)


if __name__ == "__main__":
    main()
