"""Checks of arguments that all of the package shares."""

from typing import Any

import numpy as np

from kernels.errors import ModelError
from snn.units import whole


def bounded(
    owner: str, value: Any, low: float, high: float = np.inf, open_low: bool = False, open_high: bool = False
) -> float:
    """``value`` as a finite number, ``low`` to ``high``; open: without the bound itself."""
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and np.isfinite(value)
    if not number or value < low or value > high or (open_low and value == low) or (open_high and value == high):
        rule = "finite" if low == -np.inf else f"{'>' if open_low else '>='} {low:g}"
        rule += f" and {'<' if open_high else '<='} {high:g}" if high < np.inf else ""
        raise ModelError(f"{owner}: must be {rule}; got {value!r}.")
    return float(value)


def generator(owner: str, seed: Any) -> np.random.Generator:
    """Random numbers of ``seed``, an integer >= 0 or a list of such."""
    for part in seed if isinstance(seed, (list, tuple)) and seed else [seed]:
        whole(f"{owner}.seed", part, 0)
    return np.random.default_rng(seed)
