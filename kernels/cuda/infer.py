"""Inference on the device: a block of threads takes a sample through the network, stopped as soon as a rule says so.

Blocks have states of their own and share the edges; each takes its samples one after another, so that nothing is
computed for one that has ended. Sums are integers: a result depends on neither the other samples nor the launch.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from kernels.compiled import CompiledNetwork
from kernels.cpu.infer import Batch, Found, Layout, currents, typed_rule
from kernels.cuda.arrays import Arrays, arrays, module
from kernels.cuda.jit import SIMULATED, fetch, free_bytes, named_errors, on, select, send
from kernels.decide import Rule, memory_size
from kernels.errors import BackendUnavailable
from kernels.layout import Array, Inputs, Probes, State

PIECE = 4096  # samples of a launch
THREADS = 128  # of a block
BLOCKS_PER_MULTIPROCESSOR = 8
WARP = 4 if SIMULATED else 32


class Work(NamedTuple):
    """What blocks work on, one row each."""

    row: Array  # float64, accumulated outputs
    memory: Array  # float64, see kernels.decide
    tally: Array  # int64 spikes, synapses that they reached
    ended: Array  # int64 1 once the sample has ended
    values: Array  # Inputs.values
    event_first: Array  # Inputs.event_first


# goes after what kernels.cuda.generate gives: the simulator lends its functions to one module at a time
_INFER = '''

from kernels.cuda.decide import decide  # noqa: E402
from kernels.cuda.layout import Out  # noqa: E402
from kernels.decide import BUDGET, CAP, GO_ON, LABEL  # noqa: E402
from kernels.layout import Inputs, State  # noqa: E402


@inner
def copy(thread, threads, source, to):
    """to[:] = source, by all threads of the block."""
    for k in range(thread, source.size, threads):
        to[k] = source[k]


@inner
def fill(thread, threads, to, value):
    """to[:] = value, by all threads of the block."""
    for k in range(thread, to.size, threads):
        to[k] = value


@inner
def add_up(thread, threads, half, step, layout, tables, out, row, tally):
    """Count the spikes of a step, and what they reach."""
    for x in range(thread, out.counts[half], threads):
        p, i, number = np.int64(out.spikes[half, x, 0]), np.int64(out.spikes[half, x, 1]), out.spikes[half, x, 3]
        cuda.atomic.add(tally, 0, np.int64(number))
        cuda.atomic.add(tally, 1, number * layout.fan[tables.gid[p] + i])
        if p == layout.output and layout.place < 0 and step >= layout.skip:
            cuda.atomic.add(row, i, np.float64(number))


@inner
def judge(s, t, layout, rule, found, row, memory, tally, state_f, ended, slot):
    """Ask the rule about sample ``s`` after step ``t``; one thread."""
    last = found.outputs.shape[1] - 1
    if layout.place >= 0:
        for k in range(layout.classes):
            row[k] = state_f[layout.place + k]
    reason = decide(rule, memory, row, t)
    if reason == GO_ON and t + 1 == rule.budget and last == 0:
        reason = CAP if rule.budget == layout.t_max else BUDGET
    if last > 0 or reason != GO_ON:
        at = min(t, last)
        for k in range(layout.classes):
            found.outputs[s, at, k] = row[k]
        found.spikes[s, at], found.synops[s, at] = tally[0], tally[1]
    if reason != GO_ON or t + 1 == layout.t_max:
        found.steps[s], found.labels[s], found.reasons[s] = t + 1, np.int64(memory[LABEL]), reason
        ended[slot] = 1


@kernel
def infer(samples, batch, layout, rule, found, work, plan, tables, constants, state, inputs, probes, out{edges}):
    """All samples; each block takes every so many-th."""
    thread, threads, slot = cuda.threadIdx.x, cuda.blockDim.x, cuda.blockIdx.x
    row, memory, tally = work.row[slot], work.memory[slot], work.tally[slot]
    own_state = State({state})
    own_inputs = Inputs({inputs})
    own_out = Out(out.counts[slot], out.spikes[slot], out.record_step, out.record_id)
    width, k = batch.currents.shape[1], layout.input
    for s in range(slot, samples, cuda.gridDim.x):
        copy(thread, threads, layout.f, own_state.f)
        copy(thread, threads, layout.i, own_state.i)
        fill(thread, threads, own_state.ring, 0)
        fill(thread, threads, row, 0.0)
        fill(thread, threads, tally, 0)
        fill(thread, threads, own_out.counts, 0)
        if thread == 0:
            work.ended[slot] = 0
            if width == 0:
                own_inputs.event_first[k] = batch.first[s]
                own_inputs.event_first[k + 1] = batch.first[s + 1]
        at = inputs.at[inputs.segment[k]] if width > 0 else 0
        for j in range(thread, width, threads):
            own_inputs.values[at + j] = batch.currents[s, j]
        cuda.syncthreads()
        step, half, ended = 0, 0, 0
        while ended == 0:
            neurons(thread, threads, step, step, step + 1, half, plan, tables, constants, own_state, own_inputs,
                    probes, own_out)
            cuda.syncthreads()
            add_up(thread, threads, half, step, layout, tables, own_out, row, tally)
            deliver(thread, threads, step, step + 1, step + 1, half, plan, tables, own_inputs, own_state.ring,
                    own_out{edges})
            cuda.syncthreads()
            if thread == 0 and step >= layout.skip:
                judge(s, step - layout.skip, layout, rule, found, row, memory, tally, own_state.f, work.ended, slot)
            cuda.syncthreads()
            ended = work.ended[slot]
            step, half = step + 1, 1 - half
        cuda.syncthreads()
'''


def source(kinds: int) -> str:
    """Source of ``infer`` for an engine of so many storage kinds, whose source it follows."""
    own = {"f", "i", "ring"}
    state = ", ".join(f"state.{name}[slot]" if name in own else f"state.{name}" for name in State._fields)
    given = ("event_step", "event_id", "event_weight")
    inputs = ", ".join(f"work.{name}[slot]" if name in ("values", "event_first") else
                       f"batch.{name.removeprefix('event_')}" if name in given else f"inputs.{name}"
                       for name in Inputs._fields)  # fmt: skip
    return _INFER.format(edges="".join(f", edges_{k}" for k in range(kinds)), state=state, inputs=inputs)


class Events(NamedTuple):
    """Encoded samples as the device takes them: fields of kernels.cpu.infer.Batch, several spikes of a source in a
    step as one event of their number."""

    currents: Array
    first: Array
    step: Array
    id: Array
    weight: Array


def events(batch: Batch, dtype: Any) -> Events:
    """The batch with spikes counted; weights, the numbers, of type ``dtype``."""
    sample = np.repeat(np.arange(batch.first.size - 1), np.diff(batch.first))
    place = np.stack((sample, batch.step[: sample.size], batch.id[: sample.size].astype(np.int64)))
    found, number = np.unique(place, axis=1, return_counts=True)
    first = np.searchsorted(found[0], np.arange(batch.first.size)).astype(np.int64)
    return Events(currents(batch), first, found[1].copy(), found[2].astype(np.int32), number.astype(dtype))


def kernels(net: CompiledNetwork) -> ModuleType:
    """The generated module with ``infer``."""
    return module(net, deterministic=True, more=source(len(net.kinds)))


def host(net: CompiledNetwork, slots: int, width: int) -> Arrays:
    """The arrays of ``slots`` blocks of threads, with warps of ``width``."""
    x = arrays(net, width, deterministic=True)
    t, nothing = x.tables._replace(recorded=np.zeros_like(x.tables.recorded)), np.zeros(0, np.int64)

    def each(array: Array) -> Array:
        return np.tile(array, (slots, 1))

    capacity = max(t.spike_capacity, int(t.n.sum()))
    return x._replace(
        tables=t, state=x.state._replace(f=each(x.state.f), i=each(x.state.i), ring=each(x.state.ring)),
        probes=Probes(nothing, nothing, np.zeros(0, np.bool_), nothing, nothing, nothing, nothing, np.empty(0)),
        out=x.out._replace(
            counts=np.zeros((slots, 4), np.int64), spikes=np.zeros((slots, 2, capacity, 4), np.int32),
            record_step=np.zeros(1, np.int32), record_id=np.zeros(1, np.uint32),
        ),
    )  # fmt: skip


def work(net: CompiledNetwork, slots: int, layout: Layout, rule: Rule) -> Work:
    """What ``slots`` blocks work on."""
    inputs = net.inputs
    return Work(
        np.zeros((slots, layout.classes)), np.zeros((slots, memory_size(rule, layout.classes))),
        np.zeros((slots, 2), np.int64), np.zeros(slots, np.int64), np.tile(inputs.values, (slots, 1)),
        np.tile(inputs.event_first, (slots, 1)),
    )  # fmt: skip


def arguments(samples: int, batch: Any, layout: Any, rule: Any, found: Any, work: Any, x: Arrays) -> tuple[Any, ...]:
    """Arguments of ``infer``."""
    network = x.plan, x.tables, x.constants, x.state, x.inputs, x.probes, x.out
    return (samples, batch, layout, rule, found, work, *network, *x.edges)


class Inference:
    """Samples through a network without plastic projections; as kernels.cpu.infer.Inference.

    Parameters
    ----------
    net : CompiledNetwork, compiled for one thread
    number : of the device
    """

    def __init__(self, net: CompiledNetwork, number: int = 0) -> None:
        select(number)
        self.net, self.number, self.cached = net, number, True  # nothing is kept on disk
        self.module = kernels(net)
        self._arrays: Arrays | None = None

    def _slots(self, samples: int) -> int:
        if SIMULATED:
            return min(2, samples)
        count = int(cuda.get_current_device().MULTIPROCESSOR_COUNT)
        one, two = (host(self.net, n, WARP).nbytes() for n in (1, 2))
        free = free_bytes() or 0
        slots = min(samples, BLOCKS_PER_MULTIPROCESSOR * count, max(0, free // 2 - one) // max(two - one, 1))
        if slots < 1:
            raise BackendUnavailable(
                f'backend="cuda": a sample of this network needs {one:,} bytes of device memory; {free:,} are free. '
                'Use backend="cpu".'
            )
        return slots

    def run(self, encode: Callable[[slice], Batch], samples: int, layout: Layout, rule: Rule, each_step: bool) -> Found:
        """What became of the samples that ``encode`` gives; with ``each_step`` what was at each step."""
        rows, rule = layout.t_max if each_step else 1, typed_rule(rule)
        with named_errors(), on(self.number):
            if self._arrays is None:
                self.slots = self._slots(min(samples, PIECE))
                self._arrays = send(host(self.net, self.slots, WARP))
            parts = [self._piece(self._arrays, encode, slice(begin, min(begin + PIECE, samples)), layout, rule, rows)
                     for begin in range(0, samples, PIECE)]  # fmt: skip
        return Found(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

    def _piece(
        self, x: Arrays, encode: Callable[[slice], Batch], piece: slice, layout: Layout, rule: Rule, rows: int
    ) -> list[np.ndarray]:
        """The fields of Found of some samples, in one launch."""
        n, dtype = piece.stop - piece.start, self.net.inputs.event_weight.dtype
        batch, found = events(encode(piece), dtype), send(Found.empty(n, rows, layout.classes))
        config = min(self.slots, n), WARP if SIMULATED else THREADS
        own = send(work(self.net, self.slots, layout, rule))
        given = arguments(n, send(batch), send(layout), send(rule), found, own, x)
        self.module.infer[config](*given)
        return [fetch(array) for array in found]
