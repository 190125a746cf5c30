"""The network that the tables of a TOML file describe.

What shows only in the network (shapes, rules between parameters, the step) the network refuses itself, and the message
is moved to the key that caused it. Every problem is collected.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from kernels.errors import ConfigError, SimError, nearest
from kernels.philox import stream_key
from snn import connect, inputs
from snn.compile import check_modulated, delay_steps, reaction_steps, resolve_parameters
from snn.distributions import Distribution
from snn.elements import SPIKES, Population, Projection
from snn.network import Network
from snn.neurons.base import MODELS
from snn.tables import (
    CURRENTS,
    RULES,
    SPIKE_SOURCES,
    Document,
    InputTable,
    JunctionTable,
    ModulatorTable,
    Owner,
    PopulationTable,
    Problems,
    ProjectionTable,
    RecordTable,
    T,
    WeightsTable,
    arguments,
    call,
    check,
    chosen,
    given,
    neurons,
    toml_path,
    within,
)  # fmt: skip

UNKNOWN = re.compile(r": no (model|plasticity rule|short-term rule) ['\"]")


class Builder:
    """Builds a network from a document and collects every problem on the way; runs the files under ``models`` only
    where ``allow_code`` says so."""

    def __init__(self, raw: dict[str, Any], allow_code: bool = False) -> None:
        self.problems: list[str] = []
        self.stand_ins: set[str] = set()  # populations in place of faulty ones
        self.document: Document | None = None
        with self.at(""):
            self.document = check(Document, raw)
        for k, path in enumerate(self.document.models if self.document else _models(raw)):
            with self.at(f"models.{k}"):
                if not allow_code:
                    raise ConfigError(f"would run {path} as a program. Allow it with --allow-code if you trust it.")
                import_models(Path(path))
        self.net = Network(self.document.seed if self.document else 0)
        self.dt = self.document.simulation.dt if self.document else _dt(raw)
        engine = self.document.simulation.engine if self.document else _engine(raw)
        self.on_grid = engine != "event"  # which has no step that delays and intervals would have to fit
        populations = raw.get("populations")
        self.described = {"population": list(populations if isinstance(populations, dict) else ()), "projection": []}
        for name, table in _entries(raw, "populations", dict):
            self.population(toml_path("populations", name), name, table)
        for name, table in _entries(raw, "inputs", dict):
            self.input(toml_path("inputs", name), name, table)
        for k, table in _entries(raw, "projections", list):
            self.projection(f"projections.{k}", table)
        for k, table in _entries(raw, "gap_junctions", list):
            self.gap_junctions(f"gap_junctions.{k}", table)
        for k, table in _entries(raw, "record", list):
            self.record(f"record.{k}", table)
        for population in self.net.populations.values() if "record" not in raw else ():
            if population.spec is not None:
                self.net.record(population, SPIKES)
        if any(text.startswith("models.") for text in self.problems):  # which define names that are not known now
            self.problems = [text for text in self.problems if not UNKNOWN.search(text)]

    @contextmanager
    def at(self, path: str, *owners: Owner) -> Iterator[None]:
        """Collect what is refused inside, under ``path``; see :func:`within`."""
        try:
            with within(path, *owners):
                yield
        except Problems as error:
            found = (text.lstrip(".") for text in error.found)
            self.problems += [text for text in found if text not in self.problems]  # two variables share a fault

    def find(self, place: str, what: str, name: Any) -> Any:
        """A population or projection; None where there is none, a problem unless it is described and only faulty."""
        if not isinstance(name, str):
            return None  # reported with its table
        if name not in self.described[what]:
            self.problems.append(f"{place}: no {what} {name!r}.{nearest(name, self.described[what])}")
        return (self.net.populations if what == "population" else self.net.projections).get(name)

    def population(self, path: str, name: str, raw: dict[str, Any]) -> None:
        """Add ``[populations.NAME]``, or a stand-in, so that what refers to it can be checked."""
        owner, kind = f"Population {name!r}", ""
        with self.at(path, owner, "Network.population"):
            kind = chosen(raw, "model", [*MODELS, *SPIKE_SOURCES], "model")
            if kind in MODELS:
                table = check(neurons(MODELS[kind].spec), raw)
                init = given(table.init)
                owners = [(f"{owner}.init[{s!r}]", f".init.{s}") for s in init]
                with within("", *owners, (f"{kind} of population {name!r}", ".params"), (kind, ".params"), owner):
                    model = MODELS[kind](**given(table.params))
                    added = self.net.population(name, table.n, model, init, self.positions(name, table), table.wrap)
                    resolve_parameters(self.net, added, self.dt)
            else:
                table = check(arguments(SPIKE_SOURCES[kind], PopulationTable), raw)
                with within("", kind, "SpikeArray", "read_events", owner):
                    source = call(SPIKE_SOURCES[kind], table)
                    self.net.population(name, table.n, source, None, self.positions(name, table), table.wrap)
                    source.encode(self.dt, table.n, owner)
        if kind and name not in self.net.populations:
            with suppress(SimError):
                stand_in = MODELS[kind]() if kind in MODELS else inputs.Poisson(0.0)
                self.net.population(name, raw.get("n", 0), stand_in)
                self.stand_ins.add(name)

    def positions(self, name: str, table: Any) -> Any:
        """The positions of a population, drawn where they are distributions."""
        laws = [table.positions] if isinstance(table.positions, Distribution) else table.positions
        if not isinstance(laws, list):
            return laws
        keys = [stream_key(self.net.seed, "positions", name, k) for k in range(len(laws))]
        return np.stack([law.draw(table.n, key) for law, key in zip(laws, keys, strict=True)], axis=1)

    def input(self, path: str, name: str, raw: dict[str, Any]) -> None:
        """Add ``[inputs.NAME]``."""
        owner, makers, source = f"Input {name!r}", SPIKE_SOURCES | CURRENTS, None
        with self.at(path):
            kind = chosen(raw, "type", makers, "input")
            table = check(arguments(makers[kind], InputTable), raw)
            with within("", kind, "SpikeArray", "read_events"):
                source = call(makers[kind], table)
        target = self.find(f"{path}.target", "population", raw.get("target"))
        if source is not None and target is not None:
            with self.at(path, owner, "Network.input"):
                self.net.input(name, target, source, table.weight, table.receptor)
                source.encode(self.dt, target.n, owner)

    def projection(self, path: str, raw: dict[str, Any]) -> None:
        """Add an entry of ``[[projections]]``."""
        name, rule = str(raw.get("name", f"{raw.get('source')}->{raw.get('target')}")), None
        self.described["projection"].append(name)
        values, refused = {"weight": 0.0, "delay": self.dt}, set[str]()  # what nothing refuses
        with self.at(path):
            kind = chosen(raw, "rule", RULES, "rule")
            table, refused = self.sound(path, arguments(RULES[kind], ProjectionTable), raw)
            with within("", kind):
                made = call(RULES[kind], table)
            made, weight, delay = made if isinstance(made, tuple) else (made, None, None)
            for key, value in (("weight", weight), ("delay", delay)):
                value = value if getattr(table, key) is None else getattr(table, key)
                if value is not None:
                    values[key] = value
                elif key not in refused:
                    self.problems.append(f"{path}.{key}: is missing.")
                    refused.add(key)
            rule = made
        source, target = (self.find(f"{path}.{end}", "population", raw.get(end)) for end in ("source", "target"))
        if rule is None or source is None or target is None:
            return
        values |= {key: getattr(table, key) for key in ("receptor", "plasticity", "short_term", "axonal_delay")}
        owners = (f"Projection {name!r}.p", ".profile"), f"Projection {name!r}", "Network.connect"
        added, faulty = self.connected(path, owners, (source, target, rule), table.name, values)
        refused |= faulty
        if added is None:
            return
        with self.at(path, *owners):
            if not callable(getattr(rule, "p", None)) or not {source.name, target.name} & self.stand_ins:
                _check_rule(f"Projection {name!r}", rule, source, target)  # stand-ins have no positions
        with self.at(path, *owners):
            if not refused & {"plasticity", "modulator"} and self.modulate(path, added, table.modulator):
                check_modulated(added)
                if self.on_grid:
                    reaction_steps(added, delay_steps(added, self.dt)[0], self.dt)
        if refused:
            del self.net.projections[added.name]

    def sound(self, path: str, kind: type[T], raw: dict[str, Any]) -> tuple[T, set[str]]:
        """The table without the keys that are refused, which are told, and those keys."""
        try:
            return check(kind, raw), set()
        except Problems as error:
            self.problems += [path + text for text in error.found]
            refused = {text.lstrip(".").partition(":")[0].partition(".")[0] for text in error.found}
        with suppress(Problems):
            return check(kind, {key: value for key, value in raw.items() if key not in refused}), refused
        raise Problems()  # one of them is needed

    def connected(
        self, path: str, owners: Sequence[Owner], ends: tuple[Population, Population, connect.Rule], name: str | None,
        values: dict[str, Any],
    ) -> tuple[Projection | None, set[str]]:  # fmt: skip
        """A new projection, and which of ``values`` are refused: each is told and gives way to a neutral one."""
        neutral = {"weight": 0.0, "delay": self.dt, "axonal_delay": 0.0}
        values, refused = dict(values), set[str]()
        while True:
            try:
                with within("", *owners):
                    added = self.net.connect(*ends, name=name, **values)
                    if self.on_grid:
                        delay_steps(added, self.dt)
                return added, refused
            except Problems as error:
                (text,) = error.found
                key = text.lstrip(".").partition(":")[0].partition(".")[0]
                if key not in refused:  # else it is refused for the other neutral values
                    self.problems.append(f"{path}{text}")
                if key in refused or key not in values:
                    return None, refused | {key}
                refused.add(key)
                values[key] = neutral.get(key)
                if key == "delay":
                    values["axonal_delay"] = 0.0  # which is below every delay
                    self.net.projections.pop(name or f"{ends[0].name}->{ends[1].name}", None)

    def gap_junctions(self, path: str, raw: dict[str, Any]) -> None:
        """Add an entry of ``[[gap_junctions]]``."""
        name, rule, table = str(raw.get("name", f"{raw.get('a')}~{raw.get('b')}")), None, None
        with self.at(path):
            kind = chosen(raw, "rule", RULES, "rule")
            table = check(arguments(RULES[kind], JunctionTable), raw)
            with within("", kind):
                made = call(RULES[kind], table)
            rule = made[0] if isinstance(made, tuple) else made
        a, b = (self.find(f"{path}.{end}", "population", raw.get(end)) for end in "ab")
        if rule is not None and a is not None and b is not None and not {a.name, b.name} & self.stand_ins:
            with self.at(path, f"Gap junctions {name!r}", "Network.gap_junctions"):
                self.net.gap_junctions(a, b, rule, table.conductance, table.name)

    def modulate(self, path: str, projection: Projection, table: ModulatorTable | None) -> bool:
        """Give the projection's rule the modulator of ``table``; False where its source is faulty."""
        if table is not None:
            source = self.find(f"{path}.modulator.source", "population", table.source)
            if source is None and table.source is not None:
                return False
            self.net.modulate(projection, source, table.delay, table.value)
        return True

    def record(self, path: str, raw: dict[str, Any]) -> None:
        """Add an entry of ``[[record]]``."""
        with self.at(path):
            if "projection" in raw or raw.get("variable") == "weights":
                weights = check(WeightsTable, raw)
                for name in weights.projection:
                    projection = self.find(f"{path}.projection", "projection", name)
                    for variable in weights.variable if projection is not None else ():
                        owner = f"record_weights({name!r})"
                        owner = owner if variable == "weights" else f"{owner[:-1]}, {variable!r})"
                        with self.at(path, owner):
                            self.net.record_weights(projection, weights.every, variable)
                            self.check_every(owner, weights.every)
                return
            table = check(RecordTable, raw)
            for name in table.population:
                population = self.find(f"{path}.population", "population", name)
                for variable in table.variable if population is not None else ():
                    owner = f"record({name!r}, {variable!r})"
                    every = None if variable == SPIKES and len(table.variable) > 1 else table.every
                    with self.at(path, (f"{owner}: no such variable", ".variable: no such variable"), owner, "record"):
                        self.net.record(population, variable, table.ids, every)
                        self.check_every(owner, every)

    def check_every(self, owner: str, every: float | None) -> None:
        """Refuse an interval off the grid."""
        if self.on_grid and every is not None and abs(every / self.dt - max(1, round(every / self.dt))) > 1e-6:
            raise ConfigError(f"{owner}.every: must be a multiple of dt = {self.dt} ms; got {every}.")


