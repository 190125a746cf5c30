"""The checks of verify.py on on-chip learning: random rules and learning networks, here and in Lava 0.10.0."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lava_fuzz import worker
from verify_common import Line, Options, say

import snn
from neuromorphic.fixed_point import (
    IntegerLIF,
    IntegerNetwork,
    IntegerProjection,
    IntegerSource,
)
from neuromorphic.fixed_point_step import EXCITATORY, INHIBITORY, effective_weights
from neuromorphic.lava import export_lava, lava_python, run_lava
from neuromorphic.learning import TARGETS, VARIABLES, Learned, OnChipRule, learn
from neuromorphic.quantization import quantize
from plasticity import DopamineSTDP, STDPPair

BITS = {"x0": 1, "y0": 1, "w": 9, "d": 9, "t": 9}


@dataclass
class Case:
    """A rule, what drives it, and where it starts: arguments of :func:`neuromorphic.learning.learn`."""

    rule: OnChipRule
    pre: np.ndarray
    post: np.ndarray
    weights: np.ndarray
    d: np.ndarray
    t: np.ndarray
    y: np.ndarray | None
    sign_mode: int

    def run(self) -> Learned:
        """Our engine."""
        return learn(self.rule, self.pre, self.post, self.weights, self.d, self.t, self.y, self.sign_mode)


def random_rule(rng: np.random.Generator, third: bool) -> OnChipRule:
    """A rule of one to three sums of one to four products, in all ways of writing them."""
    k = int(rng.integers(0, 3))

    def number() -> str:
        m, e = int(rng.choice([1, 1, 2, 3, 5, 7, 8, 12])), int(rng.integers(-5, 3))
        return str(rng.choice([f"2^{e}", f"{m}*2^{e}", f"{m}", f"(-{m})*2^{e}", f"(-{m})"]))

    def product() -> str:
        dependency = str(rng.choice(["x0", "y0", f"u{k}"]))
        parts, bits = [], 0
        for _ in range(int(rng.choice([0, 1, 1, 2, 2, 3, 4]))):
            v = str(rng.choice(["x0", "y0", "x1", "x2", "y1", "y2", "y3", "w", "d", "t"]))
            bits += BITS.get(v, 7)
            if bits > 28:
                break
            c = int(rng.integers(1, 30))
            forms = [v] if v in ("x0", "y0") else [v, v, f"({v}+{c})", f"({v}-{c})", f"({c}+{v})", f"(-{c}+{v})"]
            if v in "wdt":
                forms += [f"sgn({v})", f"sgn({v}-{c})", f"sgn({c}+{v})"]
            parts.append(str(rng.choice(forms)))
        if rng.random() < 0.8:
            parts.append(number())
        parts = [parts[i] for i in rng.permutation(len(parts))]
        first = dependency[0] == "u" or any(p in ("x0", "y0") for p in parts)
        parts.insert(0 if first else int(rng.integers(0, len(parts) + 1)), dependency)
        return "*".join(parts)

    def total() -> str:
        text = str(rng.choice(["", "", "-"])) + product()
        for _ in range(int(rng.integers(0, 4))):
            text += str(rng.choice([" + ", " - ", "-"])) + product()
        return text

    def trace() -> tuple[float, float]:
        impulse = float(rng.choice([rng.integers(0, 128), rng.uniform(0, 40), 16, 20.25]))
        return impulse, float(rng.choice([0, rng.uniform(0.5, 5), rng.integers(1, 60), 300]))

    which = rng.permutation(3)[: rng.integers(1, 4)]
    none = (0.0, 0.0)
    return OnChipRule(
        **{TARGETS[i]: total() for i in which}, x1=trace(), x2=trace(), y1=trace(), y2=none if third else trace(),
        y3=none if third else trace(), epoch=int(rng.integers(1, 7)), seed=int(rng.integers(0, 1000)),
        third_factor=third,
    )  # fmt: skip


def random_case(rng: np.random.Generator, third: bool, steps: int = 24) -> Case:
    """A random rule with random spikes, weights and tags."""
    n, m = int(rng.integers(1, 5)), int(rng.integers(1, 5))
    mode = int(rng.integers(1, 4))
    pre, post = (rng.random((steps, k)) < rng.uniform(0.05, 0.6) for k in (n, m))
    weights = rng.integers(-256, 256, (n, m)) // int(rng.choice([1, 8]))
    if mode != 1:
        weights = np.minimum(np.abs(weights), 255) * (1 if mode == EXCITATORY else -1 if mode == INHIBITORY else 0)
    y = rng.integers(rng.choice([0, -60]), 200, (steps, 3, m)) if third else None
    return Case(
        random_rule(rng, third), pre, post, effective_weights(weights, 8, mode), rng.integers(0, 256, (n, m)),
        rng.integers(-256, 256, (n, m)), y, mode,
    )  # fmt: skip


def lava_learns(cases: list[Case], python: str, folder: Path) -> list[Learned]:
    """What Lava's ``LearningDense`` makes of the cases, in one process."""
    arrays: dict[str, Any] = {"cases": np.array(len(cases))}
    for k, c in enumerate(cases):
        arrays[f"rule{k}"] = np.array(json.dumps(asdict(c.rule) | {"sign_mode": c.sign_mode}))
        for name in ("pre", "post", "weights", "d", "t", "y"):
            value = getattr(c, name)
            if value is not None:
                arrays[f"{name}{k}"] = value
    found = worker(python, "learning", folder, arrays)
    return [Learned(*(found[f"{name}{k}"] for name in Learned._fields)) for k in range(len(cases))]


