"""Results and SONATA files read: whole, unfinished, or of other programs. :mod:`snn.io.sonata` writes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from kernels.errors import FormatError
from snn.io.sonata_file import PathLike, dataset, groups, reading, text_of
from snn.records import Floats, Ints, Lazy, Result, SpikeRecord, StateRecord, Trace, Weights, sort_spikes

FORMAT, FORMAT_VERSION = "volley-records", 1
MS = {"ms": 1.0, "s": 1e3, "us": 1e-3}


def _number(attributes: Any, name: str, default: float) -> float:
    return float(attributes[name]) if name in attributes else default


def _is_ours(file: Any) -> bool:
    return "format" in file.attrs and text_of(file.attrs["format"]) == FORMAT


def _complete(file: Any) -> bool:
    return bool(file.attrs["complete"]) if _is_ours(file) and "complete" in file.attrs else True


def _rows(group: Any, data: Any, file: Any) -> int:
    """Rows that are safe to read: all, or those of the last flush in an unfinished file."""
    n = int(data.shape[0])
    if _complete(file):
        return n
    flushed = int(group.attrs.get("n_flushed", 0))
    if flushed > n:
        raise FormatError(f"{file.filename}: {group.name}: {flushed:,} rows were flushed but {n:,} are there. Damaged.")
    return flushed


def _to_ms(data: Any) -> float:
    if _is_ours(data.file):
        return 1.0
    unit = text_of(data.attrs.get("units", "ms")).strip().lower()
    if unit not in MS:
        raise FormatError(f"{data.file.filename}: {data.name}.units: must be one of {', '.join(MS)}; got {unit!r}.")
    return MS[unit]


def _spike_columns(file: Any, population: str) -> tuple[Any, Any, int]:
    group = file["spikes"][population]
    times, ids = dataset(group, "timestamps"), dataset(group, "node_ids")
    if times.shape != ids.shape and _complete(file):
        raise FormatError(
            f"{file.filename}: {group.name}: timestamps and node_ids must be equally long; "
            f"got {times.shape[0]:,} and {ids.shape[0]:,}."
        )
    if ids.dtype.kind not in "iu":
        raise FormatError(f"{file.filename}: {group.name}/node_ids: must be integers; got {ids.dtype}.")
    return times, ids, _rows(group, times, file)


def _load_spikes(file: Any, population: str, t_stop: float | None = None) -> SpikeRecord:
    times, ids, n = _spike_columns(file, population)
    t: Floats = np.asarray(times[:n], dtype=np.float64) * _to_ms(times)
    i: Ints = np.asarray(ids[:n]).astype(np.int64)
    if t.size != n or i.size != n:
        raise FormatError(f"{file.filename}: {population}: {n:,} spikes were flushed but fewer are there. Damaged.")
    attributes = times.parent.attrs
    n_nodes = int(_number(attributes, "n_nodes", (float(i.max()) + 1) if i.size else 0.0))
    start = _number(attributes, "t_start", 0.0)
    last = float(t.max()) if t.size else start
    stop = _number(attributes, "t_stop", last if t_stop is None else t_stop)
    t, i = sort_spikes(t, i)
    dt, kept = _number(attributes, "dt", float("nan")), _recorded(times.parent)
    return SpikeRecord(population, t, i, n_nodes, start, stop, dt, kept)


def _recorded(group: Any) -> Ints | None:
    """The neurons of a group of spikes that were recorded; None: all."""
    return np.asarray(group["recorded"][...]).astype(np.int64) if _is_ours(group.file) and "recorded" in group else None


def _report_keys(file: Any) -> dict[tuple[str, str], str]:
    """(population, variable) of every report and its group."""
    out: dict[tuple[str, str], str] = {}
    for name, group in groups(file, "report").items():
        data = group.get("data")
        attributes = {**(dict(data.attrs) if data is not None else {}), **dict(group.attrs)}
        population, _, after = name.partition(".") if _is_ours(file) else (name, "", "")
        population = text_of(attributes.get("population", population))
        out[population, text_of(attributes.get("variable", after or "data"))] = name
    return out


def _report_time(group: Any) -> tuple[float, float, float]:
    time = dataset(group, "mapping/time")
    values = np.asarray(time[...], dtype=np.float64) * _to_ms(time)
    if values.shape != (3,) or not np.isfinite(values).all() or values[2] <= 0:
        raise FormatError(f"{group.file.filename}: {time.name}: must be (start, stop, step > 0); got {values}.")
    return float(values[0]), float(values[1]), float(values[2])


def _load_trace(file: Any, name: str) -> Trace:
    group = file["report"][name]
    data = dataset(group, "data", 2)
    n = _rows(group, data, file)
    start, _, step = _report_time(group)
    ids = np.asarray(dataset(group, "mapping/node_ids")[...]).astype(np.int64)
    pointers = "mapping/index_pointers" if "index_pointers" in group["mapping"] else "mapping/index_pointer"
    bounds = np.asarray(dataset(group, pointers)[...]).astype(np.int64)
    if bounds.size == ids.size + 1:  # several elements of one node repeat its id
        per_node = np.diff(bounds)
        if (per_node < 0).any() or bounds[0] != 0 or bounds[-1] != data.shape[1]:
            raise FormatError(f"{file.filename}: {group.name}/{pointers}: must rise from 0 to {data.shape[1]} columns.")
        ids = np.repeat(ids, per_node)
    if ids.size != data.shape[1]:
        raise FormatError(f"{file.filename}: {data.name}: {data.shape[1]} columns but {ids.size} elements are mapped.")
    values = np.asarray(data[:n], dtype=np.float64)
    return Trace(_sample_times(group, start, step, n), ids, values, text_of(data.attrs.get("units", "")))


def _sample_times(group: Any, start: float, step: float, n: int) -> Floats:
    """As they were when they were recorded: whole steps times dt, without rounding added."""
    dt = _number(group.attrs, "dt", np.nan)
    unit, per = (dt, round(step / dt)) if dt > 0 else (step, 1)
    first = round(start / step)
    if first * per * unit == start:
        return np.asarray((first + np.arange(n)) * per * np.float64(unit))
    return np.asarray(start + np.float64(step) * np.arange(n))


def _load_states(file: Any, population: str, names: dict[str, str]) -> StateRecord:
    """``names``: the group of each variable."""
    return StateRecord(population, {variable: _load_trace(file, name) for variable, name in names.items()})


def _load_weights(file: Any, projection: str) -> Weights:
    group = file["weights"][projection]
    time, data = dataset(group, "time"), dataset(group, "data", 2)
    n = _rows(group, time, file)
    return np.asarray(time[:n], dtype=np.float64), np.asarray(data[:n], dtype=np.float64)


def _provenance(file: Any) -> dict[str, Any]:
    data = file.get("provenance")
    if not _is_ours(file) or not isinstance(data, h5py.Dataset) or data.shape != ():
        return {}
    try:
        document = json.loads(text_of(data[()]))
    except json.JSONDecodeError as error:
        raise FormatError(f"{file.filename}: /provenance: not JSON: {error}.") from error
    return document if isinstance(document, dict) else {"value": document}


def _span(file: Any) -> tuple[float, float]:
    """Recorded interval in ms; where a file does not say, from 0 to the last spike or sample."""
    if _is_ours(file):
        return _number(file.attrs, "t_start", 0.0), _number(file.attrs, "t_flushed", 0.0)
    last = 0.0
    for name in groups(file, "spikes"):
        times, _, n = _spike_columns(file, name)
        if n:
            last = max(last, float(np.max(times[...])) * _to_ms(times))
    for group in groups(file, "report").values():
        last = max(last, _report_time(group)[1])
    return 0.0, last


def _sizes(file: Any) -> dict[str, tuple[int, int]]:
    """(neurons recorded, n_spikes) of every population."""
    out = {}
    for name in groups(file, "spikes"):
        times, ids, n = _spike_columns(file, name)
        known, kept = times.parent.attrs.get("n_nodes"), _recorded(times.parent)
        if kept is not None:
            known = kept.size
        out[name] = (int(known) if known is not None else int(np.max(ids[...], initial=-1)) + 1, n)
    return out


def _check_content(file: Any, path: Path) -> None:
    if not groups(file, "spikes") and not groups(file, "report") and not _is_ours(file):
        raise FormatError(
            f"{path}: HDF5, but no SONATA result: neither /spikes nor /report; found {', '.join(file) or 'nothing'}."
        )


def _state(path: Path) -> tuple[int, int, int]:
    info = path.stat()
    return info.st_ino, info.st_size, info.st_mtime_ns


def _later(path: Path, state: tuple[int, int, int] | None, load: Callable[..., Any], *args: Any) -> Any:
    """Read from a file that was looked at before and must still be the same."""
    same = path.exists() and _state(path) == state
    with reading(path, checked=same) as file:
        if _complete(file) and not same:
            raise FormatError(f"{path}: changed since the result was opened. Read it again with read_result.")
        return load(file, *args)


def read_result(path: PathLike) -> Result:
    """Open a result file; records are read from it when first used.

    Also opens the ``.part`` of a killed or running simulation, up to its last flush (``result.complete`` is False),
    and SONATA files of others, such as bmtk's, with these fallbacks: n_nodes = largest id + 1, t_start = 0,
    t_stop = last spike or end of the reports over all populations, dt = nan, times without unit are ms,
    a report without ``variable`` is called "data", any order of spikes is sorted.

    Raises
    ------
    FormatError
        Missing, truncated, damaged, or not SONATA.
    """
    path = Path(path)
    whole = path.absolute()  # records are read later, maybe from another folder
    state = _state(path) if path.exists() else None  # before it is checked: what comes later is checked anew
    with reading(path) as file:
        _check_content(file, path)
        later = partial(partial, _later, whole, state)
        start, stop = _span(file)
        sizes = _sizes(file)
        owners: dict[str, dict[str, str]] = {}
        for (population, variable), name in _report_keys(file).items():
            owners.setdefault(population, {})[variable] = name
            dataset(file["report"][name], "data", 2)
        spikes = Lazy({name: later(_load_spikes, name, stop) for name in sizes}, sizes)
        states = Lazy({name: later(_load_states, name, found) for name, found in owners.items()}, {})
        weights = Lazy({name: later(_load_weights, name) for name in groups(file, "weights")}, {})
        return Result(spikes, states, weights, _provenance(file), start, stop, whole, _complete(file))


def read_spikes(path: PathLike) -> dict[str, SpikeRecord]:
    """All spikes of a file, read now; fallbacks as in `read_result`."""
    path = Path(path)
    with reading(path) as file:
        _check_content(file, path)
        stop = _span(file)[1]
        return {name: _load_spikes(file, name, stop) for name in groups(file, "spikes")}


def describe(path: PathLike) -> dict[str, Any]:
    """What ``snn info`` prints, without reading the spikes.

    Returns
    -------
    dict
        path, bytes, complete, t_start and t_stop in ms (t_stop of an unfinished file is its last flush),
        populations {name: n_nodes, n_recorded, n_spikes, rate in Hz or None}, reports {population.variable:
        n_samples, n_ids, every in ms, unit}, weights {projection: n_times, n_synapses}, provenance, format (None if
        not ours).
    """
    path = Path(path)
    with reading(path) as file:
        _check_content(file, path)
        start, stop = _span(file)
        populations = {}
        for name, (n, spikes) in _sizes(file).items():
            span, size = n * (stop - start), int(file["spikes"][name].attrs.get("n_nodes", n))
            populations[name] = {
                "n_nodes": size, "n_recorded": n, "n_spikes": spikes,
                "rate": 1000 * spikes / span if span > 0 else None,
            }  # fmt: skip
        reports = {}
        for key, name in _report_keys(file).items():
            group = file["report"][name]
            data = dataset(group, "data", 2)
            reports[".".join(key)] = {
                "n_samples": _rows(group, data, file),
                "n_ids": int(data.shape[1]),
                "every": _report_time(group)[2],
                "unit": text_of(data.attrs.get("units", "")),
            }
        weights = {
            name: {"n_times": _rows(group, group["time"], file), "n_synapses": int(group["data"].shape[1])}
            for name, group in groups(file, "weights").items()
        }
        return {
            "path": str(path),
            "bytes": path.stat().st_size,
            "format": f"{FORMAT} {int(file.attrs.get('format_version', 0))}" if _is_ours(file) else None,
            "complete": _complete(file),
            "t_start": start,
            "t_stop": stop,
            "populations": populations,
            "reports": reports,
            "weights": weights,
            "provenance": _provenance(file),
        }
