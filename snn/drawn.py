"""What a simulation draws for a network, as plain arrays: for exporters, and for other simulators."""

from typing import Any, NamedTuple

import numpy as np

from snn.compile import resolve_parameters
from snn.compile_edges import draw_edges, edge_values
from snn.distributions import Distribution
from snn.elements import Input, Population, Projection
from snn.network import Network


class Synapses(NamedTuple):
    """Synapses of a projection in order of target, then source; arrays of shape (synapses,).

    Attributes
    ----------
    sources, targets : numbers of neurons, int64
    weights : float64
    steps : delays in whole steps, >= 1, int64
    """

    sources: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    steps: np.ndarray


def synapses(net: Network, projection: Projection, dt: float) -> Synapses:
    """The synapses that a simulation with step ``dt``, ms, draws."""
    edges = draw_edges(net, projection, 1)
    weights, delays = (edge_values(net, projection, edges, which, "float64") for which in (0, 1))
    targets = np.repeat(np.arange(projection.target.n), np.diff(edges.indptr))
    steps = np.maximum(1, np.rint(delays / dt)).astype(np.int64)
    return Synapses(edges.sources.astype(np.int64), targets, weights, steps)


def parameters(net: Network, population: Population, dt: float) -> dict[str, Any]:
    """Values of a population's parameters by name, drawn; t_ref in ms as the whole steps that it becomes here."""
    assert population.spec is not None
    values = resolve_parameters(net, population, dt, ())
    if any(d.name == "n_ref" for d in population.spec.derived):
        values["t_ref"] = np.round(np.rint(np.asarray(values["t_ref"]) / dt) * dt, 9)  # others round otherwise
    return values


def input_weight(net: Network, entry: Input) -> Any:
    """The weight of a direct input: as given, or of shape (n,) where it is drawn."""
    if isinstance(entry.weight, Distribution):
        return entry.weight.draw(entry.target.n, net.stream("input weight", entry.name))
    return entry.weight
