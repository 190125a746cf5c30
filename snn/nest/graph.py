"""A network in NEST's terms: nodes, connections and recorders, every edge and value as arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kernels.errors import ExportError, SimError
from snn import drawn
from snn.compile import delay_steps, initial_values, resolve_parameters
from snn.elements import SPIKES, Input, Population, Projection
from snn.inputs import Poisson, SpikeArray, StepCurrent
from snn.nest.models import MODELS, PARAMETERS
from snn.network import Network

SEEDS = 2**32 - 1  # NEST takes 1 to this


@dataclass
class Graph:
    """What the worker reads. ``text`` goes to network.json, ``arrays`` to arrays.npz, ``given`` are the spikes of
    populations of spike arrays, which need no simulation: (times, ids) by name.
    """

    text: dict[str, Any]
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    given: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    def keep(self, array: Any) -> str:
        """Store an array; its key."""
        key = str(len(self.arrays))
        self.arrays[key] = np.asarray(array)
        return key

    def value(self, value: Any) -> Any:
        """A number as it is, an array by key."""
        return self.keep(value) if np.ndim(value) else float(value)

    def node(self, name: str, model: str, n: int, params: dict[str, Any] | None = None,
             each: dict[str, list[np.ndarray]] | None = None) -> str:  # fmt: skip
        """Add nodes; ``each``: a list of values for every node."""
        keys = {}
        for parameter, parts in (each or {}).items():
            keys[parameter] = self.keep(np.concatenate([*parts, np.empty(0)]))
            self.arrays[f"{keys[parameter]}:at"] = np.cumsum([len(part) for part in parts])[:-1]
        self.text["nodes"].append({"name": name, "model": model, "n": n, "params": params or {}, "each": keys})
        return name

    def connect(self, source: str, target: str, sources: Any, targets: Any, weight: Any, delay: Any) -> None:
        """Add connections from and to these nodes, by number."""
        self.text["connections"].append(
            {"source": source, "target": target, "sources": self.keep(sources), "targets": self.keep(targets),
             "weight": self.value(weight), "delay": self.value(delay)}
        )  # fmt: skip

    def all_to_all(self, source: str, target: str, delay: float) -> None:
        """Add all connections, of weight 1."""
        entry = {"source": source, "target": target, "rule": "all_to_all", "weight": 1.0, "delay": delay}
        self.text["connections"].append(entry)


def to_graph(net: Network, duration: float, dt: float, threads: int) -> Graph:
    """The network for NEST.

    Raises
    ------
    ExportError
        Lists everything that has no counterpart there.
    """
    found = Graph({"dt": dt, "threads": threads, "seed": net.seed % SEEDS + 1, "duration": duration, "nodes": [],
                   "connections": [], "recorders": []})  # fmt: skip
    problems: list[str] = []
    steps: tuple[tuple[Any, Any], ...] = (
        *((p, _population) for p in net.populations.values()),
        *((p, _projection) for p in net.projections.values()),
        *((i, _input) for i in net.inputs.values()),
    )
    for part, add in steps:
        try:
            problems += add(found, net, part, dt)
        except SimError as error:
            problems.append(str(error))
    if net.weight_probes:
        problems.append("record_weights: weights do not change there, so they are not recorded. Leave it out.")
    for probe in net.probes:
        p = probe.population
        if probe.variable == SPIKES:
            if p.name not in found.given:
                found.text["recorders"].append({"node": p.name, "variables": [], "population": p.name})
            continue
        names = MODELS[p.spec.name].recorded if p.spec and p.spec.name in MODELS else {}
        if names and probe.variable not in names:
            problems.append(f"record({p.name!r}, {probe.variable!r}): there it can be {', '.join(names)}.")
        elif probe.variable in names:
            found.text["recorders"].append(
                {"node": p.name, "variables": [names[probe.variable]], "population": p.name,
                 "ids": found.keep(probe.ids), "interval": dt if probe.every is None else probe.every,
                 "variable": probe.variable}
            )  # fmt: skip
    if problems:
        raise ExportError("\n  ".join(["NEST has no counterpart of", *problems]))
    return found


def _population(found: Graph, net: Network, p: Population, dt: float) -> list[str]:
    owner = f"Population {p.name!r}"
    if isinstance(p.model, Poisson):
        _poisson(found, p.model, f"{p.name} (generator)", p.name, p.n, dt, owner)
        return []
    if isinstance(p.model, SpikeArray):
        code = p.model.encode(dt, p.n, owner)
        times = np.round((code.event_step + 1) * dt, 9)
        order = np.lexsort((times, code.event_id))
        cuts = np.searchsorted(code.event_id[order], np.arange(1, p.n))
        found.node(p.name, "spike_generator", p.n, each={"spike_times": np.split(times[order], cuts)})
        found.given[p.name] = times, code.event_id.astype(np.int64)
        return []
    if p.spec is None or p.spec.name not in MODELS:
        name = p.spec.name if p.spec else type(p.model).__name__
        return [f"{owner}.model: {name}; there are {', '.join(MODELS)}, Poisson, SpikeArray."]
    model, problems = MODELS[p.spec.name], []
    values = drawn.parameters(net, p, dt)
    params = {PARAMETERS[q.name]: found.value(values[q.name]) for q in p.spec.params}
    if "consistent_integration" in params:
        params["consistent_integration"] = bool(params["consistent_integration"])
    for var in p.spec.state:
        initial = initial_values(net, p, var, values)
        if var.name in model.settable:
            params[model.settable[var.name]] = found.keep(initial)
        elif np.any(initial != 0.0):
            problems.append(f"{owner}.init[{var.name!r}]: cannot be set there; it starts at 0.")
    found.node(p.name, model.name, p.n, params)
    return problems


def _poisson(
    found: Graph, source: Poisson, generator: str, relay: str, n: int, dt: float, owner: str, direct: int = 0
) -> None:
    """Poisson trains as ``n`` relay nodes (parrots) that repeat them; ``direct``: steps from these to the target.

    A relay spikes a step after its generator, which begins a step late itself where it has a start; not so one that has
    segments.
    """
    steps = np.array([s[0] for s in source.encode(dt, n, owner).segments])
    stops = int(np.isfinite(source.stop))
    if source.times is not None:
        rates = np.asarray(source.rate, float).reshape(len(source.times), -1)[: len(steps) - stops]
        rates = np.concatenate((rates, np.zeros((stops, rates.shape[1]))))
        at = np.maximum(steps - direct, 1)
        last = np.append(np.diff(at) > 0, True)  # of those that begin before the start only one counts
        at = np.round(at[last] * dt, 9)
        found.node(generator, "inhomogeneous_poisson_generator", rates.shape[1], {},
                   {"rate_times": [at] * rates.shape[1], "rate_values": list(rates[last].T)})  # fmt: skip
    else:
        begin, end = np.round(np.maximum(steps[[0, -1]] - 2 - direct, 0) * dt, 9)
        limits = {"start": float(begin)} | ({"stop": float(end)} if stops else {})
        rate = found.keep(source.rate) if source.each else float(source.rate)
        found.node(generator, "poisson_generator", n if source.each else 1, {"rate": rate, **limits})
    found.node(relay, "parrot_neuron", n)
    if source.each:
        found.connect(generator, relay, np.arange(n), np.arange(n), 1.0, dt)
    else:
        found.all_to_all(generator, relay, dt)


def _projection(found: Graph, net: Network, p: Projection, dt: float) -> list[str]:
    owner = f"Projection {p.name!r}"
    problems = [
        f"{owner}.{what}: {value!r} is run here only."
        for what, value in (("plasticity", p.plasticity if p.learns else None), ("short_term", p.short_term))
        if value is not None
    ]  # fmt: skip
    problems += _receptors(owner, net, p.target, p.receptors)
    delay_steps(p, dt)  # refuses delays below dt
    if problems or p.target.spec is None or p.target.spec.name not in MODELS:
        return problems
    sources, targets, weights, steps = drawn.synapses(net, p, dt)
    found.connect(p.source.name, p.target.name, sources, targets, weights, np.round(steps * dt, 9))
    return []


def _receptors(owner: str, net: Network, target: Population, receptors: tuple[int, ...]) -> list[str]:
    """Where weights do not go as their sign says; NEST's Izhikevich has one receptor, by how it integrates."""
    spec = target.spec
    if spec is None or spec.name != "Izhikevich":
        return []
    wanted = "syn" if np.all(np.asarray(resolve_parameters(net, target, 1.0, ())["consistent_integration"])) else "cur"
    used = {spec.receptors[r].name for r in receptors}
    if used == {wanted}:
        return []
    return [f"{owner}.receptor: {', '.join(sorted(used))}; with this consistent_integration NEST has {wanted!r}."]


