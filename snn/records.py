"""What a run leaves behind: spikes, sampled states and weights; `snn.recorders` collects them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernels.errors import ConfigError, ModelError, ShapeError
from kernels.units import plain

if TYPE_CHECKING:
    import neo
    import pandas as pd

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Weights: TypeAlias = tuple[Floats, Floats]  # times (n_times,) in ms, values (n_times, n_synapses)
T = TypeVar("T")

MOST_COUNTS = 2**31  # 16 GiB
TOLERANCE = 1e-9  # of a time: two that differ by less are one


def in_order(times: Floats, ids: Ints) -> bool:
    """Whether spikes are sorted by time, then id."""
    if times.size < 2:
        return True
    later, same = times[1:] > times[:-1], times[1:] == times[:-1]
    return bool(np.all(later | (same & (ids[1:] >= ids[:-1]))))


def neurons_of(ids: ArrayLike, n: int) -> Ints:
    """Numbers of some of ``n`` neurons, in order."""
    found = np.unique(np.asarray(ids, dtype=np.int64))
    if found.size and (found[0] < 0 or found[-1] >= n):
        raise ModelError(f"SpikeRecord.recorded: must be 0 to n_nodes - 1 = {n - 1}; got {found[0]} to {found[-1]}.")
    return found


def sort_spikes(times: Floats, ids: Ints) -> tuple[Floats, Ints]:
    """Spikes sorted by time, then id; the same arrays where they are already."""
    if in_order(times, ids):
        return times, ids
    order = np.lexsort((ids, times))
    return times[order], ids[order]


@dataclass(frozen=True, eq=False)
class SpikeRecord:
    """Spikes of one population.

    Parameters
    ----------
    population : str
        Name of the population.
    times : (n_spikes,) float64
        Spike times in ms, sorted by time, then id.
    ids : (n_spikes,) int64
        Index of the neuron in its population, 0 to n_nodes - 1.
    n_nodes : int
        Neurons of the population, the silent ones included.
    t_start, t_stop : float
        Recorded interval in ms.
    dt : float
        Time resolution in ms; nan where spikes are off the grid or a file does not say.
    recorded : (n,) int64, optional
        The neurons whose spikes were recorded, ascending; None: all. Of others nothing is known: their rates are nan.

    Examples
    --------
    >>> record = SpikeRecord("exc", [1.0, 2.0, 4.0], [0, 1, 0], 3, 0.0, 100.0, 0.1)
    >>> record.rates().tolist(), record.rate()
    ([20.0, 10.0, 0.0], 10.0)
    """

    population: str
    times: Floats
    ids: Ints
    n_nodes: int
    t_start: float
    t_stop: float
    dt: float
    recorded: Ints | None = None

    def __post_init__(self) -> None:
        owner = "SpikeRecord"
        times = self.times  # a plain array is not copied
        times = np.asarray(times, np.float64) if type(times) is np.ndarray else plain(times, "ms", f"{owner}.times")
        ids = np.asarray(self.ids, dtype=np.int64)
        for name in ("t_start", "t_stop", "dt"):
            object.__setattr__(self, name, plain(getattr(self, name), "ms", f"{owner}.{name}"))
        if np.ndim(times) != 1 or times.shape != ids.shape:
            raise ShapeError(
                f"SpikeRecord.times, ids: must be 1-D and equally long; got {np.shape(times)} and {ids.shape}."
            )
        if ids.size and (ids.min() < 0 or ids.max() >= self.n_nodes):
            raise ModelError(
                f"SpikeRecord.ids: must be 0 to n_nodes - 1 = {self.n_nodes - 1}; got {ids.min()} to {ids.max()}."
            )
        if not np.isfinite(times).all():
            raise ModelError("SpikeRecord.times: must be finite ms; got NaN or infinity.")
        if self.recorded is not None:
            object.__setattr__(self, "recorded", neurons_of(self.recorded, self.n_nodes))
            if not np.isin(ids, self.recorded).all():
                raise ModelError("SpikeRecord.ids: must be among the neurons recorded; got others.")
        times, ids = sort_spikes(times, ids)
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "ids", ids)

    def __len__(self) -> int:
        return self.times.size

    def __repr__(self) -> str:
        return (
            f"SpikeRecord({self.population!r}: {len(self):,} spikes of {self._neurons()}, "
            f"{self.t_start:g} to {self.t_stop:g} ms, {self.rate():.3g} Hz)"
        )

    def _neurons(self) -> str:
        some = "" if self.recorded is None else f"{self.n_recorded:,} of "
        return f"{some}{self.n_nodes:,} neurons"

    @property
    def nodes(self) -> Ints:
        """The neurons recorded from, shape (n_recorded,)."""
        return np.arange(self.n_nodes) if self.recorded is None else self.recorded

    @property
    def n_recorded(self) -> int:
        """Number of neurons recorded from."""
        return self.n_nodes if self.recorded is None else self.recorded.size

    @property
    def duration(self) -> float:
        """Length of the recorded interval in ms."""
        return self.t_stop - self.t_start

    @property
    def tolerance(self) -> float:
        """Times that differ by less (ms) are the same but for rounding: some ulps; on a grid a millionth of a step."""
        rounding = 4.0 * float(np.spacing(max(abs(self.t_start), abs(self.t_stop))))
        return max(rounding, 1e-6 * self.dt) if np.isfinite(self.dt) else rounding

    def rates(self) -> Floats:
        """Rate of every neuron in Hz, shape (n_nodes,); nan where the interval is empty or it was not recorded."""
        if self.duration <= 0:
            return np.full(self.n_nodes, np.nan)
        found = np.bincount(self.ids, minlength=self.n_nodes) * np.float64(1000.0 / self.duration)
        if self.recorded is not None:
            found[np.setdiff1d(np.arange(self.n_nodes), self.recorded)] = np.nan
        return found

    def rate(self) -> float:
        """Mean rate of the neurons recorded in Hz; nan where there are none or the interval is empty."""
        if self.duration <= 0 or self.n_recorded == 0:
            return float("nan")
        return 1000.0 * len(self) / (self.duration * self.n_recorded)

    def _by_neuron(self) -> tuple[Floats, Ints, Ints]:
        """Times and ids sorted by id, then time, and where each neuron begins, shape (n_nodes + 1,)."""
        order = np.argsort(self.ids, kind="stable")
        ids = self.ids[order]
        return self.times[order], ids, np.searchsorted(ids, np.arange(self.n_nodes + 1))

    def spiketrains(self) -> list[Floats]:
        """Spike times in ms of every neuron: n_nodes arrays, empty for neurons silent or not recorded."""
        times, _, begin = self._by_neuron()
        return np.split(times, begin[1:-1]) if self.n_nodes else []

    def _intervals(self) -> tuple[Floats, Ints]:
        """Inter-spike intervals in ms and the neuron of each, sorted by neuron."""
        times, ids, _ = self._by_neuron()
        same = ids[1:] == ids[:-1]
        return np.diff(times)[same], ids[1:][same]

    def isi(self) -> list[Floats]:
        """Inter-spike intervals in ms of every neuron: n_nodes arrays, empty below two spikes."""
        gaps, ids = self._intervals()
        return np.split(gaps, np.searchsorted(ids, np.arange(1, self.n_nodes))) if self.n_nodes else []

    def cv(self) -> Floats:
        """Coefficient of variation of each neuron's intervals, shape (n_nodes,); nan below three spikes."""
        gaps, ids = self._intervals()
        n = np.bincount(ids, minlength=self.n_nodes)
        mean = np.bincount(ids, gaps, self.n_nodes) / np.maximum(n, 1)
        variance = np.bincount(ids, (gaps - mean[ids]) ** 2, self.n_nodes) / np.maximum(n, 1)
        out = np.full(self.n_nodes, np.nan)
        enough = (n >= 2) & (mean > 0)
        out[enough] = np.sqrt(variance[enough]) / mean[enough]
        return out

    def counts(self, bin_size: float, per_neuron: bool = False) -> Ints:
        """Spikes per bin.

        Parameters
        ----------
        bin_size : float
            Width in ms. Bins begin at t_start and hold their left edge, met to :attr:`tolerance`; the last one is
            closed and may reach beyond t_stop.
        per_neuron : bool
            Count every neuron apart.

        Returns
        -------
        (n_bins,) int64, or (n_nodes, n_bins) where per_neuron.
        """
        width = plain(bin_size, "ms", "SpikeRecord.counts.bin_size")
        if np.ndim(width) or not (np.isfinite(width) and width > 0):
            raise ModelError(f"SpikeRecord.counts.bin_size: must be > 0 ms; got {bin_size!r}.")
        near = min(self.tolerance / width, 0.5)
        n_bins = max(1, int(np.ceil(self.duration / width - near)))
        total = n_bins * (self.n_nodes if per_neuron else 1)
        if total > MOST_COUNTS:
            raise ModelError(
                f"SpikeRecord.counts.bin_size: must give at most {MOST_COUNTS:,} counts; {bin_size!r} ms gives "
                f"{total:,}. Use wider bins."
            )
        bins = np.floor((self.times - self.t_start) / width + near).astype(np.int64).clip(0, n_bins - 1)
        if not per_neuron:
            return np.bincount(bins, minlength=n_bins)
        return np.bincount(self.ids * n_bins + bins, minlength=self.n_nodes * n_bins).reshape(self.n_nodes, n_bins)

    def slice(self, t_start: float, t_stop: float) -> SpikeRecord:
        """Spikes in [t_start, t_stop) ms; the end is included where it is the end of the record.

        On a grid ends are met to :attr:`tolerance`: a spike at 3 * 0.1 is one at 0.3.
        """
        t_start, t_stop = (plain(t, "ms", "SpikeRecord.slice") for t in (t_start, t_stop))
        if np.ndim(t_start) or np.ndim(t_stop):
            raise ShapeError(f"SpikeRecord.slice: must be two numbers in ms; got {t_start!r} and {t_stop!r}.")
        near = self.tolerance if np.isfinite(self.dt) else 0.0
        if not self.t_start - near <= t_start <= t_stop <= self.t_stop + near:
            raise ModelError(
                f"SpikeRecord.slice: must lie within {self.t_start:g} to {self.t_stop:g} ms; "
                f"got {t_start!r} to {t_stop!r}."
            )
        low = np.searchsorted(self.times, t_start - near)
        high = len(self) if t_stop >= self.t_stop - near else np.searchsorted(self.times, t_stop - near)
        part = slice(low, high)
        return replace(self, times=self.times[part], ids=self.ids[part], t_start=t_start, t_stop=t_stop)

    def to_pandas(self) -> pd.DataFrame:
        """Long table with the columns time_ms, population, node_id."""
        from snn.io.frames import spikes_to_pandas

        return spikes_to_pandas({self.population: self})

    def to_neo(self) -> list[neo.SpikeTrain]:
        """One `neo.SpikeTrain` in ms for every neuron recorded, silent ones too, with its population and node_id."""
        from snn.io.neo import spiketrains

        return spiketrains(self)


