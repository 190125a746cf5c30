"""Time a neuron and step of equations given as text beside Brian2 (C++ standalone), and of the package's
``HodgkinHuxley`` beside NEST's ``hh_cond_exp_traub``; one thread, best of the rounds.

    python scripts/bench/equations.py [--neurons 4000] [--rounds 3]
    python scripts/bench/equations.py --models    # each model of the package by itself, as it is by default

The neuron of the COBAHH benchmark (Brette et al. 2007, doi:10.1007/s10827-007-0038-6), without synapses, with random
conductances at the begin, and that of Morris and Lecar (1981, doi:10.1016/S0006-3495(81)84782-0), each with its own
begin; Brian2 takes the same text. And a membrane with white noise, which Brian2 integrates by Euler's method.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

HODGKIN_HUXLEY = {
    "v": "(10 * (-60 - v) - g_ex * v + g_in * (-80 - v) - 20000 * m**3 * h * (v - 50) - 6000 * n**4 * (v + 90)) / 200",
    "m": "0.32 * 4 / exprel((-50 - v) / 4) * (1 - m) - 0.28 * 5 / exprel((v + 23) / 5) * m",
    "n": "0.032 * 5 / exprel((-48 - v) / 5) * (1 - n) - 0.5 * exp((-53 - v) / 40) * n",
    "h": "0.128 * exp((-46 - v) / 18) * (1 - h) - 4 / (1 + exp((-23 - v) / 5)) * h",
    "g_ex": "-g_ex / 5",
    "g_in": "-g_in / 10",
}
MORRIS_LECAR = {
    "v": "(90 - 2 * (v + 60) - 2.2 * (1 + tanh((v + 1.2) / 18)) * (v - 120) - 8 * n * (v + 84)) / 20",
    "n": "0.04 * (0.5 * (1 + tanh((v - 2) / 30)) - n) * cosh((v - 2) / 60)",
}
NOISY = {"v": "-(v + 65) / 20 + 3 * xi"}
HELD = {"v": (-65.0, -55.0), "g_ex": (0.0, 80.0), "g_in": (0.0, 300.0)}


@dataclass(frozen=True)
class Case:
    """Neurons, how they are integrated, and where they begin."""

    equations: dict[str, str]
    spans: dict[str, tuple[float, float]]
    method: str
    dt: float
    peer_method: str = ""  # where it is another


CASES = {  # largest round steps that are stable; the package's model takes substeps of 0.025 ms, of order 2
    "Hodgkin-Huxley, exponential Euler": Case(HODGKIN_HUXLEY, HELD, "exponential_euler", 0.1),
    "Hodgkin-Huxley, Runge-Kutta": Case(HODGKIN_HUXLEY, HELD, "rk4", 0.02),
    "Morris-Lecar, Runge-Kutta": Case(MORRIS_LECAR, {"v": (-60.0, 20.0), "n": (0.0, 0.4)}, "rk4", 0.1),
    "white noise, Runge-Kutta": Case(NOISY, {"v": (-70.0, -60.0)}, "rk4", 0.1, "euler"),
    "HodgkinHuxley": Case({}, HELD, "", 0.1),
}


def ours(name: str, n: int, duration: float, rounds: int) -> tuple[float, float]:
    """Nanoseconds a neuron and step, and the mean of v at the end of the first run."""
    import snn

    case = CASES[name]
    if not case.equations:
        return measured(snn.HodgkinHuxley(t_ref=3.0), case, n, duration, rounds)
    text = "\n".join(f"d{x}/dt = {right} : 1" for x, right in case.equations.items())
    text = text.replace("-g_ex / 5", "-g_ex / tau_ex").replace("-g_in / 10", "-g_in / tau_in")
    text += "\ntau_ex = 5 : ms\ntau_in = 10 : ms\nt_ref = 3 : ms"
    model = snn.from_equations("Timed", text, threshold="v > -20", refractory="t_ref", method=case.method)
    return measured(model(), case, n, duration, rounds)


def measured(model: Any, case: Case, n: int, duration: float, rounds: int) -> tuple[float, float]:
    """The same of this model."""
    import snn

    rng = np.random.default_rng(1)
    net = snn.Network()
    net.population("a", n, model, init={x: rng.uniform(*span, n) for x, span in case.spans.items()})
    sim = snn.Simulation(net, dt=case.dt, threads=1, quiet=True)
    sim.run(duration)
    mean = float(sim.state("a", "v").mean())
    return seconds_a_run(sim, duration, rounds) / (n * duration / case.dt) * 1e9, mean


def models(n: int, rounds: int) -> None:
    """Print nanoseconds a neuron and step of each model of the package, nothing arriving, in both precisions."""
    import snn
    from snn.neurons.base import MODELS

    print("| model | float64, ns | float32, ns |\n|---|--:|--:|")
    for name, model in sorted(MODELS.items()):
        dt, found = 0.1, []
        for precision in ("float64", "float32"):
            net = snn.Network()
            net.population("a", n, model())
            sim = snn.Simulation(net, dt=dt, threads=1, precision=precision, quiet=True)
            found.append(seconds_a_run(sim, 500 * dt, rounds) / (n * 500) * 1e9)
        print(f"| {name} | {found[0]:.1f} | {found[1]:.1f} |")


def seconds_a_run(sim: Any, duration: float, rounds: int) -> float:
    """Of the fastest run; one before is not counted."""
    sim.run(duration)
    best = np.inf
    for _ in range(rounds):
        begin = time.perf_counter()
        sim.run(duration)
        best = min(best, time.perf_counter() - begin)
    return best


def nest(case: Case, n: int, duration: float) -> tuple[float, float]:
    """The same of NEST; one run."""
    import nest

    dt = case.dt

    nest.set_verbosity("M_ERROR")
    nest.ResetKernel()
    nest.resolution, nest.local_num_threads = dt, 1
    rng = np.random.default_rng(1)
    group = nest.Create("hh_cond_exp_traub", n)
    first = nest.Create("spike_generator", params={"spike_times": [dt]})
    group.V_m = rng.uniform(*case.spans["v"], n)
    for x, sign in (("g_ex", 1.0), ("g_in", -1.0)):  # cannot be set, so they arrive
        weights = sign * rng.uniform(*case.spans[x], (n, 1))
        nest.Connect(first, group, "all_to_all", {"weight": weights, "delay": dt})
    nest.Prepare()
    begin = time.perf_counter()
    nest.Run(duration)
    seconds = time.perf_counter() - begin
    nest.Cleanup()
    return seconds / (n * duration / dt) * 1e9, float(np.mean(group.V_m))


def brian2(case: Case, n: int, duration: float) -> tuple[float, float]:
    """The same of Brian2, of its state update alone; one run, as a standalone program runs once."""
    import brian2 as b2

    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        b2.set_device("cpp_standalone", directory=folder, build_on_run=False)
        b2.prefs.devices.cpp_standalone.openmp_threads = 0
        b2.defaultclock.dt = case.dt * b2.ms
        text = "\n".join(f"d{x}/dt = ({right}) / ms : 1" for x, right in case.equations.items())
        text = text.replace("xi", "xi * ms**0.5")
        method = case.peer_method or case.method
        group = b2.NeuronGroup(n, text, threshold="v > -20", refractory=3 * b2.ms, method=method)
        for x, span in case.spans.items():
            setattr(group, x, rng.uniform(*span, n))
        network = b2.Network(group)
        network.run(duration * b2.ms, profile=True)
        b2.device.build(directory=folder, compile=True, run=True)
        seconds = sum(float(t) for name, t in network.profiling_info if "stateupdater" in name)
        return seconds / (n * duration / case.dt) * 1e9, float(np.mean(group.v))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--neurons", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", action="store_true", help="time each model of the package, without peers")
    parser.add_argument("--peer", choices=CASES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    n, duration = options.neurons, 100.0
    if options.models:
        models(n, options.rounds)
        return
    if options.peer:  # in a process of its own
        case = CASES[options.peer]
        print(*(brian2 if case.equations else nest)(case, n, duration))
        return
    print("| neurons, dt | Brian2 or NEST, ns | here, ns | ratio | mean of v after 100 ms |\n|---|--:|--:|--:|---|")
    for name, case in CASES.items():
        here, mean = ours(name, n, duration, options.rounds)
        theirs = []
        for _ in range(options.rounds):
            command = [sys.executable, __file__, "--peer", name, "--neurons", str(n)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            theirs.append([float(x) for x in done.stdout.split()[-2:]])
        peer, v = min(theirs)
        print(f"| {name}, {case.dt} ms | {peer:.0f} | {here:.1f} | {peer / here:.1f} | {v:.6f}, {mean:.6f} |")


if __name__ == "__main__":
    main()
