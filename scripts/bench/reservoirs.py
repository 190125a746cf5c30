"""Speed of reservoirs beside reservoirpy, in one process, in turns; the best of several rounds of each.

    python scripts/bench/reservoirs.py [--rounds 9] [--steps 1000]

Echo-state networks run with the same weights in both, float64; how far their states differ is printed beside. The
last lines run a spiking reservoir (1,000 LIF neurons, delays of 1 to 200 ms), on one thread.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import time

import numpy as np
import scipy.sparse
from reservoirpy.nodes import Reservoir

import reservoir
import snn


def echo_state(n: int, density: float, steps: int, rounds: int) -> None:
    """Print one row: microseconds a step."""
    ours = reservoir.EchoStateNetwork.random(n, density=density, input_scale=0.5, bias_scale=0.1, leak=0.6, seed=1)
    weights = (ours.w, ours.w_in, ours.bias, ours.leak)
    runs = {
        "reservoirpy": Reservoir(
            W=scipy.sparse.csr_matrix(ours.w), Win=scipy.sparse.csr_matrix(ours.w_in), bias=ours.bias, lr=0.6
        ),
        "1 thread": reservoir.EchoStateNetwork(*weights, threads=1),
        "2 threads": reservoir.EchoStateNetwork(*weights, threads=2),
    }
    u = np.random.default_rng(2).uniform(-1.0, 1.0, (steps, 1))
    states = [r.run(u) for r in runs.values()]
    apart = max(np.abs(states[0] - s).max() for s in states[1:])
    del states
    best = dict.fromkeys(runs, np.inf)
    for _ in range(rounds):
        for name, r in runs.items():
            begin = time.perf_counter()
            r.run(u)
            best[name] = min(best[name], (time.perf_counter() - begin) / steps * 1e6)
    peer = best["reservoirpy"]
    text = " | ".join(f"{b:.1f}" for b in best.values())
    print(
        f"| {n}, {density:g} | {text} | {peer / best['1 thread']:.2f} | {peer / best['2 threads']:.2f} | {apart:.1e} |"
    )


def spiking(rounds: int) -> None:
    """Print synaptic events a second, of the simulation alone."""
    model = snn.LIFExp(
        tau_m=20.0, c_m=20.0, e_l=0.0, v_th=1.0, v_reset=0.0, t_ref=2.0, tau_syn_ex=5.0, tau_syn_in=5.0,
        i_e=snn.normal(0.9, 0.2),
    )  # fmt: skip
    rule = snn.pairwise_bernoulli(0.1)
    net = reservoir.random_network(1000, model, rule, weight=0.2, delay=snn.uniform(1.0, 200.0), seed=1)
    w_in = np.random.default_rng(1).uniform(-1.2, 1.2, 1000)
    u = np.random.default_rng(2).uniform(-1.0, 1.0, 4000)
    for name, part in (("exc", w_in[:800]), ("inh", w_in[800:])):
        net.input(f"u to {name}", name, snn.StepCurrent(np.outer(u, part), 10.0 * np.arange(4000)))
        net.record(name)
    sim = snn.Simulation(net, dt=1.0, threads=1, quiet=True)
    sim.run(100.0)
    out = sum(sim.compiled.nbytes().values()) / 2**20
    best, events = np.inf, 0.0
    for _ in range(rounds):
        begin = time.perf_counter()
        spikes = sim.run(4000.0).spikes
        wall = time.perf_counter() - begin
        if wall < best:
            best, events = wall, sum(len(s) for s in spikes.values()) * 100.0
    print(f"spiking: 4 s in {best:.3f} s, {events / best / 1e6:.0f} M synaptic events/s, {out:.0f} MiB")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=1000)
    options = parser.parse_args()
    print("reservoirpy", importlib.metadata.version("reservoirpy"), "numpy", np.__version__)
    print("| n, density | reservoirpy (us a step) | 1 thread | 2 threads | ratio | ratio | states differ by |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for n, density in ((500, 0.1), (2000, 0.1), (5000, 0.001), (5000, 0.01)):
        echo_state(n, density, options.steps, options.rounds)
    spiking(options.rounds)


if __name__ == "__main__":
    main()
