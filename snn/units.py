"""What users give, checked at the boundary; quantities of `quantities`, `pint` or `unyt` become plain floats."""

import math
from typing import Any

import numpy as np

from kernels.errors import ModelError, UnitError


def plain(value: Any, unit: str, owner: str) -> Any:
    """``value`` as a plain number or array in ``unit``.

    Arrays are copied: what a user writes to his own afterwards changes nothing. Anything with units is converted;
    UnitError names ``owner`` where the dimension is wrong.
    """
    if isinstance(value, bool):
        raise ModelError(f"{owner}: must be a number in {unit}; got {value!r}.")
    if isinstance(value, (int, float, np.number)):
        return float(value)
    target = "dimensionless" if unit in ("1", "step") else unit
    try:
        if hasattr(value, "rescale"):  # quantities, neo
            value = value.rescale(target).magnitude
        elif hasattr(value, "to") and hasattr(value, "units"):  # pint, unyt
            converted = value.to(target)
            value = getattr(converted, "magnitude", None)
            value = converted.value if value is None else value
    except Exception as error:  # each library has its own exception class
        raise UnitError(f"{owner}: must be in {unit}; got {value!r}.") from error
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "iuf":  # texts would be parsed, None would become NaN
            raise TypeError(array.dtype)
        array = np.array(array, np.float64)
    except (TypeError, ValueError) as error:
        raise ModelError(f"{owner}: must be a number or an array in {unit}; got {value!r}.") from error
    return float(array) if array.ndim == 0 else array


def real(owner: str, value: Any) -> np.ndarray:
    """``value``, an array or tensor, as an array of real numbers; ModelError where it holds others."""
    try:
        array = np.asarray(value.detach() if hasattr(value, "detach") else value)  # tensors that have a gradient
    except (RuntimeError, TypeError, ValueError) as error:
        raise ModelError(f"{owner}: must be an array of numbers; got {type(value).__name__} ({error}).") from error
    if array.dtype.kind not in "biuf":
        raise ModelError(f"{owner}: must be real numbers; got {type(value).__name__} of dtype {array.dtype}.")
    return array


def number(owner: str, value: Any) -> float:
    """``value`` as a float; ModelError where it is no finite number."""
    plain = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not plain or not math.isfinite(value):
        raise ModelError(f"{owner}: must be a finite number; got {value!r}.")
    return float(value)


def whole(owner: str, value: Any, least: int = 1) -> int:
    """``value`` as an int; ModelError where it is no integer, or less than ``least``."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ModelError(f"{owner}: must be an integer >= {least}; got {value!r}.")
    return int(value)
