"""Weights, delays and parameters of rules that are functions of an edge's two neurons, or given for each neuron."""

from typing import Any

import numpy as np

from kernels.errors import ModelError, ShapeError
from plasticity.base import OfEdges
from snn.among import among, places
from snn.connect import Pair, Rule, from_arrays
from snn.space import values


class _PerNeuron(OfEdges):
    """``values`` of shape (n,), one for all edges of a neuron, by position; of a part in its order."""

    def __init__(self, values: Any) -> None:
        if hasattr(values, "iloc"):  # of pandas, which would look labels up
            values = values.to_numpy()
        listed = isinstance(values, (list, tuple))
        if listed and all(isinstance(x, (int, float, np.number)) for x in values):
            values, listed = np.asarray(values), False
        self.values = values  # a list where it may hold quantities, whose units an array would drop
        if any(np.ndim(x) for x in values) if listed else np.ndim(values) != 1:
            raise ShapeError(f"{type(self).__name__}: must be one value a neuron, of shape (n,); got {values!r}.")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.values!r})"

    def of(self, neurons: np.ndarray) -> Any:
        """The values of ``neurons``, with the units they were given in."""
        return [self.values[k] for k in neurons] if isinstance(self.values, (list, tuple)) else self.values[neurons]


class per_source(_PerNeuron):
    """A value for each source neuron, shared by its synapses: of weights, delays, parameters of rules."""


class per_target(_PerNeuron):
    """A value for each target neuron, shared by its synapses.

    Examples
    --------
    >>> import snn
    >>> net = snn.Network()
    >>> a = net.population("a", 3, snn.LIFDelta())
    >>> net.connect(a, a, snn.fixed_indegree(2), weight=snn.per_target([0.1, 0.2, 0.3])).weight
    array([0.1, 0.1, 0.2, 0.2, 0.3, 0.3])
    """


def of_edges(value: Any) -> bool:
    """Whether a value is known only when the edges are drawn."""
    return callable(value) or isinstance(value, _PerNeuron)


def drawn_for(pair: Pair, rule: Rule, **given: Any) -> tuple[Rule, dict[str, Any]]:
    """The edges that ``rule`` draws as given ones, and what is ``given``: functions as their values for the edges.

    Raises
    ------
    ModelError
        No positions, an array beside a function, or a function that does not give one finite number an edge.
    ShapeError
        Not one value for each neuron.
    """
    which = next(name for name, value in given.items() if of_edges(value))
    for name, value in given.items():
        if np.ndim(value) and not of_edges(value):
            raise ModelError(
                f"{pair.owner}.{name}: must be a number, distribution or function where {which} is a function of the "
                f"neurons; got an array of shape {np.shape(value)}."
            )
    edges = rule.edges(pair)
    sources, targets = edges.sources.astype(np.int64), np.repeat(np.arange(pair.n_target), np.diff(edges.indptr))
    ends, numbers = None, [sources, targets]
    if isinstance(rule, among):
        ends = rule.ends(pair.n_source, pair.n_target)  # kept, so that rewiring stays among them
        numbers = [places(ids, x) for ids, x in zip(ends, numbers, strict=True)]
    sizes = [x.size for x in ends] if ends else [pair.n_source, pair.n_target]
    found = {}
    for name, value in ((name, value) for name, value in given.items() if of_edges(value)):
        owner = f"{pair.owner}.{name}"
        if isinstance(value, _PerNeuron):
            end = int(isinstance(value, per_target))
            if len(value.values) != sizes[end]:
                raise ShapeError(
                    f"{owner}: {type(value).__name__} must have shape ({sizes[end]},), one a "
                    f"{('source', 'target')[end]} neuron; got ({len(value.values)},)."
                )
            found[name] = value.of(numbers[end])
        else:
            here, there, box = pair.space(f"{owner}: a function of distance")
            found[name] = values(owner, value, here[sources], there[targets], box, quantities=True)
    made = from_arrays(*numbers)
    return among(made, *ends) if ends else made, given | found
