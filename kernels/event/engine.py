"""The event engine: drives the compiled loop over windows on threads."""

import math
import operator
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numba
import numpy as np

from kernels import packed
from kernels.codegen import compiled_before, load, name_of
from kernels.entry import address, signature
from kernels.errors import SimError
from kernels.event import advance as loop
from kernels.event import layout, learn
from kernels.event.compiled import EventNetwork
from kernels.event.exponential import GAPS
from kernels.event.generate import model_source
from kernels.event.inputs import start_streams
from kernels.event.layout import Edges, Entries, Lanes, Plastic, Queue, Scratch, Sync
from kernels.layout import LINE, zeros
from kernels.threads import Threads

SPACE = 2**20  # spikes recorded before they are handed over
_WORDS = "net", "block", "lanes", "sync", "scratch", "queue", "edges"  # packed for the functions of models and rules


class Engine:
    """Advance a network in continuous time, in machine code. A thread owns a block.

    A call may stop anywhere: what follows is the same, bit for bit, however a run is cut.
    """

    def __init__(self, compiled: EventNetwork, say: Callable[[bool, list[str]], None] = lambda *_: None) -> None:
        net, forms, blocks, edges = compiled.net, compiled.forms, compiled.blocks, compiled.edges
        inputs, streams, capacity, names = compiled.inputs, compiled.streams, compiled.capacity, compiled.names
        self.compiled, self.plastic = compiled, compiled.plastic
        self.net, self.forms, self.blocks, self.edges = net, forms, blocks, edges
        self.inputs, self.streams, self.names = inputs, streams, names
        n = len(blocks)
        self.lanes = self._new_lanes()
        self.scratch = [self.new_scratch(1024, 1024 + int(max(b.hi - b.lo))) for b in blocks]
        self.queues = [self.queue(e) for e in edges]
        self.sync = Sync(
            arrived=zeros(1, np.int64), halt=zeros(1, np.int64) - 1,
            next=zeros(2 * n * LINE, np.int64).reshape(2, n, LINE),
            n_spikes=zeros(2 * n * LINE, np.int64).reshape(2, n, LINE),
            spike_time=np.zeros((2, n, capacity)), spike_id=np.zeros((2, n, capacity), np.int64),
            spare_time=np.zeros((n, capacity)), spare_id=np.zeros((n, capacity), np.int64),
            failed=zeros(n * LINE, float).reshape(n, LINE), wanted=zeros(n * LINE, np.int64).reshape(n, LINE),
            record_time=np.zeros(2 * n * capacity + SPACE), record_id=np.zeros(2 * n * capacity + SPACE, np.int64),
            record_size=zeros(1, np.int64),
        )  # fmt: skip
        self._packed: list[Any] = [((), None, None)] * n  # of each thread, what is packed, and the tables
        self.layouts = {name: packed.form(x) for name, x in zip(_WORDS, self._words(0), strict=True)}
        rules = [(r.spec, r.short_term, x) for r, x in zip(compiled.rules, compiled.plastic[0], strict=True)]
        self.models = [load(model_source(form, self.layouts)) for form in forms]
        self.learners = [load(learn.source(*rule, self.layouts)) for rule in rules]
        self.modules = list(dict.fromkeys([*self.models, *self.learners]))
        # what is computed, whatever the types of edges
        self.code = name_of("\n".join([*(m.__name__ for m in self.models), *(learn.source(*r, {}) for r in rules)]))
        parts = [(self.models, "process"), (self.learners, "learn"), ([loop], "advance")]
        say(all(compiled_before(m, name) for modules, name in parts for m in modules), [f.spec.name for f in forms])
        self.reached = -math.inf
        self.pool = Threads(n - 1) if n > 1 else None
        self._start_streams(np.ones(inputs.receptor.size, np.bool_), 0.0)
        for p in range(len(names)):
            self.restart(p, 0.0)

    def _new_lanes(self) -> list[Lanes]:
        """Of each thread."""
        variables = max((len(f.states) for f in self.forms), default=1)
        constants = max((len(f.constants()[1]) for f in self.forms), default=0)
        row = layout.LANE_ROW
        return [
            Lanes(
                x=zeros((layout.VALUES + variables + constants) * row, float), number=zeros(row, np.int64),
                mark=zeros(3 * row, np.uint8), first=zeros(1, np.int64),
            )
            for _ in self.blocks
        ]  # fmt: skip

    def renew(self, models: bool) -> None:
        """Take the constants of the network, which were replaced, and (``models``) functions of models.

        Then the state of the populations that they concern has to be set.
        """
        if models:  # first what may fail
            loaded = [load(model_source(form, self.layouts)) for form in self.compiled.forms]
        self._make_room()
        self.net, self.forms = self.compiled.net, self.compiled.forms
        if models:
            self.models, self.lanes = loaded, self._new_lanes()
            self.__dict__.pop("entries", None)  # not there where nothing ran since the last change

    def renew_inputs(self, which: np.ndarray, t: float) -> None:
        """Take the inputs of the network, which were replaced. What those of ``which`` (flags) have brought for after
        ``t``, where the engine stands, is forgotten, and Poisson ones begin anew."""
        self._make_room()
        self.inputs = self.compiled.inputs
        for block, scratch in zip(self.blocks, self.scratch, strict=True):
            n, target = int(block.counts[layout.INBOX]), scratch.inbox_target
            gone = which[layout.inbox_input(target[:n], self.net.bits)] & (scratch.inbox_time[:n] >= self.reached)
            kept = np.flatnonzero(~gone)
            for column in (scratch.inbox_time, target, scratch.inbox_weight):
                column[: kept.size] = column[kept]
            block.counts[layout.INBOX] = kept.size
        self._start_streams(which, t)
        self._stand_at(t)

    def set_current(self, p: int, values: np.ndarray) -> None:
        """Set the injected current of population ``p``, a number or one a neuron; then its state has to be set."""
        values = np.broadcast_to(values, (int(self.net.n[p]),))
        for block in self.blocks:
            records = block.f.reshape(-1, self.net.record)[block.first[p] : block.first[p + 1]]
            records[:, layout.STIM] = values[block.lo[p] : block.hi[p]]

    def _start_streams(self, which: np.ndarray, t: float) -> None:
        for block, scratch, stream in zip(self.blocks, self.scratch, self.streams, strict=True):
            start_streams(self.net, block, scratch, self.inputs, stream, which, t)

    def _make_room(self) -> None:
        """For as many spikes of a window as there may be now."""
        if self.compiled.capacity > self.sync.spare_time.shape[1]:
            longer = {}
            for name in ("spike_time", "spike_id", "spare_time", "spare_id"):
                old = getattr(self.sync, name)
                longer[name] = np.zeros((*old.shape[:-1], self.compiled.capacity), old.dtype)
                longer[name][..., : old.shape[-1]] = old
            room = 2 * len(self.blocks) * self.compiled.capacity + SPACE
            self.sync = self.sync._replace(**longer, record_time=np.zeros(room), record_id=np.zeros(room, np.int64))

    @staticmethod
    def new_scratch(events: int, inbox: int) -> Scratch:
        """Room for so many events of a window, and so many that inputs bring."""
        mantissa = zeros(GAPS, float)
        return Scratch(
            time=zeros(events, float), weight=zeros(events, float), receptor=zeros(events, np.uint8),
            inbox_time=zeros(inbox, float), inbox_target=zeros(inbox, np.int64), inbox_weight=zeros(inbox, float),
            inbox_order=zeros(inbox, np.int32),
            gaps=zeros(GAPS, float), mantissa=mantissa, bits=mantissa.view(np.int64), words=zeros(GAPS, np.uint64),
        )  # fmt: skip

    def queue(self, edges: Edges, rows: int = 0, events: int = 0) -> Queue:
        """An empty calendar, with room for so many chunks of rows and events besides."""
        slots = self.net.slots
        single = edges.weights.dtype == np.float32 and np.array_equal(edges.weight, edges.weight.astype(np.float32))
        single = single and not self.compiled.rules
        rows += slots + 64
        events += slots + 64 if edges.delays.size or self.compiled.rules else 2
        return Queue(
            row_time=zeros(rows << layout.ROW_BITS, float), row=zeros(rows << layout.ROW_BITS, np.int64),
            row_group=zeros(rows << layout.ROW_BITS, np.int32), row_next=zeros(rows, np.int32),
            row_head=zeros(slots, np.int32), row_end=zeros(slots, np.uint64),
            row_free=np.append(np.arange(1, rows), 0).astype(np.int32), row_n_free=zeros(1, np.int64) + (rows - 1),
            time=np.zeros(events << layout.EVENT_BITS),
            target=np.zeros(events << layout.EVENT_BITS, edges.targets.dtype),
            weight=np.zeros(events << layout.EVENT_BITS, np.float32 if single else np.float64),
            next=zeros(events, np.int32), head=zeros(slots, np.int32), end=zeros(slots, np.uint64),
            free=np.append(np.arange(1, events), 0).astype(np.int32), n_free=zeros(1, np.int64) + (events - 1),
        )  # fmt: skip

    def _grow(self, thread: int, code: int) -> None:
        """Make room for what ``thread`` wants to do."""
        scratch, queue = self.scratch[thread], self.queues[thread]
        if code == layout.GROW_QUEUE:
            rows, events = (int(w) for w in self.sync.wanted[thread, :2])
            for prefix, bits, wanted in (("row_", layout.ROW_BITS, rows), ("", layout.EVENT_BITS, events)):
                queue = _longer(queue, prefix, bits, wanted)
            self.queues[thread] = queue
        elif code == layout.GROW_HISTORY:
            number, spikes, events = (int(w) for w in self.sync.wanted[thread, :3])
            half = int(self.blocks[thread].counts[layout.PARITY])
            sent = self.sync.n_spikes[half, :, 0] > 0
            plastic = self.sweep(number, thread, float(self.sync.spike_time[half, sent, 0].min()), False)
            self.plastic[thread][number] = _with_room(plastic, spikes, events)
        elif code == layout.GROW_SCRATCH:
            size = 2 * int(self.sync.wanted[thread, 0])
            fresh = self.new_scratch(size, 0)
            self.scratch[thread] = scratch._replace(time=fresh.time, weight=fresh.weight, receptor=fresh.receptor)
        else:
            old, size = scratch.inbox_time.size, 2 * scratch.inbox_time.size
            fresh = self.new_scratch(0, size)
            for name in ("inbox_time", "inbox_target", "inbox_weight"):
                getattr(fresh, name)[:old] = getattr(scratch, name)
            self.scratch[thread] = scratch._replace(
                inbox_time=fresh.inbox_time,
                inbox_target=fresh.inbox_target,
                inbox_weight=fresh.inbox_weight,
                inbox_order=fresh.inbox_order,
            )

    def _words(self, thread: int) -> tuple[Any, ...]:
        """What the functions of models and rules take, in the order of _WORDS."""
        return (
            self.net, self.blocks[thread], self.lanes[thread], self.sync, self.scratch[thread], self.queues[thread],
            self.edges[thread],
        )  # fmt: skip

    def _tables(self, thread: int) -> tuple[np.ndarray, np.ndarray]:
        """That, and the plastic projections, packed; anew where room was made since."""
        words, plastic = self._words(thread), self.plastic[thread]
        if not all(map(operator.is_, self._packed[thread][0], (*words, *plastic))) or not self._packed[thread][0]:
            tables = packed.pack([(0, *words)]), packed.pack([(0, x) for x in plastic])
            self._packed[thread] = (*words, *plastic), *tables
        _, packed_words, packed_plastic = self._packed[thread]
        return packed_words, packed_plastic

    @cached_property
    def entries(self) -> Entries:
        """Addresses of the network's own functions, which are compiled for it."""
        words, learned = self._tables(0)
        process = signature(words, 0, 0, 0, 0, 0.0)
        full = signature(words, learned, 0, 0, 0, result=numba.types.int64)
        spike = signature(words, learned, 0, 0.0, 0, 0, 0)
        return Entries(
            np.array([address(m.process, process) for m in self.models], np.int64),
            np.array([address(m.full, full) for m in self.learners], np.int64),
            np.array([address(m.learn, spike) for m in self.learners], np.int64),
        )

    def _run(self, thread: int, stop: float) -> int:
        """``advance`` on one thread, with more room as often as it asks for it."""
        try:
            while True:
                code = loop.advance(
                    thread, stop, self.net, self.blocks[thread], self.queues[thread], self.scratch[thread],
                    self.edges[thread], *self._tables(thread), self.entries, self.inputs, self.streams[thread],
                    self.sync,
                )  # fmt: skip
                if code in (layout.DONE, layout.FULL, layout.FAILED):
                    return int(code)
                self._grow(thread, code)
        except BaseException:  # no memory left: release the threads that wait at the barrier, then say so
            self.sync.arrived[0] = 2**62
            raise

    def advance(self, stop: float) -> tuple[bool, np.ndarray, np.ndarray]:
        """Run towards ``stop`` ms; returns whether it is reached, and the times and global ids of recorded spikes.

        Everything that happens before ``stop`` is done then.
        """
        self.sync.record_size[0] = 0
        if stop <= self.reached:
            return True, np.empty(0), np.empty(0, np.int64)
        others = [self.pool.submit(self._run, t, stop) for t in range(1, len(self.blocks))] if self.pool else []
        code = self._run(0, stop)
        for other in others:
            other.result()
        self.compiled.check_weights()
        if code == layout.FAILED:
            self._fail()
        if code == layout.DONE:
            self.reached = stop
        n = int(self.sync.record_size[0])
        return code == layout.DONE, self.sync.record_time[:n].copy(), self.sync.record_id[:n].copy()

    def _fail(self) -> None:
        rows = [row for row in self.sync.failed if row[4] > 0]
        kind, p, neuron, t = min(rows, key=lambda row: (row[3], row[2]))[:4]
        name, neuron = self.names[int(p)], int(neuron)
        if kind == 1.0:
            raise SimError(
                f"Population {name!r}: neuron {neuron} fires infinitely often at t = {float(t)!r} ms. "
                "Give it a refractory period, or less drive."
            )
        if kind == 2.0:
            raise SimError(
                f"Population {name!r}: too many spikes within {self.net.width:g} ms at t = {t:g} ms (neuron {neuron}). "
                "Give it a refractory period, or less drive."
            )
        values = self.state(int(p), t, np.array([neuron]))[:, 0]
        variable = self.forms[self.net.kind[int(p)]].states[int(np.argmin(np.isfinite(values)))]
        raise SimError(
            f"Population {name!r}.{variable}: is not finite at neuron {neuron} by t = {t:g} ms. "
            "Check parameters and weights."
        )

    def restart(self, p: int, t: float) -> None:
        """Look anew at when the neurons of population ``p`` will cross the threshold, after their state was set."""
        if self.net.kind[p] < 0:
            return
        for block in self.blocks:
            self.models[self.net.kind[p]].restart(self.net, block, p, int(np.floor(t / self.net.width)))
        self._stand_at(t)

    def _stand_at(self, t: float) -> None:
        """Let the window of ``t`` be looked at again: something may happen sooner than was known."""
        k = int(np.floor(t / self.net.width))
        for block in self.blocks:
            if block.counts[layout.WINDOW] > k:
                block.since[0] = t
            block.counts[layout.WINDOW] = min(int(block.counts[layout.WINDOW]), k)

    def state(self, p: int, t: float, ids: np.ndarray) -> np.ndarray:
        """Float state variables of neurons ``ids`` (ascending) at ``t``, where the engine stands: (variables, n)."""
        form = self.forms[self.net.kind[p]]
        out = np.zeros((len(form.states), ids.size))
        for block in self.blocks:
            a, b = np.searchsorted(ids, (block.lo[p], block.hi[p]))
            part = np.zeros(len(form.states) * (b - a))
            self.models[self.net.kind[p]].peek(self.net, block, p, t, ids[a:b] - block.lo[p], part)
            out[:, a:b] = part.reshape(len(form.states), b - a)
        return out

    def set_state(self, p: int, t: float, values: np.ndarray) -> None:
        """Set the state of population ``p`` at ``t``, shape (variables, n)."""
        for block in self.blocks:
            lo, hi, first = int(block.lo[p]), int(block.hi[p]), int(block.first[p])
            records = block.f.reshape(-1, self.net.record)[first : first + hi - lo]
            records[:, layout.STATE : layout.STATE + len(values)] = values[:, lo:hi].T
            records[:, layout.LAST] = t
        self.restart(p, t)

    def sweep(self, number: int, b: int, t: float, settle: bool) -> Plastic:
        """Bring the synapses of plastic projection ``number`` in block ``b`` up to date at ``t``."""
        plastic = self.plastic[b][number]
        self.learners[number].sweep(self.net, self.blocks[b], self.edges[b], plastic, t, settle)
        return plastic

    def values(self, number: int, t: float, which: int = 0) -> list[np.ndarray]:
        """Weights (``which`` = 0) or a state variable (1, ..) of plastic projection ``number`` at ``t``, by block.

        The engine stands at ``t``. Changes no result.
        """
        found, names = [], ("weights", "variables", "at", "total", "reached", "oldest", "signal_oldest", "fault")
        for b, row in enumerate(self.plastic):
            arrays = [getattr(row[number], name) for name in names]
            saved = [array.copy() for array in arrays]
            self.sweep(number, b, t, True)
            found.append((arrays[1][which - 1] if which else arrays[0]).copy())
            for array, before in zip(arrays, saved, strict=True):
                array[...] = before
        return found

    def learning(self, number: int, t: float, on: bool) -> None:
        """Let the weights of plastic projection ``number`` change from ``t`` on, or not."""
        for b, row in enumerate(self.plastic):
            if row[number].learning[0] == on:
                continue
            if on and not self.compiled.rules[number].spec.state:
                row[number].at[:] = t  # what came before is not seen
                row[number].reached[:], row[number].total[:] = t, 0.0
            else:
                self.sweep(number, b, t, True)
            row[number].learning[0] = on

    def set_signal(self, number: int, t: float, value: float) -> None:
        """Set the modulator of plastic projection ``number`` just after ``t``."""
        start, t = t, math.nextafter(t, math.inf)
        for b, row in enumerate(self.plastic):
            x = row[number]
            if x.signal_seen[0] - x.signal_oldest[0] == x.signal_time.size:
                x = row[number] = _with_room(self.sweep(number, b, start, False), 0, 1)
            at, values, mask = x.signal_time, x.signal_value, x.signal_time.size - 1
            c = seen = int(x.signal_seen[0])
            while at[(c - 1) & mask] > t:
                c -= 1
            before = (c - 1) & mask
            change = value - values[before] * math.exp(-(t - at[before]) / x.signal_tau)
            for e in range(seen, c, -1):  # what was noted for later moves on by one
                at[e & mask] = at[(e - 1) & mask]
                values[e & mask] = values[(e - 1) & mask] + change * math.exp(-(at[e & mask] - t) / x.signal_tau)
            at[c & mask], values[c & mask] = t, value
            x.signal_seen[0] = seen + 1


