"""What changes in a simulation of the clock engine, as arrays that do not depend on its blocks and threads.

Accumulators are numbered population by population, receptor by receptor, neuron by neuron; synapses of a plastic
projection by source, then target. So a checkpoint of one thread is one of any number of them.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from kernels.compiled import CompiledNetwork
from kernels.errors import FormatError
from kernels.layout import CHUNK_BITS, Plastic, Queue, Tables
from snn.compile_edges import own_blocks

if TYPE_CHECKING:
    from kernels.cpu.engine import Engine

SIZE = 1 << CHUNK_BITS  # events of a chunk
COPIED = ("signal_jumps", "signal_now", "signal_value", "signal_sum", "settled", "waiting", "waiting_end")  # by block
ROWS = ("pre", "last", "short", "done")  # by block and source, the same in all blocks once these are swept
TARGETS = ("learning", "rewired", "seen", "swept", "recent", "history", "post", "trace", "signal_each", "signal_set",
           "observed", "late", "values", "sums")  # fmt: skip


def save(engine: "Engine", at: int) -> dict[str, np.ndarray]:
    """Copies of all that changes, at step ``at``, which the engine has reached."""
    net, places = engine.net, _places(engine)
    out = {f"state/{name}": getattr(net.state, name).copy() for name in net.state._fields if name != "ring"}
    out["ring"] = places.gather(net.state.ring)
    queued = [_listed(queue, places, thread) for thread, queue in enumerate(engine.queues)]
    order = np.argsort(np.concatenate([slot for slot, *_ in queued]), kind="stable")
    for name, parts in zip(("slot", "target", "weight"), zip(*queued, strict=True), strict=True):
        out[f"queue/{name}"] = np.concatenate(parts)[order]
    for k, x in enumerate(net.plastic):
        engine.sweep(k, at - 1)
        n = int(net.tables.n[x.source])
        out |= {f"plastic/{k}/{name}": getattr(x, name).copy() for name in TARGETS}
        out |= {f"plastic/{k}/{name}": getattr(x, name)[0].copy() for name in COPIED}
        out |= {f"plastic/{k}/{name}": getattr(x, name)[:n].copy() for name in ROWS}
        out |= {f"plastic/{k}/{name}": array for name, array in synapses(net, k).items()}
        out[f"plastic/{k}/fired_step"], out[f"plastic/{k}/fired"] = _fired(x, at)
    return out


def load(engine: "Engine", at: int, given: dict[str, np.ndarray]) -> None:
    """Go on from what :func:`save` gave, at step ``at``.

    Raises
    ------
    FormatError
        Where an array is missing, of another shape, or holds what no run could have left.
    """
    net, places = engine.net, _places(engine)
    fresh = save(engine, 0)
    free = ["queue/slot", "queue/target", "queue/weight", "/source", "/target", "/delay", "/fired_step", "/fired"]
    for k in range(len(net.plastic)):
        if np.any(given.get(f"plastic/{k}/rewired", 0)):  # of ranks, each then has another number of synapses
            free += [f"plastic/{k}/weights", f"plastic/{k}/variables"]
    check(fresh, given, tuple(free))
    for name in net.state._fields:
        if name != "ring":
            getattr(net.state, name)[...] = given[f"state/{name}"]
    places.scatter(given["ring"], net.state.ring)
    slot, target, weight = (given[f"queue/{name}"] for name in ("slot", "target", "weight"))
    within("queue/slot", slot, 0, net.tables.queue_mask)
    within("queue/target", target, 0, places.total - 1)
    alike("queue", slot, target, weight)
    for thread in range(engine.threads):
        engine.queues[thread] = _filled(engine, places, thread, slot, target, weight)
    for k, x in enumerate(net.plastic):
        _load_plastic(engine, k, x, of_projection(given, k), at)
    engine.pack(net)


def of_projection(given: dict[str, np.ndarray], k: int) -> dict[str, np.ndarray]:
    """The arrays of plastic projection ``k``, by their own names."""
    begin = f"plastic/{k}/"
    return {name.removeprefix(begin): array for name, array in given.items() if name.startswith(begin)}


def check(fresh: dict[str, np.ndarray], given: dict[str, np.ndarray], free: tuple[str, ...]) -> None:
    """Refuse arrays that are not those of ``fresh`` in name, type and shape; those that end in ``free``: in type."""
    if set(fresh) != set(given):
        raise FormatError(f"holds other arrays than this network has: {', '.join(sorted(set(fresh) ^ set(given)))}.")
    for name, array in fresh.items():
        wrong = given[name].dtype != array.dtype or given[name].ndim != array.ndim
        if wrong or (given[name].shape != array.shape and not name.endswith(free)):
            raise FormatError(
                f"{name}: must be {array.dtype} {array.shape}; got {given[name].dtype} {given[name].shape}."
            )


def within(name: str, values: np.ndarray, low: int, high: int) -> None:
    """Refuse numbers of places that do not exist."""
    if values.size and not (low <= values.min() and values.max() <= high):
        raise FormatError(f"{name}: must lie from {low} to {high}; got {values.min()} to {values.max()}.")


def alike(name: str, *arrays: np.ndarray) -> None:
    """Refuse columns that are not equally long."""
    if len({len(a) for a in arrays}) > 1:
        raise FormatError(f"{name}: its arrays must be equally long; got {', '.join(str(len(a)) for a in arrays)}.")


class Places:
    """Numbers of accumulators over all blocks; ``slots`` of a ring buffer, where the ``ring`` of each block begins.

    Only what this process's blocks have is read and written, so that of ranks none fills memory with the rest.
    """

    def __init__(self, tables: Tables, slots: int, ring: np.ndarray) -> None:
        t = self.tables = tables
        self.slots, self.ring = slots, ring
        sizes = t.n * t.receptors
        first = np.concatenate(([0], np.cumsum(sizes)))
        self.total = int(first[-1])
        self.all: list[np.ndarray] = []  # of a block's accumulators, their numbers over all blocks
        self.block, self.own = np.zeros(self.total, np.int64), np.zeros(self.total, np.int64)
        for b in range(len(t.lo)):
            parts = [
                first[p] + r * t.n[p] + np.arange(t.lo[b, p], t.hi[b, p])
                for p in range(t.n.size)
                for r in range(t.receptors[p])
            ]
            numbers = np.concatenate([*parts, np.empty(0, np.int64)]).astype(np.int64)
            self.block[numbers], self.own[numbers] = b, np.arange(numbers.size)
            self.all.append(numbers)

    def _slots(self, buffer: np.ndarray, b: int) -> np.ndarray:
        part = buffer[self.ring[b] :][: self.slots * self.tables.stride[b]]
        return part.reshape(self.slots, -1)[:, : self.all[b].size]

    def gather(self, buffer: np.ndarray) -> np.ndarray:
        """The ring buffer as (slots, accumulators)."""
        out = np.zeros((self.slots, self.total), buffer.dtype)
        for b in own_blocks(self.tables):
            out[:, self.all[b]] = self._slots(buffer, b)
        return out

    def scatter(self, values: np.ndarray, buffer: np.ndarray) -> np.ndarray:
        """Write what :meth:`gather` gave to the ring buffer, and return it."""
        for b in own_blocks(self.tables):
            self._slots(buffer, b)[:] = values[:, self.all[b]]
        return buffer


def _places(engine: "Engine") -> Places:
    t = engine.net.tables
    return Places(t, t.ring_mask + 1, t.ring)


def _listed(queue: Queue, places: Places, thread: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(slot, accumulator, weight) of a thread's events under way, in the order of each slot of each block."""
    slots, parts = [np.empty(0, np.int64)], []
    bounds = places.tables.first_block
    for b in range(int(bounds[thread]), int(bounds[thread + 1])):
        for slot in np.flatnonzero(queue.position[b]).tolist():
            chunk = int(queue.head[b, slot])
            while chunk > 0:
                following = int(queue.following[chunk])
                end = (chunk + 1) * SIZE if following > 0 else int(queue.position[b, slot])
                part = slice(chunk * SIZE, end)
                slots.append(np.full(end - chunk * SIZE, slot))
                parts.append((places.all[b][queue.targets[part]], queue.weights[part]))
                chunk = following
    targets = np.concatenate([np.empty(0, np.int64), *(t for t, _ in parts)])
    weights = np.concatenate([np.empty(0, queue.weights.dtype), *(w for _, w in parts)])
    return np.concatenate(slots), targets, weights


