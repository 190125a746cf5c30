"""When an inference may stop: scores of one row of accumulated outputs, and the decision of one step.

One definition for recorded traces, streams and compiled loops over a running network: `decide` looks at one sample at
one step, in O(classes), and allocates nothing. Every score grows with certainty; a sample stops where score > bar,
strictly, so that an infinite bar means never.
"""

import math
from typing import NamedTuple

import numpy as np

from kernels.jit import kernel

SUM, MEAN, EMA, WINDOW = range(4)  # readouts
MARGIN, MAXPROB, ENTROPY, PATIENCE, LLR, GATE, HAZARD, SETSIZE, LOSSLESS = range(9)  # scores
GO_ON, CONFIDENT, HOPELESS, BUDGET, CAP = range(5)  # what is decided, and why; the last two by the loop over steps
N_FEATURES = 8  # what a gate sees
# A sample's memory: these numbers, the features, then rows of one number a class, the readout first
LABEL, RUN, CARRY, SCORE, HOPE, SEEN = range(6)
ROWS = SEEN + N_FEATURES


class Rule(NamedTuple):
    """What `decide` needs of an agent, for T steps and C classes."""

    readout: int
    span: float  # EMA: decay of a step; WINDOW: steps
    score: int
    bars: np.ndarray  # (T,) stop where score > bar; infinite where the agent is not asked
    scales: np.ndarray  # (T,) outputs are divided by them
    levels: np.ndarray  # (T,) SETSIZE: a class is in the set where -log p <= level
    weights: np.ndarray  # GATE, HAZARD: (1, N_FEATURES + 1), bias last; LOSSLESS: (C, C), least gain of k on j a step
    low: np.ndarray  # (T,) give up where the log odds of the second gate are below; -infinite where it is not asked
    give_up: np.ndarray  # (N_FEATURES + 1,) weights of the second gate
    budget: int  # most steps, at most T; for the loop over steps


def memory_size(rule: Rule, n_classes: int) -> int:
    """Numbers (float64) that `decide` keeps for a sample."""
    return ROWS + n_classes * {EMA: 2, WINDOW: 1 + int(rule.span)}.get(rule.readout, 1)


@kernel
def read(rule, memory, row, t):  # type: ignore[no-untyped-def]
    """Write the readout of step t = 0, 1, .. into ``memory``, from the accumulated outputs ``row``, S_t.

    SUM S_t; MEAN S_t / (t + 1); EMA e_t = span e_(t-1) + S_t - S_(t-1); WINDOW S_t - S_(t-span).
    """
    n = row.size
    if rule.readout == EMA:
        for k in range(n):
            memory[ROWS + k] = rule.span * memory[ROWS + k] + (row[k] - memory[ROWS + n + k])
            memory[ROWS + n + k] = row[k]
    elif rule.readout == WINDOW:
        old = ROWS + (1 + t % int(rule.span)) * n
        for k in range(n):
            memory[ROWS + k] = row[k] - memory[old + k]
            memory[old + k] = row[k]
    else:
        divisor = t + 1.0 if rule.readout == MEAN else 1.0
        for k in range(n):
            memory[ROWS + k] = row[k] / divisor


@kernel
def best_two(s):  # type: ignore[no-untyped-def]
    """Index of the largest element, the lowest among equals, and the value of the second."""
    best, second = 0, -np.inf
    for k in range(1, s.size):
        if s[k] > s[best]:
            second = s[best]
            best = k
        elif s[k] > second:
            second = s[k]
    return best, second


@kernel
def shape(s, top, scale):  # type: ignore[no-untyped-def]
    """Of p = softmax(s / scale): max p, entropy of p over log C, entropy of p^2 / sum p^2 over log C."""
    z, z2, u, u2 = 0.0, 0.0, 0.0, 0.0
    for k in range(s.size):
        x = (s[k] - top) / scale
        e = math.exp(x)
        z += e
        z2 += e * e
        if e > 0.0:
            u -= x * e
            u2 -= 2.0 * x * e * e
    log_c = math.log(s.size)
    return 1.0 / z, (math.log(z) + u / z) / log_c, (math.log(z2) + u2 / z2) / log_c


@kernel
def log_odds(s, best, scale):  # type: ignore[no-untyped-def]
    """log p / (1 - p) of the class ``best``, p = softmax(s / scale); exact where p is 1 in floating point."""
    nearest = -np.inf
    for k in range(s.size):
        if k != best and s[k] > nearest:
            nearest = s[k]
    rest = 0.0
    for k in range(s.size):
        if k != best:
            rest += math.exp((s[k] - nearest) / scale)
    return (s[best] - nearest) / scale - math.log(rest)


@kernel
def features(s, best, second, t, run, scale, out):  # type: ignore[no-untyped-def]
    """What a gate sees: gap m, log(1 + m), max p, entropy, gap of p, entropy of p^2, log t, log of unchanged steps."""
    p, h, h2 = shape(s, s[best], scale)
    m = (s[best] - second) / scale
    out[0] = m
    out[1] = math.log1p(m)
    out[2] = p
    out[3] = h
    out[4] = p - p * math.exp(-m)
    out[5] = h2
    out[6] = math.log(t + 1.0)
    out[7] = math.log(run)


@kernel
def gate(x, w):  # type: ignore[no-untyped-def]
    """Log odds of a gate: w . x + bias, the last element of ``w``."""
    z = w[N_FEATURES]
    for k in range(N_FEATURES):
        z += w[k] * x[k]
    return z


