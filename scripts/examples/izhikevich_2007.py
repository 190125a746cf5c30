"""The distal reward problem: Izhikevich (2007), doi:10.1093/cercor/bhl152, first task.

    python scripts/examples/izhikevich_2007.py --out results

1,000 spiking neurons (800 excitatory, 200 inhibitory, 100 synapses each) fire at 1 to 2 Hz, driven by noise. One
excitatory synapse, n1 to n2, is chosen and set to 0. Whenever n2 fires within 10 ms after n1, dopamine is released 1 to
3 s later, when thousands of other pairs have fired. Eligibility traces remember the pair, and STDP counts only while
there is dopamine (:class:`plasticity.DopamineSTDP`), so within about an hour of model time the chosen synapse grows to
the bound, while the others stay weak.

Parameters, time step and scheme (1 ms, two half steps of v) are those of the paper's script, whose sums every 10 ms are
time constants here: weights follow dw/dt = c (n + 0.0002 / ms), c decays with 995 ms (by 1 % each 10 ms), n with 199.5
ms (by 0.5 % each ms); a reward adds 0.05 / ms to n, pairs add 0.1 exp(-t / 19.5 ms) to c, or take 1.5 times as much.
The noise has the variance of the script's, 13 (U - 0.5) each ms, and is normal. The script rewards pairs within 20 ms
(``--window 20``).
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

import plasticity
import snn

N_EXC, N_INH, SYNAPSES = 800, 200, 100
DT = 1.0  # ms
W_MAX = 4.0
NOISE = 13.0 / math.sqrt(12.0)  # standard deviation
WINDOW = 10.0  # ms
DELAY = (1000.0, 3000.0)  # of the reward, ms
REWARD = 0.05  # 1/ms
N1 = 0
RULE = {"tau_plus": 19.5, "tau_minus": 19.5, "a_plus": 0.1, "a_minus": 0.15, "tau_c": 995.0, "tau_n": 199.5,
        "b": -0.0002, "w_min": 0.0, "w_max": W_MAX}  # fmt: skip
PUBLISHED = "grows to 4, the bound, within 3,600 s (figure 1d)"


class State(NamedTuple):
    """How far learning has come."""

    time: float  # s
    chosen: float  # weight from n1 to n2
    mean: float  # of all excitatory weights
    rewards: int
    rate: float  # Hz, since the last state
    weights: np.ndarray  # all excitatory ones


class Task:
    """The network, its chosen synapse (of weight ``first``), and the rewards to come."""

    def __init__(self, seed: int = 1, window: float = WINDOW, reward: float = REWARD, first: float = 0.0) -> None:
        self.rng = np.random.default_rng(seed)
        self.window, self.reward = window, reward
        inhibitory = np.arange(N_EXC + N_INH) >= N_EXC
        model = snn.Izhikevich(a=np.where(inhibitory, 0.1, 0.02), b=0.2, c=-65.0, d=np.where(inhibitory, 2.0, 8.0),
                               v_th=30.0, consistent_integration=0)  # fmt: skip
        net = snn.Network(seed=seed)
        cells = net.population("cells", N_EXC + N_INH, model, init={"v": -65.0, "u_m": -13.0})
        net.input("noise", cells, snn.NoiseCurrent(std=NOISE, dt=DT))
        # excitatory neurons connect to all, inhibitory ones to excitatory neurons
        self.sources, self.targets = np.repeat(np.arange(N_EXC), SYNAPSES), self._targets(N_EXC, N_EXC + N_INH)
        self.n2 = next(t for t in self.targets[:SYNAPSES] if 0 < t < N_EXC)
        self.is_chosen = (self.sources == N1) & (self.targets == self.n2)
        weight = np.where(self.is_chosen, first, 1.0)
        net.connect(cells, cells, snn.from_arrays(self.sources, self.targets), weight=weight, delay=DT, receptor="cur",
                    name="exc", plasticity=plasticity.DopamineSTDP(**RULE))  # fmt: skip
        net.modulate("exc")
        inh = snn.from_arrays(N_EXC + np.repeat(np.arange(N_INH), SYNAPSES), self._targets(N_INH, N_EXC))
        net.connect(cells, cells, inh, weight=-1.0, delay=DT, receptor="cur", name="inh")
        net.record(cells)
        self.sim = snn.Simulation(net, dt=DT, threads=1, quiet=True)
        self.dopamine, self.dopamine_at = 0.0, 0.0
        self.due: list[float] = []  # times of rewards to come, ms
        self.last_n1 = -math.inf
        self.rewards = 0

    def _targets(self, n: int, known: int) -> np.ndarray:
        """SYNAPSES different targets for each of ``n`` neurons."""
        return np.concatenate([self.rng.choice(known, SYNAPSES, replace=False) for _ in range(n)])

    def run(self, duration: float, every: float) -> Iterator[State]:
        """Learn for ``duration`` s; a state each ``every`` s. Pieces end at rewards, which are 1 s ahead at least."""
        spikes = 0
        for stop in np.arange(1, round(duration / every) + 1) * every * 1000.0 + self.sim.t:
            while self.sim.t < stop:
                end = min([stop, self.sim.t + DELAY[0], *self.due])
                record = self.sim.run(end - self.sim.t).spikes["cells"]
                spikes += len(record)
                self._look(record)
                while end in self.due:
                    self.due.remove(end)
                    self._release(end)
            weights = self.sim.connections("exc")[2]
            chosen = self._by_target(self.is_chosen)
            rate = spikes / (N_EXC + N_INH) / every
            yield State(stop / 1000.0, weights[chosen][0], weights.mean(), self.rewards, rate, weights)
            spikes = 0

    def _by_target(self, values: np.ndarray) -> np.ndarray:
        """Values of the edges in the order of ``sim.connections``."""
        return values[np.argsort(self.targets, kind="stable")]

    def _look(self, record: snn.SpikeRecord) -> None:
        """Note rewards for the pairs in ``record``."""
        for t, i in zip(record.times[np.isin(record.ids, (N1, self.n2))],
                        record.ids[np.isin(record.ids, (N1, self.n2))], strict=True):  # fmt: skip
            if i == N1:
                self.last_n1 = t
            elif 0.0 < t - self.last_n1 < self.window:
                self.due.append(t + round(self.rng.uniform(*DELAY)))

    def _release(self, now: float) -> None:
        self.dopamine *= math.exp(-(now - self.dopamine_at) / RULE["tau_n"])
        self.dopamine, self.dopamine_at = self.dopamine + self.reward, now
        self.sim.set_modulator("exc", self.dopamine)
        self.rewards += 1


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--duration", type=float, default=3600.0, help="s, >= 100 [3600, as in the paper]")
    parser.add_argument("--window", type=float, default=WINDOW, help=f"ms from n1 to n2 [{WINDOW:g}]")
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    if options.duration < 100.0:
        parser.error("--duration: must be >= 100 s")
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    options.out.mkdir(parents=True, exist_ok=True)
    task = Task(options.seed, options.window)
    begin = time.perf_counter()
    states = []
    print("| time (s) | n1 to n2 | mean excitatory weight | rewards | rate (Hz) |\n|--:|--:|--:|--:|--:|")
    for state in task.run(options.duration, 10.0):
        states.append(state)
        if len(states) % 30 == 0:
            print(f"| {state.time:g} | {state.chosen:.2f} | {state.mean:.2f} | {state.rewards} | {state.rate:.2f} |",
                  flush=True)  # fmt: skip
    took = time.perf_counter() - begin
    high = [s.time for s in states if s.chosen > 0.95 * W_MAX]
    print(f"\nn1 to n2: {states[-1].chosen:.2f} at the end; {PUBLISHED}")
    print(f"first above {0.95 * W_MAX:g}: {f'{high[0]:g} s' if high else 'never'}")
    above = np.mean(states[-1].weights > states[-1].chosen)
    print(f"excitatory synapses stronger than it: {above:.2%} (published: the others are near 0, figure 1d)")
    print(f"run {took:.1f} s, real-time factor {took / options.duration:.4f}")

    fig, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    axes[0].plot([s.time for s in states], [s.chosen for s in states], label="n1 to n2")
    axes[0].plot([s.time for s in states], [s.mean for s in states], label="mean")
    axes[0].set(xlabel="time (s)", ylabel="weight", ylim=(0, 1.05 * W_MAX))
    axes[0].legend()
    axes[1].hist(states[-1].weights, bins=50, range=(0, W_MAX), log=True)
    axes[1].axvline(states[-1].chosen, color="k", lw=0.5)
    axes[1].set(xlabel="weight at the end", ylabel="synapses")
    path = options.out / "izhikevich_2007.png"
    fig.savefig(path, dpi=130)
    plt.close(fig)
    print(f"written: {path}")


if __name__ == "__main__":
    main()
