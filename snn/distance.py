"""Weights and delays that are functions of where two neurons lie to each other."""

from typing import Any

import numpy as np

from kernels.errors import ModelError
from snn.among import among, places
from snn.connect import Pair, Rule, from_arrays
from snn.space import values


def by_distance(pair: Pair, rule: Rule, **given: Any) -> tuple[Rule, dict[str, Any]]:
    """The edges that ``rule`` draws as given ones, and what is ``given``: functions as their values for the edges.

    Raises
    ------
    ModelError
        No positions, an array beside a function, or a function that does not give one finite number an edge.
    """
    functions = {name: value for name, value in given.items() if callable(value)}
    which = next(iter(functions))
    here, there, box = pair.space(f"{pair.owner}.{which}: a function of distance")
    for name, value in given.items():
        if np.ndim(value) and name not in functions:
            raise ModelError(
                f"{pair.owner}.{name}: must be a number, distribution or function where {which} is a function of "
                f"distance; got an array of shape {np.shape(value)}."
            )
    edges = rule.edges(pair)
    sources, targets = edges.sources.astype(np.int64), np.repeat(np.arange(pair.n_target), np.diff(edges.indptr))
    found = {name: values(f"{pair.owner}.{name}", function, here[sources], there[targets], box)
             for name, function in functions.items()}  # fmt: skip
    if not isinstance(rule, among):
        return from_arrays(sources, targets), given | found
    ends = rule.ends(pair.n_source, pair.n_target)  # kept, so that rewiring stays among them
    numbers = [places(ids, x) for ids, x in zip(ends, (sources, targets), strict=True)]
    return among(from_arrays(*numbers), *ends), given | found
