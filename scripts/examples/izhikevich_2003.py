"""The network of 1,000 neurons of Izhikevich (2003), doi:10.1109/TNN.2003.820440.

    python scripts/examples/izhikevich_2003.py --out results

800 regular-spiking to chattering and 200 fast to low-threshold spiking neurons, all to all, driven by noise: the
paper's script with its step of 1 ms and its scheme (two half steps of v). Parameters and weights are drawn as there:
(c, d) = (-65, 8) + (15, -6) r^2 and (a, b) = (0.02, 0.25) + (0.08, -0.05) r with r uniform. The paper's script adds the
weights of the neurons that fired to the current of the same iteration: receptor "cur", delay = dt.

Prints rate, rhythms and CV; the figure is the paper's figure 3: alpha-like (about 10 Hz) and gamma-like (about 40 Hz)
episodes of synchrony.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import snn

N_EXC, N_INH = 800, 200
DT = 1.0  # ms
RATE = "about 7 Hz (as in NEST and Brian2 for the same script; the paper gives no number)"


def models(n_exc: int, n_inh: int, rng: np.random.Generator) -> tuple[snn.NeuronModel, snn.NeuronModel]:
    """Excitatory and inhibitory neurons with the paper's spread of parameters."""
    r, q = rng.random(n_exc), rng.random(n_inh)
    script = {"v_th": 30.0, "consistent_integration": 0}
    exc = snn.Izhikevich(a=0.02, b=0.2, c=-65.0 + 15.0 * r**2, d=8.0 - 6.0 * r**2, **script)
    inh = snn.Izhikevich(a=0.02 + 0.08 * q, b=0.25 - 0.05 * q, c=-65.0, d=2.0, **script)
    return exc, inh


def build(n: int = 1000, seed: int = 1) -> snn.Network:
    """The network of ``n`` neurons: dense for n = 1,000, else each draws 800 and 200 inputs, so that input stays."""
    rng = np.random.default_rng(seed)
    n_exc = n * N_EXC // (N_EXC + N_INH)
    n_inh = n - n_exc
    net = snn.Network(seed=seed)
    model_exc, model_inh = models(n_exc, n_inh, rng)
    exc = net.population("exc", n_exc, model_exc, init={"v": -65.0, "u_m": -65.0 * 0.2})
    inh = net.population("inh", n_inh, model_inh, init={"v": -65.0, "u_m": -65.0 * np.asarray(model_inh.params["b"])})
    net.input("thalamus exc", exc, snn.NoiseCurrent(std=5.0, dt=1.0))
    net.input("thalamus inh", inh, snn.NoiseCurrent(std=2.0, dt=1.0))
    dense = n == N_EXC + N_INH
    for target in (exc, inh):
        for source, degree, weight in ((exc, N_EXC, snn.uniform(0.0, 0.5)), (inh, N_INH, snn.uniform(-1.0, 0.0))):
            rule = snn.all_to_all() if dense else snn.fixed_indegree(degree)
            net.connect(source, target, rule, weight=weight, delay=DT, receptor="cur")
        net.record(target, "spikes")
    return net


def measure(result: snn.Result) -> dict[str, float]:
    """Rate, CV of intervals, and the shares of power of the population rate at 5-15 Hz and 30-60 Hz."""
    records = list(result.spikes.values())
    n = sum(r.n_nodes for r in records)
    counts = np.sum([r.counts(1.0) for r in records], axis=0).astype(float)
    power = np.abs(np.fft.rfft(counts - counts.mean())) ** 2
    frequency = np.fft.rfftfreq(counts.size, 1e-3)
    power, frequency = power[frequency < 200.0], frequency[frequency < 200.0]
    cv = np.concatenate([r.cv() for r in records])
    return {
        "rate": sum(len(r) for r in records) / n / (result.t_stop - result.t_start) * 1000.0,
        "cv": float(np.nanmean(cv)),
        "alpha": float(power[(frequency >= 5) & (frequency <= 15)].sum() / power.sum()),
        "gamma": float(power[(frequency >= 30) & (frequency <= 60)].sum() / power.sum()),
    }


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=1000, help="neurons [1000]")
    parser.add_argument("--duration", type=float, default=1000.0, help="ms [1000, as in the paper]")
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    options.out.mkdir(parents=True, exist_ok=True)
    sim = snn.Simulation(build(options.n, options.seed), dt=DT, threads=options.threads)
    begin = time.perf_counter()
    result = sim.run(options.duration)
    factor = (time.perf_counter() - begin) / options.duration * 1000.0
    m = measure(result)
    print(f"rate {m['rate']:.2f} Hz; expected: {RATE}")
    print(f"CV of intervals {m['cv']:.2f}")
    print(f"share of the population rate's power: {m['alpha']:.0%} at 5-15 Hz, {m['gamma']:.0%} at 30-60 Hz")
    print(f"real-time factor {factor:.3f}")
    fig, (top, bottom) = plt.subplots(
        2, 1, figsize=(8.5, 6.5), height_ratios=(2.4, 1.0), layout="constrained", sharex=True
    )
    snn.plot.raster(result, ax=top, max_neurons=1000)
    snn.plot.rate_traces(result, ax=bottom, bin_size=2.0)
    path = options.out / "izhikevich_2003.png"
    fig.savefig(path, dpi=130)
    plt.close(fig)
    print(f"written: {path}")


if __name__ == "__main__":
    main()
