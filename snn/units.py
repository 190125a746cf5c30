"""Quantities from `quantities`, `pint` or `unyt` are accepted at the boundary and converted once to plain floats."""

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
