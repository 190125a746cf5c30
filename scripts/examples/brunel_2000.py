"""Four states of the sparsely connected network of Brunel (2000), doi:10.1023/A:1008925309027, figure 8.

    python scripts/examples/brunel_2000.py --out results

10,000 excitatory and 2,500 inhibitory leaky integrate-and-fire neurons with delta synapses; each draws 1,000 excitatory
and 250 inhibitory inputs and as many external Poisson inputs as excitatory ones. g is the strength of inhibition, eta
the external rate in units of the rate that alone brings a neuron to threshold.

Prints rates and frequencies of the population's oscillation beside those of the paper's table 1, and draws the rasters.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

import snn
from plasticity import PlasticityRule


class Regime(NamedTuple):
    """A state of the network: parameters, and what the paper's simulation shows (rate and oscillation in Hz)."""

    name: str
    text: str
    g: float
    eta: float
    rate: float | None
    frequency: float | None


REGIMES = {
    r.name: r
    for r in (
        Regime("SR", "A: almost fully synchronous, regular", 3.0, 2.0, None, None),
        Regime("SI-fast", "B: fast oscillation, irregular", 6.0, 4.0, 60.7, 180.0),
        Regime("AI", "C: asynchronous, irregular", 5.0, 2.0, 37.7, None),
        Regime("SI-slow", "D: slow oscillation, irregular", 4.5, 0.9, 5.5, 22.0),
    )
}
TAU_M, THETA, V_RESET, T_REF = 20.0, 20.0, 10.0, 2.0  # ms, mV, mV, ms
J, DELAY = 0.1, 1.5  # mV, ms
EPSILON = 0.1  # share of the neurons that a neuron has input from
DT = 0.1  # ms


def build(
    n: int = 12500, g: float = 5.0, eta: float = 2.0, seed: int = 1, j: float = J, v_reset: float = V_RESET,
    plasticity: PlasticityRule | None = None,
) -> snn.Network:  # fmt: skip
    """The network of ``n`` neurons, four fifths of them excitatory, at inhibition ``g`` and drive ``eta``.

    ``plasticity``: of the synapses between excitatory neurons.
    """
    n_inh = n // 5
    n_exc = n - n_inh
    c_exc, c_inh = round(EPSILON * n_exc), round(EPSILON * n_inh)
    model = snn.LIFDelta(tau_m=TAU_M, c_m=1.0, e_l=0.0, v_th=THETA, v_reset=v_reset, t_ref=T_REF)
    rate = 1000.0 * eta * THETA / (j * TAU_M)  # of c_exc inputs at eta * nu_thr each, nu_thr = theta / (j c_exc tau)
    net = snn.Network(seed=seed)
    exc, inh = net.population("exc", n_exc, model), net.population("inh", n_inh, model)
    for target in (exc, inh):
        net.input(f"external {target.name}", target, snn.Poisson(rate=rate), weight=j)
        rule = plasticity if target is exc else None
        net.connect(exc, target, snn.fixed_indegree(c_exc), weight=j, delay=DELAY, plasticity=rule)
        net.connect(inh, target, snn.fixed_indegree(c_inh), weight=-g * j, delay=DELAY)
        net.record(target, "spikes")
    return net


def oscillation(record: snn.SpikeRecord, low: float = 5.0) -> tuple[float, float]:
    """(frequency in Hz, share of the power within 20 % of it) of the highest peak of the population rate's spectrum."""
    counts = record.counts(0.5).astype(float)
    power = np.abs(np.fft.rfft((counts - counts.mean()) * np.hanning(counts.size))) ** 2
    frequency = np.fft.rfftfreq(counts.size, 0.5e-3)
    wide = np.convolve(power, np.ones(5) / 5, "same")
    wide[(frequency < low) | (frequency > 600.0)] = 0.0
    peak = frequency[np.argmax(wide)]
    near = np.abs(frequency - peak) < 0.2 * peak
    return float(peak), float(power[near].sum() / power.sum())


def measure(result: snn.Result, start: float = 200.0) -> dict[str, float]:
    """Rate, CV of intervals, spectral peak and synchrony (variance over mean of counts in 2 ms) after ``start`` ms."""
    record = result.spikes["exc"].slice(start, result.t_stop)
    cv = record.cv()
    counts = record.counts(2.0)
    frequency, share = oscillation(record)
    return {
        "rate": record.rate(), "cv": float(np.nanmean(cv)) if np.isfinite(cv).any() else float("nan"),
        "frequency": frequency, "share": share, "synchrony": float(counts.var() / max(counts.mean(), 1e-12)),
    }  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--regimes", nargs="+", choices=list(REGIMES), default=list(REGIMES))
    parser.add_argument("--n", type=int, default=12500, help="neurons [12500]")
    parser.add_argument("--duration", type=float, default=1000.0, help="ms, of which the first 200 are left out [1000]")
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    if options.duration < 400.0:
        parser.error("--duration: must be >= 400 ms")
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    options.out.mkdir(parents=True, exist_ok=True)
    fig, axes = plt.subplots(
        len(options.regimes), 1, figsize=(8.5, 2.4 * len(options.regimes)), layout="constrained", squeeze=False
    )
    print("| regime | g | eta | rate (Hz) | paper | CV | oscillation (Hz) | paper | var/mean | real-time factor |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|", flush=True)
    for ax, name in zip(axes[:, 0], options.regimes, strict=True):
        r = REGIMES[name]
        sim = snn.Simulation(build(options.n, r.g, r.eta, options.seed), dt=DT, threads=options.threads)
        begin = time.perf_counter()
        result = sim.run(options.duration)
        factor = (time.perf_counter() - begin) / options.duration * 1000.0
        m = measure(result)
        shown = "-" if r.frequency is None and r.rate is not None else f"{m['frequency']:.0f}"
        print(
            f"| {name} | {r.g:g} | {r.eta:g} | {m['rate']:.1f} | {r.rate or 'near saturation'} | {m['cv']:.2f} "
            f"| {shown} | {r.frequency or '-'} | {m['synchrony']:.1f} | {factor:.2f} |",
            flush=True,
        )
        snn.plot.raster(result, "exc", ax=ax, max_neurons=100, t=(options.duration - 150.0, options.duration))
        ax.set_title(f"{r.text}; g = {r.g:g}, eta = {r.eta:g}: {m['rate']:.1f} Hz", fontsize="medium", loc="left")
    path = options.out / "brunel_2000.png"
    fig.savefig(path, dpi=130)
    plt.close(fig)
    print(f"written: {path}")


if __name__ == "__main__":
    main()
