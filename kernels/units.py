"""Numbers with units become plain floats: quantities of `quantities`, `pint`, `unyt`, `astropy` and `brian2`.

None of these is imported: objects are known by what they have.
"""

import math
from typing import Any

import numpy as np

from kernels.errors import ModelError, UnitError

# symbol of a unit: its size in SI units, exponents of length, mass, time and current
_SI = {
    "s": (1.0, (0, 0, 1, 0)), "Hz": (1.0, (0, 0, -1, 0)), "V": (1.0, (2, 1, -3, -1)), "A": (1.0, (0, 0, 0, 1)),
    "S": (1.0, (-2, -1, 3, 2)), "F": (1.0, (-2, -1, 4, 2)), "ohm": (1.0, (2, 1, -3, -2)), "1": (1.0, (0, 0, 0, 0)),
}  # fmt: skip
_PREFIXES = {"": 1.0, "f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9}
_DIMENSIONS = ("length", "mass", "time", "current", "temperature", "substance", "luminosity")


def plain(value: Any, unit: str, owner: str) -> Any:
    """``value`` as a plain number or array in ``unit``.

    Arrays are copied: what a user writes to his own afterwards changes nothing. Anything with units is converted;
    UnitError names ``owner`` where the dimension is wrong, or the library unknown.
    """
    if isinstance(value, bool):
        raise ModelError(f"{owner}: must be a number in {unit}; got {value!r}.")
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, np.timedelta64):
        return float(value)
    target = "dimensionless" if unit in ("1", "step") else unit.replace("^", "**")
    given = value
    try:
        if hasattr(value, "rescale"):  # quantities, neo
            value = value.rescale(target).magnitude
        elif hasattr(value, "to") and hasattr(value, "units"):  # pint, unyt
            converted = value.to(target)
            value = getattr(converted, "magnitude", None)
            value = converted.value if value is None else value
        elif hasattr(value, "to_value") and hasattr(value, "unit"):  # astropy
            value = value.to_value("" if target == "dimensionless" else target)
        elif hasattr(getattr(value, "dim", None), "get_dimension"):  # brian2
            size, exponents = _in_si(unit)
            if tuple(value.dim.get_dimension(name) for name in _DIMENSIONS) != (*exponents, 0, 0, 0):
                raise UnitError(owner)
            value = np.asarray(value) / size
    except Exception as error:  # each library has its own exception class
        raise UnitError(f"{owner}: must be in {unit}; got {in_short(given)}.") from error
    refuse_units(owner, value, unit)
    if isinstance(value, (list, tuple)) and not all(isinstance(x, (int, float, np.number)) for x in value):
        value = [x if isinstance(x, (str, bool, type(None))) else plain(x, unit, owner) for x in value]
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "iuf":  # texts would be parsed, None would become NaN
            raise TypeError(array.dtype)
        array = np.array(array, np.float64)
    except (RuntimeError, TypeError, ValueError) as error:  # RuntimeError: tensors that have a gradient
        wanted = "a number or an array" if unit == "1" else f"a number or an array in {unit}"
        raise ModelError(f"{owner}: must be {wanted}; got {given!r}.") from error
    return float(array) if array.ndim == 0 else array


def in_short(quantity: Any) -> str:
    """``quantity`` in a line of text: of an array its first number, its unit and its shape."""
    return repr(quantity) if np.size(quantity) <= 8 else f"{quantity[:1]}, .., of shape {np.shape(quantity)}"


def refuse_units(owner: str, value: Any, unit: str = "the unit asked for") -> None:
    """Raise where NumPy would silently drop what ``value`` says beside its numbers: units, or which are missing."""
    kind = type(value)
    if isinstance(value, np.ma.MaskedArray):
        if np.any(np.ma.getmaskarray(value)):
            raise ModelError(f"{owner}: must have no masked entries; got {int(np.sum(value.mask))}. Fill them.")
        return
    names = [x for x in ("dim", "unit", "units", "dimension", "dimensions") if _says(value, x)]
    if names or (isinstance(value, np.ndarray) and kind.__module__.partition(".")[0] != "numpy"):
        why = f"with {names[0]!r}" if names else "which may carry units"
        raise UnitError(
            f"{owner}: must be plain numbers in {unit}, or a quantity of quantities, pint, unyt, astropy or brian2; "
            f"got {kind.__module__}.{kind.__qualname__}, {why}. Give its numbers in {unit}."
        )


def _says(value: Any, name: str) -> bool:
    said = getattr(value, name, None)
    return said is not None and not callable(said)


def _in_si(unit: str) -> tuple[float, tuple[int, ...]]:
    """Size of a unit such as ``mV``, ``pA/ms`` or ``mV^2`` in SI units, and its dimension; KeyError if unknown."""
    size, total = 1.0, [0, 0, 0, 0]
    for k, text in enumerate(unit.replace("step", "1").split("/")):
        symbol, _, power = text.partition("^")
        stem = next(x for x in sorted(_SI, key=len, reverse=True) if symbol.endswith(x))
        scale, exponents = _SI[stem]
        times = int(power or 1) * (-1 if k else 1)
        size *= math.pow(scale * _PREFIXES[symbol.removesuffix(stem)], times)
        total = [a + times * b for a, b in zip(total, exponents, strict=True)]
    return size, tuple(total)
