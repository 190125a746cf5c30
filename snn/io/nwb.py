"""Results as NWB 2 files. Needs the extra ``nwb``."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from kernels.errors import SimError
from snn.io.sonata_file import OutputError, check_destination, claim_space
from snn.records import Result

SECONDS = 1e-3
SI = {"mV": ("volts", 1e-3), "pA": ("amperes", 1e-12), "nA": ("amperes", 1e-9), "nS": ("siemens", 1e-9)}


def write_nwb(
    result: Result,
    path: str | Path,
    session_start_time: datetime | None = None,
    overwrite: bool = False,
    **metadata: Any,
) -> Path:
    """Write spikes as units and sampled variables as time series, in seconds as NWB wants.

    Parameters
    ----------
    result : Result
    path : str or Path
    session_start_time : datetime, optional
        With time zone; now by default.
    overwrite : bool
    **metadata
        For `pynwb.NWBFile`: session_description, identifier, experimenter, institution, keywords, subject, ...

    Returns
    -------
    Path
        Units have the columns population and node_id; silent neurons have no spike times.
    """
    try:
        import pynwb
    except ImportError as error:
        raise SimError("to_nwb: pynwb is not installed. pip install volley-snn[nwb]") from error
    target = check_destination(path, overwrite)
    document = json.dumps(result.provenance, default=str, sort_keys=True)
    metadata.setdefault("session_description", "Simulation of a spiking network")
    metadata.setdefault("identifier", hashlib.sha256(f"{document}{result!r}".encode()).hexdigest()[:32])
    metadata.setdefault("notes", document)
    file = pynwb.NWBFile(session_start_time=session_start_time or datetime.now(timezone.utc), **metadata)
    interval = [[result.t_start * SECONDS, result.t_stop * SECONDS]]
    if any(record.n_recorded for record in result.spikes.values()):
        file.add_unit_column("population", "Population of the neuron")
        file.add_unit_column("node_id", "Index of the neuron in its population")
        for name, record in result.spikes.items():
            trains = record.spiketrains()
            for node in record.nodes.tolist():
                file.add_unit(spike_times=trains[node] * SECONDS, obs_intervals=interval, population=name, node_id=node)
        steps = [record.dt for record in result.spikes.values() if record.dt > 0]
        if steps:
            file.units.resolution = min(steps) * SECONDS
    for population, states in result.states.items():
        for variable, values in states.items():
            times = states.times(variable)
            if not times.size:
                continue
            unit, conversion = SI.get(states.unit(variable), (states.unit(variable) or "unknown", 1.0))
            rate = (times.size - 1) / ((times[-1] - times[0]) * SECONDS) if times.size > 1 else 1.0
            file.add_acquisition(
                pynwb.TimeSeries(
                    name=f"{population}_{variable}",
                    data=values,
                    unit=unit,
                    conversion=conversion,
                    starting_time=float(times[0] * SECONDS),
                    rate=float(rate),
                    description=f"{variable} of {population}; columns are the neurons {states.ids(variable).tolist()}",
                )
            )
    part = target.with_name(f"{target.name}.part.nwb")  # pynwb wants this suffix
    size = sum(16 * len(record) for record in result.spikes.values())
    size += sum(values.nbytes for states in result.states.values() for values in states.values())
    try:
        claim_space(part, size)
        with pynwb.NWBHDF5IO(str(part), "w") as io:
            io.write(file)
        os.replace(part, target)
    except (OSError, RuntimeError) as error:
        with suppress(OSError):
            part.unlink()
        raise OutputError(f"{target}: cannot be written: {error}. Free space or choose another place.") from error
    return target
