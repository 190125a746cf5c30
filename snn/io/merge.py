"""One result of the parts that ranks leave: in memory, or of their files."""

from collections.abc import Sequence

import numpy as np

from kernels.errors import ConfigError, FormatError
from snn.io.sonata import SonataWriter, describe, read_result
from snn.io.sonata_file import PathLike
from snn.records import Result, SpikeRecord, StateRecord, Trace


def merge(parts: Sequence[Result]) -> Result:
    """The result of a run of which every part holds other neurons, as ranks write them.

    Raises
    ------
    FormatError
        Where they are not parts of one run, or recorded different intervals.
    """
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
    spikes = {}
    for name, one in first.spikes.items():
        times, ids = (np.concatenate([getattr(part.spikes[name], k) for part in parts]) for k in ("times", "ids"))
        spikes[name] = SpikeRecord(name, times, ids, one.n_nodes, one.t_start, one.t_stop, one.dt)
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


def merge_files(files: Sequence[PathLike], out: PathLike, overwrite: bool = False, compress: bool = False) -> Result:
    """Write the files of all ranks of a run as the one file that a single process would have written.

    What they hold must fit in memory.

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
    whole = merge(parts)
    every = {name: report["every"] for path in files for name, report in describe(path)["reports"].items()}
    reports = [
        (name, variable, record.unit(variable), record.ids(variable), every[f"{name}.{variable}"])
        for name, record in whole.states.items()
        for variable in record
    ]
    dt = next((record.dt for record in whole.spikes.values()), float(whole.provenance["dt"]))
    writer = SonataWriter(
        out, {name: record.n_nodes for name, record in whole.spikes.items()}, reports, whole.t_start, dt,
        whole.provenance, {name: values.shape[1] for name, (_, values) in whole.weights.items()}, overwrite, compress,
    )  # fmt: skip
    try:
        for name, spikes in whole.spikes.items():
            writer.spikes(name, spikes.times, spikes.ids)
        for name, states in whole.states.items():
            for variable in states:
                writer.states(name, variable, states.times(variable), states[variable])
        for name, (times, values) in whole.weights.items():
            for time, row in zip(times, values, strict=True):
                writer.weights(name, float(time), row)
        return writer.close(whole.t_stop)
    except BaseException:
        writer.abort()
        raise
