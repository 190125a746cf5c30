"""Gap junctions (electrical synapses): currents between neurons by the difference of their membrane potentials."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from kernels.cpu import inputs as kinds
from kernels.errors import ModelError
from kernels.layout import padded
from snn.connect import Key, Pair, Rule
from snn.distributions import Distribution
from snn.elements import Input, Population
from snn.inputs import CurrentInput, Encoded
from snn.of_edges import drawn_for, of_edges


class GapJunctions(CurrentInput):
    """The current through gap junctions into one of the populations they join. Made by :meth:`Network.gap_junctions`.

    Parameters
    ----------
    other : name of the population on the other side
    neurons, others : shape (m,), ascending by ``neurons``: the two ends of each junction
    conductance : shape (m,), [nS]
    """

    def __init__(self, other: str, neurons: np.ndarray, others: np.ndarray, conductance: np.ndarray) -> None:
        order = np.lexsort((others, neurons))
        self.other = other
        self.neurons, self.others = neurons[order].astype(np.int64), others[order].astype(np.int32)
        self.conductance = conductance[order].astype(float)

    def encode(self, dt: float, n: int, owner: str) -> Encoded:
        """Events that are no events: neuron, other neuron and conductance of each junction."""
        return Encoded(
            kinds.JUNCTIONS, event_step=self.neurons, event_id=self.others, event_weight=self.conductance,
            other=self.other,
        )  # fmt: skip

    def of(self, other: str) -> "GapJunctions":
        """The same with a population of another name on the other side."""
        return GapJunctions(other, self.neurons, self.others, self.conductance)

    def __repr__(self) -> str:
        return f"GapJunctions({self.other!r}, {self.neurons.size} ends)"


def between(
    owner: str, name: str, a: Population, b: Population, rule: Rule, conductance: Any, edges_key: Key, values_key: Key
) -> list[Input]:
    """The currents into ``b`` and, where it is another population, into ``a``."""
    for p in (a, b):
        if p.spec is None or "i_stim" not in p.spec.arguments or "v" not in [v.name for v in p.spec.state]:
            what = p.spec.name if p.spec else type(p.model).__name__
            raise ModelError(
                f"{owner}: {p.name!r} is of {what}, which has no potential v or takes no injected current."
            )
    ends = Pair(owner, a.n, b.n, a is b, edges_key, 1, a.positions, b.positions, a.wrap, b.wrap)
    if of_edges(conductance):
        rule, given = drawn_for(ends, rule, conductance=conductance)
        conductance = given["conductance"]
    edges = rule.edges(ends)
    i, j = edges.sources.astype(np.int64), np.repeat(np.arange(b.n), np.diff(edges.indptr))
    if isinstance(conductance, Distribution):
        g = conductance.draw(i.size, values_key)
    elif np.ndim(conductance):
        g = np.ravel(conductance) if edges.order is None else np.ravel(conductance)[edges.order]
    else:
        g = np.full(i.size, float(conductance))
    for value in g[~(g >= 0.0)][:1]:
        raise ModelError(f"{owner}.conductance: must be >= 0 nS; got {value:g}.")
    if a is not b:
        into_b, into_a = GapJunctions(a.name, j, i, g), GapJunctions(b.name, i, j, g)
        return [Input(name, b, into_b, None, -1), Input(f"{name} (back)", a, into_a, None, -1)]
    two = i != j
    i, j, g = i[two], j[two], g[two]
    return [Input(name, a, GapJunctions(a.name, np.append(i, j), np.append(j, i), np.append(g, g)), None, -1)]


def junctions_of(net: Any) -> Iterable[Input]:
    """The inputs of a network that are gap junctions."""
    return (i for i in net.inputs.values() if isinstance(i.source, GapJunctions))


def potentials(joined: Sequence[Input], pops: Sequence[Population], at: np.ndarray) -> np.ndarray:
    """(P,) where in State.f the potentials lie that junctions see; -1 of populations without; ``at``: float state."""
    named = {i.target.name for i in joined} | {i.source.other for i in joined}  # type: ignore[union-attr]
    found = np.full(len(pops), -1, np.int64)
    for k, p in enumerate(pops):
        if p.name in named and p.spec:
            found[k] = at[k] + [v.name for v in p.spec.state if v.dtype == "float"].index("v") * padded(p.n)
    return found


def check_stable(joined: Sequence[Input], values: Mapping[str, Mapping[str, Any]], dt: float) -> None:
    """Refuse conductances whose currents, held over a step, would let potentials swing up.

    Over a step the difference between a neuron and its neighbours falls by at most the factor 1 - 2 G dt / c_m, where G
    is the sum of its conductances: the eigenvalues of the junctions' Laplacian are at most twice the largest G.
    """
    total: dict[str, np.ndarray] = {}
    for i in joined:
        source: Any = i.source
        total.setdefault(i.target.name, np.zeros(i.target.n))
        total[i.target.name] += np.bincount(source.neurons, source.conductance, i.target.n)
    for name, conductance in total.items():
        if "c_m" not in values[name]:
            continue
        share = conductance * dt / values[name]["c_m"]
        worst = int(np.argmax(share))
        if share[worst] >= 1.0:
            raise ModelError(
                f"Population {name!r}: gap junctions of neuron {worst} conduct {conductance[worst]:g} nS together; at "
                f"dt = {dt:g} ms its potential is stable below c_m / dt = {conductance[worst] / share[worst]:g} nS. "
                "Use a smaller dt, or less conductance."
            )
