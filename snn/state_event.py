"""What changes in a simulation of the event engine, as arrays that do not depend on its blocks and threads.

Neurons are numbered over all populations but spike sources, synapses of a plastic projection by source, then target,
entries of the calendar in the order in which they came into it.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from kernels.errors import FormatError
from kernels.event import layout
from kernels.event.layout import Block, Plastic, Queue
from kernels.layout import aligned
from snn.state_clock import alike, check, within

if TYPE_CHECKING:
    from kernels.event.engine import Engine

SOURCES, TARGETS = ("pre", "last", "short"), ("seen", "oldest", "history", "post")
SIGNAL = ("signal_seen", "signal_oldest", "signal_time", "signal_value")
STREAM = ("next", "cursor", "draws", "word")
COLUMNS = {
    "inbox": ("time", "neuron", "receptor", "weight", "input"),
    "rows": ("slot", "time", "row", "group"),
    "events": ("slot", "time", "neuron", "receptor", "weight"),
}
CURRENT = -1  # in place of a receptor


class _Neurons:
    """Numbers of neurons over all blocks."""

    def __init__(self, engine: "Engine") -> None:
        blocks, net = engine.blocks, engine.net
        sizes = np.where(net.kind >= 0, net.n, 0)
        first = np.concatenate(([0], np.cumsum(sizes)))
        self.n, self.bits = int(first[-1]), net.bits
        self.block, self.own = np.zeros(self.n, np.int64), np.zeros(self.n, np.int64)
        self.all: list[np.ndarray] = []  # of a block's neurons, their numbers over all blocks
        for b, block in enumerate(blocks):
            p = block.population.astype(np.int64)
            numbers = first[p] + block.lo[p] + np.arange(p.size) - block.first[p]
            self.block[numbers], self.own[numbers] = b, np.arange(numbers.size)
            self.all.append(numbers)


def save(engine: "Engine") -> dict[str, np.ndarray]:
    """Copies of all that changes."""
    neurons, first = _Neurons(engine), engine.blocks[0]
    f, timer = np.zeros((neurons.n, engine.net.record)), np.zeros(neurons.n, np.int64)
    for block, numbers in zip(engine.blocks, neurons.all, strict=True):
        f[numbers], timer[numbers] = block.f.reshape(-1, engine.net.record), block.timer
    out = {"reached": np.array(engine.reached), "window": np.array(first.counts[layout.WINDOW]),
           "since": first.since.copy(), "neurons": f, "timer": timer}  # fmt: skip
    keys = np.concatenate([_stream_keys(engine, b) for b in range(len(engine.blocks))])
    out["streams/key"], places = np.unique(keys, axis=0, return_index=True)
    for name in STREAM:
        out[f"streams/{name}"] = np.concatenate([getattr(s, name) for s in engine.streams])[places]
    lists = [_calendar(engine, neurons, b) for b in range(len(engine.blocks))]
    for part, names in COLUMNS.items():
        found = [columns[part] for columns in lists]
        joined = _merged(found) if part == "rows" else [np.concatenate(c) for c in zip(*found, strict=True)]
        if part != "inbox":
            order = np.argsort(joined[0], kind="stable")  # by slot
            joined = [column[order] for column in joined]
        out |= {f"{part}/{name}": column for name, column in zip(names, joined, strict=True)}
    for q in range(len(engine.compiled.rules)):
        out |= {f"plastic/{q}/{name}": array for name, array in _plastic(engine, q).items()}
    return out


def load(engine: "Engine", given: dict[str, np.ndarray], at: float) -> None:
    """Go on from what :func:`save` gave at time ``at``, [ms].

    Raises
    ------
    FormatError
        Where an array is missing, of another shape, or holds what no run could have left.
    """
    fresh, neurons, net = save(engine), _Neurons(engine), engine.net
    free = tuple(f"{part}/{name}" for part, names in COLUMNS.items() for name in names)
    check(fresh, given, (*free, "/history", "/post", "/signal_time", "/signal_value"))
    if not np.array_equal(fresh["streams/key"], given["streams/key"]):
        raise FormatError("streams/key: are not the inputs of this network.")
    for part, names in COLUMNS.items():
        alike(part, *(given[f"{part}/{name}"] for name in names))
    for part in ("inbox", "events"):
        within(f"{part}/neuron", given[f"{part}/neuron"], 0, neurons.n - 1)
        within(f"{part}/receptor", given[f"{part}/receptor"], CURRENT if part == "inbox" else 0, 255)
    within("inbox/input", given["inbox/input"], 0, engine.inputs.receptor.size - 1)
    for part in ("rows", "events"):
        within(f"{part}/slot", given[f"{part}/slot"], 0, net.slots - 1)
    groups, rows = engine.edges[0], given["rows/row"]
    within("rows/group", given["rows/group"], 0, len(groups.at) - 1)
    within("rows/row", rows, 0, groups.rows.size - 2)
    engine.reached, window = float(given["reached"]), int(given["window"])
    if not 0 <= window <= layout.NEVER:
        raise FormatError(f"window: must be >= 0; got {window}.")
    if not at <= engine.reached <= math.nextafter(at, math.inf):  # the rest of the way would be simulated
        raise FormatError(f"reached: must be {at} ms, or the next number; got {engine.reached}.")
    if not np.all(given["streams/next"] >= at - 2.0 * net.width):  # all since then would arrive now
        raise FormatError(f"streams/next: must lie after {at} ms; got {given['streams/next'].min()}.")
    for b, block in enumerate(engine.blocks):
        block.f.reshape(-1, net.record)[:] = given["neurons"][neurons.all[b]]
        _set_counts(block, window, float(given["since"][0]))
        _load_streams(engine, b, given)
        _load_timers(block, given["timer"][neurons.all[b]], window)
        _load_inbox(engine, neurons, b, given)
        engine.queues[b] = _filled(engine, neurons, b, given)
        block.counts[layout.PENDING] = np.count_nonzero((engine.queues[b].row_end > 0) | (engine.queues[b].end > 0))
    for q in range(len(engine.compiled.rules)):
        prefix = f"plastic/{q}/"
        _load_plastic(engine, q, {name[len(prefix) :]: a for name, a in given.items() if name.startswith(prefix)})
    engine.sync.arrived[0], engine.sync.halt[0] = 0, -1
    engine.sync.n_spikes[:] = 0


def _set_counts(block: Block, window: int, since: float) -> None:
    block.counts[:] = 0
    block.counts[layout.WINDOW], block.since[0] = window, since


# ------------------------------------------------------------------------------------------------- inputs and timers


def _stream_keys(engine: "Engine", b: int) -> np.ndarray:
    """Which input each stream of a block is, and which neurons it serves."""
    s = engine.streams[b]
    return np.column_stack((s.kind, s.input, s.population, s.first, s.n)).astype(np.int64)


def _load_streams(engine: "Engine", b: int, given: dict[str, np.ndarray]) -> None:
    """Set the streams of a block, and put them into its heap."""
    place = {tuple(key): j for j, key in enumerate(given["streams/key"].tolist())}
    mine = [place[tuple(key)] for key in _stream_keys(engine, b).tolist()]
    streams, block, inputs = engine.streams[b], engine.blocks[b], engine.inputs
    for name in STREAM:
        getattr(streams, name)[:] = given[f"streams/{name}"][mine]
    k = streams.input
    events = (streams.kind == layout.EVENTS) | (streams.kind == layout.SOURCE_EVENTS)
    low = np.where(events, inputs.event[k], inputs.segment[k])
    high = np.where(events, inputs.event[k + 1], inputs.segment[k + 1])
    ended = np.isinf(streams.next)
    if np.any((streams.cursor < low) | (streams.cursor > high) | ((streams.cursor == high) & ~ended)):
        raise FormatError("streams/cursor: must lie within the inputs.")
    block.place[:] = -1
    n = block.counted.size
    due = [(_window(engine, t), n + s) for s, t in enumerate(streams.next.tolist()) if t < math.inf]
    _to_heap(block, due)


def _window(engine: "Engine", t: float) -> int:
    """The window that holds ``t``; as kernels.event.calendar.window_of."""
    k = math.floor(t / engine.net.width)
    return k if k < 4.0e18 else layout.NEVER


def _to_heap(block: Block, entries: list[tuple[int, int]]) -> None:
    """Put (window, item) into the block's heap; a sorted list is one."""
    size = int(block.counts[layout.HEAP])
    have = list(zip(block.key[:size].tolist(), block.item[:size].tolist(), strict=True))
    for at, (key, item) in enumerate(sorted(have + entries)):
        block.key[at], block.item[at], block.place[item] = key, item, at
    block.counts[layout.HEAP] = size + len(entries)


