"""What a sweep runs at a point: an experiment of a TOML file with other values, or a Python function."""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from kernels.errors import ConfigError, FormatError, ModelError, nearest
from snn.config import Experiment, absolute, listed, read_toml, resolve
from snn.records import Result
from snn.sweeps.content import canonical, full_name
from snn.sweeps.design import Axis, Point
from snn.sweeps.points import RECORD, STATE, is_name, write
from snn.tables import OutputTable, Problems, check

Measure: TypeAlias = str | Callable[[Result], Any]


def _spikes(result: Result) -> dict[str, float]:
    return {name: float(spikes) for name, (_, spikes) in result.sizes().items()}


def _rate(result: Result) -> dict[str, float]:
    return {name: record.rate() for name, record in result.spikes.items()}


def _cv(result: Result) -> dict[str, float]:
    each = {name: record.cv() for name, record in result.spikes.items()}
    return {name: float(cv[cv == cv].mean()) if np.any(cv == cv) else float("nan") for name, cv in each.items()}


def _active(result: Result) -> dict[str, float]:
    return {name: float(np.mean(record.rates()[record.nodes] > 0)) for name, record in result.spikes.items()}


def _average(values: Any) -> float:
    return float(np.mean(values)) if np.size(values) else float("nan")


def _mean(result: Result) -> dict[str, float]:
    states = result.states
    return {f"{p}.{v}": _average(states[p][v]) for p in states for v in states[p]}


def _weight(result: Result) -> dict[str, float]:
    return {name: _average(values[-1:]) for name, (_, values) in result.weights.items()}


# by name, for each population (rate [Hz]; CV of intervals; fraction that fired), sampled variable or projection
MEASURES: dict[str, Callable[[Result], dict[str, float]]] = {
    "spikes": _spikes, "rate": _rate, "cv": _cv, "active": _active, "mean": _mean, "weight": _weight,
}  # fmt: skip


def _name(measure: Measure) -> str:
    return measure if isinstance(measure, str) else measure.__name__


def numbers(name: str, found: Any) -> dict[str, float]:
    """What a measure or function gave, as numbers by column."""
    entries = {f"{name}.{k}": v for k, v in found.items()} if isinstance(found, Mapping) else {name: found}
    for key, value in entries.items():
        if np.ndim(value) or np.asarray(value).dtype.kind not in "biuf":
            raise ModelError(f"measure {key}: must be a number, or a dict of numbers; got {value!r}.")
        if not is_name(key):
            raise ModelError(f"measure {key!r}: must have a name of text, not '' or '.', without NUL. Rename it.")
    return {key: float(value) for key, value in entries.items()}


@dataclass(frozen=True)
class Configured:
    """An experiment of a TOML file, its values replaced at each point; records go to ``record.h5``."""

    path: Path
    document: dict[str, Any]  # with absolute paths
    axes: tuple[Axis, ...]
    measures: tuple[Measure, ...]
    allow_code: bool
    identity: str
    every: float | None = None  # ms between two checkpoints of a point

    @classmethod
    def read(cls, path: Path, axes: Sequence[Axis], measures: Sequence[Measure], allow_code: bool) -> Configured:
        """Of a file; of its ``[output]``, ``every`` alone is used."""
        for measure in measures:
            if not callable(measure) and measure not in MEASURES:
                raise ConfigError(f"sweep.measures: no measure {measure!r}.{nearest(str(measure), MEASURES)}")
            if callable(measure):
                full_name("sweep.measures: a measure", measure)
        names = [_name(measure) for measure in measures]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ConfigError(f"sweep.measures: names must differ; got {', '.join(sorted(twice))} twice. Rename one.")
        if unused := [key for axis in axes for key in axis.keys if key.partition(".")[0] == "output"]:
            raise ConfigError(f"parameter {unused[0]}: [output] is not used in a sweep: points have their own files.")
        raw = read_toml(path)
        try:
            every = check(OutputTable, raw.pop("output", {})).every
        except Problems as error:
            raise listed(path, [f"output{text}" for text in error.found]) from None
        seedless = {key: value for key, value in raw.items() if key != "seed"}
        keys = [axis.keys for axis in axes]
        document = absolute(raw, path.absolute().parent)
        return cls(path, document, tuple(axes), tuple(measures), allow_code, canonical([seedless, keys]), every)

    @property
    def kinds(self) -> list[str]:
        """Names of the measures, by which they are known again."""
        return [m if isinstance(m, str) else full_name("sweep.measures: a measure", m) for m in self.measures]

    def experiment(self, point: Point) -> Experiment:
        """The experiment of a point, checked."""
        overrides = {key: copy.deepcopy(point.values[axis.name]) for axis in self.axes for key in axis.keys}
        return resolve(self.path, self.document, overrides | {"seed": point.seed}, self.allow_code)

    def __call__(self, point: Point, folder: Path, threads: int) -> dict[str, float]:
        """Run the point, if its record is not there yet, and measure. One that was killed goes on at its checkpoint;
        where that or the record is not whole, or of another version, it begins again."""
        from snn.io.sonata import read_result
        from snn.simulation import Simulation, choose_threads

        record, state = folder / RECORD, folder / STATE
        if not record.exists():
            experiment = self.experiment(point)
            write(folder / "configuration.json", json.dumps(experiment.configuration, indent=1, default=str))
            net, s = experiment.network(), experiment.simulation
            most = min(s.threads or choose_threads(net), threads)
            went_on = False
            if state.exists():
                with suppress(FormatError):
                    Simulation.resume(state, net, most, quiet=True).proceed()
                    went_on = True
            if not went_on:
                state.unlink(missing_ok=True)  # one that is damaged is no checkpoint, and would be spared
                simulation = Simulation(net, s.dt, s.engine, s.backend, most, s.precision, quiet=True)
                kept = state if self.every is not None else None
                simulation.run(s.duration, to=record, overwrite=True, checkpoint=kept, every=self.every)  # also a .part
            state.unlink(missing_ok=True)
        result = read_result(record)
        out: dict[str, float] = {}
        for measure in self.measures:
            out |= numbers(_name(measure), MEASURES[measure](result) if isinstance(measure, str) else measure(result))
        return out


@dataclass(frozen=True)
class Called:
    """A function of the parameters; also of ``seed``, ``folder`` and ``threads`` where it has such arguments."""

    function: Callable[..., Any]
    axes: tuple[Axis, ...]

    def __post_init__(self) -> None:
        name = full_name("sweep: the function", self.function)
        if any(len(axis.keys) > 1 for axis in self.axes):
            raise ConfigError("sweep.parameters: several keys moved as one are for TOML files; pass one parameter.")
        try:
            extra = {key: None for key in self._extra()}
            inspect.signature(self.function).bind(**{axis.name: None for axis in self.axes} | extra)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"sweep: {name} cannot be called with these parameters: {error}.") from None

    @property
    def identity(self) -> str:
        """Its name; what it does may change without another name."""
        return f"function {full_name('sweep: the function', self.function)}"

    @property
    def kinds(self) -> None:
        """Its measures are what it gives."""
        return None

    def _extra(self) -> set[str]:
        return {"seed", "folder", "threads"} & set(inspect.signature(self.function).parameters)

    def __call__(self, point: Point, folder: Path, threads: int) -> dict[str, float]:
        """Call it and check what it gives."""
        extra = {"seed": point.seed, "folder": folder, "threads": threads}
        found = self.function(**{key: extra[key] for key in self._extra()} | point.values)
        if isinstance(found, Mapping):
            return {column: x for key, value in found.items() for column, x in numbers(str(key), value).items()}
        return numbers("value", found)
