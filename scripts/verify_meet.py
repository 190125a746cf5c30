"""The checks of verify.py on predicting what comes when, after Yamada & Chao (2025)."""

from __future__ import annotations

from typing import Any

import numpy as np
import yamada_chao_2025 as paper
from verify_common import Line, Options, axes, save, say

import reservoir

PLAIN = {"gain": 0.5, "inhibition": 4.0, "bias": 5.0, "bias_sd": 1.5, "cue_scale": 10.0, "delay": (1, 1)}
VARIANTS: dict[str, dict[str, Any]] = {
    "noise 0.05": paper.NOISE,
    "noise 0.2": paper.NOISE | {"noise": 0.2},
    "noise 0.05, gate of 3 sigma": paper.NOISE | {"gate_floor": 0.05},
    "noise 0.05, feedback": paper.NOISE | {"feedback": 2.0},
    "noise 0.05, no restart": paper.NOISE | {"restart": False},
    "noise 0.05, delays to 200 ms": paper.NOISE | {"delay": (1, 200)},
    "noise 0.05, delays to 100 ms": paper.NOISE | {"delay": (1, 100)},
    "noise 0.05, delays of 1 ms": paper.NOISE | {"delay": (1, 1)},
    "noise 0.05, delays of 1 ms, neurons that fire by themselves": paper.NOISE | PLAIN,
}


def _seeds(options: Options) -> range:
    return range(1, 2 if options.quick else 6)


def _list(values: Any) -> str:
    return ", ".join(f"{v:.3f}" for v in values)


def _spread(errors: np.ndarray) -> str:
    """Mean over seeds of each column, and the worst."""
    return (
        f"mean {' / '.join(f'{e:.3f}' for e in errors.mean(0))}, worst {' / '.join(f'{e:.3f}' for e in errors.max(0))}"
    )


def meet(options: Options) -> list[Line]:
    """What and when without noise: amplitudes, errors, switches; recursive least squares and a merged readout."""
    seeds, lines = _seeds(options), []
    figure, panels = axes(1, 3, 3.4, 2.8)
    r = []
    for seed in seeds:
        found = paper.amplitudes(seed)
        r.append(paper.correlations(found))
        panels[0, 0].plot(paper.LEVELS, found[:, :2], "o-", ms=2, lw=0.6)
        say(f"seed {seed}: r {_list(r[-1])}")
    a, b, exact = np.array(r).T
    text = f"A {_list(a)}; B {_list(b)}; of the relative frequency in the trials themselves {_list(exact)}"
    what = f"MEET, amplitude against p(A), 11 levels of 100 trials, {len(seeds)} seeds"
    passed = bool(a.min() >= 0.978 and b.max() <= -0.989)
    lines.append(Line(what, "Yamada & Chao: r 0.978, -0.989", text, ">= 0.978; <= -0.989, each seed", passed))

    runs: dict[str, np.ndarray] = {}
    for name, kind, changes, after in (
        ("timing", "timing", {}, paper.AFTER), ("probability", "probability", {}, paper.AFTER),
        ("probability, rate_what 0.05", "probability", {"rate_what": 0.05}, paper.AFTER),
        ("both", "both", {}, paper.AFTER), ("merged", "timing", {"merged": True}, paper.AFTER),
        ("merged, rate_when 0.003", "timing", {"merged": True, "rate_when": 0.003}, paper.AFTER),
        ("RLS", "timing", {"rule": "rls"}, paper.AFTER[:4]),
    ):  # fmt: skip
        runs[name] = np.array([paper.switch(seed, kind, after, **changes) for seed in seeds])
        say(f"{name}: {_spread(runs[name])}")
        trials = [*paper.MARKS, *(paper.MARKS[-1] + k for k in after)]
        panels[0, 1 if name in paper.SWITCHES else 2].plot(trials, runs[name].mean(0), ".-", lw=0.7, label=name)
    first, m = runs["timing"][:, :4], len(paper.MARKS)
    what = f"MEET, error after trials 1, 10, 50, 100, {len(seeds)} seeds"
    passed = bool(np.all(first <= paper.PUBLISHED))
    published = " / ".join(map(str, paper.PUBLISHED))
    lines.append(Line(what, "Yamada & Chao: " + published, _spread(first), published + ", each seed", passed))
    twenty = m + paper.AFTER.index(20)
    local, rls = runs["timing"][:, twenty], runs["RLS"][:, twenty]
    text = f"{_list(local)}; RLS without forgetting {_list(rls)}"
    what = f"MEET, error 20 trials after a switch of timing, {len(seeds)} seeds"
    passed = bool(local.max() <= 0.09 and np.all(rls >= 2.0 * local))
    lines.append(Line(what, "three-factor rule; RLS", text, "0.09; RLS at least twice, each seed", passed))
    for name in ("probability", "probability, rate_what 0.05", "both", "merged", "merged, rate_when 0.003"):
        after = runs[name][:, m:]
        text = _spread(after) + (
            f"; before the switch {_spread(runs[name][:, :m])}" if name.startswith("merged") else ""
        )
        what = f"MEET, error 1, 5, 10, 20, 50, 100 trials after a switch: {name}"
        if name.startswith("merged"):
            passed = bool(np.mean(runs[name][:, twenty]) > np.mean(local))
            bound = "after 20 trials worse than two readouts, on average"
        else:
            passed, bound = bool(after[:, -1].max() < 0.085), "0.085 at trial 100, each seed"
        lines.append(Line(what, "itself", text, bound, passed))
    panels[0, 0].set(xlabel="probability of A", ylabel="amplitude")
    for panel in panels[0, 1:]:
        panel.plot(paper.MARKS, paper.PUBLISHED, "kx", label="published")
        panel.set(xlabel="trial", ylabel="error", ylim=(0, 0.3))
        panel.legend(fontsize=6)
    save(figure, options, "meet")
    return lines


