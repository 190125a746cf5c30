"""Competition between synapses by pair STDP: Song, Miller & Abbott (2000), doi:10.1038/78829.

    python scripts/examples/song_2000.py --out results

1. A neuron with 1,000 Poisson inputs of 15 Hz. Additive STDP makes the weights bimodal and brings the neuron to
   balance, where it fires irregularly; with weight dependence they are unimodal (van Rossum, Bi & Turrigiano 2000,
   doi:10.1523/JNEUROSCI.20-23-08812.2000; Guetig et al. 2003, doi:10.1523/JNEUROSCI.23-09-03697.2003).
2. Inputs that fire bursts at latencies of their own after a stimulus. Those before the neuron's response are
   strengthened, those after it weakened, so the response moves to earlier times.

Part 1 has the parameters of Brian2's example of the paper, whose results are printed beside. Rates differ by a few Hz
from seed to seed and depend on depression over potentiation: 1 % less depression gives 9 Hz more. How simultaneous
spikes are paired is worth half a percent with steps of 0.1 ms; here, as in NEST, they are no pair.

The paper shows latencies in a figure only; bursts are as there (100 Hz for 20 ms, latencies of standard deviation
15 ms); their intervals (uniform, 200 to 300 ms), the background (5 Hz) and the first weights (a third of those of
part 1, so that the first response is not early already) are chosen here.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import plasticity
import snn

N = 1000
DT = 0.1  # ms
W_MAX = 0.1  # nS: 0.01 of the leak conductance
FIRST = 1 / 3  # first weights of part 2, of those of part 1
NEURON = {"c_m": 100.0, "g_l": 10.0, "e_l": -74.0, "v_th": -54.0, "v_reset": -60.0, "t_ref": 0.0, "e_ex": 0.0,
          "tau_syn_ex": 5.0}  # fmt: skip
RULES = {
    "additive": {"lambda_": 0.01, "alpha": 1.05, "mu_plus": 0.0, "mu_minus": 0.0},
    "Guetig, mu = 0.1": {"lambda_": 0.01, "alpha": 1.05, "mu_plus": 0.1, "mu_minus": 0.1},
    "van Rossum": {"lambda_": 0.005, "alpha": 2.1, "mu_plus": 0.0, "mu_minus": 1.0},
    "multiplicative": {"lambda_": 0.01, "alpha": 1.05, "mu_plus": 1.0, "mu_minus": 1.0},
}
# rate (Hz), mean and SD of w / w_max, parts below 0.1 and above 0.9 after 100 s: Brian2's example of the paper
PEER = {"additive": (20.8, 0.475, 0.357, 0.23, 0.19)}


def network(
    inputs: snn.Poisson | snn.SpikeArray, rule: str = "additive", seed: int = 1, first: float = 1.0
) -> snn.Network:
    """One neuron with N plastic inputs, whose first weights are uniform up to ``first`` of W_MAX."""
    net = snn.Network(seed=seed)
    sources = net.population("inputs", N, inputs)
    cell = net.population("cell", 1, snn.LIFCondExp(**NEURON))
    net.connect(sources, cell, snn.all_to_all(), weight=snn.uniform(0.0, first * W_MAX), delay=DT, name="synapses",
                plasticity=plasticity.STDPPair(w_max=W_MAX, **RULES[rule]))  # fmt: skip
    net.record(cell)
    return net


def strengths(sim: snn.Simulation) -> np.ndarray:
    """w / w_max of each input."""
    source, _, w, _ = sim.connections("synapses")
    return w[np.argsort(source)] / W_MAX


def measure(w: np.ndarray, spikes: int, duration: float) -> tuple[float, ...]:
    """As PEER."""
    return spikes / duration * 1000.0, w.mean(), w.std(), np.mean(w < 0.1), np.mean(w > 0.9)


def stimuli(duration: float, seed: int = 1) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """(times of the stimuli, latency of each input, spike times of each input), ms."""
    rng = np.random.default_rng(seed)
    onsets = np.cumsum(rng.uniform(200.0, 300.0, int(duration / 200.0)))
    onsets = onsets[onsets < duration - 100.0]
    latencies = rng.normal(0.0, 15.0, N)
    trains = []
    for latency in latencies:
        counts = rng.poisson(2.0, len(onsets))
        burst = np.repeat(onsets, counts) + latency + rng.uniform(0.0, 20.0, counts.sum())
        background = rng.uniform(0.0, duration, rng.poisson(5.0 * duration / 1000.0))
        trains.append(np.sort(np.concatenate((burst, background))))
    return onsets, latencies, trains


def responses(onsets: np.ndarray, spikes: np.ndarray) -> np.ndarray:
    """Latency of the first spike within 50 ms around each stimulus, ms; NaN without one."""
    first = np.searchsorted(spikes, onsets - 50.0)
    found = np.append(spikes, np.inf)[first] - onsets
    return np.where(found < 50.0, found, np.nan)


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--duration", type=float, default=100.0, help="s of each run, >= 20 [100]")
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    if options.duration < 20.0:
        parser.error("--duration: must be >= 20 s")
    duration = 1000.0 * options.duration
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    options.out.mkdir(parents=True, exist_ok=True)
    fig, axes = plt.subplots(2, 3, figsize=(11, 6), layout="constrained")
    print("| rule | rate (Hz) | mean w / w_max | SD | < 0.1 | > 0.9 | run (s) |\n|---|--:|--:|--:|--:|--:|--:|")
    for ax, rule in zip(axes.ravel(), RULES, strict=False):
        sim = snn.Simulation(network(snn.Poisson(rate=15.0), rule, options.seed), dt=DT, threads=1)
        begin = time.perf_counter()
        result = sim.run(duration)
        took = time.perf_counter() - begin
        w = strengths(sim)
        row = measure(w, len(result.spikes["cell"]), duration)
        print(f"| {rule} | " + " | ".join(f"{x:.3g}" for x in row) + f" | {took:.1f} |", flush=True)
        if rule in PEER:
            print(f"| {rule}, Brian2, 100 s | " + " | ".join(f"{x:.3g}" for x in PEER[rule]) + " | |", flush=True)
        ax.hist(w, bins=25, range=(0, 1))
        ax.set(title=rule, xlabel="w / w_max", ylabel="synapses")

    onsets, latencies, trains = stimuli(duration, options.seed)
    net = network(snn.SpikeArray.from_spiketrains(trains), seed=options.seed, first=FIRST)
    sim = snn.Simulation(net, dt=DT, threads=1)
    spikes = sim.run(duration).spikes["cell"].times
    found, w = responses(onsets, spikes), strengths(sim)
    early, late = np.nanmean(found[:20]), np.nanmean(found[-20:])
    correlation = np.corrcoef(latencies, w)[0, 1]
    print(f"\nlatency of the response: {early:.1f} ms at first, {late:.1f} ms at the end (published: it falls)")
    print(f"correlation of weight and latency: {correlation:.2f} (published: early inputs win)")
    axes[1, 1].plot(latencies, w, ".", ms=3)
    axes[1, 1].set(xlabel="latency of the input (ms)", ylabel="w / w_max")
    axes[1, 2].plot(onsets / 1000.0, found, ".", ms=3)
    axes[1, 2].set(xlabel="time (s)", ylabel="latency of the response (ms)")
    path = options.out / "song_2000.png"
    fig.savefig(path, dpi=130)
    plt.close(fig)
    print(f"written: {path}")


if __name__ == "__main__":
    main()
