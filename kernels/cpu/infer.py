"""Inference: samples one after another through a network, each stopped as soon as a rule says so.

A thread takes samples by itself, with state of its own, so that results depend on no other sample, and nothing is
computed for one that has ended.
"""

import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numba
import numpy as np

from kernels import codegen
from kernels.compiled import CompiledNetwork
from kernels.cpu.engine import Engine
from kernels.decide import Rule, memory_size
from kernels.layout import Array, Edges, aligned

PIECE = 64  # samples of a call
_BATCH = np.float64, np.int64, np.int64, np.int32  # types of Batch


class Batch(NamedTuple):
    """Encoded samples."""

    currents: Array  # (samples, neurons) float64 of one input; no columns if there is none
    first: Array  # (samples + 1,) int64, events of a sample
    step: Array  # int64, ascending inside a sample
    id: Array  # int32, ascending inside a step


class Layout(NamedTuple):
    """What inference reads of a network."""

    input: int  # number of the input that a sample replaces
    output: int  # population whose values or spikes are the classes
    place: int  # first of its values in State.f; -1 where its spikes are counted
    classes: int
    skip: int  # steps before those that are counted
    t_max: int
    fan: Array  # (neurons,) int64, synapses of a neuron, by global id
    f: Array  # state at the start
    i: Array


class Found(NamedTuple):
    """What became of the samples: by step where ``outputs`` has a row for each, else at their end."""

    outputs: Array  # (samples, t_max or 1, classes) float64, accumulated
    spikes: Array  # (samples, t_max or 1) int64, sent up to a step, by all neurons
    synops: Array  # (samples, t_max or 1) int64, synapses that they reached
    steps: Array  # (samples,) int64
    labels: Array  # (samples,) int64
    reasons: Array  # (samples,) int64, see kernels.decide

    @classmethod
    def empty(cls, samples: int, rows: int, classes: int) -> "Found":
        """Of so many samples, nothing yet; ``rows``: steps to keep of each."""
        by_step, by_sample = np.zeros((2, samples, rows), np.int64), np.zeros((3, samples), np.int64)
        return cls(np.zeros((samples, rows, classes)), *by_step, *by_sample)


_INFER = '''
@inner
def copy(source, to):
    for k in range(source.size):
        to[k] = source[k]


@inner
def fill(to, value):
    for k in range(to.size):
        to[k] = value


@kernel
def infer(begin, end, batch, layout, rule, found, row, memory, tables, constants, state, inputs, edges, learned,
          queue, probes, sync, counts, normals):
    """Run samples begin .. end-1; returns the number of the first that was not, where the queue was too small."""
    n_blocks, n_populations = tables.lo.shape
    t_max, skip, k, classes = layout.t_max, layout.skip, layout.input, layout.classes
    last = found.outputs.shape[1] - 1
    width = batch.currents.shape[1]
    for s in range(begin, end):
        for b in range(n_blocks):  # what a sample left that ended early
            for slot in range(tables.queue_mask + 1):
                drain(queue, state.ring, tables.ring[b], b, slot)
        fill(state.ring, 0.0)
        copy(layout.f, state.f)
        copy(layout.i, state.i)
        if width > 0:
            copy(batch.currents[s], inputs.values[inputs.at[inputs.segment[k]] :])
        else:
            inputs.event_first[k] = batch.first[s]
            inputs.event_first[k + 1] = batch.first[s + 1]
        n_spikes = n_synops = 0
        fill(row, 0.0)
        reason = t = 0
        for step in range(t_max + skip):
            sync.arrived[0], sync.stop[0], sync.record_size[0] = 0, -1, 0
            if advance(0, step, step + 1, tables, constants, state, inputs, edges, learned, queue, probes,
                       sync, counts, normals, False) < 0:
                return s
            for p in range(n_populations):
                for b in range(n_blocks):
                    where = tables.spikes[b, p]
                    number = sync.counts[0, b, p, 0]
                    n_spikes += number
                    for j in range(where, where + number):
                        n_synops += layout.fan[tables.gid[p] + np.int64(sync.spikes[j])]
                        if p == layout.output and layout.place < 0 and step >= skip:
                            row[sync.spikes[j]] += 1.0
            if step < skip:
                continue
            t = step - skip
            if layout.place >= 0:
                copy(state.f[layout.place : layout.place + classes], row)
            reason = decide(rule, memory, row, t)
            if reason == GO_ON and t + 1 == rule.budget and last == 0:
                reason = CAP if rule.budget == t_max else BUDGET
            if last > 0 or reason != GO_ON:
                at = min(t, last)
                copy(row, found.outputs[s, at])
                found.spikes[s, at], found.synops[s, at] = n_spikes, n_synops
            if reason != GO_ON:
                break
        found.steps[s], found.labels[s], found.reasons[s] = t + 1, np.int64(memory[LABEL]), reason
    return end
'''


