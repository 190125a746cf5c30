"""The checks of verify.py on plasticity: ten hours of learning, and the distal reward task of an hour."""

from __future__ import annotations

import tempfile
from pathlib import Path

import izhikevich_2007
import numpy as np
from verify_common import Line, Options, axes, save, say

import plasticity
import snn

DT, DELAY = 1.0, 5.0  # ms
PAIR = {"tau_plus": 20.0, "tau_minus": 30.0, "lambda_": 0.005, "alpha": 1.1, "mu_plus": 0.0, "mu_minus": 0.0,
        "w_max": 0.4}  # fmt: skip
TRIPLET = {"tau_plus": 16.8, "tau_minus": 33.7, "tau_plus_triplet": 101.0, "tau_minus_triplet": 125.0, "a_plus": 1e-4,
           "a_plus_triplet": 5e-4, "a_minus": 2.2e-4, "a_minus_triplet": 2e-5, "w_max": 2.0}  # fmt: skip
BOUNDS = {"in->exc": (0.0, 2.0), "exc->exc": (0.0, 0.4), "inh->exc": (-4.0, 0.0), "exc->inh": (0.0, 1.0)}
LOOK_BACK = 20_000.0  # ms: 160 of the longest time constant


def learning_network(every: float) -> snn.Network:
    """80 and 20 neurons; all rules at once: triplet, pair, Vogels, dopamine, short-term plasticity."""
    net = snn.Network(seed=11)
    cell = snn.LIFDelta(tau_m=20.0, v_reset=-65.0)
    inputs = net.population("in", 40, snn.Poisson(rate=6.0))
    exc, inh = (net.population(name, n, cell, init={"v": snn.uniform(-70.0, -55.0)})
                for name, n in (("exc", 80), ("inh", 20)))  # fmt: skip
    dopamine = net.population("dopamine", 1, snn.Poisson(rate=0.5))
    for target in (exc, inh):
        net.input(f"noise {target.name}", target, snn.Poisson(rate=2000.0), weight=0.32)
    net.connect(
        inputs, exc, snn.fixed_indegree(10), weight=1.0, delay=DELAY, plasticity=plasticity.STDPTriplet(**TRIPLET)
    )
    net.connect(exc, exc, snn.fixed_indegree(20), weight=0.2, delay=DELAY, plasticity=plasticity.STDPPair(**PAIR))
    vogels = plasticity.VogelsSprekeler(eta=0.005, alpha=2 * 20.0 * 5.0 / 1000.0, w_max=-4.0)
    net.connect(inh, exc, snn.fixed_indegree(10), weight=-1.0, delay=DELAY, plasticity=vogels)
    rewarded = plasticity.DopamineSTDP(a_plus=0.01, a_minus=0.01, b=2e-4, w_max=1.0)
    net.connect(exc, inh, snn.fixed_indegree(20), weight=0.5, delay=DELAY, plasticity=rewarded,
                short_term=plasticity.TsodyksMarkram(u_se=0.3, tau_rec=100.0))  # fmt: skip
    net.modulate("exc->inh", dopamine)
    for name in BOUNDS:
        net.record_weights(name, every)
    for population in (inputs, exc):
        net.record(population)
    return net


def replayed(rule: dict[str, float], w: float, pre: np.ndarray, post: np.ndarray, start: float, stop: float) -> float:
    """The weight at ``stop`` from ``w`` at ``start`` by the equations of STDPPair or STDPTriplet, in double precision.

    ``pre`` and ``post``: times at the synapse in ms; those before ``start`` give the traces there.
    """
    triplet = "a_plus_triplet" in rule
    r1 = r2 = o1 = o2 = 0.0
    now = 0.0
    for t in np.union1d(pre, post):
        h, now = t - now, t
        r1, o1 = r1 * np.exp(-h / rule["tau_plus"]), o1 * np.exp(-h / rule["tau_minus"])
        if triplet:
            r2, o2 = r2 * np.exp(-h / rule["tau_plus_triplet"]), o2 * np.exp(-h / rule["tau_minus_triplet"])
        counts = start < t <= stop
        seen = t in post
        if counts and seen:
            up = rule["a_plus"] + rule["a_plus_triplet"] * o2 if triplet else rule["lambda_"] * rule["w_max"]
            w = min(w + r1 * up, rule["w_max"])
        for _ in range(np.count_nonzero(pre == t)):  # a Poisson source may spike twice in a step
            if triplet:
                down = rule["a_minus"] + rule["a_minus_triplet"] * r2
            else:
                down = rule["alpha"] * rule["lambda_"] * rule["w_max"]
            w = max(w - o1 * down, 0.0) if counts else w
            r1, r2 = r1 + 1.0, r2 + 1.0
        o1, o2 = o1 + seen, o2 + seen
    return float(w)


