"""Weights and delays that are functions of the distance between two neurons."""

from collections.abc import Callable
from typing import Any

import numpy as np

from kernels.errors import ModelError
from kernels.units import refuse_units
from snn.among import among, places
from snn.connect import Pair, Rule, distances, from_arrays, positions


def by_distance(pair: Pair, rule: Rule, **values: Any) -> tuple[Rule, dict[str, Any]]:
    """The edges that ``rule`` draws as given ones, and ``values`` by name, those that are functions at their distances.

    Raises
    ------
    ModelError
        No positions, an array beside a function, or a function that does not give one finite number a distance.
    """
    functions = {name: value for name, value in values.items() if callable(value)}
    which = next(iter(functions))
    here, there = positions(pair, f"{pair.owner}.{which}: a function of distance")
    for name, value in values.items():
        if np.ndim(value) and name not in functions:
            raise ModelError(
                f"{pair.owner}.{name}: must be a number, distribution or function where {which} is a function of "
                f"distance; got an array of shape {np.shape(value)}."
            )
    edges = rule.edges(pair)
    sources, targets = edges.sources.astype(np.int64), np.repeat(np.arange(pair.n_target), np.diff(edges.indptr))
    inner = rule
    while isinstance(inner, among):
        inner = inner.rule
    apart = distances(here[sources], there[targets], getattr(inner, "wrap", None))
    found = {name: _at(f"{pair.owner}.{name}", function, apart) for name, function in functions.items()}
    if not isinstance(rule, among):
        return from_arrays(sources, targets), values | found
    ends = rule.ends(pair.n_source, pair.n_target)  # kept, so that rewiring stays among them
    numbers = [places(ids, x) for ids, x in zip(ends, (sources, targets), strict=True)]
    return among(from_arrays(*numbers), *ends), values | found


def _at(owner: str, function: Callable[[np.ndarray], Any], apart: np.ndarray) -> Any:
    try:
        found = function(apart)
        values = np.asarray(found, float)
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"{owner}: must be a function of an array of distances, vectorised; it fails: {error}."
        ) from error
    refuse_units(owner, found)
    if values.shape not in ((), apart.shape) or not np.all(np.isfinite(values)):
        raise ModelError(f"{owner}: must give one finite number a distance; got {found!r}.")
    return np.broadcast_to(values, apart.shape).copy()
