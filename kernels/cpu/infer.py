"""Inference: samples one after another through a network, each stopped as soon as a rule says so.

A thread takes samples by itself, with state of its own, so that results depend on no other sample, and nothing is
computed for one that has ended.
"""

import dataclasses
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numba
import numpy as np

from kernels import codegen, packed
from kernels.compiled import CompiledNetwork
from kernels.cpu.engine import Engine
from kernels.decide import Rule, memory_size
from kernels.jit import inlined, kernel
from kernels.layout import Array, Edges, Entries, Inputs, Probes, aligned

PIECE = 64  # samples of a call


class Batch(NamedTuple):
    """Encoded samples: C-contiguous arrays, of one encoder always of the same types, as compiled loops take them."""

    currents: Array  # (samples, neurons) float64 of one input; no columns if there is none; or, if there is a weight,
    weight: Array  # (features, neurons), samples (samples, features), whose currents are bias + x @ weight
    bias: Array  # (neurons,) float64
    first: Array  # (samples + 1,) int64, events of a sample; none where there are currents
    step: Array  # int64, ascending inside a sample
    id: Array  # int32, ascending inside a step


@inlined
def add_scaled(out, x, weight, k):  # type: ignore[no-untyped-def]
    """out += x[k] * weight[k]."""
    value, row = x[k], weight[k]
    for j in range(np.uint64(out.size)):
        out[j] += value * row[j]


@kernel
def weigh(x, weight, bias, out):  # type: ignore[no-untyped-def]
    """out = bias + x @ weight, summed in the order of features, so that a sample's sums do not depend on others.

    Four features at a time, of those that are not zero, so that the sums are read and written a fourth as often.
    """
    out = out[: bias.size]
    for j in range(np.uint64(bias.size)):
        out[j] = bias[j]
    kept = first = second = third = 0
    for k in range(x.size):
        if x[k] == 0.0:
            continue
        if kept == 0:
            first = k
        elif kept == 1:
            second = k
        elif kept == 2:
            third = k
        else:
            a, b, c, d = x[first], x[second], x[third], x[k]
            one, two, three, four = weight[first], weight[second], weight[third], weight[k]
            for j in range(np.uint64(bias.size)):
                out[j] = ((out[j] + a * one[j]) + b * two[j] + c * three[j]) + d * four[j]
            kept = -1
        kept += 1
    if kept > 0:
        add_scaled(out, x, weight, first)
    if kept > 1:
        add_scaled(out, x, weight, second)
    if kept > 2:
        add_scaled(out, x, weight, third)


def currents(batch: Batch) -> Array:
    """Currents of each sample, (samples, neurons); no columns if there are none."""
    if not batch.weight.size:
        return batch.currents
    out = np.empty((len(batch.currents), batch.bias.size))
    for x, to in zip(batch.currents, out, strict=True):
        weigh(x, batch.weight, batch.bias, to)
    return out


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
        zeros, by_step = np.zeros, (samples, rows)
        return cls(
            zeros((samples, rows, classes)), zeros(by_step, np.int64), zeros(by_step, np.int64),
            zeros(samples, np.int64), zeros(samples, np.int64), zeros(samples, np.int64),
        )  # fmt: skip


class Work(NamedTuple):
    """Arrays of a thread, besides those of the network."""

    row: Array  # (classes,) float64, accumulated outputs
    memory: Array  # float64, the rule's
    lists: Array  # as ``advance`` takes them
    learned: Array
    counts: Array
    normals: Array


_GIVEN = "tables", "constants", "state", "inputs", "entries", "queue", "probes", "sync", "work"


