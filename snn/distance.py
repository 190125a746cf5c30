"""Weights and delays that are functions of the distance between two neurons."""

from collections.abc import Callable
from typing import Any

import numpy as np

from kernels.errors import ModelError, ShapeError
from snn.among import among
from snn.connect import Pair, Rule, from_arrays


def by_distance(pair: Pair, rule: Rule, **values: Any) -> tuple[Rule, dict[str, Any]]:
    """The edges that ``rule`` draws as given ones, and ``values`` by name, those that are functions at their distances.

    Raises
    ------
    ModelError
        No positions, an array beside a function, or a function that does not give one finite number a distance.
    """
    functions = {name: value for name, value in values.items() if callable(value)}
    which, here, there = next(iter(functions)), pair.source_positions, pair.target_positions
    if here is None or there is None:
        raise ModelError(f"{pair.owner}.{which}: a function of distance needs positions= of both populations.")
    if here.shape[1] != there.shape[1]:
        raise ShapeError(f"{pair.owner}: positions have {here.shape[1]} and {there.shape[1]} dimensions.")
    for name, value in values.items():
        if np.ndim(value) and name not in functions:
            raise ModelError(
                f"{pair.owner}.{name}: must be a number, distribution or function where {which} is a function of "
                f"distance; got an array of shape {np.shape(value)}."
            )
    edges = rule.edges(pair)
    sources, targets = edges.sources.astype(np.int64), np.repeat(np.arange(pair.n_target), np.diff(edges.indptr))
    delta = np.abs(here[sources] - there[targets])
    box = getattr(rule.rule if isinstance(rule, among) else rule, "wrap", None)
    if box is not None:
        delta = np.minimum(delta % box, box - delta % box)
    distances = np.sqrt(np.sum(delta * delta, axis=1))
    return from_arrays(sources, targets), values | {
        name: _at(f"{pair.owner}.{name}", function, distances) for name, function in functions.items()
    }


def _at(owner: str, function: Callable[[np.ndarray], Any], distances: np.ndarray) -> Any:
    try:
        found = function(distances)
        values = np.asarray(found, float)
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"{owner}: must be a function of an array of distances, vectorised; it fails: {error}."
        ) from error
    if values.shape not in ((), distances.shape) or not np.all(np.isfinite(values)):
        raise ModelError(f"{owner}: must give one finite number a distance; got {found!r}.")
    return np.broadcast_to(values, distances.shape).copy()
