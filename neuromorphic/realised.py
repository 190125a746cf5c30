"""A network with everything drawn, as other simulators take it: cells, synapses and spike trains as arrays.

Parameters keep their names here, which are NEST's in lower case, and their units: ms, mV, pA, nS, pF. Delays are on the
grid of ``dt``, as the simulation here has them. Spikes come at the end of the step that holds them, at whole multiples
of ``dt``; one of time t over a delay d acts at t + d.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernels.errors import ExportError, ModelError
from snn import drawn
from snn.compile import initial_values
from snn.elements import Input, Population, Projection
from snn.inputs import Poisson, SpikeArray
from snn.network import Network
from snn.simulation import Simulation


@dataclass
class Cells:
    """A population of neurons; values are floats, or arrays of shape (n,) where they differ.

    Attributes
    ----------
    model : name of the model here
    params : parameters by name
    start : initial values of its potential "v" and adaptation "w", where it has them
    """

    n: int
    model: str
    params: dict[str, Any]
    start: dict[str, Any]


@dataclass
class Sources:
    """Spike sources: source ids[k] spikes at times[k], ms, in order of time."""

    n: int
    times: np.ndarray
    ids: np.ndarray


@dataclass
class Synapses:
    """Static synapses in order of target, then source; delays in ms. The sign of a weight chooses the receptor."""

    source: str
    target: str
    sources: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    delays: np.ndarray


@dataclass
class Realised:
    """A network, drawn."""

    cells: dict[str, Cells]
    sources: dict[str, Sources]
    synapses: dict[str, Synapses]


def realise(owner: str, net: Network, dt: float, duration: float, models: Mapping[str, Any]) -> Realised:
    """Draw a network for ``duration`` ms; ``models`` holds the names of those that the other side has.

    Poisson populations become the spikes that they send here. A direct input of spikes becomes a population of sources
    with synapses one to one, a step long, whose spikes come a step earlier; that of a Poisson input are drawn anew.

    Raises
    ------
    ExportError
        With everything that has no counterpart, each with the nearest option.
    """
    problems: list[str] = []
    out = Realised({}, {}, {})
    for name, p in net.populations.items():
        try:
            if p.spec is None:
                out.sources[name] = _trains(net, p, dt, duration)
            else:
                out.cells[name] = _cells(net, p, dt, models)
        except (ExportError, ModelError) as error:
            problems.append(str(error))
    for q in net.projections.values():
        try:
            out.synapses[q.name] = _synapses(net, q, dt)
        except (ExportError, ModelError) as error:
            problems.append(str(error))
    for i in net.inputs.values():
        try:
            if i.name in net.populations:
                raise ExportError(f"Input {i.name!r}: has the name of a population. Rename it.")
            out.sources[i.name], out.synapses[f"{i.name}->{i.target.name}"] = _direct(net, i, dt, duration)
        except (ExportError, ModelError) as error:
            problems.append(str(error))
    if problems:
        raise ExportError(f"{owner}:\n  " + "\n  ".join(problems))
    return out


def _cells(net: Network, p: Population, dt: float, models: Mapping[str, Any]) -> Cells:
    owner = f"Population {p.name!r}"
    assert p.spec is not None
    if p.spec.name not in models:
        raise ExportError(f"{owner}.model: must be one of {', '.join(models)}; got {p.spec.name}. Use one of these.")
    values = drawn.parameters(net, p, dt)
    start = {}
    for state in p.spec.state:
        value = np.broadcast_to(initial_values(net, p, state, values), (p.n,)).astype(float)
        if state.name in ("v", "w"):
            start[state.name] = _one(value)
        elif np.any(value != 0):
            raise ExportError(
                f"{owner}.init: {state.name!r} must start at 0 (only v and w can be handed over); got {value.max():g}."
            )
    return Cells(p.n, p.spec.name, {k.name: _one(np.asarray(values[k.name], float)) for k in p.spec.params}, start)


def _one(value: np.ndarray) -> Any:
    """A float where all are equal."""
    return float(value.flat[0]) if value.ndim == 0 or np.all(value == value.flat[0]) else value


def _trains(net: Network, p: Population, dt: float, duration: float) -> Sources:
    if not isinstance(p.model, (Poisson, SpikeArray)):
        raise ExportError(f"Population {p.name!r}: must be SpikeArray or Poisson; got {type(p.model).__name__}.")
    return _drawn(net, p.name, p.n, p.model, dt, duration)


def _drawn(net: Network, name: str, n: int, model: Any, dt: float, duration: float) -> Sources:
    """The spikes that a population of sources sends here; its streams depend on seed and name alone."""
    if isinstance(model, SpikeArray):
        code = model.encode(dt, n, f"Population {name!r}")
        times = (code.event_step + 1) * dt
        early = times < duration + 0.5 * dt
        return Sources(n, times[early], code.event_id[early].astype(np.int64))
    alone = Network(seed=net.seed)
    alone.record(alone.population(name, n, model), "spikes")
    spikes = Simulation(alone, dt=dt, quiet=True).run(duration).spikes[name]
    return Sources(n, np.asarray(spikes.times), np.asarray(spikes.ids, np.int64))


def _synapses(net: Network, q: Projection, dt: float) -> Synapses:
    owner = f"Projection {q.name!r}"
    if q.learns:
        raise ExportError(
            f"{owner}.plasticity: must be None; got {q.plasticity!r}. Run it first, and give the weights."
        )
    if q.short_term is not None:
        raise ExportError(f"{owner}.short_term: must be None; got {q.short_term!r}. Leave it out.")
    assert q.target.spec is not None
    sources, targets, weights, steps = drawn.synapses(net, q, dt)
    receptors = [q.target.spec.receptors[k].name for k in q.receptors]
    by_sign = [q.target.spec.receptors[0].name, q.target.spec.receptors[-1].name]
    if np.any(weights > 0) and receptors[0] != by_sign[0] or np.any(weights < 0) and receptors[1] != by_sign[1]:
        raise ExportError(f"{owner}.receptor: the weight's sign must choose it; got {receptors}. Leave receptor out.")
    return Synapses(q.source.name, q.target.name, sources, targets, weights, steps * dt)


def _direct(net: Network, i: Input, dt: float, duration: float) -> tuple[Sources, Synapses]:
    owner, n = f"Input {i.name!r}", i.target.n
    if not isinstance(i.source, (Poisson, SpikeArray)) or getattr(i.source, "weights", None) is not None:
        raise ExportError(
            f"{owner}: must be SpikeArray or Poisson with one weight, or one a neuron; got {i.source!r}. Give a "
            "constant current as the parameter i_e."
        )
    source: Any = i.source
    if isinstance(source, SpikeArray):
        code = source.encode(dt, n, owner)  # its steps count from 0: a spike of step 1 comes at 2 dt, and is sent at dt
        if code.event_step.size and code.event_step.min() < 1:
            raise ExportError(f"{owner}.times: must be later than the first step, {dt:g} ms. Move all by a step.")
        source = SpikeArray(code.event_step * dt, code.event_id.astype(np.int64))
    ids = np.arange(n)
    weights = np.broadcast_to(np.asarray(drawn.input_weight(net, i), float), (n,)).copy()
    sent = _drawn(net, i.name, n, source, dt, duration)
    return sent, Synapses(i.name, i.target.name, ids, ids, weights, np.full(n, dt))