_INFER = '''
@inlined
def with_events(inputs, step, id):
    """The inputs with the batch's events; those of spike sources have no weight."""
    return Inputs({events})


@inner
def copy(source, to):
    for k in range(source.size):
        to[k] = source[k]


@inner
def fill(to, value):
    for k in range(to.size):
        to[k] = value


@kernel
def infer(begin, end, first, batch, layout, rule, found, words):
    """Run samples begin .. end-1, of which ``batch`` has those from ``first`` on; returns the number of the first that
    was not run, where the queue was too small."""
{read}
    row, memory, lists, learned, counts, normals = work
    n_blocks, n_populations = tables.lo.shape
    t_max, skip, k, classes = layout.t_max, layout.skip, layout.input, layout.classes
    last = found.outputs.shape[1] - 1
    width, half_size = batch.currents.shape[1], sync.spikes.size // 2
    if width == 0:
        inputs = with_events(inputs, batch.step, batch.id)
    for s in range(begin, end):
        for b in range(n_blocks):  # what a sample left that ended early
            for slot in range(tables.queue_mask + 1):
                drain(queue, state.ring, tables.ring[b], b, slot)
        fill(state.ring, 0.0)
        copy(layout.f, state.f)
        copy(layout.i, state.i)
        if batch.weight.size > 0:
            weigh(batch.currents[s - first], batch.weight, batch.bias, inputs.values[inputs.at[inputs.segment[k]] :])
        elif width > 0:
            copy(batch.currents[s - first], inputs.values[inputs.at[inputs.segment[k]] :])
        else:
            inputs.event_first[k] = batch.first[s - first]
            inputs.event_first[k + 1] = batch.first[s - first + 1]
        n_spikes = n_synops = 0
        fill(row, 0.0)
        reason = t = 0
        for step in range(t_max + skip):
            # delivers the spikes of the step before and returns with those of this one, which no one may need
            if advance(0, max(step - 1, 0), step + 1, tables, constants, state, inputs, entries, lists, learned, queue,
                       probes, sync, counts, normals, step > 0) != EXCHANGE:
                return s
            half = step & 1
            for p in range(n_populations):
                for b in range(n_blocks):
                    where = tables.spikes[b, p] + half * half_size
                    number = sync.counts[half, b, p, 0]
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


def source(forms: list[tuple[str, str]]) -> str:
    """Source of a module with ``infer``, whose ``words`` hold named tuples of these classes and forms."""
    imports = "from kernels.cpu.advance import advance\nfrom kernels.cpu.deliver import drain\n"
    imports += "from kernels.cpu.infer import Work, weigh\n"
    imports += "from kernels.decide import BUDGET, CAP, GO_ON, LABEL, decide\n"
    imports += f"from kernels.layout import EXCHANGE, {', '.join(sorted({name for name, _ in forms} - {'Work'}))}\n"
    imports += "from kernels.packed import reader\n"
    readers, at = [], 1
    for k, (name, form) in enumerate(forms):
        readers.append(f"read_{k} = reader({name}, {form!r}, {at})")
        at += packed.width(form)
    read = [f"    {name} = read_{k}(words, 0)" for k, name in enumerate(_GIVEN)]
    given = {"event_step": "step", "event_id": "id"}
    events = ", ".join(given.get(name, f"inputs.{name}") for name in Inputs._fields)
    header = codegen.HEADER.format(title="Inference.", imports=imports)
    return header + "\n" + "\n".join(readers) + "\n" + _INFER.format(read="\n".join(read), events=events)


def typed_rule(rule: Rule) -> Rule:
    """The rule with the types that compiled loops take."""
    values: list[Any] = [
        np.ascontiguousarray(x, np.float64) if kind is np.ndarray else kind(x)
        for kind, x in zip(Rule.__annotations__.values(), rule, strict=True)
    ]
    return Rule(*values)


class _Worker:
    """What one thread works on: the network, with arrays of its own where they change.

    Nothing is recorded, and the loop returns before the spikes of a step are delivered, as where other processes take
    part (``shared``).
    """

    def __init__(self, net: CompiledNetwork) -> None:
        state = net.state._replace(**{name: aligned(array) for name, array in net.state._asdict().items()})
        inputs = net.inputs._replace(values=net.inputs.values.copy(), event_first=net.inputs.event_first.copy())
        edges = [
            e._replace(number=np.zeros_like(e.number)) if isinstance(e, Edges) else e._replace(sums=aligned(e.sums))
            for e in net.edges
        ]
        tables = net.tables._replace(window=1, recorded=np.zeros_like(net.tables.recorded), shared=1)
        none = Probes(*(array[:0] for array in net.probes))._replace(first=net.probes.first[:1])
        self.engine = Engine(
            dataclasses.replace(net, tables=tables, state=state, inputs=inputs, edges=edges, probes=none)
        )
        self.memory = -1

    def given(self, entries: Entries, classes: int, memory: int) -> tuple[Any, ...]:
        """What each call of the compiled loop takes, for a rule that keeps ``memory`` numbers."""
        engine, net = self.engine, self.engine.net
        work = Work(np.zeros(classes), np.zeros(memory), engine.lists, engine.learned, *engine.scratch)
        changing = engine.queues[0], engine.probes, engine.sync, work
        return net.tables, net.constants, net.state, net.inputs, entries, *changing

    def prepare(self, classes: int, memory: int) -> None:
        """Pack it; the first time this compiles the network's functions."""
        self.tuples, self.memory = self.given(self.engine.entries, classes, memory), memory
        self.words = packed.pack([(0, *self.tuples)])


class Inference:
    """Samples through a network compiled for one thread, with a copy of its state for each thread.

    A call is kept cheap: of a small network a sample takes some tens of microseconds, which Python soon does, too.
    """

    def __init__(self, net: CompiledNetwork, threads: int) -> None:
        self.net, self.threads = net, threads
        self.workers = [_Worker(net)]
        worker, none = self.workers[0], Entries(*[np.empty(0, np.int64)] * len(Entries._fields))
        forms = [(type(x).__name__, packed.form(x)) for x in worker.given(none, 0, 0)]
        self.module = codegen.load(source(forms))
        self.cached = worker.engine.cached and codegen.compiled_before(self.module, "infer")
        self._rule: Any = None, None, 0  # the last one given, with the types that compiled loops take, its memory
        self._infer = self._compile

    def _compile(self, *args: Any) -> int:
        """The compiled loop. Arguments have the same types in every call, and Numba would find that out anew each time,
        so later calls go straight to the machine code."""
        infer, types = self.module.infer, tuple(numba.typeof(a) for a in args)
        infer.compile(types)
        self._infer = infer.overloads[types].entry_point
        return int(self._infer(*args))

    def run(self, encode: Callable[[slice], Batch], samples: int, layout: Layout, rule: Rule, each_step: bool) -> Found:
        """What became of the samples that ``encode`` gives, in pieces; with ``each_step`` what was at each step."""
        if rule is not self._rule[0]:  # an agent gives the same rule as long as nothing about it changes
            self._rule = rule, typed_rule(rule), memory_size(rule, layout.classes)
        found = Found.empty(samples, layout.t_max if each_step else 1, layout.classes)
        size = min(PIECE, samples // (4 * self.threads)) or 1
        pieces = range(0, samples, size)
        if len(pieces) == 1 or self.threads == 1:
            self._work(self.workers[0], pieces, size, encode, layout, found)
            return found
        workers, shared = min(self.threads, len(pieces)), iter(pieces)
        self.workers += [_Worker(self.net) for _ in range(workers - len(self.workers))]
        with ThreadPoolExecutor(workers) as pool:
            tasks = [pool.submit(self._work, w, shared, size, encode, layout, found) for w in self.workers[:workers]]
            for task in tasks:
                task.result()
        return found

    def _work(
        self, worker: _Worker, pieces: Iterable[int], size: int, encode: Callable[[slice], Batch], layout: Layout,
        found: Found,
    ) -> None:  # fmt: skip
        samples, (_, rule, memory) = len(found.steps), self._rule
        if worker.memory < memory:
            worker.prepare(layout.classes, memory)
        for first in pieces:
            end = min(first + size, samples)
            batch = encode(slice(first, end))
            begin = self._infer(first, end, first, batch, layout, rule, found, worker.words)
            while begin < end:
                worker.engine.grow(0)
                worker.prepare(layout.classes, worker.memory)
                begin = self._infer(begin, end, first, batch, layout, rule, found, worker.words)