class Trace(NamedTuple):
    """One sampled variable."""

    times: Floats  # (n_samples,) ms
    ids: Ints  # (n_ids,)
    values: Floats  # (n_samples, n_ids)
    unit: str


class StateRecord(Mapping[str, Floats]):
    """Sampled variables of one population: ``record["v"]`` has shape (n_samples, n_ids).

    Variables may be sampled at different times and from different neurons: ask `times`, `ids` and `unit`.
    """

    def __init__(self, population: str, traces: Mapping[str, Trace]) -> None:
        self.population = population
        self._traces = dict(traces)

    def trace(self, variable: str) -> Trace:
        """One sampled variable: times, ids, values and unit."""
        if variable not in self._traces:
            raise ConfigError(
                f"StateRecord({self.population!r}): {variable!r} was not recorded; "
                f"recorded: {', '.join(self._traces) or 'nothing'}."
            )
        return self._traces[variable]

    def __getitem__(self, variable: str) -> Floats:
        if variable not in self._traces:
            raise KeyError(f"{variable!r} of {self.population!r} was not recorded; recorded: {list(self._traces)}")
        return self._traces[variable].values

    def __iter__(self) -> Iterator[str]:
        return iter(self._traces)

    def __len__(self) -> int:
        return len(self._traces)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {t.values.shape} {t.unit}" for name, t in self._traces.items())
        return f"StateRecord({self.population!r}: {shapes or 'empty'})"

    def times(self, variable: str) -> Floats:
        """Sample times in ms, shape (n_samples,)."""
        return self.trace(variable).times

    def ids(self, variable: str) -> Ints:
        """Neurons sampled, shape (n_ids,); the columns of ``record[variable]``."""
        return self.trace(variable).ids

    def unit(self, variable: str) -> str:
        """Unit of the variable, such as "mV"."""
        return self.trace(variable).unit