def _load_timers(block: Block, timer: np.ndarray, k: int) -> None:
    """Let each neuron come up in its window: by a list where that is soon, else by the heap."""
    block.timer[:], block.timer_before[:], block.timer_head[:] = layout.NEVER, layout.NOT_LISTED, -1
    late = []
    for neuron in np.flatnonzero(timer < layout.NEVER).tolist():
        window = max(int(timer[neuron]), k)
        block.timer[neuron] = window
        if window - k >= layout.TIMER_SLOTS:
            late.append((window, neuron))
            continue
        slot = window & (layout.TIMER_SLOTS - 1)
        after = int(block.timer_head[slot])
        block.timer_next[neuron], block.timer_before[neuron] = after, -1
        if after >= 0:
            block.timer_before[after] = neuron
        block.timer_head[slot] = neuron
        block.counts[layout.TIMERS] += 1
    _to_heap(block, late)


def _load_inbox(engine: "Engine", neurons: _Neurons, b: int, given: dict[str, np.ndarray]) -> None:
    """Set what inputs have brought in the present window."""
    neuron = given["inbox/neuron"]
    mine = np.flatnonzero(neurons.block[neuron] == b)
    old, size = engine.scratch[b], max(engine.scratch[b].inbox_time.size, 2 * mine.size)
    fresh = engine.new_scratch(0, size)
    receptor = given["inbox/receptor"][mine]
    code = neurons.own[neuron[mine]] | given["inbox/input"][mine] << (neurons.bits + 8)
    code |= np.where(receptor == CURRENT, layout.INBOX_CURRENT, receptor << neurons.bits)
    fresh.inbox_time[: mine.size], fresh.inbox_target[: mine.size] = given["inbox/time"][mine], code
    fresh.inbox_weight[: mine.size] = given["inbox/weight"][mine]
    names = ("inbox_time", "inbox_target", "inbox_weight", "inbox_order")
    engine.scratch[b] = old._replace(**{name: getattr(fresh, name) for name in names})
    engine.blocks[b].counts[layout.INBOX] = mine.size


