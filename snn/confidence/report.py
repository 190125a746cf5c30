"""Agents beside each other on one trace: table, curves, what is possible at best, calibration."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernels.errors import ModelError, ShapeError
from snn.confidence.agent import EarlyExit, as_agent
from snn.confidence.checks import as_trace
from snn.confidence.evaluate import exits
from snn.confidence.trace import Trace
from snn.units import real, whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]
N_SWEEP = 400  # bars of a curve


@dataclass(frozen=True, eq=False)
class Curve:
    """Bars, mean steps and accuracy of a sweep, by rising mean steps."""

    bars: Floats
    mean_steps: Floats
    accuracy: Floats

    def at(self, mean_steps: float) -> float:
        """Accuracy at a mean number of steps, by linear interpolation; NaN outside of the curve."""
        return float(np.interp(mean_steps, self.mean_steps, self.accuracy, left=math.nan, right=math.nan))


@dataclass(frozen=True)
class Oracle:
    """Stopping at the first right step, as no rule without labels can; mean steps with never right as 1 and as T."""

    accuracy: float
    mean_steps_1: float
    mean_steps_t: float


@dataclass(frozen=True, eq=False)
class Report:
    """What `compare` found.

    ``fixed``: accuracy after every number of steps, (T,). ``sufficient_t``: the fewest steps within 0.1 point of all T.
    ``oct``: mean of the optimal cutoff times, from which on the decision stays right (T where it does not), at the
    accuracy of step T: the least any rule without loss can reach. ``rows``: one dict an agent whose bar is set.
    ``curves``: by name, of agents whose bar can be moved. Accuracy is agreement with step T where there are no labels.
    """

    rows: list[dict[str, Any]]
    curves: dict[str, Curve]
    fixed: Floats
    sufficient_t: int
    oracle: Oracle
    oct: float
    labelled: bool
    n: int
    fingerprint: dict[str, Any]
    calibration: dict[str, Calibration]

    def at(self, mean_steps: float) -> dict[str, float]:
        """Accuracy of a fixed T and of every curve at a mean number of steps, NaN where a curve does not reach it."""
        t = np.arange(1, self.fixed.size + 1)
        whole = {"fixed T": float(np.interp(mean_steps, t, self.fixed, left=math.nan, right=math.nan))}
        return whole | {name: curve.at(mean_steps) for name, curve in self.curves.items()}

    def matched_fixed_t(self, accuracy: float) -> int | None:
        """Fewest steps of a fixed T with at least this accuracy; None where no T has it."""
        reached = np.flatnonzero(self.fixed >= accuracy - 1e-12)
        return int(reached[0]) + 1 if reached.size else None

    def pareto(self) -> list[tuple[str, float, float, float]]:
        """(name, bar, mean steps, accuracy) of settings that no other beats in both, by rising steps; fixed T too."""
        points = [("fixed T", math.nan, float(t), float(a)) for t, a in enumerate(self.fixed, 1)]
        points += [
            (name, float(b), float(t), float(a))
            for name, c in self.curves.items()
            for b, t, a in zip(c.bars, c.mean_steps, c.accuracy, strict=True)
        ]
        points += [(r["agent"], math.nan, r["mean_steps"], r["accuracy"]) for r in self.rows]
        points.sort(key=lambda p: (p[2], -p[3]))
        front: list[tuple[str, float, float, float]] = []
        for p in points:
            if not front or p[3] > front[-1][3]:
                front.append(p)
        return front

    def table(self) -> str:
        """The rows as aligned text, and below what a fixed T, the oracle and OCT reach."""
        head = [
            "agent",
            "accuracy %",
            "mean steps",
            "p50",
            "p99",
            "max",
            "at cap %",
            "spikes",
            "synops",
            "fixed T",
            "saved %",
        ]
        lines = [head]
        for r in self.rows:
            counts = ["-" if r[k] is None else f"{r[k]:.1f}" for k in ("spikes", "synops")]
            fixed = "-" if r["fixed_t"] is None else str(r["fixed_t"])
            saved = "-" if r["saved"] is None else f"{100 * r['saved']:.1f}"
            lines.append(
                [r["agent"], f"{100 * r['accuracy']:.2f}", f"{r['mean_steps']:.3f}", f"{r['p50']:g}", f"{r['p99']:g}",
                 str(r["max"]), f"{100 * r['cap']:.1f}", *counts, fixed, saved]
            )  # fmt: skip
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        out = [
            "  ".join(c.rjust(w) if k else c.ljust(w) for k, (c, w) in enumerate(zip(x, widths, strict=True)))
            for x in lines
        ]
        t_max, f = self.fixed.size, self.fingerprint
        what = "accuracy" if self.labelled else "agreement with step T"
        out += [
            "",
            f"{self.n} samples; {what} of all {t_max} steps {100 * self.fixed[-1]:.2f} %, within 0.1 point from T = "
            f"{self.sufficient_t} on.",
        ]
        if self.labelled:
            o = self.oracle
            out.append(
                f"oracle {100 * o.accuracy:.2f} % at {o.mean_steps_1:.2f} steps (never right: 1 step) or "
                f"{o.mean_steps_t:.2f} (T steps); OCT {self.oct:.2f} steps."
            )
        if self.rows:
            out.append("fixed T: the fewest steps for all samples with that accuracy; saved: steps, against it.")
        if f["latency"] == "synchronous" and f["depth"] > 1:
            out.append(
                f"A step passes all {f['depth']} layers; on hardware with a step a layer every answer comes "
                f"{f['depth'] - 1} steps later."
            )
        if "dt" in f:
            out.append(f"A step lasts {f['dt']:g} ms.")
        return "\n".join(out)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Accuracy against mean steps: fixed T, the curves, the bars in use, oracle and OCT."""
        from snn.plot import COLOURS, GREY, new_axes

        ax = new_axes(ax)
        t = np.arange(1, self.fixed.size + 1)
        ax.plot(t, 100 * self.fixed, color=GREY, marker=".", label="fixed T")
        colours = {name: COLOURS[k % len(COLOURS)] for k, name in enumerate(self.curves)}
        for name, c in self.curves.items():
            ax.plot(c.mean_steps, 100 * c.accuracy, color=colours[name], label=name)
        for r in self.rows:
            ax.plot(r["mean_steps"], 100 * r["accuracy"], "o", color=colours.get(r["agent"], GREY))
            if r["agent"] not in colours and not r["agent"].startswith("fixed T"):
                ax.annotate(r["agent"], (r["mean_steps"], 100 * r["accuracy"]), fontsize="small")
        if self.labelled:
            ax.plot(self.oracle.mean_steps_t, 100 * self.oracle.accuracy, "*", color="black", label="oracle")
            ax.plot(self.oct, 100 * self.fixed[-1], "P", color="black", label="OCT")
        what = "accuracy (%)" if self.labelled else "agreement with step T (%)"
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_formatter("{x:g}")
        ax.set(xlabel="mean steps", ylabel=what, xlim=(1, self.fixed.size))
        ax.legend(frameon=False, fontsize="small")
        return ax

    def plot_calibration(self, ax: Axes | None = None) -> Axes:
        """Accuracy against confidence at the stop, with the expected calibration error."""
        from snn.plot import COLOURS, GREY, new_axes

        ax = new_axes(ax)
        ax.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
        for k, (name, c) in enumerate(self.calibration.items()):
            some = c.count > 0
            ax.plot(
                c.confidence[some], c.accuracy[some], marker="o", color=COLOURS[k % len(COLOURS)],
                label=f"{name}, ECE {100 * c.ece:.1f} %",
            )  # fmt: skip
        ax.set(xlabel="confidence at the stop", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
        ax.legend(frameon=False, fontsize="small")
        return ax


@dataclass(frozen=True, eq=False)
class Calibration:
    """Mean confidence and accuracy in bins of confidence, and the expected calibration error."""

    confidence: Floats
    accuracy: Floats
    count: NDArray[np.int64]

    @property
    def ece(self) -> float:
        """Mean of |accuracy - confidence| over bins, weighted by their samples. Guo et al. 2017, arXiv 1706.04599."""
        some = self.count > 0
        gap = np.abs(self.accuracy - self.confidence)[some]
        return float(np.sum(gap * self.count[some]) / self.count.sum())


def calibration(confidence: ArrayLike, right: ArrayLike, bins: int = 15) -> Calibration:
    """Compare confidences in [0, 1], shape (N,), with how often decisions are right, in bins of equal width."""
    p, good = real("calibration.confidence", confidence).astype(float), real("calibration.right", right).astype(bool)
    whole("calibration.bins", bins)
    if p.ndim != 1 or p.shape != good.shape or not p.size:
        raise ShapeError(f"calibration: needs as many confidences as decisions; got {p.shape} and {good.shape}.")
    if not np.all((p >= 0) & (p <= 1)):
        raise ModelError(f"calibration.confidence: must lie in [0, 1]; got {p.min():g} to {p.max():g}.")
    place = np.minimum((p * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        return Calibration(
            np.bincount(place, p, bins) / count, np.bincount(place, good.astype(float), bins) / count, count
        )


def compare(trace: Trace, agents: Sequence[EarlyExit]) -> Report:
    """Try agents on a trace that served neither to fit nor to certify them.

    Raises
    ------
    ModelError
        Where an agent is not fitted, knows another network, shares its name, or has seen samples of the trace.
    """
    as_trace("compare.trace", trace)
    if not isinstance(agents, Iterable) or isinstance(agents, (str, bytes, Mapping)):
        raise ModelError(f"compare.agents: must be a list of agents; got {agents!r:.80}.")
    agents = [as_agent("compare.agents", a) for a in agents]
    names = [a.name for a in agents]
    if len(set(names)) != len(names):
        raise ModelError(f"compare.agents: names must differ; got {', '.join(names)}. Give EarlyExit(name=...).")
    for a in agents:
        if a.saw(trace):
            raise ModelError(
                f"compare.trace: {a.name!r} was fitted or certified on samples of it. Split the trace first."
            )
    labelled, index, t_max = trace.labels is not None, np.arange(trace.n), trace.t_max
    guess = trace.outputs.argmax(axis=2)
    y = guess[-1] if trace.labels is None else trace.labels
    right = guess == y
    fixed = right.mean(axis=1)
    settled = np.logical_and.accumulate(right[::-1], axis=0)[::-1]
    first = np.where(right.any(axis=0), right.argmax(axis=0) + 1, 0)
    cutoff = np.where(settled.any(axis=0), settled.argmax(axis=0) + 1, t_max)
    ever = first > 0
    oracle = Oracle(
        float(ever.mean()), float(np.where(ever, first, 1).mean()), float(np.where(ever, first, t_max).mean())
    )
    report = Report(
        [], {}, fixed, int(np.flatnonzero(fixed >= fixed[-1] - 0.001 - 1e-12)[0]) + 1, oracle, float(cutoff.mean()),
        labelled, trace.n, trace.fingerprint, {},
    )  # fmt: skip
    for a in agents:
        if a.movable:
            report.curves[a.name] = sweep(a, trace, y)
        if a.bar is None:
            continue
        d = a.decide(trace)
        good = d.labels == y
        accuracy, mean = float(good.mean()), float(d.steps.mean())
        match = report.matched_fixed_t(accuracy)
        report.rows.append({
            "agent": a.name, "accuracy": accuracy, "mean_steps": mean,
            "agreement": float((d.labels == guess[-1]).mean()), "max": int(d.steps.max()),
            "p50": float(np.percentile(d.steps, 50, method="higher")),
            "p99": float(np.percentile(d.steps, 99, method="higher")),
            "cap": d.count("cap") / trace.n, "hopeless": d.count("hopeless") / trace.n,
            "spikes": None if d.spikes is None else float(d.spikes.mean()),
            "synops": None if d.synops is None else float(d.synops.mean()),
            "steps_on_never_right": float(d.steps[~ever].sum() / d.steps.sum()),
            "fixed_t": match, "saved": None if match is None else 1.0 - mean / match,
        })  # fmt: skip
        p = a.confidence(trace)
        if p is not None and labelled:
            report.calibration[a.name] = calibration(p[d.steps - 1, index], good)
    return report


def sweep(agent: EarlyExit, trace: Trace, y: NDArray[np.int64]) -> Curve:
    """Mean steps and share of labels equal to ``y`` for bars over the range of the scores on the trace."""
    scores, labels, hopes = agent.follow(trace)
    values = np.unique(scores[np.isfinite(scores)])
    if values.size > N_SWEEP:
        values = np.unique(np.quantile(scores[np.isfinite(scores)], np.linspace(0.0, 1.0, N_SWEEP)))
    bars = np.concatenate([[-np.inf], values])
    steps, _ = exits(scores, hopes, bars.tolist(), [agent.low] * bars.size, agent.max_steps)
    accuracy = np.array([(labels[s - 1, np.arange(trace.n)] == y).mean() for s in steps])
    mean = steps.mean(axis=1)
    order = np.argsort(mean, kind="stable")
    return Curve(bars[order], mean[order], accuracy[order])


@dataclass(frozen=True)
class Replay:
    """What a published table of caps says; see `replay`."""

    floor: int
    at_cap: float
    saved: float
    mean_steps: float
    accuracy: float

    def __str__(self) -> str:
        return (
            f"{100 * self.saved:.1f} % fewer steps at {100 * self.accuracy:.2f} % (mean {self.mean_steps:.2f}); no "
            f"sample stops before step {self.floor}; {100 * self.at_cap:.1f} % of the samples run to the cap"
        )


def replay(mean_steps: ArrayLike, accuracy: ArrayLike) -> Replay:
    """Read a published table: for caps of 1, 2, .. T steps, the mean steps and the accuracy of an agent.

    With m_c the mean at cap c, a share m_(c+1) - m_c of the samples runs beyond step c. ``floor``: the first step at
    which any stops; ``at_cap``: share that reaches step T; ``saved``: 1 - m_T / T.
    """
    m, a = real("replay.mean_steps", mean_steps).astype(float), real("replay.accuracy", accuracy).astype(float)
    if m.ndim != 1 or m.shape != a.shape or m.size < 2:
        raise ShapeError(f"replay: needs one mean and one accuracy for each cap 1 .. T; got {m.shape} and {a.shape}.")
    beyond = np.diff(m)
    if abs(m[0] - 1.0) > 1e-9 or np.any(beyond > 1 + 1e-9) or np.any(beyond < -1e-9):
        raise ModelError("replay.mean_steps: must begin at 1 and grow by 0 to 1 a cap. Give one for each cap 1 .. T.")
    stops = np.flatnonzero(beyond < 1.0 - 1e-9)
    floor = int(stops[0]) + 1 if stops.size else int(m.size)
    return Replay(floor, float(beyond[-1]), float(1.0 - m[-1] / m.size), float(m[-1]), float(a[-1]))