def source(advance: str) -> str:
    """Source of a module with ``infer`` for the module named, which has ``advance``."""
    imports = f"from {advance} import advance\nfrom kernels.cpu.deliver import drain\n"
    imports += "from kernels.decide import BUDGET, CAP, GO_ON, LABEL, decide\n"
    return codegen.HEADER.format(title="Inference.", imports=imports) + _INFER


def typed_rule(rule: Rule) -> Rule:
    """The rule with the types that compiled loops take."""
    values: list[Any] = [
        np.ascontiguousarray(x, np.float64) if kind is np.ndarray else kind(x)
        for kind, x in zip(Rule.__annotations__.values(), rule, strict=True)
    ]
    return Rule(*values)


def typed_batch(batch: Batch) -> Batch:
    """The samples with the types that compiled loops take."""
    return Batch(*(np.ascontiguousarray(x, t) for x, t in zip(batch, _BATCH, strict=True)))


class _Worker:
    """What one thread works on: the network, with arrays of its own where they change."""

    def __init__(self, net: CompiledNetwork) -> None:
        state = net.state._replace(**{name: aligned(array) for name, array in net.state._asdict().items()})
        inputs = net.inputs._replace(values=net.inputs.values.copy(), event_first=net.inputs.event_first.copy())
        edges = [
            e._replace(number=np.zeros_like(e.number)) if isinstance(e, Edges) else e._replace(sums=aligned(e.sums))
            for e in net.edges
        ]
        self.engine = Engine(dataclasses.replace(net, state=state, inputs=inputs, edges=edges))
        self.network = net.tables, net.constants, state
        self.projections = tuple(edges), self.engine.learned


class Inference:
    """Samples through a network compiled for one thread, with a copy of its state for each thread."""

    def __init__(self, net: CompiledNetwork, threads: int) -> None:
        self.net, self.threads = net, threads
        self.workers = [_Worker(net)]
        self.module = codegen.load(source(self.workers[0].engine.module.__name__))
        self.cached = codegen.compiled_before(self.module, "infer")
        self._compiled: Any = None
        self._rule: Any = None, None  # the last one given, and with the types that the compiled loop takes

    def _infer(self, *args: Any) -> int:
        """The compiled loop, whose arguments have the same types in every call. Numba would look at every array of
        every tuple each time to find that out, which takes longer than a sample of a small network."""
        if self._compiled is None:
            infer, types = self.module.infer, tuple(numba.typeof(a) for a in args)
            infer.compile(types)
            self._compiled = infer.overloads[types].entry_point
        return int(self._compiled(*args))

    def run(self, encode: Callable[[slice], Batch], samples: int, layout: Layout, rule: Rule, each_step: bool) -> Found:
        """What became of the samples that ``encode`` gives, in pieces; with ``each_step`` what was at each step."""
        rows = layout.t_max if each_step else 1
        if rule is not self._rule[0]:  # an agent gives the same rule as long as nothing about it changes
            self._rule = rule, typed_rule(rule)
        rule = self._rule[1]
        found = Found.empty(samples, rows, layout.classes)
        size = min(PIECE, max(1, samples // (4 * self.threads)))
        pieces = iter([slice(k, min(k + size, samples)) for k in range(0, samples, size)])
        workers = min(self.threads, samples // size)
        self.workers += [_Worker(self.net) for _ in range(workers - len(self.workers))]
        if workers <= 1:
            self._work(self.workers[0], pieces, encode, layout, rule, found)
        else:
            with ThreadPoolExecutor(workers) as pool:
                tasks = [
                    pool.submit(self._work, w, pieces, encode, layout, rule, found) for w in self.workers[:workers]
                ]
                for task in tasks:
                    task.result()
        return found

    def _work(
        self, worker: "_Worker", pieces: Iterator[slice], encode: Callable[[slice], Batch], layout: Layout, rule: Rule,
        found: Found,
    ) -> None:  # fmt: skip
        engine, inputs = worker.engine, worker.engine.net.inputs
        row, memory = np.zeros(layout.classes), np.zeros(memory_size(rule, layout.classes))
        for piece in pieces:
            batch = typed_batch(encode(piece))
            if not batch.currents.shape[1]:
                weight = np.zeros(batch.step.size, inputs.event_weight.dtype)
                inputs = inputs._replace(event_step=batch.step, event_id=batch.id, event_weight=weight)
            begin, end, part = 0, piece.stop - piece.start, Found(*(array[piece] for array in found))
            while begin < end:
                begin = self._infer(
                    begin, end, batch, layout, rule, part, row, memory, *worker.network, inputs, *worker.projections,
                    engine.queues[0], engine.probes, engine.sync, *engine.scratch,
                )  # fmt: skip
                if begin < end:
                    engine.grow(0)
