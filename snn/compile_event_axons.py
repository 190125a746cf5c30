"""Axonal delays on the event engine: relays repeat the spikes of a population when these meet its synapses.

A projection whose rule has an axonal delay starts at relays, with the dendritic part of its delay. A relay is a neuron
without leak that fires as often as something arrives, at that very time.
"""

from dataclasses import replace

import numpy as np

from kernels.errors import ModelError
from snn.connect import one_to_one
from snn.elements import Population, Projection
from snn.network import Network
from snn.neurons.integrate_and_fire import IF


def axonal(projection: Projection) -> float:
    """The part of the delay, in ms, after which a spike meets the synapse; without a rule it does not matter when."""
    return projection.axonal_delay if projection.plastic else 0.0


def dendritic(projection: Projection, delays: np.ndarray, least: float) -> np.ndarray:
    """What the axon leaves of the delays; both parts must be at least ``least`` ms."""
    before = axonal(projection)
    if not before:
        return delays
    if before < least or not delays.min(initial=np.inf) - before >= least:
        raise ModelError(
            f"Projection {projection.name!r}.axonal_delay: must be 0, or at least {least:g} ms and that much below "
            f'every delay with engine="event"; got {before!r} ms of {delays.min():g} ms.'
        )
    return delays - before


def with_relays(net: Network) -> tuple[list[Population], list[Projection], list[Projection]]:
    """(populations, projections, axons): those of ``net`` in their order, then relays; what has an axonal delay starts
    at its source's relays, to which the axons go."""
    relays: dict[tuple[str, float], Population] = {}
    projections, axons = [], []
    for q in net.projections.values():
        wait, source = axonal(q), q.source
        if wait:
            if (source.name, wait) not in relays:
                name = f"axons of {source.name!r}, {wait!r} ms"
                while name in net.populations or name in net.projections:
                    name += "'"
                relay = relays[source.name, wait] = Population(name, source.n, IF(), init={"v": 0.5})
                axons.append(Projection(name, source, relay, one_to_one(), 1.0, wait, (0, 0)))
            q = replace(q, source=relays[source.name, wait])
        projections.append(q)
    return [*net.populations.values(), *relays.values()], projections, axons