def ten_hours(options: Options) -> list[Line]:
    """Ten hours of model time of a network that learns by five rules: no drift, bounds kept, resumed bit for bit."""
    hours = 0.5 if options.quick else 10.0
    stop, last = hours * 3.6e6, 10_000.0
    net = learning_network(10_000.0)
    sim = snn.Simulation(net, dt=DT, threads=1, quiet=True)
    lowest, highest = dict.fromkeys(BOUNDS, np.inf), dict.fromkeys(BOUNDS, -np.inf)
    means: dict[str, list[float]] = {name: [] for name in BOUNDS}
    with tempfile.TemporaryDirectory() as folder:
        half = Path(folder) / "half.h5"
        for k in range(20):  # in pieces, so that spikes need little memory
            result = sim.run(stop / 20 if k < 19 else stop / 20 - LOOK_BACK - last)
            for name, (_, values) in result.weights.items():
                lowest[name], highest[name] = min(lowest[name], values.min()), max(highest[name], values.max())
                means[name] += values.mean(axis=1).tolist()
            if k == 9:
                sim.checkpoint(half)
            say(f"{sim.t / 3.6e6:.2f} h, excitatory rate {result.spikes['exc'].rates().mean():.2f} Hz")
        other = snn.Simulation.resume(half, learning_network(10_000.0), quiet=True)
        other.run(sim.t - other.t)
    before = sim.run(LOOK_BACK)
    start = {name: sim.connections(name) for name in BOUNDS}
    after = sim.run(last)
    end = {name: sim.connections(name)[2] for name in BOUNDS}
    resumed = other.run(LOOK_BACK + last)
    same = np.array_equal(
        resumed.spikes["exc"].times, np.concatenate([r.spikes["exc"].times for r in (before, after)])
    ) and all(np.array_equal(other.connections(name)[2], end[name]) for name in BOUNDS)

    lines = []
    spikes = {name: _trains(before.spikes[name], after.spikes[name]) for name in ("in", "exc")}
    for name, rule in (("in->exc", TRIPLET), ("exc->exc", PAIR)):
        sources, targets, first, _ = start[name]
        chosen = np.linspace(0, len(first) - 1, 100).astype(int)
        expected = [
            replayed(rule, first[k], spikes[name[: name.index("-")]][sources[k]], spikes["exc"][targets[k]] + DELAY,
                     stop - last, stop)
            for k in chosen
        ]  # fmt: skip
        error, moved = np.abs(end[name][chosen] - expected).max(), np.abs(end[name][chosen] - first[chosen]).max()
        text = f"largest difference {error:.1e} after changes of up to {moved:.1e}"
        what = f"weights of {name}, last 10 s of {hours:g} h, 100 synapses"
        passed = bool(error < 1e-12 and moved > 1e-3)
        lines.append(Line(what, "equations, traces from the spikes before", text, "< 1e-12: rounding", passed))
    for name, (low, high) in BOUNDS.items():
        inside = bool(low <= lowest[name] and highest[name] <= high and lowest[name] < highest[name])
        text = f"{lowest[name] + 0.0:.4g} to {highest[name] + 0.0:.4g}"
        lines.append(
            Line(f"weights of {name}, each 10 s of {hours:g} h", "bounds", text, f"{low:g} to {high:g}", inside)
        )
    text = "equal" if same else "different"
    lines.append(
        Line(f"{hours:g} h, resumed half way", "the straight run", f"spikes and weights {text}", "equal", same)
    )
    figure, panels = axes(1, 1, 6.0, 3.0)
    for name, values in means.items():
        panels[0, 0].plot(np.arange(1, len(values) + 1) * hours / len(values), values, label=name)
    panels[0, 0].set(xlabel="time (h)", ylabel="mean weight")
    panels[0, 0].legend(fontsize="small", frameon=False)
    save(figure, options, "ten_hours")
    return lines


def _trains(*records: snn.SpikeRecord) -> list[np.ndarray]:
    """Spike times of each neuron."""
    times, ids = (np.concatenate([getattr(r, name) for r in records]) for name in ("times", "ids"))
    return [times[ids == k] for k in range(records[0].n_nodes)]


def distal_reward(options: Options) -> list[Line]:
    """The synapse that is rewarded 1 to 3 s late grows to the bound within the hour of Izhikevich 2007, figure 1d."""
    figure, panels = axes(1, 1, 6.0, 3.0)
    lines = []
    for seed in range(1, 2 if options.quick else 4):
        states = list(izhikevich_2007.Task(seed).run(3600.0, 20.0))
        chosen = np.array([s.chosen for s in states])
        late = float(np.mean([np.mean(s.weights < s.chosen) for s in states[-30:]]))
        text = f"highest {chosen.max():.2f}; stronger than {late:.1%} of excitatory synapses in the last 10 min"
        passed = bool(chosen.max() > 0.95 * izhikevich_2007.W_MAX and late > 0.95)
        lines.append(Line(f"n1 to n2, 1 h, seed {seed}", "Izhikevich 2007", text, "> 3.8 of 4; > 95 %", passed))
        panels[0, 0].plot([s.time for s in states], chosen, label=f"seed {seed}")
        panels[0, 0].plot([s.time for s in states], [s.mean for s in states], "k", lw=0.5)
    panels[0, 0].set(xlabel="time (s)", ylabel="weight (lines: n1 to n2; thin: mean)")
    panels[0, 0].legend(fontsize="small", frameon=False)
    save(figure, options, "distal_reward")
    return lines