def _input(found: Graph, net: Network, entry: Input, dt: float) -> list[str]:
    owner, target, n = f"Input {entry.name!r}", entry.target, entry.target.n
    problems = _receptors(owner, net, target, (entry.receptor,)) if entry.receptor >= 0 else []
    if target.spec is None or target.spec.name not in MODELS or problems:
        return problems
    weight = drawn.input_weight(net, entry)
    name = f"input {entry.name}"
    if isinstance(entry.source, Poisson):
        trains = 1 if entry.source.shared else n
        _poisson(found, entry.source, f"{name} (generator)", name, trains, dt, owner, direct=1)
        sources = np.zeros(n, np.int64) if entry.source.shared else np.arange(n)
        found.connect(name, target.name, sources, np.arange(n), np.broadcast_to(weight, (n,)), dt)
        return []
    code = entry.source.encode(dt, n, owner)
    if isinstance(entry.source, SpikeArray):
        if code.event_step.size and code.event_step.min() < 1:
            return [
                f"{owner}: spikes in the first step; the delay of a generator is a step there. Begin at {2 * dt:g} ms."
            ]
        given = code.event_weight if code.event_weight is not None else np.broadcast_to(weight, (n,))[code.event_id]
        pairs, which = np.unique(np.stack([code.event_id, given]), axis=1, return_inverse=True)
        if pairs.shape[1]:
            order = np.lexsort((code.event_step, which))
            cuts = np.searchsorted(which[order], np.arange(1, pairs.shape[1]))
            times = np.round(code.event_step[order] * dt, 9)
            found.node(name, "spike_generator", pairs.shape[1], each={"spike_times": np.split(times, cuts)})
            found.connect(name, target.name, np.arange(pairs.shape[1]), pairs[0].astype(np.int64), pairs[1], dt)
        return []
    if isinstance(entry.source, StepCurrent):
        return _steps(found, entry.source, name, target, dt, owner)
    return [f"{owner}: {type(entry.source).__name__}; there are Poisson, SpikeArray, StepCurrent."]


