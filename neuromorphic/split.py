"""Populations cut where their cores end: the network that a placement on cores stands for, as one that runs.

A part of a population lies on one core. A connection is cut by its targets only: what reaches a neuron is summed over
all sources before the exponent shifts it, so a part has one connection for all parts of the source
(``IntegerProjection.source`` names them). Sign modes are those of the whole: read anew from a part's weights they
could be others, and weights would be truncated otherwise.
"""

from dataclasses import replace

import numpy as np

from kernels.errors import ExportError
from neuromorphic.fixed_point import NEURON_ARRAYS, IntegerLIF, IntegerNetwork, IntegerResult
from neuromorphic.targets import Mapping


def split(net: IntegerNetwork, mapping: Mapping) -> IntegerNetwork:
    """``net`` with a population for each core that one lies on: "exc" becomes "exc@0", "exc@1", ..

    It spikes as ``net`` does, neuron for neuron; :func:`gather` puts its spikes together.

    Parameters
    ----------
    net : IntegerNetwork
    mapping : from ``map_network(net, ..)``

    Raises
    ------
    ExportError
        Where the mapping is of another network, or a part would have the name of a population or projection.

    Examples
    --------
    >>> from neuromorphic import IntegerLIF, IntegerNetwork, map_network, split
    >>> net = IntegerNetwork({"a": IntegerLIF(1500), "b": IntegerLIF(10)}, {}, {})
    >>> {name: p.n for name, p in split(net, map_network(net, "loihi1")).populations.items()}
    {'a@0': 1024, 'a@1': 476, 'b': 10}
    """
    spans = {name: _spans(name, net, mapping) for name in net.populations}
    populations, projections = {}, {}
    for name, p in net.populations.items():
        for part, low, high in spans[name]:
            if part != name and part in net.sizes:
                raise ExportError(f"split: {part!r} is the name of a part and of a population. Rename the population.")
            cut = {k: getattr(p, k)[low:high] for k in NEURON_ARRAYS}
            populations[part] = IntegerLIF(high - low, **cut)
    for name, q in net.projections.items():
        source = tuple(part for whole in q.parts for part, *_ in spans.get(whole, [(whole, 0, 0)]))
        for part, low, high in spans[q.target]:
            mine = (q.targets >= low) & (q.targets < high)
            if not mine.any() or (q.third and not _receives(net, q.target, low, high)):
                continue
            label = name if part == q.target else f"{name}@{part.rpartition('@')[2]}"
            if label in projections or (label != name and label in net.projections):
                raise ExportError(f"split: {label!r} is the name of a part and of a projection. Rename the projection.")
            edges = {"sources": q.sources[mine], "targets": q.targets[mine] - low, "weights": q.weights[mine]}
            origin = source if len(source) > 1 else source[0]
            projections[label] = replace(q, source=origin, target=part, delays=q.delays[mine], **edges)
    return IntegerNetwork(populations, net.sources, projections)


def gather(result: IntegerResult, net: IntegerNetwork, mapping: Mapping) -> IntegerResult:
    """What the parts of ``split(net, mapping)`` did, as the result of ``net``."""
    steps, ids, values, u, v, wraps, clips = ({} for _ in range(7))  # type: ignore[var-annotated]
    for name in net.populations:
        spans = _spans(name, net, mapping)
        when = np.concatenate([result.steps[part] for part, *_ in spans])
        which = np.concatenate([result.ids[part] + low for part, low, _ in spans])
        order = np.lexsort((which, when))
        steps[name], ids[name] = when[order], which[order]
        values[name] = np.concatenate([result.values[part] for part, *_ in spans])[order]
        for whole, parts in ((wraps, result.wraps), (clips, result.clips)):
            whole[name] = np.concatenate([parts[part] for part, *_ in spans])
        if all(part in result.u for part, *_ in spans):
            for whole, parts in ((u, result.u), (v, result.v)):
                whole[name] = np.concatenate([parts[part] for part, *_ in spans], axis=1)
    learned, updates = {}, {}
    for name, q in net.projections.items():
        if q.learning is not None:
            learned[name], updates[name] = np.empty((3, len(q.targets)), np.int64), 0
            for part, low, high in _spans(q.target, net, mapping):
                label = name if part == q.target else f"{name}@{part.rpartition('@')[2]}"
                if label in result.learned:
                    learned[name][:, (q.targets >= low) & (q.targets < high)] = result.learned[label]
                    updates[name] += result.updates[label]
    return replace(
        result, steps=steps, ids=ids, values=values, u=u, v=v, wraps=wraps, clips=clips, learned=learned,
        updates=updates,
    )  # fmt: skip


def _receives(net: IntegerNetwork, target: str, low: int, high: int) -> bool:
    """Whether a three-factor rule has synapses to neurons low .. high - 1 of a population."""
    rules = [q for q in net.projections.values() if q.target == target and q.learning and q.learning.third_factor]
    return any(np.any((q.targets >= low) & (q.targets < high)) for q in rules)


def _spans(name: str, net: IntegerNetwork, mapping: Mapping) -> list[tuple[str, int, int]]:
    """(name, first neuron, last neuron + 1) of each part; neurons lie on cores in order."""
    n = net.populations[name].n
    if name not in mapping.core or len(mapping.core[name]) != n:
        raise ExportError(f"split: the mapping is not of this network: population {name!r}. Map this one.")
    cores, first = np.unique(mapping.core[name], return_index=True)
    if len(cores) == 1:
        return [(name, 0, n)]
    ends = [*first[1:].tolist(), n]
    return [(f"{name}@{c}", low, high) for c, low, high in zip(cores.tolist(), first.tolist(), ends, strict=True)]