def meet_noise(options: Options) -> list[Line]:
    """What and when with noise in every neuron and ms: gates, feedback, delays; errors are means of five tests."""
    seeds, lines = _seeds(options), []
    figure, panels = axes(1, 1, 6.0, 3.4)
    trials = [*paper.MARKS, *(paper.MARKS[-1] + k for k in paper.AFTER)]
    for name, changes in VARIANTS.items():
        errors = np.array([paper.switch(seed, "timing", tests=5, **changes) for seed in seeds])
        say(f"{name}: {_spread(errors)}")
        panels[0, 0].plot(trials, errors.mean(0), ".-", lw=0.7, label=name)
        hundred, twenty = errors[:, 3], errors[:, 4 + paper.AFTER.index(20)]
        text = f"trial 100: {_list(hundred)}; 20 after a switch of timing: {_list(twenty)}; {_spread(errors[:, :4])}"
        if name == "noise 0.05":
            passed, bound = bool(hundred.max() <= 0.085), "0.085 at trial 100, each seed"
        else:
            passed, bound = bool(np.all(np.isfinite(errors))), "none: reported"
        lines.append(Line(f"MEET, {name}, {len(seeds)} seeds", "published 0.085", text, bound, passed))
    panels[0, 0].plot(paper.MARKS, paper.PUBLISHED, "kx", label="published")
    panels[0, 0].set(xlabel="trial", ylabel="error")
    panels[0, 0].legend(fontsize=5)
    save(figure, options, "meet_noise")
    return lines


def meet_weights(options: Options) -> list[Line]:
    """What and when: readout weights across probabilities and latencies, and after switches."""
    seeds = range(1, 2 if options.quick else 4)
    cosines, angles, order, ends = [], [], [], []
    for seed in seeds:
        what, when = paper.readout_weights(seed)
        cosine, angle = reservoir.measures.subspaces(what, when)
        cosines.append(cosine)
        angles.append(angle.min())
        for latencies in (paper.NEAR, paper.FAR):
            points, grid = paper.weight_map(seed, latencies)
            order.append(np.abs(np.corrcoef(points.T, grid.T))[:2, 2:].ravel())
        ends.append([*paper.endpoint(seed, "timing")[1:], paper.endpoint(seed, "probability")[0],
                     *paper.endpoint(seed, "both")])  # fmt: skip
        say(f"seed {seed}: cosine {cosine:.4f}, angle {angle.min():.1f}, {_list(order[-2])}; {_list(order[-1])}")
        say(f"distances {_list(ends[-1])}")
    chance = np.sqrt(2.0 / np.pi / what.shape[1])
    text = f"cosine {_list(cosines)}, random directions {chance:.3f}; smallest principal angle {_list(angles)} degrees"
    what_ = f"MEET, first components of what (5 probabilities) and when (5 latencies), {len(seeds)} seeds"
    lines = [Line(what_, "orthogonal", text, "cosine <= 0.1", bool(max(cosines) <= 0.1))]
    for k, latencies in enumerate((paper.NEAR, paper.FAR)):
        o = np.array(order[k::2])
        text = (
            f"PC1 with probability {_list(o[:, 0])}, with latency {_list(o[:, 1])}; PC2 with probability "
            f"{_list(o[:, 2])}, with latency {_list(o[:, 3])}"
        )
        passed = bool(np.all(o[:, 0] > o[:, 1]) and np.all(o[:, 3] > o[:, 2]))
        what_ = f"MEET, components of all weights, correlation, latencies {', '.join(map(str, latencies))} ms"
        bound = "PC1 goes with probability, PC2 with latency"
        lines.append(Line(what_, "Yamada & Chao", text, bound, passed))
    e = np.array(ends)
    text = (
        f"when, timing {_list(e[:, 0])}; what, probability {_list(e[:, 1])}; both {_list(e[:, 2])} and {_list(e[:, 3])}"
    )
    what_ = "MEET, 100 trials after a switch: distance to the weights of the second block alone, share of the way"
    lines.append(Line(what_, "Yamada & Chao: they arrive", text, "< 0.5", bool(e.max() < 0.5)))
    return lines
