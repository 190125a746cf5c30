"""The cpu engine: drives the compiled loop over steps on threads, a chunk of steps at a time."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numba
import numpy as np

from kernels import codegen, packed
from kernels.compiled import CompiledNetwork
from kernels.cpu import advance as loop
from kernels.cpu.exchange import pack, unpack
from kernels.cpu.record import GROUP, spikes_of
from kernels.entry import address, signature
from kernels.layout import (
    CHUNK_BITS,
    EXCHANGE,
    LINE,
    NEVER,
    Convolutions,
    Edges,
    Entries,
    Places,
    Queue,
    Sync,
    padded,
    zeros,
)
from kernels.threads import Threads

MAX_CHUNK_STEPS = 100_000
SAMPLE_BYTES = 64e6


class Engine:
    """Advance a compiled network in machine code.

    Python threads run the compiled loop without the GIL and meet at barriers in it once a window, so no threading layer
    is needed, and every thread is sure to exist. ``comm``, an ``mpi4py.MPI.Comm``: the processes that hold the other
    blocks, as many each; the loop then returns once a window for spikes to be exchanged.
    """

    def __init__(self, net: CompiledNetwork, comm: Any = None) -> None:
        tables, probes = net.tables, net.probes
        self.comm = comm
        delivers = [codegen.deliver_source(kind) for kind in net.kinds]
        learns = [
            codegen.learn_source(*rules, x.constants, e.delay[0] == 0)
            for rules, x, e in zip(net.rules, net.plastic, net.learned, strict=True)
        ]
        self.updates = [codegen.load(codegen.update_source(v, net.precision)) for v in net.variants]
        self.delivers = [codegen.load(codegen.with_edges(*row)) for row in zip(delivers, net.edges, strict=True)]
        self.learners = [
            codegen.load(codegen.with_readers(*row)) for row in zip(learns, net.learned, net.plastic, strict=True)
        ]
        self.modules = list(dict.fromkeys([*self.updates, *self.delivers, *self.learners]))
        self.code = codegen.name_of("\n".join([*(m.__name__ for m in self.updates), *delivers, *learns]))
        self.lists = packed.pack([(0, edges) for edges in net.edges])
        self.pack(net)
        names = ("update", "deliver", "enqueue", "needed", "learn")
        parts = [*((m, names) for m in self.modules), (loop, ("advance",))]
        self.cached = all(codegen.compiled_before(module, *some) for module, some in parts)
        self.net, self.tables = net, tables
        self.threads = tables.first_block.size - 1
        blocks, populations = tables.lo.shape
        longest = int((tables.hi - tables.lo).max(initial=1))
        row = -(-longest // GROUP) * GROUP
        wide = padded(populations)  # a block's counts are whole cache lines
        width = np.diff(probes.first) / np.maximum(probes.every, 1)
        fit = SAMPLE_BYTES / 8 / max(float(width.sum()), 1e-9)
        self.chunk = int(min(MAX_CHUNK_STEPS, max(fit, tables.window, probes.every.max(initial=1))))
        samples = [
            int(w) * (self.chunk // int(e) + 1) for w, e in zip(np.diff(probes.first), probes.every, strict=True)
        ]
        at = np.concatenate(([0], np.cumsum(samples))).astype(np.int64)
        self.probes = probes._replace(at=at[:-1].copy(), samples=np.zeros(int(at[-1])))
        self.sync = Sync(
            arrived=zeros(1, np.int64),
            stop=zeros(1, np.int64),
            resume=zeros(self.threads * LINE, np.int64).reshape(self.threads, LINE),
            spikes=zeros(2 * tables.spike_capacity, np.uint32),
            counts=zeros(2 * blocks * wide * tables.window, np.int64).reshape(2, blocks, wide, -1),
            flags=zeros(self.threads * row, np.uint8).reshape(self.threads, row),
            record=np.zeros(2 * tables.spike_capacity + 2**20, np.uint32),
            record_count=np.zeros(self.chunk, np.int64),
            record_size=zeros(1, np.int64),
        )
        self.scratch = tuple(zeros(self.threads * row, t).reshape(self.threads, row) for t in (np.int32, np.float64))
        self.times, self.ids = np.empty(0), np.empty(0, np.int64)  # spikes on their way out
        self.queues = [self.queue(net.edges) for _ in range(self.threads)]
        self.pool = Threads(self.threads - 1) if self.threads > 1 else None
        if comm is not None:
            self.sent, self.received = np.empty((2, tables.spike_capacity + comm.size), np.uint32)

    @cached_property
    def entries(self) -> Entries:
        """Addresses of the network's own functions, which are compiled for it."""
        net, sync, places = self.net, self.sync, Places(*(getattr(self.tables, name) for name in Places._fields))
        state, ring, flags, queue = net.state, net.state.ring, sync.flags[0], self.queues[0]

        def each(modules: list[Any], name: str, *arguments: Any, result: Any = numba.types.none) -> np.ndarray:
            """Addresses in modules that have the function, else 0; nothing if none has."""
            known, some = signature(*arguments, result=result), [getattr(module, name, None) for module in modules]
            found = [0 if function is None else address(function, known) for function in some]
            return np.array(found if any(found) else [], np.int64)

        spikes = sync.spikes, sync.counts
        neurons = state.f, state.i, ring, state.current, state.words, net.constants, flags
        return Entries(
            update=each(self.updates, "update", *[0] * 11, *neurons),
            deliver=each(self.delivers, "deliver", places, self.lists, 0, ring, *spikes, *[0] * 5),
            enqueue=each(self.delivers, "enqueue", places, self.lists, 0, queue, *spikes, *[0] * 5),
            needed=each(self.delivers, "needed", places, self.lists, 0, sync, 0, 0, 0, result=numba.types.int64),
            visit=each(self.learners, "visit", self.tables, self.learned, 0, ring, *[0] * 6),
            learn=each(self.learners, "learn", self.tables, self.learned, 0, ring, sync, *[0] * 6),
            watch=each(self.learners, "watch", self.learned, 0, 0, state.f, flags, 0, 0, 0),
        )

    def renew(self, models: bool) -> None:
        """Take what was replaced in the network: constants and inputs, and (``models``) functions of models."""
        if models:
            self.updates = [codegen.load(codegen.update_source(v, self.net.precision)) for v in self.net.variants]
            self.__dict__.pop("entries", None)  # not there where nothing ran since the last change
        self.tables = self.net.tables

    def pack(self, net: CompiledNetwork) -> None:
        """Tell the compiled loop where the plastic projections of ``net`` lie; after arrays of theirs were replaced."""
        self.learned = packed.pack([(0, *row) for row in zip(net.learned, net.plastic, strict=True)])

    def queue(self, edges: Sequence[Edges | Convolutions], chunks: int = 64) -> Queue:
        """An empty queue of one thread."""
        lists = [e for e in edges if isinstance(e, Edges)]
        weights = [w for e in lists if e.delays.size for w in (e.weights, e.weight)]
        single = all(np.array_equal(w, w.astype(np.float32)) for w in weights if w.dtype != np.float32)
        blocks, slots = len(self.tables.lo), self.tables.queue_mask + 1
        return Queue(
            targets=zeros(chunks << CHUNK_BITS, lists[0].targets.dtype if lists else np.uint16),
            weights=zeros(chunks << CHUNK_BITS, np.float32 if single else np.float64),
            following=np.zeros(chunks, np.int32),
            head=zeros(blocks * slots, np.int32).reshape(blocks, slots),
            position=zeros(blocks * slots, np.uint64).reshape(blocks, slots),
            free=np.append(np.arange(1, chunks), 0).astype(np.int32),
            n_free=zeros(1, np.int64) + (chunks - 1),
        )

    def grow(self, thread: int) -> None:
        """Make the queue of ``thread`` large enough for the window that it wants to deliver."""
        old, wanted = self.queues[thread], int(self.sync.resume[thread, 2])
        chunks, n = len(old.following), int(old.n_free[0])
        more = max(chunks, wanted - n + 64)
        size = {"targets": (chunks + more) << CHUNK_BITS, "following": chunks + more, "free": chunks + more}
        size["weights"] = size["targets"]
        longer = {}
        for name, length in size.items():
            array = getattr(old, name)
            longer[name] = zeros(length, array.dtype)
            longer[name][: array.size] = array
        self.queues[thread] = old._replace(**longer)
        self.queues[thread].free[n : n + more] = np.arange(chunks, chunks + more)
        self.queues[thread].n_free[0] = n + more

    def _run(self, thread: int, resumed: bool, shared: tuple[Any, ...]) -> int:
        """``advance`` on one thread, with a larger queue as often as it asks for one."""
        try:
            while True:
                reached = loop.advance(
                    thread, *shared, self.queues[thread], self.probes, self.sync, *self.scratch, resumed
                )
                if reached >= 0 or reached == EXCHANGE:
                    return int(reached)
                self.grow(thread)
                resumed = True
        except BaseException:  # no memory left: release the threads that wait at the barrier, then say so
            self.sync.arrived[0] = 2**62
            raise

    def _run_all(self, resumed: bool, shared: tuple[Any, ...]) -> int:
        others = [self.pool.submit(self._run, t, resumed, shared) for t in range(1, self.threads)] if self.pool else []
        reached = self._run(0, resumed, shared)
        for other in others:
            other.result()
        return reached

    def _exchange(self, stop: int) -> None:
        """Hand this process's spikes of the window to the others and take theirs; stop where one of them wants to."""
        tables, sync, comm = self.tables, self.sync, self.comm
        begin, half = int(sync.resume[0, 0]), int(sync.resume[0, 1]) & 1
        last = begin + min(tables.window, stop - begin)
        blocks, populations = tables.lo.shape
        share = blocks // comm.size
        counts, base, final = sync.counts[half], half * (sync.spikes.size // 2), last - begin - 1
        mine = comm.rank * share, (comm.rank + 1) * share
        comm.Allgather(counts[mine[0] : mine[1]].copy(), counts)
        n = pack(tables.spikes, counts, populations, *mine, final, base, sync.spikes, self.sent)
        self.sent[n] = sync.stop[0] == last
        sizes = counts[:, :populations, final].reshape(comm.size, -1).sum(axis=1) + 1
        comm.Allgatherv([self.sent, n + 1], [self.received, sizes])
        at = 0
        for rank, size in enumerate(sizes.tolist()):
            part = self.received[at : at + size]
            if rank != comm.rank:
                unpack(
                    tables.spikes, counts, populations, rank * share, (rank + 1) * share, final, base, sync.spikes, part
                )
            if part[-1]:
                sync.stop[0] = last
            at += size

    def sweep(self, number: int, step: int, settle: bool = False) -> None:
        """Bring the synapses of plastic projection ``number`` up to date at ``step``.

        They are then as of their last event, or of ``step`` itself where ``settle``.
        """
        for block in range(self.tables.first_block[0], self.tables.first_block[-1]):
            ring, visitor = self.net.state.ring, int(self.entries.visit[number])
            self.learners[number].sweep(self.tables, self.learned, number, ring, block, step, int(settle), visitor)

    def values(self, number: int, step: int, which: int = 0) -> np.ndarray:
        """Weights (``which`` = 0) or a state variable (1, ..) of plastic projection ``number`` at ``step``.

        A copy. Changes no result.
        """
        x = self.net.plastic[number]
        arrays = [self.net.learned[number].weights, x.variables, x.done, x.swept, x.settled]
        lasting = self.net.rules[number][0].flow is None
        saved = [] if lasting else [array.copy() for array in arrays]
        self.sweep(number, step, settle=not lasting)
        found = (x.variables[which - 1] if which else arrays[0]).copy()
        for array, before in zip(arrays, saved, strict=False):
            array[...] = before
        return found

    def short(self, number: int) -> np.ndarray:
        """State of the short-term rule of a projection, (rows, variables): one row a source, again for each block."""
        return self.net.plastic[number].short

    def set_short(self, number: int, values: np.ndarray) -> None:
        """Replace what :meth:`short` gives."""
        self.net.plastic[number].short[...] = values

    def begin_short(self, number: int, step: int) -> None:
        """Let the short-term state of sources that have not fired be as of ``step``; it was as of long ago."""
        last = self.net.plastic[number].last
        if np.any(last == NEVER):
            self.sweep(number, step, settle=True)  # what synapses have seen is counted from that step, too
            last[last == NEVER] = step

    def set_signal(self, number: int, step: int, value: float | np.ndarray) -> None:
        """Set the modulator of plastic projection ``number`` at ``step``, the next one; an array: for each target."""
        x = self.net.plastic[number]
        each = isinstance(value, np.ndarray)  # one a target
        if each or x.signal_set[1] or self.net.rules[number][0].observer:
            self.sweep(number, step - 1)  # what has been before the step takes the old value
            x.signal_each[0] = value[x.first : x.first + x.n] if isinstance(value, np.ndarray) else 1.0
            x.signal_set[:] = step, int(each and np.any(value != 1.0))
        x.signal_now[:, 0] = 1.0 if each else value

    def advance(self, start: int, stop: int) -> tuple[int, list[tuple[np.ndarray, np.ndarray]], list[np.ndarray]]:
        """Run from step ``start`` to at most ``stop``.

        Returns the step reached, for each population the times in ms and ids of its recorded spikes (valid until the
        next call), and the samples of each probe, shape (times, ids).
        """
        net = self.net
        stop = min(stop, start + self.chunk)
        self.sync.arrived[:] = 0
        self.sync.stop[0] = -1
        self.sync.record_size[0] = 0
        net.show(start)
        shared: tuple[Any, ...] = (
            start, stop, net.tables, net.constants, net.state, net.inputs, self.entries, self.lists, self.learned,
        )  # fmt: skip
        reached = self._run_all(False, shared)
        while reached == EXCHANGE:
            self._exchange(stop)
            reached = self._run_all(True, shared)
        total, counts = int(self.sync.record_size[0]), self.sync.record_count[: reached - start]
        if total > self.times.size:
            self.times, self.ids = np.empty(2 * total), np.empty(2 * total, np.int64)
        spikes, at = [], 0
        for gid, n, recorded in zip(self.tables.gid, self.tables.n, self.tables.recorded, strict=True):
            times, ids = self.times[at : total * recorded], self.ids[at : total * recorded]
            k = spikes_of(self.sync.record, counts, start, net.dt, gid, n, times, ids)
            spikes.append((times[:k], ids[:k]))
            at += k
        probes, samples = self.probes, []
        for q in range(probes.population.size):
            every, width = int(probes.every[q]), int(probes.first[q + 1] - probes.first[q])
            rows = reached // every - start // every
            samples.append(probes.samples[probes.at[q] :][: rows * width].reshape(rows, width).copy())
        return reached, spikes, samples