class Lazy(Mapping[str, T]):
    """Records that stay in their file until they are first asked for."""

    def __init__(self, loaders: Mapping[str, Callable[[], T]], sizes: Mapping[str, tuple[int, ...]]) -> None:
        self._loaders = dict(loaders)
        self._loaded: dict[str, T] = {}
        self.sizes = dict(sizes)

    def __getitem__(self, name: str) -> T:
        if name not in self._loaded:
            self._loaded[name] = self._loaders[name]()
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaders)

    def __len__(self) -> int:
        return len(self._loaders)

    def __repr__(self) -> str:
        return f"<in file: {', '.join(self._loaders) or 'nothing'}>"


@dataclass(frozen=True, eq=False)
class Result:
    """Everything one run recorded.

    Parameters
    ----------
    spikes : mapping of population to `SpikeRecord`
    states : mapping of population to `StateRecord`
    weights : mapping of projection to (times, values)
        Sampled weights: times in ms (n_times,), values (n_times, n_synapses).
    provenance : dict
        What made this run: versions, seed, configuration, backend.
    t_start, t_stop : float
        Recorded interval in ms; t_stop is the last flush where the run did not end.
    path : Path or None
        File behind the records, None in memory. Records are read from the file when first used.
    complete : bool
        False where the run was killed or is still going.
    """

    spikes: Mapping[str, SpikeRecord]
    states: Mapping[str, StateRecord] = field(default_factory=dict)
    weights: Mapping[str, Weights] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    t_start: float = 0.0
    t_stop: float = 0.0
    path: Path | None = None
    complete: bool = True

    @classmethod
    def concatenate(cls, results: Iterable[Result]) -> Result:
        """What one run over the whole time would have given: of runs of one simulation that follow each other.

        The simulation may have been resumed in between. Weights have been sampled at the end of every run besides.
        The provenance is that of the first, with the ``changes`` of the last. Records of files are read into memory.

        Raises
        ------
        ModelError
            No result, or results that are of different networks or seeds, do not follow each other, or did not record
            the same; or weights of a projection that was rewired in between, whose columns are other synapses then.
        """
        results = [results] if isinstance(results, Result) else list(results)
        if not results:
            raise ModelError("Result.concatenate: needs one result at least; got none.")
        first, last = results[0], results[-1]
        for one, following in zip(results[:-1], results[1:], strict=True):
            if abs(one.t_stop - following.t_start) > TOLERANCE * max(1.0, abs(one.t_stop)) or not one.complete:
                end = f"ends at {one.t_stop:g} ms" + ("" if one.complete else ", incomplete")
                raise ModelError(
                    f"Result.concatenate: runs must follow each other; one {end}, the next begins at "
                    f"{following.t_start:g} ms."
                )
            for name in ("seed", "network_hash"):
                made = [result.provenance.get(name) for result in (one, following)]
                if None not in made and made[0] != made[1]:
                    raise ModelError(
                        f"Result.concatenate: runs must be of one simulation; got {name} {made[0]} and {made[1]}."
                    )
        recorded = [_recorded(result) for result in results]
        if any(x != recorded[0] for x in recorded):
            raise ModelError("Result.concatenate: all runs must have recorded the same; these have not.")
        for name in first.weights:
            wired = [_rewired(result, name) for result in results]
            if len(set(wired)) > 1:
                raise ModelError(
                    f"Result.concatenate: {name!r} was rewired between these runs: columns of its weights are other "
                    "synapses then. Take the weights of each run apart."
                )
        spikes, states, weights = {}, {}, {}
        for name, record in first.spikes.items():
            times, ids = (np.concatenate([getattr(r.spikes[name], x) for r in results]) for x in ("times", "ids"))
            spikes[name] = replace(record, times=times, ids=ids, t_start=first.t_start, t_stop=last.t_stop)
        for name, sampled in first.states.items():
            traces = {v: [r.states[name].trace(v) for r in results] for v in sampled}
            states[name] = StateRecord(name, {
                v: Trace(np.concatenate([t.times for t in some]), some[0].ids, np.concatenate([t.values for t in some]),
                         some[0].unit)
                for v, some in traces.items()
            })  # fmt: skip
        for name in first.weights:
            times, values = (np.concatenate([r.weights[name][k] for r in results]) for k in (0, 1))
            weights[name] = times, values
        provenance = {**first.provenance, **{k: x for k, x in last.provenance.items() if k == "changes"}}
        return cls(spikes, states, weights, provenance, first.t_start, last.t_stop, None, last.complete)

    def sizes(self) -> dict[str, tuple[int, int]]:
        """(neurons recorded, n_spikes) of every population, without reading the spikes."""
        if isinstance(self.spikes, Lazy):
            return {name: (size[0], size[1]) for name, size in self.spikes.sizes.items()}
        return {name: (record.n_recorded, len(record)) for name, record in self.spikes.items()}

    def __repr__(self) -> str:
        where = "in memory" if self.path is None else str(self.path)
        lines = [f"Result: {self.t_start:g} to {self.t_stop:g} ms, {where}{'' if self.complete else ', INCOMPLETE'}"]
        sizes, duration = self.sizes(), self.t_stop - self.t_start
        width = max([10, *map(len, sizes)])
        if sizes:
            lines.append(f"  {'population':<{width}} {'n':>10} {'spikes':>14} {'rate (Hz)':>10}")
        for name, (n, spikes) in sizes.items():
            rate = f"{1000 * spikes / (n * duration):.3f}" if n * duration > 0 else "-"
            lines.append(f"  {name:<{width}} {n:>10,} {spikes:>14,} {rate:>10}")
        if self.states:
            lines.append(f"  states: {', '.join(self.states)}")
        if self.weights:
            lines.append(f"  weights: {', '.join(self.weights)}")
        return "\n".join(lines)

    def to_pandas(self) -> pd.DataFrame:
        """All spikes as one long table with the columns time_ms, population, node_id."""
        from snn.io.frames import spikes_to_pandas

        return spikes_to_pandas(self.spikes)

    def to_neo(self) -> neo.Block:
        """A `neo.Block` with one segment: a train per neuron, silent ones too, and an analog signal per variable."""
        from snn.io.neo import block

        return block(self)

    def to_nwb(self, path: str | Path, **metadata: Any) -> Path:
        """Write an NWB 2 file; ``metadata`` goes to `pynwb.NWBFile`. See `snn.io.nwb.write_nwb`."""
        from snn.io.nwb import write_nwb

        return write_nwb(self, path, **metadata)


def _recorded(result: Result) -> Any:
    """What a result holds: of which neurons and synapses."""
    states = {(name, v): record.ids(v).tolist() for name, record in result.states.items() for v in record}
    weights = {name: np.shape(values)[1:] for name, (_, values) in result.weights.items()}
    spikes = {name: (r.n_nodes, r.nodes.tolist()) for name, r in result.spikes.items()}
    return spikes, states, weights


def _rewired(result: Result, recorded: str) -> int:
    """How often the projection of ``recorded`` weights or state variables had been rewired when the run began."""
    rows = [row for row in result.provenance.get("changes", ()) if row["call"] == "rewire"]
    return max((row["number"] for row in rows if f"{recorded}.".startswith(f"{row['name']}.")), default=0)