def _entries(raw: dict[str, Any], part: str, kind: type) -> list[tuple[Any, dict[str, Any]]]:
    """Key and table of every entry of a part; what is none is reported with the document."""
    entries = raw.get(part) if isinstance(raw.get(part), kind) else ()
    pairs = entries.items() if isinstance(entries, dict) else enumerate(entries or ())
    return [(key, table) for key, table in pairs if isinstance(table, dict)]


def _models(raw: dict[str, Any]) -> list[str]:
    """The files of models of a faulty document, so that what uses them is checked all the same."""
    models = raw.get("models")
    return [path for path in models if isinstance(path, str)] if isinstance(models, list) else []


def import_models(path: Path) -> None:
    """Run a Python file that defines models or plasticity rules; as with any import, only the first time."""
    name = f"snn_models:{path.resolve()}"
    if name in sys.modules:
        return
    if not path.is_file():
        raise ConfigError(f"no such file: {path}. Check the name; it is relative to the TOML file.")
    module = sys.modules[name] = ModuleType(name)
    try:
        SourceFileLoader(name, str(path.resolve())).exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, SimError) or not isinstance(error, Exception):
            raise
        raise ConfigError(f"{path} cannot be imported: {type(error).__name__}: {error}. Mend the file.") from error


def _engine(raw: dict[str, Any]) -> Any:
    """The engine of a faulty document."""
    table = raw.get("simulation")
    return table.get("engine") if isinstance(table, dict) else None


def _dt(raw: dict[str, Any]) -> float:
    """The step of a faulty document, or the default, so that what depends on it is checked all the same."""
    table = raw.get("simulation")
    dt = table.get("dt") if isinstance(table, dict) else None
    return float(dt) if isinstance(dt, (int, float)) and not isinstance(dt, bool) and 0 < dt < np.inf else 0.1


def _check_rule(owner: str, rule: connect.Rule, source: Population, target: Population) -> None:
    """What a rule refuses when its edges are drawn, found by drawing those of a single neuron."""
    n_source, n_target = source.n, target.n
    if isinstance(rule, (connect.fixed_indegree, connect.distance_dependent)):
        n_target = 1
    elif isinstance(rule, connect.fixed_outdegree):
        n_source = 1
    elif isinstance(rule, connect.fixed_total_number):
        rule = replace(rule, number=min(rule.number, 1))
    elif not isinstance(rule, (connect.one_to_one, connect.from_arrays)):
        return  # refuses nothing
    space = source.positions, target.positions, source.wrap, target.wrap
    rule.edges(connect.Pair(owner, n_source, n_target, source is target, stream_key(0), 1, *space))
