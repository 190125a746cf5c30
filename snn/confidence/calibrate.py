"""What `EarlyExit.certify` does with calibration data: the agent gets a bar or levels, the caller a certificate."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from kernels import decide
from kernels.errors import ModelError
from snn.confidence import certify as tests
from snn.confidence.certify import Certificate, Floats
from snn.confidence.checks import logit
from snn.confidence.evaluate import Loss, exits, labels_of, losses_of, readouts, surprise
from snn.confidence.trace import Trace

if TYPE_CHECKING:
    from snn.confidence.agent import EarlyExit

N_LOWS = 21  # probabilities below which to give up that the walk tries


def bars(
    agent: EarlyExit, grid: Floats | None, fitted_on: Trace | None, trace: Trace, risk: str | Loss, eps: float,
    delta: float, method: str,
) -> Certificate:  # fmt: skip
    """Walk bars from never stopping early on; the agent gets the last, and lowest, that the test allows.

    ``grid``: bars that fit found, falling; ``fitted_on``: its trace, where it is to choose pairs of bars.
    """
    if agent.given_bar is None and grid is None:
        raise ModelError(
            "EarlyExit.certify: no bars to walk: those of the calibration data would void the guarantee. "
            "Call fit on other data first, or give a bar."
        )
    scores, labels, hopes = agent.follow(trace)
    lost, hopeless_lost = losses_of(trace, labels, risk)
    capped, tested = agent.max_steps is not None and agent.max_steps < trace.t_max, False
    if method == "conditional-ltt":
        if agent.give_up is not None or agent.max_steps is not None or grid is None or callable(risk):
            raise ModelError(
                'EarlyExit.certify.method: "conditional-ltt" needs fit, a named risk, and no give_up or max_steps.'
            )
        first = np.arange(trace.n) % 2 == 0
        each = tests.conditional_ltt(scores, lost, grid, eps, delta, first)  # a bar a step
        threshold: float | Floats = each if np.isfinite(each).any() else math.inf
        low: float | None = None
    else:
        path, lows = _walk(agent, grid, fitted_on, risk)
        steps, hopeless = exits(scores, hopes, path, lows, agent.max_steps)
        index = np.arange(trace.n)
        losses = np.array(
            [np.where(h, hopeless_lost, lost[k - 1, index]) for k, h in zip(steps, hopeless, strict=True)]
        )
        if method == "ltt":
            g = tests.ltt(losses, eps, delta, bounded=callable(risk))
        else:
            g = tests.crc(losses, eps) if method == "crc" else tests.ucb(losses, eps, delta)
        threshold, low = (math.inf, None) if g < 0 else (path[g], lows[g])
        tested = capped and g >= 0  # with an infinite bar max_steps stops early all the same
    agent.bar, agent.low = threshold, low
    done = agent.decide(trace)
    here = np.where(done.reasons == decide.HOPELESS, hopeless_lost, lost[done.steps - 1, np.arange(trace.n)])
    ok = bool(np.isfinite(threshold).any()) or (low is not None and low > -math.inf) or tested
    note = ""
    if not ok:
        needed = tests.samples_needed(method, eps, delta)
        what = f"max_steps {agent.max_steps}" if capped else "no bar"
        note = f"{what} could not be shown to keep the risk below {eps:g} with {trace.n} samples."
        if trace.n < needed:
            few = f"{trace.n} samples are too few for eps {eps:g}"
            note = f"{few}: at least {needed} are needed, with no loss among them."
    return Certificate(
        ok, agent.name, "custom" if callable(risk) else risk, method, eps, None if method == "crc" else delta,
        trace.n, threshold.tolist() if isinstance(threshold, np.ndarray) else float(threshold),
        None if low is None or low == -math.inf else 1.0 / (1.0 + math.exp(-low)), float(here.sum()),
        float(done.steps.mean()), trace.t_max, note, trace.fingerprint, agent.max_steps if capped else None,
    )  # fmt: skip


def _walk(
    agent: EarlyExit, grid: Floats | None, fitted_on: Trace | None, risk: str | Loss
) -> tuple[list[Any], list[float | None]]:
    """Bars, and log odds below which to give up, from never stopping early on; calibration data have no part."""
    if agent.given_bar is not None:
        return [math.inf, agent.given_bar], [None, agent.given_low]
    grid = np.array([math.inf]) if grid is None else grid
    if agent.give_up is None or fitted_on is None:
        return grid.tolist(), [None] * grid.size
    # of all pairs of bars those that on the data of fit save most steps at their risk, by rising risk
    scores, labels, hopes = agent.follow(fitted_on)
    lost, hopeless_lost = losses_of(fitted_on, labels, risk)
    lows = [logit(p) for p in np.linspace(0.0, agent.give_up[1], N_LOWS)]
    pairs: list[tuple[float, float, float, float]] = []
    for low in lows:
        steps, hopeless = exits(scores, hopes, grid.tolist(), [low] * grid.size, agent.max_steps)
        at = np.where(hopeless, hopeless_lost, lost[steps - 1, np.arange(fitted_on.n)])
        pairs += zip(at.mean(axis=1), steps.mean(axis=1), grid, [low] * grid.size, strict=True)
    front = [(0.0, math.inf, math.inf, -math.inf)]
    for pair in sorted(pairs):
        if pair[1] < front[-1][1]:
            front.append(pair)
    return [float(p[2]) for p in front], [p[3] for p in front]


def sets(agent: EarlyExit, trace: Trace, eps: float) -> Certificate:
    """Split-conformal levels at every step that may be the last, with Bonferroni's division by their number."""
    y = labels_of(trace, "EarlyExit.certify of sets")
    if agent.max_steps is not None and agent.max_steps < trace.t_max:
        raise ModelError(
            f"EarlyExit.max_steps: of sets must be t_max, {trace.t_max}; got {agent.max_steps}. Record fewer steps."
        )
    agent.levels = np.full(trace.t_max, np.inf)
    rule = agent.rule(trace.t_max, trace.n_classes, trace.first_step)
    checks = np.isfinite(rule.bars)
    checks[-1] = True
    k = int(checks.sum())
    rank = math.ceil((1.0 - eps / k) * (trace.n + 1) - 1e-9)
    z = readouts(rule, trace)[0] / rule.scales[:, None, None]
    u = surprise(z)[:, np.arange(trace.n), y]
    ok = rank <= trace.n
    if ok:
        level = np.sort(u[checks], axis=1)[:, rank - 1]
        # a little more, so that rounding excludes no class whose -log p is equal
        levels = np.full(trace.t_max, np.inf)
        levels[checks] = level + 1e-9 * (1.0 + np.abs(level))
        agent.levels = levels
    done = agent.decide(trace)
    missed = u[done.steps - 1, np.arange(trace.n)] > agent.levels[done.steps - 1]
    needed = math.ceil(k / eps - 1.0 - 1e-9)
    note = "" if ok else f"{trace.n} samples are too few for eps {eps:g} at {k} steps: {needed} are needed."
    return Certificate(
        ok, agent.name, "miscoverage", "conformal", eps, None, trace.n, float(np.max(rule.bars[checks][0])),
        None, float(missed.sum()), float(done.steps.mean()), trace.t_max, note, trace.fingerprint,
    )  # fmt: skip
