"""Results as Neo objects, for elephant and for Neo's file formats. Needs the extra ``analysis``."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from kernels.errors import SimError
from snn.records import Result, SpikeRecord

if TYPE_CHECKING:
    import neo


def _neo() -> ModuleType:
    try:
        import neo
    except ImportError as error:
        raise SimError("to_neo: neo is not installed. pip install volley-snn[analysis]") from error
    module: ModuleType = neo
    return module


def spiketrains(record: SpikeRecord) -> list[neo.SpikeTrain]:
    """One train in ms for every neuron recorded, empty ones too, annotated with population and node_id."""
    module, trains = _neo(), record.spiketrains()
    first, last = (record.times[0], record.times[-1]) if len(record) else (record.t_start, record.t_stop)
    return [
        module.SpikeTrain(
            trains[node],
            units="ms",
            t_start=min(record.t_start, first),  # neo refuses a spike that is outside by an ulp
            t_stop=max(record.t_stop, last),
            name=f"{record.population} {node}",
            population=record.population,
            node_id=node,
        )
        for node in record.nodes.tolist()
    ]


def block(result: Result) -> neo.Block:
    """A block with one segment: all trains, and one analog signal (samples, neurons) for every sampled variable.

    Units that the package ``quantities`` does not know become dimensionless and stay in the annotation ``unit``.
    """
    module = _neo()
    import quantities as pq

    segment = module.Segment(name="run", t_start=result.t_start * pq.ms, t_stop=result.t_stop * pq.ms)
    for record in result.spikes.values():
        segment.spiketrains.extend(spiketrains(record))
    for population, states in result.states.items():
        for variable, values in states.items():
            times, unit = states.times(variable), states.unit(variable)
            if not times.size:
                continue
            try:
                units = pq.dimensionless if unit in ("", "1") else pq.Quantity(1.0, unit).units
            except LookupError:
                units = pq.dimensionless
            every = times[1] - times[0] if times.size > 1 else max(result.t_stop - result.t_start, 1.0)
            signal = module.AnalogSignal(
                values,
                units=units,
                t_start=times[0] * pq.ms,
                sampling_period=every * pq.ms,
                name=f"{population} {variable}",
                population=population,
                variable=variable,
                unit=unit,
            )
            signal.array_annotate(node_id=np.asarray(states.ids(variable)))
            segment.analogsignals.append(signal)
    out = module.Block(name="result")
    out.segments.append(segment)
    return out
