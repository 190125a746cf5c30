"""What a projection's rule refuses: weights outside its bounds, modulators that do not fit."""

from typing import Any

import numpy as np

from kernels.errors import ModelError, ShapeError
from plasticity.base import PlasticityRule
from snn.distributions import Distribution
from snn.elements import Population, Projection


def check_modulator(owner: str, projection: Projection, source: Population | None, value: Any) -> float | np.ndarray:
    """``value`` of a modulator: a finite number or, where no population is its source, an array of one a target."""
    array, n = np.asarray(value), projection.target.n
    if array.dtype.kind not in "iuf" or not np.all(np.isfinite(array)):
        wanted = "finite numbers" if array.ndim else "a finite number"
        raise ModelError(f"{owner}: must be {wanted}; got {value!r}.")
    if array.ndim == 0:
        return float(array)
    if array.shape != (n,):
        raise ShapeError(f"{owner}: must be a number or of shape {(n,)}, one a target neuron; got {array.shape}.")
    if source is not None:
        raise ModelError(f"{owner}: must be one number where spikes of {source.name!r} change it; got {n} of them.")
    return array.astype(float)


def check_plastic(owner: str, rule: Any, weight: Any) -> tuple[float, float]:
    """The bounds of a rule's weights; refuses a weight outside them."""
    if not isinstance(rule, PlasticityRule):
        raise ModelError(f"{owner}.plasticity: must be a rule such as plasticity.STDPPair(); got {rule!r}.")
    least, most = rule.bounds()
    low, high = value_range(weight)
    if np.size(weight) and (low < least or high > most):
        got = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        raise ModelError(
            f"{owner}.weight: must be in [{least:g}, {most:g}], the bounds of {rule.spec.name}; got {got}. Give a "
            "weight within them, or the rule others."
        )
    return least, most


def check_each(owner: str, rule: PlasticityRule, weights: Any, given: dict[str, np.ndarray]) -> None:
    """Refuse a weight outside the bounds of its synapse; ``given``: parameters that synapses have of their own."""
    n = next(iter(given.values())).size
    value, low, high = (np.broadcast_to(x, (n,)) for x in (weights, *rule.bounds(given)))
    for k in np.flatnonzero((value < low) | (value > high))[:1]:
        raise ModelError(
            f"{owner}.weight: must be in [{low[k]:g}, {high[k]:g}], the bounds of {rule.spec.name} for synapse {k}; "
            f"got {value[k]:g}. Give a weight within them, or the rule others."
        )


def value_range(value: Any) -> tuple[float, float]:
    """Smallest and largest value; (1, 1) of none."""
    if isinstance(value, Distribution):
        return value.bounds()
    return (float(np.min(value)), float(np.max(value))) if np.size(value) else (1.0, 1.0)
