"""Inhibitory plasticity balances a network and the memories in it: Vogels et al. (2011), doi:10.1126/science.1211095.

    python scripts/examples/vogels_2011.py --out results

1. Balance. Leaky integrate-and-fire neurons (four fifths excitatory) with conductances; weights from inhibitory to
   excitatory neurons begin at 0 and follow :class:`plasticity.VogelsSprekeler`, whose target is 3 Hz. Rates fall from
   above 100 Hz towards it and firing becomes asynchronous and irregular. Beside: Brian2's example of the paper with
   2,500 neurons.
2. Memory. Connections among a tenth of the excitatory neurons become five times stronger. Their rate goes up, until
   inhibition has balanced it: the memory is quiet. A stimulus to a quarter of them then recalls it in the others.

The paper has 10,000 neurons and connections with probability 0.02 (``--n 10000``); fewer neurons have as many inputs
each. It embeds two overlapping memories in a sheet of neurons; here is one, and its cue is a current of 400 pA for 1 s.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import plasticity
import snn

NEURON = {"c_m": 200.0, "g_l": 10.0, "e_l": -60.0, "v_th": -50.0, "v_reset": -60.0, "t_ref": 5.0, "e_ex": 0.0,
          "e_in": -80.0, "tau_syn_ex": 5.0, "tau_syn_in": 10.0, "i_e": 200.0}  # fmt: skip
INPUTS = 200  # a neuron's, four fifths of them excitatory
W_EX, W_IN = 0.3, -3.0  # nS
RHO0, TAU, ETA = 3.0, 20.0, 0.01  # Hz, ms, nS
DT = 0.1  # ms
STRONGER = 5.0
CUE = 400.0  # pA
# Brian2, 2,500 neurons: (seconds since the rule was switched on, rate in Hz)
PEER = {(1, 3): 15.6, (3, 8): 9.4, (8, 13): 7.6, (18, 23): 6.1, (24, 29): 5.3}
PEER_UNBALANCED, PEER_CV = 166.6, 0.97

Edges = tuple[np.ndarray, np.ndarray, np.ndarray]  # source, target, weight


def rule() -> plasticity.PlasticityRule:
    """That of the paper; weights of inhibitory synapses are negative."""
    return plasticity.VogelsSprekeler(tau=TAU, eta=ETA, alpha=2 * TAU * RHO0 / 1000.0, w_max=-100.0)


def build(n: int = 2500, seed: int = 1, learning: bool = True, exc_exc: Edges | None = None,
          inh_exc: Edges | None = None) -> snn.Network:  # fmt: skip
    """``n`` neurons; connections and weights of an earlier run may be given."""
    net = snn.Network(seed=seed)
    model = snn.LIFCondExp(**NEURON)
    exc = net.population("exc", 4 * n // 5, model, init={"v": snn.uniform(-60.0, -50.0)})
    inh = net.population("inh", n - 4 * n // 5, model, init={"v": snn.uniform(-60.0, -50.0)})
    random = snn.pairwise_bernoulli(INPUTS / n)
    pick, w = (random, W_EX) if exc_exc is None else (snn.from_arrays(*exc_exc[:2]), exc_exc[2])
    net.connect(exc, exc, pick, weight=w, delay=DT)
    net.connect(exc, inh, random, weight=W_EX, delay=DT)
    net.connect(inh, inh, random, weight=W_IN, delay=DT)
    pick, w = (random, 0.0) if inh_exc is None else (snn.from_arrays(*inh_exc[:2]), inh_exc[2])
    net.connect(inh, exc, pick, weight=w, delay=DT, plasticity=rule() if learning else None)
    net.record(exc)
    return net


def edges(sim: snn.Simulation, projection: str) -> Edges:
    """Connections and present weights."""
    return sim.connections(projection)[:3]


def groups(n: int) -> tuple[slice, slice, slice]:
    """Excitatory neurons: those of the memory that are cued, the others of the memory, the rest."""
    members = 4 * n // 50
    return slice(0, members // 4), slice(members // 4, members), slice(members, None)


def with_memory(sim: snn.Simulation, n: int, seed: int, on: float) -> snn.Network:
    """The network of ``sim`` with its weights as they are, but STRONGER in the memory; cued from ``on`` s for 1 s."""
    cued, _, rest = groups(n)
    source, target, weight = edges(sim, "exc->exc")
    inside = (source < rest.start) & (target < rest.start)
    net = build(n, seed, True, (source, target, np.where(inside, STRONGER, 1.0) * weight), edges(sim, "inh->exc"))
    cue = np.zeros(4 * n // 5)
    cue[cued] = CUE
    times = [0.0, 1000.0 * on, 1000.0 * on + 1000.0]
    net.input("cue", "exc", snn.StepCurrent([0.0 * cue, cue, 0.0 * cue], times=times))
    return net


def rate(spikes: snn.SpikeRecord, start: float, stop: float, ids: slice = slice(None)) -> float:
    """Mean rate in Hz of neurons ``ids`` from ``start`` to ``stop`` s."""
    return float(np.mean(spikes.slice(1000.0 * start, 1000.0 * stop).rates()[ids]))


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=2500, help="neurons, >= 1000 [2500]")
    parser.add_argument("--duration", type=float, default=30.0, help="s of each of both parts, >= 30 [30]")
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    if options.n < 1000 or options.duration < 30.0:
        parser.error("--n: must be >= 1000; --duration: must be >= 30 s")
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    options.out.mkdir(parents=True, exist_ok=True)
    n, stop, seed = options.n, options.duration, options.seed

    def simulation(net: snn.Network) -> snn.Simulation:
        return snn.Simulation(net, dt=DT, threads=options.threads)

    before = simulation(build(n, seed, learning=False)).run(1000.0).spikes["exc"]
    sim = simulation(build(n, seed))
    begin = time.perf_counter()
    balanced = sim.run(1000.0 * stop).spikes["exc"]
    factor = (time.perf_counter() - begin) / stop
    print("| excitatory neurons | here | Brian2, 2,500 neurons |\n|---|--:|--:|")
    print(f"| rate without inhibition (Hz) | {rate(before, 0.0, 1.0):.1f} | {PEER_UNBALANCED} |")
    for (low, high), peer in PEER.items():
        print(f"| rate after {low} to {high} s (Hz) | {rate(balanced, low, high):.1f} | {peer} |")
    cv = float(np.nanmean(balanced.slice(1000.0 * (stop - 5.0), 1000.0 * stop).cv()))
    print(f"| CV of intervals | {cv:.2f} | {PEER_CV} |")
    print(f"| real-time factor | {factor:.2f} | |", flush=True)

    on = stop - 2.0
    net = with_memory(sim, n, seed + 1, on)
    _, others, rest = groups(n)
    memory = simulation(net).run(1000.0 * stop).spikes["exc"]
    print("\n| after connections grew (s) | memory (Hz) | other neurons (Hz) |\n|---|--:|--:|")
    rows = {"0 to 0.5": (0.0, 0.5), "2 to 7": (2.0, 7.0), f"{on - 5:g} to {on:g}": (on - 5, on),
            "during the cue, neurons not cued": (on, on + 1), "after it": (on + 1.1, on + 2)}  # fmt: skip
    for text, (low, high) in rows.items():
        print(f"| {text} | {rate(memory, low, high, others):.1f} | {rate(memory, low, high, rest):.1f} |")

    fig, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for ax, record, title in zip(axes, (balanced, memory), ("balance", "a memory, balanced and recalled"), strict=True):
        counts = record.counts(100.0, per_neuron=True)
        for ids, label in ((others, "memory, not cued"), (rest, "other neurons")):
            ax.semilogy(0.1 * np.arange(counts.shape[1]), 10.0 * counts[ids].mean(axis=0) + 0.01, label=label, lw=1)
        ax.axhline(RHO0, color="k", lw=0.5)
        ax.set(xlabel="time (s)", ylabel="rate (Hz)", title=title)
        ax.legend()
    path = options.out / "vogels_2011.png"
    fig.savefig(path, dpi=130)
    plt.close(fig)
    print(f"written: {path}")


if __name__ == "__main__":
    main()