@kernel
def excluded(s, best, scale, level):  # type: ignore[no-untyped-def]
    """Number of classes with -log p > level, p = softmax(s / scale): the larger, the smaller the set of the others."""
    z = 0.0
    for k in range(s.size):
        z += math.exp((s[k] - s[best]) / scale)
    z = math.log(z)
    out = 0
    for k in range(s.size):
        if (s[best] - s[k]) / scale + z > level:
            out += 1
    return out


@kernel
def lead(s, best, left, floor):  # type: ignore[no-untyped-def]
    """Least lead of the class ``best`` at the end: ``left`` steps to go, ``floor[k, j]`` the least gain a step."""
    least = np.inf
    for j in range(s.size):
        if j != best:
            least = min(least, s[best] - s[j] + left * floor[best, j])
    return least


@kernel
def score(rule, memory, s, best, second, t):  # type: ignore[no-untyped-def]
    """Score of the readout ``s`` at step t = 0, 1, ..; the table in snn/confidence/agent.py has the equations."""
    kind, scale = rule.score, rule.scales[t]
    if kind == MARGIN:
        return (s[best] - second) / scale
    if kind == PATIENCE:
        return memory[RUN] - 1.0
    if kind == MAXPROB:
        return shape(s, s[best], scale)[0]
    if kind == ENTROPY:
        return 1.0 - shape(s, s[best], scale)[1]
    if kind == LLR:
        return log_odds(s, best, scale)
    if kind == SETSIZE:
        return float(excluded(s, best, scale, rule.levels[t]) - s.size)
    if kind == LOSSLESS:
        return lead(s, best, rule.bars.size - t - 1.0, rule.weights)
    z = gate(memory[SEEN:ROWS], rule.weights[0])
    if kind == GATE:
        return z
    left = 1.0 - memory[CARRY]  # HAZARD: the share of this step in what earlier steps have left
    mass = min(1.0 / (1.0 + math.exp(-z)), left)
    memory[CARRY] += mass
    return mass / left if left > 0.0 else 1.0


@kernel
def look(rule, memory, row, t):  # type: ignore[no-untyped-def]
    """Bring ``memory`` up to date with step t; SCORE and HOPE where the agent is asked, else -infinite and infinite."""
    if t == 0:
        memory[:] = 0.0
        memory[LABEL] = -1.0
    read(rule, memory, row, t)
    s = memory[ROWS : ROWS + row.size]
    best, second = best_two(s)
    memory[RUN] = memory[RUN] + 1.0 if memory[LABEL] == best else 1.0
    memory[LABEL] = best
    asked, hoped = rule.bars[t] < np.inf, rule.low[t] > -np.inf
    kind = rule.score
    if hoped or kind == HAZARD or (asked and kind == GATE):
        features(s, best, second, t, memory[RUN], rule.scales[t], memory[SEEN:ROWS])
    x = -np.inf
    if asked or kind == HAZARD:
        x = score(rule, memory, s, best, second, t)
    memory[SCORE] = x if asked else -np.inf
    memory[HOPE] = gate(memory[SEEN:ROWS], rule.give_up) if hoped else np.inf


@kernel
def decide(rule, memory, row, t):  # type: ignore[no-untyped-def]
    """Decide for one sample after a step: GO_ON, CONFIDENT or HOPELESS; where the run ends is the caller's business.

    Parameters
    ----------
    rule : Rule
    memory : (memory_size(rule, C),) float64, the sample's; cleared at t = 0. LABEL, SCORE, HOPE are for the caller
    row : (C,) outputs accumulated over all steps so far, float64 or int32
    t : int, 0 .. T - 1, every step in turn
    """
    look(rule, memory, row, t)
    if memory[SCORE] > rule.bars[t]:
        return CONFIDENT
    if memory[HOPE] < rule.low[t]:
        return HOPELESS
    return GO_ON


@kernel
def decide_all(rule, memory, outputs, steps, labels, reasons):  # type: ignore[no-untyped-def]
    """Run `decide` over a trace, outputs (T, N, C), until each sample stops; ``memory`` is one sample's."""
    for n in range(outputs.shape[1]):
        for t in range(rule.budget):
            reason = decide(rule, memory, outputs[t, n], t)
            if reason == GO_ON and t + 1 == rule.budget:
                reason = CAP if rule.budget == outputs.shape[0] else BUDGET
            if reason != GO_ON:
                steps[n], labels[n], reasons[n] = t + 1, int(memory[LABEL]), reason
                break


@kernel
def look_all(rule, memory, outputs, scores, labels, hopes):  # type: ignore[no-untyped-def]
    """Scores, labels and log odds of the second gate at every step of a trace, shape (T, N); no sample stops."""
    for n in range(outputs.shape[1]):
        for t in range(outputs.shape[0]):
            look(rule, memory, outputs[t, n], t)
            scores[t, n], labels[t, n], hopes[t, n] = memory[SCORE], int(memory[LABEL]), memory[HOPE]


@kernel
def describe_all(rule, memory, outputs, readouts, seen):  # type: ignore[no-untyped-def]
    """Readouts and features of every step of a trace, shapes (T, N, C) and (T, N, N_FEATURES)."""
    c = outputs.shape[2]
    for n in range(outputs.shape[1]):
        for t in range(outputs.shape[0]):
            look(rule, memory, outputs[t, n], t)
            s = memory[ROWS : ROWS + c]
            for k in range(c):
                readouts[t, n, k] = s[k]
            best, second = best_two(s)
            features(s, best, second, t, memory[RUN], rule.scales[t], seen[t, n])
