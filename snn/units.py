"""What users give, checked at the boundary."""

import math
from typing import Any

import numpy as np

from kernels.errors import ModelError, UnitError
from kernels.units import plain, refuse_units

__all__ = ["bounded", "brief", "exact", "number", "plain", "real", "whole"]


def real(owner: str, value: Any) -> np.ndarray:
    """``value``, an array or tensor, as an array of real numbers; ModelError where it holds others."""
    refuse_units(owner, value)
    try:
        array = np.asarray(value.detach() if hasattr(value, "detach") else value)  # tensors that have a gradient
    except (RuntimeError, TypeError, ValueError) as error:
        raise ModelError(f"{owner}: must be an array of numbers; got {type(value).__name__} ({error}).") from error
    if array.dtype.kind not in "biuf":
        raise ModelError(f"{owner}: must be real numbers; got {type(value).__name__} of dtype {array.dtype}.")
    return array


def _finite(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no float holds
        return False


def _refuse_quantity(owner: str, value: Any) -> None:
    """Numbers that are read here have no unit of their own: nothing could be converted."""
    if any(hasattr(value, name) for name in ("dim", "units", "unit")):
        raise UnitError(f"{owner}: must be a plain number, in the unit of its documentation; got {value!r}.")


def number(owner: str, value: Any) -> float:
    """``value`` as a float; ModelError where it is no finite number."""
    _refuse_quantity(owner, value)
    if not _finite(value):
        raise ModelError(f"{owner}: must be a finite number; got {value!r}.")
    return float(value)


def bounded(
    owner: str, value: Any, low: float, high: float = np.inf, open_low: bool = False, open_high: bool = False
) -> float:
    """``value`` as a finite number, ``low`` to ``high``; open: without the bound itself."""
    _refuse_quantity(owner, value)
    if (
        not _finite(value)
        or value < low
        or value > high
        or (open_low and value == low)
        or (open_high and value == high)
    ):
        rule = "finite" if low == -np.inf else f"{'>' if open_low else '>='} {low:g}"
        rule += f" and {'<' if open_high else '<='} {high:g}" if high < np.inf else ""
        raise ModelError(f"{owner}: must be {rule}; got {value!r}.")
    return float(value)


def whole(owner: str, value: Any, least: int = 1) -> int:
    """``value`` as an int; ModelError where it is no integer, or less than ``least``."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ModelError(f"{owner}: must be an integer >= {least}; got {value!r}.")
    return int(value)


def exact(value: float) -> str:
    """``value`` as text that no other number has: six digits where they suffice, else as many as it takes."""
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))


def brief(value: Any) -> str:
    """``value`` in a line of text: of an array its shape and range alone."""
    if not np.ndim(value):
        return repr(value)
    span = f", {np.min(value):g} to {np.max(value):g}" if np.size(value) else ""
    return f"array of shape {np.shape(value)}{span}"