def _longer(queue: Queue, prefix: str, bits: int, wanted: int) -> Queue:
    """The queue with room for ``wanted`` free chunks of rows (prefix "row_") or events."""
    n_free = getattr(queue, f"{prefix}n_free")
    n, chunks = int(n_free[0]), len(getattr(queue, f"{prefix}next"))
    if wanted <= n:
        return queue
    more = max(chunks, wanted - n + 64)
    sizes = {f"{prefix}next": chunks + more, f"{prefix}free": chunks + more}
    values = ("row_time", "row", "row_group") if prefix else ("time", "target", "weight")
    sizes |= dict.fromkeys(values, (chunks + more) << bits)
    longer = {}
    for name, size in sizes.items():
        old = getattr(queue, name)
        longer[name] = zeros(size, old.dtype)
        longer[name][: old.size] = old
    longer[f"{prefix}free"][n : n + more] = np.arange(chunks, chunks + more)
    n_free[0] = n + more
    return queue._replace(**longer)


def _with_room(x: Plastic, spikes: int, events: int) -> Plastic:
    """The projection, swept, with room to note so many more spikes of any target and events of the modulator."""
    held = int((x.seen - x.oldest).max(initial=0)) + spikes
    if 2 * held > x.history.shape[1]:
        size = 1 << (2 * held).bit_length()
        history, post = np.zeros((len(x.seen), size)), np.zeros((len(x.seen), size, x.post.shape[2]))
        for j, (first, end) in enumerate(zip(x.oldest.tolist(), x.seen.tolist(), strict=True)):
            c = np.arange(first, end)
            here, there = c & (x.history.shape[1] - 1), c & (size - 1)
            history[j, there], post[j, there] = x.history[j, here], x.post[j, here]
        x = x._replace(history=history, post=post)
    held = int(x.signal_seen[0] - x.signal_oldest[0]) + events
    if 2 * held > x.signal_time.size:
        c = np.arange(x.signal_oldest[0], x.signal_seen[0])
        times, values = np.zeros((2, 1 << (2 * held).bit_length()))
        here, there = c & (x.signal_time.size - 1), c & (times.size - 1)
        times[there], values[there] = x.signal_time[here], x.signal_value[here]
        x = x._replace(signal_time=times, signal_value=values)
    return x
