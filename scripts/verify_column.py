"""The checks of verify.py on liquids: the column of Maass, Natschlaeger & Markram (2002) tells inputs apart, and the
linear response measured without recurrence foretells that with it."""

from __future__ import annotations

import copy

import numpy as np
import scipy.stats
from verify_common import Line, Options, axes, save, say

import reservoir
import snn
from reservoir import tuning
from reservoir.column import INPUT

DURATION, RATE, WIDTH = 500.0, 20.0, 5.0  # ms, Hz, ms
DISTANCES = (0.0, 0.1, 0.2, 0.4)
LATE = slice(200, 500)  # samples of 1 ms


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Of two trains: the integral of the squared difference, after convolution with exp(-(t/5 ms)^2), over 500 ms."""
    times, signs = np.concatenate([a, b]), np.repeat([1.0, -1.0], [len(a), len(b)])
    overlap = np.exp(-0.5 * ((times[:, None] - times) / WIDTH) ** 2) * WIDTH * np.sqrt(0.5 * np.pi)
    return float(signs @ overlap @ signs) / DURATION


def train(rng: np.random.Generator) -> np.ndarray:
    """A Poisson train on a grid of 1 ms."""
    return np.unique(rng.integers(0, DURATION, rng.poisson(RATE * DURATION * 1e-3))).astype(float)


def pair(wanted: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two Poisson trains that are ``wanted`` apart, to 0.01: one has a share of its spikes drawn again in the other."""
    while True:
        first = train(rng)
        if wanted == 0.0 and len(first):
            return first, first
        kept, other = rng.random(len(first)), train(rng)
        share = rng.random()
        second = np.union1d(first[kept > share], other[rng.random(len(other)) < share])
        if abs(distance(first, second) - wanted) <= 0.01:
            return first, second


def column(seed: int, start: int, **options: float) -> reservoir.SpikingReservoir:
    """The column driven by a train, from initial potentials of number ``start``."""
    net = reservoir.maass_column(seed=seed, **options)
    net._seed = start  # of initial potentials; edges are drawn
    w_in = {kind: np.full((net.populations[kind].n, 1), weight) for kind, weight in INPUT.items()}
    events = reservoir.encoders.Events()
    return reservoir.SpikingReservoir(net, w_in, hold=1.0, dt=0.1, tau=30.0, threads=1, encoder=events)


def separate(seed: int, pairs: int, **options: float) -> tuple[np.ndarray, float]:
    """State distances of ``pairs`` pairs for each distance of inputs, (distances, pairs, steps), and the mean rate."""
    rng, starts = np.random.default_rng(seed), [column(seed, k, **options) for k in (1, 2)]
    out, rates = np.empty((len(DISTANCES), pairs, int(DURATION))), []
    for m, wanted in enumerate(DISTANCES):
        for k in range(pairs):
            runs = []
            for liquid, times in zip(starts, pair(wanted, rng), strict=True):
                u = reservoir.encoders.binned(times, np.zeros(len(times), int), 1, 1.0, DURATION)
                runs.append(liquid.states(u))
                rates.append(runs[-1].sum() / (runs[-1].shape[1] * 30.0 * DURATION * 1e-3))
            out[m, k] = reservoir.measures.separation(*runs)
    return out, float(np.mean(rates))


def maass_separation(options: Options) -> list[Line]:
    """The column of Maass et al. (2002): distances of states are ordered as those of inputs, three columns; minutes."""
    seeds, pairs = range(1, 2 if options.quick else 4), 50 if options.quick else 200
    figure, panels = axes(1, len(seeds), 4.0, 3.0)
    lines = []
    for panel, seed in zip(panels[0], seeds, strict=True):
        found, rate = separate(seed, pairs)
        curves = np.mean(found**2, axis=1)
        ordered = float(np.mean(np.all(np.diff(curves[:, LATE], axis=0) > 0, axis=0)))
        late = np.mean(found[:, :, LATE] ** 2, axis=2)
        tests = [
            scipy.stats.mannwhitneyu(b, a, alternative="greater").pvalue for a, b in zip(late, late[1:], strict=False)
        ]
        norms = found.mean(axis=1)[:, LATE].mean(axis=1)
        text = (
            f"ordered at {100 * ordered:.1f} % of 300 ms; mean distances {', '.join(f'{x:.2f}' for x in norms)}; "
            f"p at most {max(tests):.1g}; about {rate:.0f} Hz"
        )
        say(f"seed {seed}: {text}")
        passed = bool(ordered == 1.0 and max(tests) < 0.01)
        what = f"column of Maass et al., {pairs} pairs a distance, seed {seed}"
        lines.append(Line(what, "order of the inputs' distances", text, "all of 200 to 500 ms; p < 0.01", passed))
        for curve, wanted in zip(found.mean(axis=1), DISTANCES, strict=True):
            panel.plot(curve, lw=0.8, label=f"d = {wanted:g}")
        panel.set(xlabel="time (ms)", ylabel="distance of states", title=f"seed {seed}")
        panel.legend(fontsize="x-small", frameon=False)
    save(figure, options, "maass_separation")
    return lines


def liquid_gain(options: Options) -> list[Line]:
    """Linear response of recurrent LIF networks, measured without recurrence, against the effect of a current."""
    model = snn.LIFExp(tau_m=20.0, c_m=20.0, e_l=0.0, v_th=1.0, v_reset=0.0, t_ref=2.0, i_e=snn.normal(0.9, 0.2))
    lines = []
    for seed in range(1, 2 if options.quick else 4):
        for balance in (4.0, 2.0):
            graph = reservoir.graphs.small_world(200, 20, 0.2, seed=seed)
            net = reservoir.random_network(200, model, graph, 0.2, snn.uniform(1.0, 20.0), balance=balance, seed=seed)
            rng = np.random.default_rng(seed)
            w, u = rng.uniform(-0.6, 0.6, (200, 1)), rng.uniform(-1.0, 1.0, (3000, 1))
            liquid = reservoir.SpikingReservoir(net, {"exc": w[:160], "inh": w[160:]}, threads=1)
            driven = copy.copy(liquid)
            driven.net = copy.copy(net)
            driven.net.inputs = {}
            for name in liquid.read:
                driven.net.input(f"more to {name}", name, snn.StepCurrent(0.03))
            before = liquid.rates(u)
            alone = tuning._again(driven, u, liquid.record(u), 1, 0.0) / 30.0 - before  # 30 s, without recurrence
            found = driven.rates(u) - before
            response = tuning.linear_response(liquid, u).toarray()
            told = np.linalg.solve(np.eye(200) - response, alone)
            off, same = told.mean() / found.mean() - 1.0, np.corrcoef(told, found)[0, 1]
            gain = reservoir.spectral_radius(response)
            text = (
                f"gain {gain:.2f}; rates rise by {found.mean():.2f} Hz, foretold {told.mean():.2f} "
                f"({100 * off:+.1f} %), {alone.mean():.2f} without recurrence; correlation over neurons {same:.3f}"
            )
            say(f"seed {seed}, inhibition {balance:g}: {text}")
            passed = bool(abs(off) <= 0.1 and same >= 0.9)
            what = f"linear response, 200 LIF neurons, inhibition {balance:g}, seed {seed}"
            lines.append(Line(what, "0.03 pA more to all, 30 s", text, "10 %; 0.9", passed))
    return lines
