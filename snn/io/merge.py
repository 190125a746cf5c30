"""One result of the parts that ranks leave: in memory, or of their files."""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from kernels.errors import ConfigError, FormatError
from snn.io.sonata import SonataWriter, describe, read_result
from snn.io.sonata_file import PathLike, reading, text_of
from snn.records import Result, StateRecord, Trace

PIECE = 1 << 21  # spikes, or values of samples, that are held at a time


def merge(parts: Sequence[Result]) -> Result:
    """The result of a run of which every part holds other neurons, as ranks give them in memory.

    Raises
    ------
    FormatError
        Where they are not parts of one run, or recorded different intervals.
    """
    _check_parts(parts)
    first, spikes = parts[0], {}
    for name, one in first.spikes.items():
        times, ids = (np.concatenate([getattr(part.spikes[name], k) for part in parts]) for k in ("times", "ids"))
        spikes[name] = dataclasses.replace(one, times=times, ids=ids)
    states = {}
    for name in dict.fromkeys(name for part in parts for name in part.states):
        traces = {}
        for variable in dict.fromkeys(v for part in parts if name in part.states for v in part.states[name]):
            found = [part.states[name].trace(variable) for part in parts if variable in part.states.get(name, {})]
            ids = np.concatenate([trace.ids for trace in found])
            order = np.argsort(ids)
            values = np.concatenate([trace.values for trace in found], axis=1)[:, order]
            traces[variable] = Trace(found[0].times, ids[order], values, found[0].unit)
        states[name] = StateRecord(name, traces)
    weights = {name: values for part in parts for name, values in part.weights.items()}
    complete = all(part.complete for part in parts)
    return Result(spikes, states, weights, first.provenance, first.t_start, first.t_stop, None, complete)


def _check_parts(parts: Sequence[Result]) -> None:
    first = parts[0]
    for part in parts[1:]:
        for name in ("seed", "dt", "network_hash"):
            mine, other = first.provenance.get(name), part.provenance.get(name)
            if mine != other:
                raise FormatError(
                    f"merge: parts must be of one run; got {name} {mine} and {other}. Give its files alone."
                )
        if (part.t_start, part.t_stop) != (first.t_start, first.t_stop) or set(part.spikes) != set(first.spikes):
            raise FormatError(
                f"merge: parts must hold the same populations and interval; got {first.t_start:g} to {first.t_stop:g} "
                f"ms and {part.t_start:g} to {part.t_stop:g} ms. Give the files of one run that ended."
            )


def merge_files(files: Sequence[PathLike], out: PathLike, overwrite: bool = False, compress: bool = False) -> Result:
    """Write the files of all ranks of a run as the one file that a single process would have written.

    They are read piece by piece, so that they need not fit in memory.

    Raises
    ------
    ConfigError, FormatError
        Where a file is missing, or they are not the parts of one run that ended.
    """
    if not files:
        raise ConfigError("merge: no file. Give those of all ranks, NAME.rank*.h5.")
    parts = [read_result(path) for path in files]
    ranks = int(parts[0].provenance.get("ranks", 1))
    if len(parts) != ranks or len({part.provenance.get("rank") for part in parts}) != ranks:
        raise ConfigError(
            f"merge: {parts[0].path} is one of {ranks} ranks' files; got {len(parts)}. Give each of them once."
        )
    for part in parts:
        if not part.complete:
            raise FormatError(
                f"{part.path}: is incomplete: its run has not ended. It can be read up to {part.t_stop:g} ms."
            )
    _check_parts(parts)
    first, about = parts[0], [describe(path) for path in files]
    spikes = {name: each["n_nodes"] for name, each in about[0]["populations"].items()}
    weights = {name: each["n_synapses"] for part in about for name, each in part["weights"].items()}
    with ExitStack() as stack:
        opened = [stack.enter_context(reading(Path(path))) for path in files]
        groups = {name: [f[f"spikes/{name}"] for f in opened] for name in spikes}
        dt = next((float(each[0].attrs["dt"]) for each in groups.values()), float(first.provenance["dt"]))
        reports = _reports(opened)
        columns = {key: np.concatenate([r["mapping/node_ids"][...] for r in each]) for key, each in reports.items()}
        asked = [
            (*key, text_of(each[0]["data"].attrs["units"]), np.sort(columns[key]), float(each[0]["mapping/time"][2]))
            for key, each in reports.items()
        ]
        recorded = {name: each[0]["recorded"][...] for name, each in groups.items() if "recorded" in each[0]}
        writer = SonataWriter(
            out, spikes, asked, first.t_start, dt, first.provenance, weights, overwrite, compress, recorded=recorded
        )
        try:
            for name, each in groups.items():
                for times, ids in _in_pieces(each):
                    writer.spikes(name, times, ids)
            for key, each in reports.items():
                start, _, every = each[0]["mapping/time"][...]
                rows, order = len(each[0]["data"]), np.argsort(columns[key])
                step = max(1, PIECE // max(1, order.size))
                for k in range(0, rows, step):
                    values = np.concatenate([r["data"][k : min(k + step, rows)] for r in each], axis=1)[:, order]
                    writer.states(*key, start + every * np.arange(k, k + len(values)), values)
            for file in opened:
                for name in file.get("weights", ()):
                    group = file[f"weights/{name}"]
                    for k, time in enumerate(group["time"][...]):
                        writer.weights(name, float(time), group["data"][k])
            return writer.close(first.t_stop)
        except BaseException:
            writer.abort()
            raise


def _reports(files: Sequence[Any]) -> dict[tuple[str, str], list[Any]]:
    """Groups of the reports of all files by population and variable."""
    out: dict[tuple[str, str], list[Any]] = {}
    for file in files:
        for group in file.get("report", {}).values():
            key = text_of(group.attrs["population"]), text_of(group.attrs["variable"])
            out.setdefault(key, []).append(group)
    return out


def _in_pieces(groups: Sequence[Any]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(times, ids) of the spikes of several groups together, one interval after another."""
    times = [group["timestamps"] for group in groups]
    most = max(times, key=len)
    ends = [float(most[k]) for k in range(PIECE // len(groups), len(most), PIECE // len(groups))]
    places = [0] * len(groups)
    for end in [*ends, np.inf]:
        found = []
        for k, (group, column) in enumerate(zip(groups, times, strict=True)):
            to = _until(column, places[k], end)
            found.append((column[places[k] : to], group["node_ids"][places[k] : to]))
            places[k] = to
        yield np.concatenate([t for t, _ in found]), np.concatenate([i for _, i in found])


def _until(times: Any, low: int, end: float) -> int:
    """Rows, from ``low`` on, up to and including the time ``end``."""
    high = len(times)
    while low < high and end < np.inf:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if times[middle] <= end else (low, middle)
    return high
