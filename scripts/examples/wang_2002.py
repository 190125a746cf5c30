"""Decisions by slow reverberation in the network of Wang (2002), doi:10.1016/S0896-6273(02)01092-9.

    python scripts/examples/wang_2002.py --out results

1,600 excitatory and 400 inhibitory neurons, all connected to all by AMPA, saturating NMDA and GABA conductances. Two
groups of 240 excitatory neurons get evidence for one of two answers each: Poisson spikes of rate 40 (1 + c) Hz and
40 (1 - c) Hz, c the coherence, to which a normal number of SD 4 Hz is added anew every 50 ms. Strong synapses within a
group and inhibition from all make one group win; the slow NMDA conductances let it gather evidence for hundreds of ms,
and hold the answer when the evidence has gone.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

import plasticity
import snn

N_EX, N_IN, N_GROUP = 1600, 400, 240
DT, DELAY = 0.1, 0.5  # ms
STRONG = 1.7  # relative weight within a group
WEAK = 1.0 - N_GROUP / N_EX * (STRONG - 1.0) / (1.0 - N_GROUP / N_EX)  # into a group from outside: the mean stays 1
BACKGROUND = 2400.0  # Hz, each neuron
MEAN_RATE, SD_RATE, CHANGE = 40.0, 4.0, 50.0  # Hz, Hz, ms: the evidence
ON, OFF, STOP = 500.0, 2500.0, 3000.0  # ms
BOUND = 15.0  # Hz: the group that is there first has decided


class Conductances(NamedTuple):
    """Of one synapse, nS."""

    outside: float
    ampa: float
    nmda: float
    gaba: float


TO_EX, TO_IN = Conductances(2.1, 0.05, 0.165, 1.3), Conductances(1.62, 0.04, 0.13, 1.0)


def build(coherence: float, seed: int = 1) -> snn.Network:
    """One trial with evidence of ``coherence`` (-1 to 1) for group a; it is off after 2.5 s."""
    net = snn.Network(seed=seed)
    shared = {"e_l": -70.0, "v_th": -50.0, "v_reset": -55.0, "e_ex": 0.0, "e_in": -70.0}
    ex_model = snn.LIFCondNMDA(c_m=500.0, g_l=25.0, t_ref=2.0, **shared)
    in_model = snn.LIFCondNMDA(c_m=200.0, g_l=20.0, t_ref=1.0, **shared)
    start = {"v": snn.uniform(-60.0, -50.0)}
    exc, inh = net.population("exc", N_EX, ex_model, init=start), net.population("inh", N_IN, in_model, init=start)
    groups = {"a": exc[:N_GROUP], "b": exc[N_GROUP : 2 * N_GROUP], "others": exc[2 * N_GROUP :]}
    gating = plasticity.SaturatingNMDA(alpha=0.5, tau_rise=2.0, tau_decay=100.0)

    def excite(name, source, target, g, factor=1.0):  # type: ignore[no-untyped-def]
        rule = snn.all_to_all()
        net.connect(source, target, rule, factor * g.ampa, DELAY, name=f"AMPA {name}")
        net.connect(source, target, rule, factor * g.nmda, DELAY, "nmda", f"NMDA {name}", short_term=gating)

    for target in ("a", "b"):
        for source, part in groups.items():
            excite(f"{source}->{target}", part, groups[target], TO_EX, STRONG if source == target else WEAK)
    excite("exc->others", exc, groups["others"], TO_EX)
    excite("exc->inh", exc, inh, TO_IN)
    for population, g in ((exc, TO_EX), (inh, TO_IN)):
        net.connect(inh, population, snn.all_to_all(), -g.gaba, DELAY)
        net.input(f"background {population.name}", population, snn.Poisson(BACKGROUND), weight=g.outside)
    times = np.arange(ON, OFF, CHANGE)
    noise = np.random.default_rng([seed, 2002]).normal(0.0, SD_RATE, (2, len(times)))
    for name, sign, more in (("a", 1.0, noise[0]), ("b", -1.0, noise[1])):
        rates = np.maximum(MEAN_RATE * (1.0 + sign * coherence) + more, 0.0)
        net.input(f"evidence {name}", groups[name], snn.Poisson(rates, times, stop=OFF), weight=TO_EX.outside)
    net.record(exc, "spikes")
    net.record(inh, "spikes")
    return net


def rates(result: snn.Result) -> tuple[np.ndarray, np.ndarray]:
    """(ends of windows of 50 ms, every 5 ms; rates of groups a, b and the inhibitory neurons in them, Hz, (3, n))."""
    exc, inh = result.spikes["exc"], result.spikes["inh"]
    edges = np.arange(0.0, result.t_stop + 1.0, 5.0)
    trains = (exc.times[exc.ids < N_GROUP], exc.times[(exc.ids >= N_GROUP) & (exc.ids < 2 * N_GROUP)], inh.times)
    found = []
    for spikes, n in zip(trains, (N_GROUP, N_GROUP, N_IN), strict=True):
        sums = np.concatenate([[0], np.cumsum(np.histogram(spikes, edges)[0])])
        found.append((sums[10:] - sums[:-10]) / n / 50e-3)
    return edges[10:], np.array(found)


def decision(result: snn.Result) -> tuple[float, float, bool]:
    """(1 for group a, -1 for b, 0 for none; ms after the evidence began; whether it is held when that has gone)."""
    at, (a, b, _) = rates(result)
    there = np.flatnonzero((at > ON) & (at <= OFF) & (np.maximum(a, b) >= BOUND))
    if not there.size:
        return 0.0, np.nan, False
    first = there[0]
    choice = 1.0 if a[first] >= b[first] else -1.0
    return choice, at[first] - ON, bool(choice * (a[-1] - b[-1]) >= 0.5 * BOUND)


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coherences", nargs="+", type=float, default=[0.0, 0.032, 0.064, 0.128, 0.256, 0.512])
    parser.add_argument("--trials", type=int, default=20, help="of each coherence [20]")
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    options.out.mkdir(parents=True, exist_ok=True)
    fig, (ax, course) = plt.subplots(1, 2, figsize=(9.0, 3.5), layout="constrained")
    print("| coherence | group a won | mean time (ms) | SD (ms) | none | held | wall s a trial |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    correct = []
    for k, coherence in enumerate(options.coherences):
        found, begin = [], time.perf_counter()
        for trial in range(options.trials):
            net = build(coherence, seed=options.seed + 1000 * k + trial)
            result = snn.Simulation(net, dt=DT, threads=options.threads, quiet=trial > 0).run(STOP)
            found.append(decision(result))
            if k == len(options.coherences) - 1 and trial < 5:
                at, (a, b, _) = rates(result)
                course.plot(at, a, "C0", at, b, "C3", lw=0.8)
        choice, when, held = np.array(found).T
        made = choice != 0.0
        correct.append(np.mean(choice[made] > 0.0) if made.any() else np.nan)
        wall = (time.perf_counter() - begin) / options.trials
        print(
            f"| {100 * coherence:g} % | {100 * correct[-1]:.0f} % | {np.nanmean(when):.0f} | {np.nanstd(when):.0f} "
            f"| {np.sum(~made)} | {np.mean(held[made]):.2f} | {wall:.2f} |", flush=True,
        )  # fmt: skip
    ax.plot(100.0 * np.array(options.coherences), 100.0 * np.array(correct), "o-")
    ax.set(xlabel="coherence (%)", ylabel="group a won (%)", ylim=(0.0, 105.0))
    course.axvspan(ON, OFF, color="0.9")
    course.set(xlabel="time (ms)", ylabel="rate of the groups (Hz)", title=f"coherence {100 * coherence:g} %")
    path = options.out / "wang_2002.png"
    fig.savefig(path, dpi=130)
    plt.close(fig)
    print(f"written: {path}")


if __name__ == "__main__":
    main()
