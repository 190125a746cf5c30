"""What changes between the runs of a simulation besides its state: parameters of neurons, sources, currents."""

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np

from kernels.errors import FormatError, ModelError, ShapeError, nearest
from snn.distributions import Distribution
from snn.elements import Input, Population
from snn.gap import GapJunctions
from snn.inputs import Source, SpikeArray, StepCurrent
from snn.network import Network
from snn.neurons.base import NeuronModel
from snn.units import brief, plain

PARAMETERS, INPUT, POPULATION, CURRENT = "parameters", "input", "population", "current"  # kinds of changes
MOST_NOTED = 100  # calls of one kind for one thing; of later ones the last
Row = dict[str, Any]  # of the list of what was changed: t, call, name, number, values
Changes = dict[tuple[str, str], dict[str, Any]]  # (kind, name): values, or arguments of a source


def drawn(
    net: Network, population: Population, values: dict[str, Any], ids: np.ndarray | None = None
) -> dict[str, Any]:
    """``values`` of parameters as numbers or arrays of the population's size; those of neurons ``ids`` alone."""
    model, n = population.model, population.n if ids is None else ids.size
    if not isinstance(model, NeuronModel):
        raise ModelError(
            f"Simulation.set_parameters: {population.name!r} is a population of spike sources. Use set_source."
        )
    found = {}
    for name, value in values.items():
        parameter = next((p for p in model.spec.params if p.name == name), None)
        if parameter is None:
            known = [p.name for p in model.spec.params]
            state = name in [v.name for v in model.spec.state]
            advice = f" {name!r} is a state variable: use set_state." if state else nearest(name, known)
            raise ModelError(f"{model.spec.name}.{name}: no such parameter.{advice}")
        owner = f"{model.spec.name}.{name}"
        if isinstance(value, Distribution):
            value = value.draw(n, net.stream("parameter", population.name, name))
        value = plain(value, parameter.unit, owner)
        if np.shape(value) not in ((), (n,)):
            raise ShapeError(f"{owner}: must be a number or of shape ({n},); got {np.shape(value)}.")
        found[name] = np.array(value) if np.ndim(value) else value  # a copy: the caller may use his array again
        if ids is not None:
            all_ = model.params[name]
            if isinstance(all_, Distribution):
                all_ = all_.draw(population.n, net.stream("parameter", population.name, name))
            found[name] = np.array(np.broadcast_to(all_, (population.n,)))
            found[name][ids] = value
    return found


def find_source(net: Network, of: Any) -> tuple[Input | Population, Source]:
    """The input or population of sources that is meant, and its source."""
    if isinstance(of, (Input, Population)):
        known = net.inputs if isinstance(of, Input) else net.populations
        found = [known[of.name]] if of.name in known else []
    else:
        found = [x[of] for x in (net.inputs, net.populations) if isinstance(of, str) and of in x]
    found = [x for x in found if isinstance(x, Input) or x.spec is None]
    if len(found) == 1:
        one: Any = found[0]
        return one, one.source if isinstance(one, Input) else one.model
    if found:
        raise ModelError(f"Simulation.set_source: {of!r} is an input and a population. Give the object, not its name.")
    names = [*net.inputs, *(p.name for p in net.populations.values() if p.spec is None)]
    raise ModelError(
        f"Simulation.set_source: no input and no population of spike sources {of!r}; there are "
        f"{', '.join(names) or 'none'}."
    )


def check_source(what: Input | Population, before: Source, source: Any) -> None:
    """Refuse a source that cannot take the place of ``before``."""
    owner = f"{type(what).__name__} {what.name!r}.{'source' if isinstance(what, Input) else 'model'}"
    if type(source) is not type(before):
        raise ModelError(f"{owner}: must stay a {type(before).__name__}; got {source!r}.")
    if isinstance(before, GapJunctions):
        raise ModelError(f"{owner}: gap junctions cannot be replaced in a simulation. Make another network.")
    if getattr(source, "shared", None) != getattr(before, "shared", None):
        raise ModelError(f"{owner}.shared: cannot change between runs; got {source!r}.")
    if not isinstance(source, SpikeArray) or not isinstance(before, SpikeArray):
        return
    if (source.weights is None) != (before.weights is None):
        raise ModelError(f"{owner}.weights: spikes keep weights of their own, or have none; got {source!r}.")
    if source.weights is None or isinstance(what, Population):
        return
    signs = {bool(np.any(w < 0)) for w in map(np.asarray, (source.weights, what.weight)) if w.size}
    if len(signs) > 1:
        raise ModelError(f"{owner}.weights: must keep their sign, which chose the receptor; got {source!r}.")