def _filled(
    engine: "Engine", places: Places, thread: int, slot: np.ndarray, target: np.ndarray, weight: np.ndarray
) -> Queue:
    """The queue of a thread with those events that end in its blocks, in their order."""
    bounds = engine.net.tables.first_block
    block = places.block[target]
    mine = np.flatnonzero((block >= bounds[thread]) & (block < bounds[thread + 1]))
    mine = mine[np.lexsort((slot[mine], block[mine]))]  # stable
    lists, first, counts = np.unique(
        np.column_stack((block[mine], slot[mine])), axis=0, return_index=True, return_counts=True
    )
    queue = engine.queue(engine.net.edges, 64 + int(np.sum(-(-counts // SIZE))))
    for (b, s), begin, n in zip(lists.tolist(), first.tolist(), counts.tolist(), strict=True):
        before = 0
        for at in range(begin, begin + n, SIZE):
            queue.n_free[0] -= 1
            chunk, some = int(queue.free[queue.n_free[0]]), mine[at : min(at + SIZE, begin + n)]
            queue.targets[chunk * SIZE :][: some.size] = places.own[target[some]]
            queue.weights[chunk * SIZE :][: some.size] = weight[some]
            queue.following[chunk] = 0
            if before:
                queue.following[before] = chunk
            else:
                queue.head[b, s] = chunk
            before = chunk
            queue.position[b, s] = chunk * SIZE + some.size
    return queue


def _by_source(rows: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places of a plastic projection's synapses by source, then target; block and source of each place."""
    lengths = np.diff(rows.reshape(-1, n + 1))
    blocks = len(lengths)
    source = np.repeat(np.tile(np.arange(n), blocks), lengths.ravel())
    block = np.repeat(np.repeat(np.arange(blocks), n), lengths.ravel())
    return np.argsort(source, kind="stable"), block, source


def synapses(net: CompiledNetwork, k: int) -> dict[str, np.ndarray]:
    """Weights and variables of plastic projection ``k`` by source, then target; where rewired, also who is joined."""
    x, edges = net.plastic[k], net.learned[k]
    order, block, source = _by_source(edges.rows, int(net.tables.n[x.source]))
    some = slice(None) if x.rewired[0] else slice(0)
    return {
        "weights": edges.weights[order], "variables": x.variables[:, order], "source": source[order][some],
        "target": (edges.targets + x.origin[block] + x.first)[order][some],
        "delay": edges.delays[order[some]] if edges.delays.size else edges.delays,
    }  # fmt: skip


def load_synapses(net: CompiledNetwork, k: int, given: dict[str, np.ndarray]) -> None:
    """Set what :func:`synapses` gave; ``rewired`` is set already."""
    x, edges = net.plastic[k], net.learned[k]
    n = int(net.tables.n[x.source])
    if not x.rewired[0]:
        order, _, _ = _by_source(edges.rows, n)
        edges.weights[order], x.variables[:, order] = given["weights"], given["variables"]
        return
    source, target, weights, variables = (given[name] for name in ("source", "target", "weights", "variables"))
    if not net.tables.shared and source.size != edges.targets.size:
        raise FormatError(f"plastic/{k}/source: must be {edges.targets.size} synapses; got {source.size}.")
    if len(variables) != len(x.variables):
        raise FormatError(f"plastic/{k}/variables: must be {len(x.variables)} rows; got {len(variables)}.")
    alike(f"plastic/{k}", source, target, weights, variables.T, given["delay"] if edges.delay[0] == 0 else source)
    within(f"plastic/{k}/source", source, 0, n - 1)
    within(f"plastic/{k}/target", target, x.first, x.first + x.n - 1)
    within(f"plastic/{k}/delay", given["delay"], 1, x.longest)
    lay_rows(net, k, source, target, given["delay"], weights, variables)


def lay_rows(
    net: CompiledNetwork, k: int, source: np.ndarray, target: np.ndarray, delay: np.ndarray, weights: np.ndarray,
    variables: np.ndarray,
) -> None:  # fmt: skip
    """Lay the synapses of plastic projection ``k`` that end here out anew, by block and source, then as they come.

    Where they are not as many as before, arrays are replaced: the engine then has to pack.
    """
    x, edges, t = net.plastic[k], net.learned[k], net.tables
    block = np.searchsorted(t.hi[t.first_block[0] : t.first_block[-1], x.target], target, side="right")
    row = block * (int(t.n[x.source]) + 1) + source
    order = np.argsort(row, kind="stable")
    edges.rows[1:] = np.cumsum(np.bincount(row, minlength=edges.rows.size))[:-1]
    new = {"targets": target - x.first - x.origin[block], "weights": weights}
    if edges.delay[0] == 0:
        new["delays"] = delay
    if target.size != edges.targets.size:
        edges = edges._replace(**{name: np.empty(target.size, getattr(edges, name).dtype) for name in new})
        x = x._replace(variables=np.empty((len(variables), target.size)))
        net.learned[k], net.plastic[k] = edges, x
    for name, values in new.items():
        getattr(edges, name)[:] = values[order]
    x.variables[:] = variables[:, order]


def _fired(x: Plastic, at: int) -> tuple[np.ndarray, np.ndarray]:
    """(step, target) of the spikes that no synapse has seen yet, of the blocks of this process."""
    steps, ids = [np.empty(0, np.int64)], [np.empty(0, x.fired.dtype)]
    for step in range(at - x.lag, at):
        for ring, ends in zip(x.fired, x.fired_end, strict=True):
            a, b = (int(ends[s & (ends.size - 1)]) for s in (step - 1, step))
            ids.append(ring[np.arange(a, b) & (ring.size - 1)] + np.uint32(x.first))
            steps.append(np.full(b - a, step))
    return np.concatenate(steps), np.concatenate(ids)


def _load_plastic(engine: "Engine", k: int, x: Plastic, given: dict[str, Any], at: int) -> None:
    """Set plastic projection ``k``."""
    t = engine.net.tables
    n, blocks = int(t.n[x.source]), len(x.origin)
    hi = t.hi[t.first_block[0] : t.first_block[-1], x.target]
    for name in ("last", "done", "settled", "recent", "history"):
        within(f"plastic/{k}/{name}", given[name], np.iinfo(np.int64).min, at)
    within(f"plastic/{k}/waiting", given["waiting"], 0, n - 1)
    for name in TARGETS:
        getattr(x, name)[...] = given[name]
    for name in COPIED:
        getattr(x, name)[...] = given[name]  # to each block
    for name in ROWS:
        getattr(x, name).reshape(blocks, n, -1)[...] = given[name].reshape(n, -1)
    load_synapses(engine.net, k, given)
    step, fired = given["fired_step"], given["fired"].astype(np.int64)
    alike(f"plastic/{k}/fired", step, fired)
    within(f"plastic/{k}/fired_step", step, at - x.lag, at - 1)
    within(f"plastic/{k}/fired", fired, 0, int(t.n[x.target]) - 1)
    for b, (ring, ends) in enumerate(zip(x.fired, x.fired_end, strict=True)):
        mine = np.flatnonzero((fired >= x.first) & (np.searchsorted(hi, fired, side="right") == b))
        if mine.size > ring.size:
            raise FormatError(f"plastic/{k}/fired: must be at most {ring.size} spikes of a block; got {mine.size}.")
        mine = mine[np.argsort(step[mine], kind="stable")]
        ring[: mine.size] = fired[mine] - x.first
        steps = np.arange(at - x.lag - 1, at)
        ends[steps & (ends.size - 1)] = np.searchsorted(step[mine], steps, side="right")
