"""What an agent does on a whole trace: readouts, exits for many bars, losses."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernels import decide as online
from kernels.decide import Rule
from kernels.errors import ModelError
from snn.confidence.trace import Trace
from snn.units import real

Loss = Callable[[Trace, NDArray[np.int64]], ArrayLike]


def exits(
    scores: NDArray[np.float64],
    hopes: NDArray[np.float64],
    path: list[Any],
    lows: list[float | None],
    max_steps: int | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Steps (G, N) at which samples stop with each bar of a walk, and whether as hopeless; scores and hopes (T, N)."""
    t_max, n = scores.shape
    cap = t_max if max_steps is None else min(max_steps, t_max)
    highest, lowest = np.maximum.accumulate(scores, axis=0), np.minimum.accumulate(hopes, axis=0)
    steps, hopeless = np.empty((len(path), n), np.int64), np.zeros((len(path), n), bool)
    for g, (bar, low) in enumerate(zip(path, lows, strict=True)):
        if np.ndim(bar):
            above = scores > np.asarray(bar)[:, None]
            first = np.where(above.any(axis=0), above.argmax(axis=0), t_max) + 1
        else:
            first = (highest <= bar).sum(axis=0) + 1
        if low is not None:
            given_up = (lowest >= low).sum(axis=0) + 1
            hopeless[g] = (given_up < first) & (given_up <= cap)
            first = np.minimum(first, given_up)
        steps[g] = np.minimum(first, cap)
    return steps, hopeless


def losses_of(
    trace: Trace, labels: NDArray[np.int64], risk: str | Loss
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Losses of stopping at every step, (T, N), and of giving up, (N,)."""
    if callable(risk):
        lost = real("EarlyExit.certify.risk, its losses", risk(trace, labels)).astype(np.float64)
        if lost.shape != labels.shape or not np.all((lost >= 0) & (lost <= 1)):
            got = lost.shape if lost.shape != labels.shape else f"{lost.min():g} to {lost.max():g}"
            raise ModelError(f"EarlyExit.certify.risk: must give losses {labels.shape} in [0, 1]; got {got}.")
        return lost, np.ones(trace.n)
    if risk == "disagreement":
        return (labels != labels[-1]).astype(np.float64), np.ones(trace.n)
    right = labels == labels_of(trace, f'EarlyExit.certify with risk "{risk}"')
    if risk == "error":
        return (~right).astype(np.float64), np.ones(trace.n)
    return (right[-1] & ~right).astype(np.float64), right[-1].astype(np.float64)


def labels_of(trace: Trace, owner: str) -> NDArray[np.int64]:
    """Labels of a trace; a single class is refused, missing ones are named."""
    y = trace.right(owner)
    missing = np.setdiff1d(np.arange(trace.n_classes), y)
    if missing.size >= trace.n_classes - 1:
        raise ModelError(
            f"{owner}: all samples have the label {y[0]}: nothing can be learned or tested. Shuffle, then split."
        )
    if missing.size:
        few = ", ".join(map(str, missing[:5])) + (", .." if missing.size > 5 else "")
        warnings.warn(
            f"{owner}: {missing.size} of {trace.n_classes} classes never occur among {trace.n} samples ({few}); "
            "what is found holds for samples like these.",
            stacklevel=4,
        )
    return y


def readouts(rule: Rule, trace: Trace) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Readouts of all steps, (T, N, C), and what a gate sees, (T, N, N_FEATURES)."""
    out, seen = np.empty(trace.outputs.shape), np.empty((*trace.outputs.shape[:2], online.N_FEATURES))
    online.describe_all(rule, memory(rule, trace), trace.outputs, out, seen)
    return out, seen


def memory(rule: Rule, trace: Trace) -> NDArray[np.float64]:
    """Memory of one sample for the compiled decision."""
    return np.zeros(online.memory_size(rule, trace.n_classes))


def surprise(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """-log softmax, in the order of operations of `kernels.decide.excluded`."""
    top = z.max(axis=-1, keepdims=True)
    return np.asarray(top - z + np.log(np.exp(z - top).sum(axis=-1, keepdims=True)))
