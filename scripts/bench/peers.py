"""Volley beside NEST and Brian2 (C++ standalone) on the same models and threads, in one run.

    python scripts/bench/peers.py --models brunel microcircuit --peers nest brian2 --repeat 3

Each simulator runs in a fresh process, in turn within each repetition, so that a change of the machine's load hits all
of them. The time is wall time of the simulation alone, without building and compiling; processor time is beside it,
which other load on the machine disturbs less (but threads that spin while they wait count). Prints medians, the range
and the ratios to Volley, each taken within a repetition, as Markdown, with rate, CV of intervals and synchrony, which
must agree. ``OMP_WAIT_POLICY=passive`` in the environment keeps NEST's and Brian2's threads from spinning, which on a
machine with other load they need.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MODELS = {  # model time in ms, threads of one run
    "brunel": (500.0, 2),
    "microcircuit": (1000.0, 2),
    "cuba": (2000.0, 1),
    "coba": (2000.0, 1),
    "izhikevich": (5000.0, 1),
    "izhikevich10k": (1000.0, 2),
    "cuba_ps": (2000.0, 1),  # in continuous time: the event engine beside NEST's precise models
    "brunel_ps": (1000.0, 1),
}
SIMULATORS = ("volley", "nest", "brian2")
MISSING = {("brian2", "cuba_ps"), ("brian2", "brunel_ps")}  # spikes of Brian2 lie on the grid
TRANSIENT = 100.0


def worker(simulator: str, model: str, threads: int, seed: int, duration: float) -> None:
    """Run one model in this process and print what was measured as JSON."""
    sys.path.insert(0, str(HERE))
    import importlib

    from common import peak_rss

    run = importlib.import_module(f"models_{simulator}").run(model, threads, seed, duration)
    out: dict[str, Any] = {
        k: getattr(run, k) for k in ("neurons", "synapses", "build", "compile", "wall", "cpu", "grown")
    }
    out |= run.statistics(duration, TRANSIENT)
    out["peak"] = run.peak if run.peak is not None else peak_rss()
    out["events"] = float(run.times.size) * run.synapses / run.neurons
    print("RESULT " + json.dumps(out))


def call(simulator: str, model: str, threads: int, seed: int, duration: float) -> dict[str, Any]:
    """The same in a fresh process."""
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join([str(HERE.parents[1]), environment.get("PYTHONPATH", "")])
    command = [
        sys.executable, str(Path(__file__).resolve()), "--worker",
        simulator, model, str(threads), str(seed), str(duration),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    for line in done.stdout.splitlines():
        if line.startswith("RESULT "):
            return json.loads(line[7:])
    raise RuntimeError(f"{simulator} {model}: no result\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "checkout"


def header() -> str:
    """Versions and processors."""
    rows = [f"{p} {_version(p)}" for p in ("volley-snn", "numpy", "numba", "nest-simulator", "brian2")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"Python {platform.python_version()}, " + ", ".join(rows) + f"; {cores} cores"


def table(model: str, threads: int, duration: float, results: dict[str, list[dict[str, Any]]]) -> str:
    """Markdown of one model."""
    ours = results["volley"]
    lines = [
        f"### {model}, {threads} thread{'s' if threads > 1 else ''}, {duration:g} ms",
        "",
        "| simulator | real-time factor | range | over Volley | CPU s/s | over Volley | ns/event | build s "
        "| compile s | peak MB | B/synapse | rate Hz | CV | var/mean |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, runs in results.items():

        def median(key: str, runs: list[dict[str, Any]] = runs) -> float:
            return statistics.median(r[key] for r in runs)

        factors = [r["wall"] / duration * 1000.0 for r in runs]
        ratio, cpu_ratio = (
            statistics.median(f[key] / o[key] for f, o in zip(runs, ours, strict=True)) for key in ("wall", "cpu")
        )
        memory = f"{median('grown') / median('synapses'):.1f}" if median("synapses") > 1e6 else "-"
        per_event = statistics.median(r["wall"] / max(r["events"], 1.0) * 1e9 for r in runs)
        lines.append(
            f"| {name} | {statistics.median(factors):.3g} | {min(factors):.3g}-{max(factors):.3g} | {ratio:.2f} "
            f"| {median('cpu') / duration * 1000.0:.3g} | {cpu_ratio:.2f} | {per_event:.1f} | {median('build'):.2f} "
            f"| {median('compile'):.1f} | {median('peak') / 1e6:.0f} | {memory} | {median('rate'):.2f} "
            f"| {median('cv'):.2f} | {median('synchrony'):.1f} |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--peers", nargs="*", choices=SIMULATORS[1:], default=list(SIMULATORS[1:]))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--duration", type=float, help="ms of model time [each model's own]")
    parser.add_argument("--threads", type=int, help="[each model's own]")
    parser.add_argument("--seed", type=int, default=1, help="of the first repetition; the next take the next seeds")
    parser.add_argument("--no-limit", action="store_true", help="leave out the machine's own limit")
    parser.add_argument("--worker", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        simulator, model, threads, seed, duration = options.worker
        worker(simulator, model, int(threads), int(seed), float(duration))
        return
    print(header() + "\n", flush=True)
    if not options.no_limit:
        subprocess.run([sys.executable, str(HERE / "limits.py")], check=True)
        print(flush=True)
    for model in options.models:
        duration, threads = MODELS[model]
        duration, threads = options.duration or duration, options.threads or threads
        results: dict[str, list[dict[str, Any]]] = {
            s: [] for s in ("volley", *options.peers) if (s, model) not in MISSING
        }
        call("volley", model, threads, options.seed, TRANSIENT + 10.0)  # fills the kernel cache
        for repetition in range(options.repeat):
            for simulator, runs in results.items():
                runs.append(call(simulator, model, threads, options.seed + repetition, duration))
                print(f"  {model} {simulator} {runs[-1]['wall'] / duration * 1000.0:.3g}", file=sys.stderr, flush=True)
        print(table(model, threads, duration, results), flush=True)


if __name__ == "__main__":
    main()