# ---------------------------------------------------------------------------------------------------------- calendar


def _calendar(engine: "Engine", neurons: _Neurons, b: int) -> dict[str, list[np.ndarray]]:
    """Inbox, rows and events of a block, in their order."""
    scratch, queue, numbers = engine.scratch[b], engine.queues[b], neurons.all[b]
    mask, n = (1 << neurons.bits) - 1, int(engine.blocks[b].counts[layout.INBOX])

    def targets(code: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        code = code.astype(np.int64)
        return numbers[code & mask], np.where(code < 0, CURRENT, code >> neurons.bits & 255)

    row_slot, rows = _entries(queue.row_head, queue.row_end, queue.row_next, layout.ROW_BITS)
    slot, events = _entries(queue.head, queue.end, queue.next, layout.EVENT_BITS)
    return {
        "inbox": [
            scratch.inbox_time[:n].copy(),
            *targets(scratch.inbox_target[:n]),
            scratch.inbox_weight[:n].copy(),
            layout.inbox_input(scratch.inbox_target[:n], neurons.bits),
        ],
        "rows": [row_slot, queue.row_time[rows], queue.row[rows], queue.row_group[rows]],
        "events": [slot, queue.time[events], *targets(queue.target[events]), queue.weight[events]],
    }


def _entries(head: np.ndarray, end: np.ndarray, following: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """(slot, place) of all entries of a calendar, slot by slot."""
    slots, places = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for slot in np.flatnonzero(end).tolist():
        chunk = int(head[slot])
        while chunk > 0:
            after = int(following[chunk])
            last = (chunk + 1) << bits if after > 0 else int(end[slot])
            places.append(np.arange(chunk << bits, last))
            slots.append(np.full(places[-1].size, slot))
            chunk = after
    return np.concatenate(slots), np.concatenate(places)


def _merged(found: list[list[np.ndarray]]) -> list[np.ndarray]:
    """One list of rows of the lists of all blocks: a row is in those blocks where it has targets, in one order."""
    if len(found) == 1:
        return found[0]
    entries = [list(zip(*(c.tolist() for c in columns), strict=True)) for columns in found]
    waits: dict[tuple[float, ...], int] = {}  # lists that hold an entry and have not come to it
    for some in entries:
        for entry in some:
            waits[entry] = waits.get(entry, 0) + 1
    heads, out = [0] * len(entries), []
    ready: dict[tuple[float, ...], list[int]] = {}

    def come(b: int) -> None:
        if heads[b] < len(entries[b]):
            entry = entries[b][heads[b]]
            waits[entry] -= 1
            ready.setdefault(entry, []).append(b)
            if not waits[entry]:
                whole.append(entry)

    whole: list[tuple[float, ...]] = []
    for b in range(len(entries)):
        come(b)
    while whole:
        entry = whole.pop()
        out.append(entry)
        for b in ready.pop(entry):
            heads[b] += 1
            come(b)
    columns = zip(*out, strict=True) if out else ((), (), (), ())
    return [np.array(column, like.dtype) for column, like in zip(columns, found[0], strict=True)]


def _filled(engine: "Engine", neurons: _Neurons, b: int, given: dict[str, np.ndarray]) -> Queue:
    """The calendar of a block with those entries that end in it, in their order."""
    edges = engine.edges[b]
    row = given["rows/row"]
    rows = np.flatnonzero(edges.rows[row] < edges.rows[row + 1])
    events = np.flatnonzero(neurons.block[given["events/neuron"]] == b)
    slots, counts = zip(
        *(np.unique(given[f"{n}/slot"][x], return_counts=True) for n, x in (("rows", rows), ("events", events))),
        strict=True,
    )
    needed = [int(np.sum(-(-n // (1 << bits)))) for n, bits in zip(counts, _BITS, strict=True)]
    queue = engine.queue(edges, *needed)
    neuron = given["events/neuron"][events]
    target = neurons.own[neuron] | given["events/receptor"][events] << neurons.bits
    values = (
        {"row_time": given["rows/time"][rows], "row": row[rows], "row_group": given["rows/group"][rows]},
        {"time": given["events/time"][events], "target": target, "weight": given["events/weight"][events]},
    )
    for k, prefix in enumerate(("row_", "")):
        _fill(queue, prefix, _BITS[k], slots[k], counts[k], values[k])
    return queue


_BITS = (layout.ROW_BITS, layout.EVENT_BITS)


def _fill(
    queue: Queue, prefix: str, bits: int, slots: np.ndarray, counts: np.ndarray, values: dict[str, np.ndarray]
) -> None:
    """Append the entries ``values``, ordered by slot, to an empty calendar."""
    head, end, following, free, n_free = (
        getattr(queue, prefix + name) for name in ("head", "end", "next", "free", "n_free")
    )
    begin = 0
    for slot, n in zip(slots.tolist(), counts.tolist(), strict=True):
        before = 0
        for at in range(begin, begin + n, 1 << bits):
            n_free[0] -= 1
            chunk, some = int(free[n_free[0]]), slice(at, min(at + (1 << bits), begin + n))
            place = chunk << bits
            for name, array in values.items():
                getattr(queue, name)[place : place + some.stop - at] = array[some]
            following[chunk] = 0
            if before:
                following[before] = chunk
            else:
                head[slot] = chunk
            before = chunk
            end[slot] = place + some.stop - at
        begin += n


# -------------------------------------------------------------------------------------------------------- plasticity


def _by_source(engine: "Engine", q: int) -> np.ndarray:
    """Places of a plastic projection's synapses by source, then target, in the blocks' arrays one after another."""
    sources = []
    for edges, row in zip(engine.edges, engine.plastic, strict=True):
        x = row[q]
        at = int(edges.at[x.group])
        sources.append(np.repeat(np.arange(len(x.last)), np.diff(edges.rows[at : at + len(x.last) + 1])))
    return np.argsort(np.concatenate(sources), kind="stable")


def _plastic(engine: "Engine", q: int) -> dict[str, np.ndarray]:
    """What changes in plastic projection ``q``."""
    parts, order = [row[q] for row in engine.plastic], _by_source(engine, q)
    out = {"learning": parts[0].learning.copy()}
    out |= {name: getattr(parts[0], name).copy() for name in SOURCES}
    for name in ("weights", "at", "total", "reached"):
        joined = np.concatenate([getattr(x, name) for x in parts])
        out[name] = joined[order] if joined.size else joined
    out["variables"] = np.concatenate([x.variables for x in parts], axis=1)[:, order]
    size = max(x.history.shape[1] for x in parts)
    parts_ = [_resized(x, size) for x in parts]
    out |= {name: np.concatenate([getattr(x, name) for x in parts_]) for name in TARGETS}
    longest = min(parts, key=lambda x: int(x.signal_oldest[0]))
    return out | {name: getattr(longest, name).copy() for name in SIGNAL}


def _resized(x: Plastic, size: int) -> Plastic:
    """The same notes of the targets' spikes in rings of ``size``."""
    if x.history.shape[1] == size:
        return x
    history, post = np.zeros((len(x.seen), size)), np.zeros((len(x.seen), size, x.post.shape[2]))
    for j, (first, end) in enumerate(zip(x.oldest.tolist(), x.seen.tolist(), strict=True)):
        c = np.arange(max(first - 1, 0), end)
        history[j, c & (size - 1)] = x.history[j, c & (x.history.shape[1] - 1)]
        post[j, c & (size - 1)] = x.post[j, c & (x.post.shape[1] - 1)]
    return x._replace(history=history, post=post)


def _load_plastic(engine: "Engine", q: int, given: dict[str, np.ndarray]) -> None:
    """Set plastic projection ``q``."""
    size = given["history"].shape[1]
    for name, n in (("history", size), ("signal_time", given["signal_time"].size)):
        if n < 1 or n & (n - 1):
            raise FormatError(f"plastic/{q}/{name}: must be as long as a power of two; got {n}.")
    if given["post"].shape[:2] != given["history"].shape or given["signal_value"].shape != given["signal_time"].shape:
        raise FormatError(f"plastic/{q}: notes of spikes and of their traces must be alike.")
    for seen, oldest, room in (("seen", "oldest", size), ("signal_seen", "signal_oldest", given["signal_time"].size)):
        within(f"plastic/{q}/{oldest}", given[oldest], 0, np.iinfo(np.int64).max)
        within(f"plastic/{q}/{seen}", given[seen] - given[oldest], 0, room)
    order, begin, lo = _by_source(engine, q), 0, 0
    for b, row in enumerate(engine.plastic):
        x, n = row[q], len(row[q].weights)
        mine = (order >= begin) & (order < begin + n)
        to = order[mine] - begin
        for name in ("weights", "at", "total", "reached"):
            array = getattr(x, name)
            if array.size:
                array[to] = given[name][mine]
        x.variables[:, to] = given["variables"][:, mine]
        x.learning[:] = given["learning"]
        part = slice(lo, lo + len(x.seen))
        fresh: dict[str, Any] = {name: aligned(given[name]) for name in (*SOURCES, *SIGNAL)}
        fresh |= {name: aligned(given[name][part]) for name in TARGETS}
        engine.plastic[b][q] = x._replace(**fresh)
        begin, lo = begin + n, part.stop