def _steps(found: Graph, source: StepCurrent, name: str, target: Population, dt: float, owner: str) -> list[str]:
    """A step current. A generator acts from the second step on, so what flows from the first is part of I_e."""
    steps = np.array([s[0] for s in source.encode(dt, target.n, owner).segments])
    values = source.amplitudes
    if steps[0] == 0:
        node = next(entry for entry in found.text["nodes"] if entry["name"] == target.name)
        given = node["params"]["I_e"]
        constant = found.arrays[given] if isinstance(given, str) else given
        node["params"]["I_e"] = found.value(constant + (values[0] if values.ndim == 2 else float(values[0])))
        steps, values = steps[1:], values[1:] - values[0]
    if steps.size and steps[0] < 2:
        return [f"{owner}: a current that begins in the second step; begin at 0 or from {2 * dt:g} ms on."]
    if not steps.size:
        return []
    times = np.round((steps - 1) * dt, 9)
    columns = values.T if values.ndim == 2 else values[None]
    found.node(name, "step_current_generator", len(columns),
               each={"amplitude_times": [times] * len(columns), "amplitude_values": list(columns)})  # fmt: skip
    sources = np.arange(target.n) if values.ndim == 2 else np.zeros(target.n, np.int64)
    found.connect(name, target.name, sources, np.arange(target.n), 1.0, dt)
    return []
