"""Self-sustained activity in the network of Vogels & Abbott (2005), doi:10.1523/JNEUROSCI.3508-05.2005, in the form of
benchmarks 1 (COBA: conductances) and 2 (CUBA: currents) of Brette et al. (2007), doi:10.1007/s10827-007-0038-6.

    python scripts/examples/vogels_abbott_2005.py --out results

4,000 leaky integrate-and-fire neurons, 80 % excitatory, connected with probability 2 %. There is no input but Poisson
spikes in the first 50 ms, which start the activity; without them (``--no-kick``) COBA mostly dies out at once.

CUBA is given there in mV: tau_m dv/dt = -(v - e_l) + g_ex + g_in, where a spike adds 1.62 mV or -9 mV. With
tau_m = 20 ms and c_m = 200 pF that is a current of w c_m / tau_m: 16.2 pA and -90 pA.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import snn

N, P = 4000, 0.02
TAU_M, C_M = 20.0, 200.0  # ms, pF
DT = 0.1  # ms
DELAY = 0.1  # ms, one step: a spike acts from the next step on
KICK_RATE, KICK_STOP = 400.0, 50.0  # Hz, ms
# what the paper's figures show, and what two other simulators measure for the same networks (scripts/bench)
PUBLISHED = {"CUBA": "5 to 6 Hz, irregular", "COBA": "about 20 Hz, irregular"}


def cuba(weight_ex: float = 1.62, weight_in: float = -9.0) -> tuple[snn.NeuronModel, dict, float, float]:
    """(model, initial values, weights in pA) of benchmark 2; ``weight_*`` in mV."""
    model = snn.LIFExp(
        tau_m=TAU_M, c_m=C_M, e_l=-49.0, v_th=-50.0, v_reset=-60.0, t_ref=5.0, tau_syn_ex=5.0, tau_syn_in=10.0
    )
    to_pa = C_M / TAU_M
    return model, {"v": snn.uniform(-60.0, -50.0)}, weight_ex * to_pa, weight_in * to_pa


def coba() -> tuple[snn.NeuronModel, dict, float, float]:
    """(model, initial values, weights in nS) of benchmark 1.

    Initial conductances are near those of the running network.
    """
    model = snn.LIFCondExp(
        c_m=C_M, g_l=10.0, e_l=-60.0, v_th=-50.0, v_reset=-60.0, t_ref=5.0, e_ex=0.0, e_in=-80.0,
        tau_syn_ex=5.0, tau_syn_in=10.0,
    )  # fmt: skip
    init = {
        "v": snn.normal(-65.0, 5.0),
        "g_ex": snn.normal(40.0, 15.0, low=0.0),
        "g_in": snn.normal(200.0, 120.0, low=0.0),
    }
    return model, init, 6.0, -67.0


def build(kind: str = "CUBA", n: int = N, seed: int = 1, kick: bool = True, delay: float = DELAY) -> snn.Network:
    """Benchmark "CUBA" or "COBA" with ``n`` neurons; ``kick`` gives each Poisson spikes for the first 50 ms."""
    if kind not in ("CUBA", "COBA"):
        raise ValueError(f"kind: must be CUBA or COBA; got {kind!r}.")
    model, init, w_ex, w_in = cuba() if kind == "CUBA" else coba()
    net = snn.Network(seed=seed)
    exc = net.population("exc", 4 * n // 5, model, init=init)
    inh = net.population("inh", n - 4 * n // 5, model, init=init)
    for target in (exc, inh):
        if kick:
            net.input(f"kick {target.name}", target, snn.Poisson(rate=KICK_RATE, stop=KICK_STOP), weight=w_ex)
        net.connect(exc, target, snn.pairwise_bernoulli(P), weight=w_ex, delay=delay)
        net.connect(inh, target, snn.pairwise_bernoulli(P), weight=w_in, delay=delay)
        net.record(target, "spikes")
    return net


def measure(result: snn.Result, start: float = 200.0) -> tuple[float, float]:
    """(rate in Hz, mean CV of intervals) of all neurons after ``start`` ms."""
    records = [r.slice(start, result.t_stop) for r in result.spikes.values()]
    cv = np.concatenate([r.cv() for r in records])
    n = sum(r.n_nodes for r in records)
    rate = sum(len(r) for r in records) / n / (result.t_stop - start) * 1000.0
    return rate, float(np.nanmean(cv)) if np.isfinite(cv).any() else float("nan")


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", choices=["CUBA", "COBA"], default=["CUBA", "COBA"])
    parser.add_argument("--duration", type=float, default=1000.0, help="ms, of which the first 200 are left out [1000]")
    parser.add_argument("--no-kick", action="store_true", help="leave out the spikes of the first 50 ms")
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
        len(options.kinds), 1, figsize=(8.5, 3.2 * len(options.kinds)), layout="constrained", squeeze=False
    )
    print("| network | rate (Hz) | published | CV | real-time factor |\n|---|--:|---|--:|--:|")
    for ax, kind in zip(axes[:, 0], options.kinds, strict=True):
        sim = snn.Simulation(build(kind, seed=options.seed, kick=not options.no_kick), dt=DT, threads=options.threads)
        begin = time.perf_counter()
        result = sim.run(options.duration)
        factor = (time.perf_counter() - begin) / options.duration * 1000.0
        rate, cv = measure(result)
        print(f"| {kind} | {rate:.2f} | {PUBLISHED[kind]} | {cv:.2f} | {factor:.3f} |", flush=True)
        snn.plot.raster(result, ax=ax, max_neurons=400, t=(0.0, min(500.0, options.duration)))
        ax.set_title(f"{kind}: {rate:.1f} Hz, CV {cv:.2f}", fontsize="medium", loc="left")
    path = options.out / "vogels_abbott_2005.png"
    fig.savefig(path, dpi=130)
    plt.close(fig)
    print(f"written: {path}")


if __name__ == "__main__":
    main()