def mismatches(ours: Learned, theirs: Learned) -> dict[str, int]:
    """By name, how many entries differ."""
    return {name: int(np.sum(a != b)) for name, a, b in zip(Learned._fields, ours, theirs, strict=True)}


def learning_rules(options: Options) -> list[Line]:
    """Random two- and three-factor rules against Lava's process model: w, d, t, x, y after every step."""
    count = 100 if options.quick else 1000
    rng = np.random.default_rng(2026)
    cases = [random_case(rng, third=k % 2 == 1) for k in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        theirs = lava_learns(cases, lava_python(), Path(folder))
    wrong, entries, changes = 0, 0, 0
    for c, found in zip(cases, theirs, strict=True):
        ours = c.run()
        bad = mismatches(ours, found)
        wrong += any(bad.values())
        entries += sum(x.size for x in ours)
        changes += sum(int(np.sum(np.diff(x, axis=0) != 0)) for x in ours[:3])
        if any(bad.values()):
            say(f"{c.rule}: {bad}")
    used = {f.variable for c in cases for k in TARGETS for p in c.rule.products(k) for f in p.factors}
    text = f"{wrong} rules differ; {entries:,} entries compared, of which {changes:,} changes of w, d or t"
    return [
        Line(f"{count // 2} two-factor and {count // 2} three-factor rules at random, 24 steps",
             "Lava 0.10.0, LearningDense", text, "0 differ", wrong == 0 and used == set(VARIABLES) - {"u"})
    ]  # fmt: skip


def stdp_network(seed: int, n: int = 60, steps: int = 400) -> IntegerNetwork:
    """Pair STDP: on the input and on the recurrent excitation of ``n`` neurons; a fifth more inhibit."""
    rng = np.random.default_rng(seed)
    epoch = int(rng.integers(1, 5))
    when, which = np.nonzero(rng.random((steps, 30)) < 0.1)
    m = n // 5
    stdp = {"x1": (16, 20), "y1": (16, 20), "epoch": epoch, "seed": seed}
    rule = OnChipRule(dw="2^-3*x1*y0 - 2^-3*y1*x0", **stdp)
    soft = OnChipRule(dw="2^-3*x1*y0 - 2^-4*(w+10)*y1*x0", **stdp)

    def edges(source: str, target: str, sizes: tuple[int, int], weights: tuple[int, int], **more: Any) -> Any:
        sources, targets = np.nonzero(rng.random(sizes) < 0.3)
        return IntegerProjection(source, target, sources, targets, rng.integers(*weights, len(sources)), **more)

    neurons: dict[str, Any] = {"du": 1500, "dv": 300, "vth": 900}
    exc, inh = IntegerLIF(n, bias_mant=rng.integers(0, 60, n), bias_exp=4, **neurons), IntegerLIF(m, **neurons)
    return IntegerNetwork(
        {"exc": exc, "inh": inh},
        {"in": IntegerSource(30, when + 1, which)},
        {"in": edges("in", "exc", (30, n), (20, 120), learning=rule, sign_mode=EXCITATORY),
         "ee": edges("exc", "exc", (n, n), (0, 30), learning=soft),
         "ei": edges("exc", "inh", (n, m), (10, 80)), "ie": edges("inh", "exc", (m, n), (-200, -50))},
    )  # fmt: skip


def reward_network(seed: int, n: int = 40, steps: int = 400) -> IntegerNetwork:
    """Reward-modulated STDP: eligibility in t, a third factor of a source (reward) and of a neuron (punishment)."""
    rng = np.random.default_rng(seed)
    when, which = np.nonzero(rng.random((steps, 30)) < 0.1)
    rule = OnChipRule(
        dt="2^-1*x1*y0 - 2^-2*y1*x0 - 2^-4*u0*t", dw="2^1*u0*t*y2", x1=(24, 10), y1=(20.5, 12),
        y2=(0, 4.0 * (seed % 2)), epoch=int(rng.integers(1, 4)), seed=seed, third_factor=True, bits=5 * (seed % 2),
    )  # fmt: skip
    sources, targets = np.nonzero(rng.random((30, n)) < 0.5)
    weights = rng.integers(20, 120, len(sources))
    every, one = np.arange(n), np.zeros(n, np.int64)
    reward = np.flatnonzero(rng.random(steps) < 0.2) + 1
    return IntegerNetwork(
        {"out": IntegerLIF(n, du=1500, dv=300, vth=900), "punish": IntegerLIF(1, du=4095, dv=100, vth=2000)},
        {"in": IntegerSource(30, when + 1, which), "reward": IntegerSource(1, reward, 0 * reward)},
        {"in": IntegerProjection("in", "out", sources, targets, weights, learning=rule, sign_mode=EXCITATORY),
         "reward": IntegerProjection("reward", "out", one, every, np.full(n, 60), third=True),
         "all": IntegerProjection("out", "punish", every, one, np.full(n, 90)),
         "punish": IntegerProjection("punish", "out", one, every, np.full(n, -40), third=True)},
    )  # fmt: skip


def learning_networks(options: Options) -> list[Line]:
    """STDP and reward-modulated networks through Lava's runtime: every spike, u and v, and the weights at the end."""
    seeds, lines = range(2 if options.quick else 10), []
    for make in (stdp_network, reward_network):
        equal, spikes, moved = 0, 0, []
        for seed in seeds:
            net = make(seed)
            with tempfile.TemporaryDirectory() as folder:
                run = run_lava(export_lava(net, Path(folder) / "b", 400))
            equal += run.equal
            spikes += sum(int(s.sum()) for s in run.spikes.values())
            moved.append(np.mean([np.mean(w[0] != net.projections[k].weights) for k, w in run.learned.items()]))
            say(f"{make.__name__} {seed}: equal {run.equal}, {run.differ}, {run.learned_differ}")
        text = f"{equal} of {len(seeds)} networks equal; {spikes:,} spikes; {np.mean(moved):.0%} of the weights changed"
        lines.append(
            Line(f"{make.__doc__.split(':')[0].rstrip('.')}, 400 steps, {len(seeds)} seeds: spikes, u, v, w, d, t",
                 "Lava 0.10.0", text, "all equal", equal == len(seeds) and min(moved) > 0.3)
        )  # fmt: skip
    return lines


def correlated_inputs(seed: int, steps: int, mu: float) -> snn.Network:
    """30 inputs at 20 Hz onto 10 neurons by pair STDP; the first 10 inputs share half of their spikes."""
    rng = np.random.default_rng(seed)
    own, common = rng.random((steps, 30)) < 0.02, rng.random(steps) < 0.02
    own[:, :10] = np.where(rng.random((steps, 10)) < 0.5, common[:, None], own[:, :10])
    for t in range(1, steps):  # at least 5 steps apart
        own[t] &= ~own[max(t - 4, 0) : t].any(axis=0)
    when, which = np.nonzero(own)
    net = snn.Network(seed=seed)
    src = net.population("in", 30, snn.SpikeArray(when + 1.0, which))
    out = net.population("out", 10, snn.CubaLIF(alpha=0.0, beta=0.9, v_th=1.0))
    rule = STDPPair(tau_plus=17.0, tau_minus=34.0, lambda_=0.005, alpha=0.53, mu_plus=mu, mu_minus=mu, w_max=0.4)
    net.connect(src, out, snn.all_to_all(), weight=snn.uniform(0.1, 0.3), delay=1.0, plasticity=rule, name="learns")
    net.record(out, "spikes")
    return net


def stdp_on_loihi(options: Options) -> list[Line]:
    """Pair STDP of a float network, quantised: which inputs win, beside the float network; Lava for one seed."""
    steps = 20_000 if options.quick else 100_000
    lines = []
    for mu in (0.0, 1.0):
        found = []
        for seed in range(2 if options.quick else 5):
            net = correlated_inputs(seed, steps, mu)
            sim = snn.Simulation(net, dt=1.0)
            spikes = len(sim.run(float(steps)).spikes["out"])
            sources, targets, weights, _ = sim.connections("learns")
            floats = np.zeros((30, 10))
            floats[sources, targets] = weights / 0.4
            quantized = quantize(net, 1.0, interval=5)
            result = quantized.network.run(steps)
            p = quantized.network.projections["learns"]
            integers = np.zeros((30, 10))
            integers[p.sources, p.targets] = result.learned["learns"][0] / 255
            together = np.corrcoef(floats.ravel(), integers.ravel())[0, 1]
            means = [x[part].mean() for x in (floats, integers) for part in (slice(0, 10), slice(10, 30))]
            found.append([*means, together, result.ids["out"].size / spikes])
            say(f"mu {mu:g}, seed {seed}: {np.round(found[-1], 3)}, wraps {result.wraps['out'].max()}")
            if seed == 0:
                say(str(quantized))
                with tempfile.TemporaryDirectory() as folder:
                    run = run_lava(export_lava(quantized.network, Path(folder) / "b", 2000))
        a = np.array(found)
        text = (
            f"weights / w_max of correlated inputs {a[:, 0].mean():.3f} float, {a[:, 2].mean():.3f} integers; of the "
            f"others {a[:, 1].mean():.3f}, {a[:, 3].mean():.3f}; correlation of single weights {a[:, 4].min():.2f} to "
            f"{a[:, 4].max():.2f}; spikes {a[:, 5].min():.2f} to {a[:, 5].max():.2f} of the float ones; 2000 steps in "
            f"Lava equal: {run.equal}"
        )
        apart = np.abs(a[:, :2] - a[:, 2:4]).max()
        parted = np.all(a[:, 0] > a[:, 1]) and np.all(a[:, 2] > a[:, 3])
        passed = bool(apart < 0.1 and parted and run.equal)
        lines.append(
            Line(f"pair STDP, mu {mu:g}, {len(a)} seeds of {steps:,} steps: mean weight of both kinds of input",
                 "float network", text, "0.1 w_max apart at most; Lava equal", passed)
        )  # fmt: skip
    return lines


def rewarded_inputs(seed: int, steps: int) -> snn.Network:
    """30 inputs at about 9 Hz onto 10 neurons by dopamine-modulated STDP, with 4 dopamine spikes a second at random."""
    rng = np.random.default_rng(seed)
    own = rng.random((steps, 30)) < 0.01
    for t in range(1, steps):  # at least 10 steps apart
        own[t] &= ~own[max(t - 9, 0) : t].any(axis=0)
    when, which = np.nonzero(own)
    net = snn.Network(seed=seed)
    src = net.population("in", 30, snn.SpikeArray(when + 1.0, which))
    given = np.sort(rng.choice(np.arange(50, steps - 50, 10), steps // 240, replace=False)).astype(float)
    net.population("dopamine", 1, snn.SpikeArray(given, np.zeros(len(given), int)))
    out = net.population("out", 10, snn.CubaLIF(alpha=0.0, beta=0.9, v_th=1.0))
    rule = DopamineSTDP(tau_plus=15.0, tau_minus=25.0, a_plus=0.02, a_minus=0.013, tau_c=300.0, tau_n=60.0, w_max=0.8)
    net.connect(src, out, snn.all_to_all(), weight=snn.uniform(0.2, 0.6), delay=1.0, plasticity=rule, name="learns")
    net.modulate("learns", "dopamine", delay=1.0)
    net.record(out, "spikes")
    return net


def dopamine_on_loihi(options: Options) -> list[Line]:
    """Dopamine-modulated STDP of a float network, quantised: how weights change, beside the float network; Lava."""
    steps, found, runs = 6000, [], []
    for seed in range(2 if options.quick else 5):
        net = rewarded_inputs(seed, steps)
        sim = snn.Simulation(net, dt=1.0)
        first = sim.connections("learns")[2].copy()
        spikes = len(sim.run(float(steps)).spikes["out"])
        sources, targets, last, _ = sim.connections("learns")
        quantized = quantize(net, 1.0, interval=8)
        result = quantized.network.run(steps)
        p = quantized.network.projections["learns"]
        change, changed = np.zeros((30, 10)), np.zeros((30, 10))
        change[sources, targets] = (last - first) / 0.8
        changed[p.sources, p.targets] = (result.learned["learns"][0] - p.weights) / 255
        found.append([change.mean(), changed.mean(), change.std(), changed.std(),
                      np.corrcoef(change.ravel(), changed.ravel())[0, 1], result.ids["out"].size / spikes])  # fmt: skip
        say(f"seed {seed}: {np.round(found[-1], 3)}, wraps {result.wraps['out'].max()}")
        if seed == 0:
            say(str(quantized))
        with tempfile.TemporaryDirectory() as folder:
            runs.append(run_lava(export_lava(quantized.network, Path(folder) / "b", 1500)).equal)
    a = np.array(found)
    text = (
        f"mean change of weights / w_max {a[:, 0].mean():.3f} float, {a[:, 1].mean():.3f} integers; standard deviation "
        f"{a[:, 2].mean():.3f}, {a[:, 3].mean():.3f}; changes of single weights correlate {a[:, 4].min():.2f} to "
        f"{a[:, 4].max():.2f}; spikes {a[:, 5].min():.2f} to {a[:, 5].max():.2f} of the float ones; 1500 steps in Lava "
        f"equal: {sum(runs)} of {len(runs)}"
    )
    passed = bool(np.abs(a[:, 0] - a[:, 1]).max() < 0.1 and a[:, 4].min() > 0.7 and all(runs))
    return [
        Line(f"dopamine-modulated STDP, {len(a)} seeds of {steps:,} steps", "float network", text,
             "mean changes 0.1 w_max apart at most, correlation above 0.7; Lava equal", passed)
    ]  # fmt: skip
