"""What takes spikes, samples and weights while a simulation runs, in time order, and gives a `Result` at the end.

`MemoryRecorder` keeps the chunks; `snn.io.sonata.SonataWriter` streams them to an HDF5 file and keeps nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernels.errors import ConfigError, ShapeError
from snn.records import Floats, Ints, Result, SpikeRecord, StateRecord, Trace, neurons_of


class Report(NamedTuple):
    """A variable to sample: plain tuples in this order serve as well."""

    population: str
    variable: str
    unit: str
    ids: ArrayLike
    every_ms: float


class Recorder(Protocol):
    """What the engine calls, in time order. Arrays are copied: the engine may reuse its buffers."""

    def spikes(self, population: str, times: ArrayLike, ids: ArrayLike) -> None:
        """Take spikes: times in ms and ids, both (n,), later than those of earlier calls or equal to the last."""

    def states(self, population: str, variable: str, times: ArrayLike, values: ArrayLike) -> None:
        """Take samples: times in ms (n_times,), values (n_times, n_ids)."""

    def weights(self, projection: str, time: float, values: ArrayLike) -> None:
        """Take the weights of a projection at one time in ms, values (n_synapses,)."""

    def flush(self, t_now: float, durable: bool = False) -> None:
        """Make everything up to t_now in ms safe; where ``durable``, from a power cut too."""

    def close(self, t_stop: float) -> Result:
        """End the recording at t_stop in ms."""

    def abort(self) -> None:
        """Give up; what was flushed stays where the recorder keeps it."""


def check_reports(
    reports: Sequence[Report | tuple[str, str, str, ArrayLike, float]],
) -> dict[tuple[str, str], Report]:
    """Reports by (population, variable); refuses duplicates."""
    out: dict[tuple[str, str], Report] = {}
    for population, variable, unit, ids, every in reports:
        key = population, variable
        if key in out:
            raise ConfigError(f"record({population!r}, {variable!r}): asked for twice. Use one call with all ids.")
        out[key] = Report(population, variable, unit, np.array(ids, dtype=np.int64).reshape(-1), float(every))
    return out


def samples(times: ArrayLike, values: ArrayLike, report: Report) -> tuple[Floats, Floats]:
    """Copies of one chunk of samples with checked shapes."""
    t = np.array(times, dtype=np.float64).reshape(-1)
    v = np.array(values, dtype=np.float64)
    expected = (t.size, np.size(report.ids))
    if v.shape != expected:
        raise ShapeError(f"{report.population}.{report.variable}: samples must be {expected}; got {v.shape}.")
    return t, v


class KeptNeurons:
    """The neurons of a population whose spikes a recorder keeps."""

    def __init__(self, ids: ArrayLike, n: int) -> None:
        self.nodes = neurons_of(ids, n)
        self._kept = np.zeros(n, np.bool_)
        self._kept[self.nodes] = True

    def of(self, times: NDArray[Any], ids: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Those of the spikes that are kept."""
        kept = self._kept[ids]
        return times[kept], ids[kept]


def parts(populations: Mapping[str, int], recorded: Mapping[str, ArrayLike] | None) -> dict[str, KeptNeurons]:
    """The populations of which some neurons are recorded."""
    return {name: KeptNeurons(ids, populations[name]) for name, ids in (recorded or {}).items()}


class MemoryRecorder:
    """Keeps everything in memory.

    Parameters
    ----------
    populations : mapping of name to n_nodes
        Populations whose spikes are recorded.
    reports : sequence of `Report`
        (population, variable, unit, ids, every_ms) for every sampled variable.
    t_start, dt : float
        Begin of the run and time step in ms.
    provenance : dict
        Stored with the result.
    weights : mapping of projection to n_synapses
        Projections whose weights are sampled.
    recorded : mapping of name to ids
        The neurons whose spikes are kept, of populations where it is not all.
    """

    def __init__(
        self,
        populations: Mapping[str, int],
        reports: Sequence[Report | tuple[str, str, str, ArrayLike, float]] = (),
        t_start: float = 0.0,
        dt: float = 0.1,
        provenance: Mapping[str, Any] | None = None,
        weights: Mapping[str, int] | None = None,
        recorded: Mapping[str, ArrayLike] | None = None,
    ) -> None:
        self._populations = dict(populations)
        self._parts = parts(self._populations, recorded)
        self._reports = check_reports(reports)
        self._t_start, self._dt = float(t_start), float(dt)
        self._provenance = dict(provenance or {})
        self._synapses = dict(weights or {})
        self.abort()

    def spikes(self, population: str, times: ArrayLike, ids: ArrayLike) -> None:
        """Take spikes: times in ms and ids, both (n,)."""
        t, i = np.array(times, dtype=np.float64), np.array(ids, dtype=np.int64)
        if population in self._parts:
            t, i = self._parts[population].of(t, i)
        if t.size:
            self._spikes[population].append((t, i))

    def states(self, population: str, variable: str, times: ArrayLike, values: ArrayLike) -> None:
        """Take samples: times in ms (n_times,), values (n_times, n_ids)."""
        key = population, variable
        self._states[key].append(samples(times, values, self._reports[key]))

    def weights(self, projection: str, time: float, values: ArrayLike) -> None:
        """Take the weights of a projection at one time in ms, values (n_synapses,)."""
        row = np.array(values, dtype=np.float64).reshape(-1)
        if row.size != self._synapses[projection]:
            raise ShapeError(f"{projection}: weights must be ({self._synapses[projection]},); got {row.shape}.")
        self._weights[projection].append((float(time), row))

    def flush(self, t_now: float, durable: bool = False) -> None:
        """Nothing to do in memory."""

    def close(self, t_stop: float) -> Result:
        """Join the chunks."""
        spikes = {}
        for name, n in self._populations.items():
            chunks = self._spikes[name]
            times = np.concatenate([t for t, _ in chunks]) if chunks else np.empty(0)
            ids = np.concatenate([i for _, i in chunks]) if chunks else np.empty(0, np.int64)
            kept = self._parts[name].nodes if name in self._parts else None
            spikes[name] = SpikeRecord(name, times, ids, n, self._t_start, float(t_stop), self._dt, kept)
        traces: dict[str, dict[str, Trace]] = {}
        for key, report in self._reports.items():
            parts, ids = self._states[key], np.asarray(report.ids, dtype=np.int64)
            times = np.concatenate([t for t, _ in parts]) if parts else np.empty(0)
            values = np.concatenate([v for _, v in parts]) if parts else np.empty((0, ids.size))
            traces.setdefault(report.population, {})[report.variable] = Trace(times, ids, values, report.unit)
        weights = {
            name: (
                np.array([t for t, _ in chunks]),
                np.array([v for _, v in chunks]).reshape(len(chunks), self._synapses[name]),
            )
            for name, chunks in self._weights.items()
        }
        states = {name: StateRecord(name, t) for name, t in traces.items()}
        self.abort()
        return Result(spikes, states, weights, self._provenance, self._t_start, float(t_stop))

    def abort(self) -> None:
        """Forget everything."""
        self._spikes: dict[str, list[tuple[Floats, Ints]]] = {name: [] for name in self._populations}
        self._states: dict[tuple[str, str], list[tuple[Floats, Floats]]] = {key: [] for key in self._reports}
        self._weights: dict[str, list[tuple[float, Floats]]] = {name: [] for name in self._synapses}
