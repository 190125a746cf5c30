"""What the cuda engine has beside the arrays of kernels.layout.

A *warp* is ``width`` neighbouring threads; a *chunk* is up to ``width`` neighbouring neurons of one population and
block.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from kernels.compiled import CompiledNetwork
from kernels.cpu.inputs import EVENTS
from kernels.layout import Array, Edges, Inputs, Plastic

N_SPIKES, N_RECORDED, REACHED = 0, 2, 3  # in Out.counts; two numbers of spikes, in turn


class Plan(NamedTuple):
    """Where things lie, and who does what. Integers are int64."""

    width: int
    window: int  # steps between exchanges of spikes
    mask: int  # slots of the ring - 1: a power of two that holds every delay and a window
    room: int  # recorded spikes from which on a launch ends
    unit: float  # what 1 in an accumulator means; 1 unless accumulators are integers
    ring: Array  # (B,) offset of the block's ring
    chunks: Array  # (C, 4) population, block, first neuron, last + 1; sources of given spikes have none
    sources: Array  # (S, 2) input and population of given spikes that a population emits
    given: Array  # (E, 2) input and population of given spikes that a population receives
    learned: Array  # a row for each plastic projection: number of its rule, parts of Learned and Synapses, as packed


class Out(NamedTuple):
    """Spikes on their way, and what leaves the device."""

    counts: Array  # (4 + 2 * plastic projections,) int64, see N_SPIKES; then, for windows of each parity, 1 where a
    #                projection wants a sweep
    spikes: Array  # (2, capacity, 4) int32: population, neuron, step of the window, number; two windows in turn
    record_step: Array  # int32, steps since the launch began
    record_id: Array  # uint32, global ids


class Learned(NamedTuple):
    """State of a plastic projection: fields of kernels.layout.Plastic, with one row a source, whatever the blocks, and
    what a source was before its last spike."""

    source: int
    target: int
    n: int
    longest: int
    axonal: int
    slots: int
    dt: float
    origin: Array
    constants: Array
    decay: Array
    factor: Array
    learning: Array
    settled: Array
    key: Array
    pre: Array
    last: Array
    done: Array
    variables: Array
    seen: Array
    swept: Array
    history: Array
    post: Array
    trace: Array
    signal: int
    signal_delay: int
    signal_factor: float
    signal_jump: float
    signal_gain: float
    epoch: int
    signal_growth: Array
    signal_jumps: Array
    signal_now: Array
    signal_value: Array
    signal_sum: Array
    signal_each: Array
    signal_set: Array
    reads: Array
    observed: Array
    late: Array
    span: int
    values: Array
    sums: Array
    sums_epoch: Array
    sums_growth: Array
    sums_across: Array
    short_constants: Array
    short: Array
    fault: Array
    came_last: Array
    came_done: Array
    came_pre: Array
    came_short: Array
    axon: Array  # (A, sources, 2) int32, spikes on their way along the axon, by step of arrival: source, number
    axon_count: Array  # (A,) int64, how many there are; A a power of two, 0 without axonal delay


class Synapses(NamedTuple):
    """Edges of a plastic projection: fields of kernels.layout.Edges, of its one group."""

    at: int
    n_source: int
    delay: int
    rows: Array
    targets: Array
    weights: Array
    delays: Array


@cache
def part(cls: Any, names: tuple[str, ...]) -> Any:
    """The class of tuples with these fields of ``cls``."""
    make: Any = NamedTuple
    return make(cls.__name__, [(name, kind) for name, kind in cls.__annotations__.items() if name in names])


def synapses(e: Edges) -> Synapses:
    """The edges of a plastic projection."""
    return Synapses(int(e.at[0]), int(e.n_source[0]), int(e.delay[0]), e.rows, e.targets, e.weights, e.delays)


def learned(x: Plastic, n_source: int) -> Learned:
    """The state of a plastic projection of ``n_source`` sources; a copy."""
    rows = {name: getattr(x, name)[:n_source] for name in ("pre", "last", "done", "short")}
    single = (
        "settled",
        "signal_jumps",
        "signal_now",
        "signal_value",
        "signal_sum",
        "fault",
    )  # all blocks have the same
    given = {f: getattr(x, f) for f in Learned._fields if f in Plastic._fields} | rows
    given |= {name: given[name][:1] for name in single}
    # beside those that arrive, slots for what leaves now and for what arrived in the step before
    steps = 1 << (x.axonal + 1).bit_length() if x.axonal else 0
    given |= {"axon": np.zeros((steps, n_source, 2), np.int32), "axon_count": np.zeros(steps, np.int64)}
    return Learned(**given, **{f"came_{name}": array for name, array in rows.items()})


def plan(net: CompiledNetwork, width: int, room: int, unit: float) -> Plan:
    """The plan of a network; ``unit`` is 0 where accumulators are floating-point numbers."""
    t, x = net.tables, net.inputs
    slots = max([t.ring_mask + 1, t.queue_mask + 1, t.window])
    given_sources = [p for p in range(t.n.size) if t.kind[p] < 0 and x.kind[x.source[p]] == EVENTS]
    chunks = [
        (p, b, first, min(first + width, hi))
        for p in range(t.n.size)
        if p not in given_sources
        for b, (lo, hi) in enumerate(zip(t.lo[:, p].tolist(), t.hi[:, p].tolist(), strict=True))
        for first in range(lo, hi, width)
    ]
    given = [(k, p) for p in range(t.n.size) if t.kind[p] >= 0
             for k in range(x.first[p], x.first[p + 1]) if x.kind[k] == EVENTS]  # fmt: skip
    slots = 1 << (slots - 1).bit_length()
    ring = np.concatenate(([0], np.cumsum(t.stride * slots)[:-1]))
    return Plan(
        width=width, window=1 if net.plastic else t.window, mask=slots - 1, room=room, unit=unit or 1.0,
        ring=ring.astype(np.int64), chunks=np.array(chunks, np.int64).reshape(-1, 4),
        sources=np.array([(x.source[p], p) for p in given_sources], np.int64).reshape(-1, 2),
        given=np.array(given, np.int64).reshape(-1, 2), learned=np.empty((0, 0), np.int64),
    )  # fmt: skip


def merged(inputs: Inputs, sources: Array) -> Inputs:
    """The same inputs, where spikes that a source emits in one step are one event with their number as its weight."""
    first, steps, ids, weights = [0], [], [], []
    for k in range(inputs.kind.size):
        span = slice(inputs.event_first[k], inputs.event_first[k + 1])
        step, i, weight = inputs.event_step[span], inputs.event_id[span], inputs.event_weight[span]
        if k in sources[:, 0]:
            pairs, number = np.unique(np.stack((step, i.astype(np.int64))), axis=1, return_counts=True)
            step, i, weight = pairs[0], pairs[1].astype(np.int32), number.astype(weight.dtype)
        steps.append(step)
        ids.append(i)
        weights.append(weight)
        first.append(first[-1] + step.size)
    if not steps:
        return inputs
    return inputs._replace(
        event_first=np.array(first, np.int64), event_step=np.concatenate(steps), event_id=np.concatenate(ids),
        event_weight=np.concatenate(weights),
    )  # fmt: skip
