"""Checks of an agent's arguments, and how they are written down."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernels.errors import ModelError, ShapeError
from snn.confidence.trace import Trace
from snn.units import bounded, real, whole


def logit(p: float) -> float:
    """log p / (1 - p), infinite at 0 and 1."""
    return -math.inf if p <= 0.0 else math.inf if p >= 1.0 else math.log(p / (1.0 - p))


def one_of(name: str, value: Any, known: Any) -> Any:
    """A text that is among ``known``."""
    if not isinstance(value, str) or value not in known:
        raise ModelError(f"EarlyExit.{name}: must be one of {', '.join(known)}; got {value!r}.")
    return value


def number(name: str, value: Any, low: float, high: float = math.inf, strict: bool = False) -> float:
    """A finite number from ``low`` to ``high``, or between them."""
    return bounded(f"EarlyExit.{name}", value, low, high, strict, strict)


def count(name: str, value: Any, least: int = 1) -> int:
    """An integer of at least ``least``."""
    return whole(f"EarlyExit.{name}", value, least)


def as_trace(owner: str, value: Any) -> Trace:
    """A trace, and nothing else."""
    if not isinstance(value, Trace):
        raise ModelError(
            f"{owner}: must be a Trace, as Classifier.record gives it; got {type(value).__name__} {value!r:.80}."
        )
    return value


def as_bar(value: Any) -> float | NDArray[np.float64] | None:
    """A number or a vector without NaN, or None."""
    if value is None:
        return None
    try:
        given = np.asarray(value)
    except (TypeError, ValueError):  # rows of unequal length
        given = np.empty(0, object)
    if given.dtype.kind not in "iuf":  # numbers in texts would be parsed, True would be 1
        raise ModelError(f"EarlyExit.bar: must be a number or one a step; got {value!r}.")
    bar = given.astype(np.float64)
    if bar.ndim > 1 or np.isnan(bar).any():
        raise ModelError(f"EarlyExit.bar: must be a number, or one a step, and not NaN; got {value!r}.")
    return bar if bar.ndim else float(bar)


def as_floor(value: ArrayLike) -> NDArray[np.float64]:
    """A finite square matrix."""
    floor = real("EarlyExit.floor", value).astype(np.float64)
    if floor.ndim != 2 or floor.shape[0] != floor.shape[1] or not np.isfinite(floor).all():
        raise ShapeError(f"EarlyExit.floor: must be finite, of shape (C, C); got {floor.shape}.")
    return floor


def jsonable(value: Any) -> Any:
    """Lists for arrays, and texts for infinite numbers, which JSON has not."""
    if isinstance(value, dict):
        return {k: jsonable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [jsonable(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return str(value) if isinstance(value, float) and math.isinf(value) else value


def from_jsonable(value: Any) -> Any:
    """What `jsonable` was given, arrays as lists."""
    if isinstance(value, dict):
        return {k: from_jsonable(v) for k, v in value.items()}
    if isinstance(value, list):
        return [from_jsonable(v) for v in value]
    return float(value) if value in ("inf", "-inf") else value