def changed_source(net: Network, name: str, source: Any, own: bool) -> Network:
    """``net`` with another source of input ``name``, or (``own``) of the population ``name``."""
    net = net.copied()
    if own:
        net.populations[name] = replace(net.populations[name], model=source)
        return net
    entry, weights = net.inputs[name], getattr(source, "weights", None)
    weight = entry.weight
    if weights is not None:  # without spikes a number of the sign that chose the receptor
        weight = weights if len(weights) else float(np.min(weight))
    net.inputs[name] = replace(entry, source=source, weight=weight)
    return net


def check_current(net: Network, name: str, values: Any, latest: float) -> np.ndarray:
    """Amplitudes for the input ``name``, a current of one amplitude that begins at ``latest`` ms or before."""
    owner = f"Input {name!r}"
    if not isinstance(name, str) or name not in net.inputs:
        raise ModelError(f"Simulation.set_current: no input {name!r}.{nearest(str(name), net.inputs)}")
    source = net.inputs[name].source
    if not isinstance(source, StepCurrent) or len(source.amplitudes) != 1:
        raise ModelError(f"{owner}.source: must be a StepCurrent of one amplitude; got {source!r}.")
    if source.times[0] > latest:
        raise ModelError(f"{owner}.source: injects from {source.times[0]:g} ms on, later than now. Begin it at 0.")
    amplitude, ids = np.array(plain(values, "pA", owner)), net.inputs[name].ids
    shape = (net.inputs[name].target.n if ids is None else ids.size,)
    if amplitude.shape not in ((), shape) or not np.all(np.isfinite(amplitude)):
        raise ShapeError(f"{owner}: must be finite, a number or of shape {shape}; got {brief(amplitude)}.")
    return amplitude


def readable(value: Any) -> Any:
    """``value`` for people and JSON: of a long array its shape, its range and a hash."""
    if isinstance(value, (str, bool)) or value is None:
        return value
    array = np.asarray(value)
    if array.size > 8:
        code = hashlib.sha256(np.ascontiguousarray(array).view(np.uint8).data).hexdigest()
        return f"{brief(array)}, sha256 {code[:16]}"
    return array.tolist() if np.all(np.isfinite(array)) else str(array.tolist())


def noted(log: list[Row], t: float, call: str, name: str, values: dict[str, Any]) -> list[Row]:
    """``log`` with a call at ``t`` ms; another list, as records keep those that they were begun with.

    ``number`` counts the calls of one kind for one thing, of which closed loops make many: the first ones and the last
    stay.
    """
    same = (k for k in reversed(range(len(log))) if log[k]["name"] == name and log[k]["call"] == call)
    last = next(same, -1)
    number = 1 + (log[last]["number"] if last >= 0 else 0)
    kept = log[:last] + log[last + 1 :] if number > MOST_NOTED + 1 else log
    shown = {key: readable(value) for key, value in values.items() if value is not None}
    return [*kept, {"t": t, "call": call, "name": name, "number": number, "values": shown}]


def check_log(log: Any) -> list[Row]:
    """A list that :func:`noted` gave, from a file."""
    kinds: dict[str, Any] = {"t": (int, float), "call": str, "name": str, "number": int, "values": dict}
    for row in log if isinstance(log, list) else [log]:
        if not isinstance(row, dict) or not all(isinstance(row.get(k), kind) for k, kind in kinds.items()):
            raise FormatError(f"/about.log: is no list of what was changed; got {row!r}.")
    return list(log)


def packed(changes: Changes) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """``changes`` as a JSON list and arrays, for a checkpoint."""
    about, arrays = [], dict[str, np.ndarray]()
    for k, ((kind, name), values) in enumerate(changes.items()):
        given = {key: value for key, value in values.items() if value is not None}
        about.append({"kind": kind, "name": name, "values": list(given)})
        arrays |= {f"changes/{k}/{key}": np.asarray(value) for key, value in given.items()}
    return about, arrays


def unpacked(about: Any, arrays: dict[str, np.ndarray]) -> Changes:
    """What :func:`packed` was given."""
    changes: Changes = {}
    try:
        for k, row in enumerate(about):
            values = {key: arrays[f"changes/{k}/{key}"] for key in row["values"]}
            changes[str(row["kind"]), str(row["name"])] = {
                key: value.item() if value.ndim == 0 else value for key, value in values.items()
            }
    except (KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"/about.changes: is no list of changes ({error!r}).") from None
    return changes
