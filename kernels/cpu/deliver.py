"""Deliver the spikes of a window (phase 4): one function for each storage kind.

Names end in the storage of weight, then delay: c constant in a group, v one a synapse; b as c and m as v in dense
groups, k of a kernel. With a constant delay a row is added to one slot of the ring buffer, which stays in the cache. A
dense group of one weight ("bc") is stored as bits: a spike is counted for 32 targets at once, and what is added is the
number of a step's spikes times the weight. One that joins all pairs with weights of their own ("mc") is a matrix: its
rows are weights alone, added to neighbouring accumulators.
A convolution ("kc") sums what a step's spikes bring by pixel and channel, where it lies together.
With delays of their own, a row's events go to the queues of their slots, which are written and read in order, and are
added when their step comes: scattered additions to a ring of many slots miss the caches (38 ns an event in the
full-scale microcircuit).

All indices are unsigned: Numba then needs no test for negative ones (about half of the time of a synaptic event).
"""

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from kernels.cpu.sync import element_pointer
from kernels.jit import inlined, inner
from kernels.layout import CHUNK_BITS

BITS = np.uint64(CHUNK_BITS)
LAST = np.uint64((1 << CHUNK_BITS) - 1)


def _asking(write):  # type: ignore[no-untyped-def]
    def ask(typing, array, index):  # type: ignore[no-untyped-def]
        """Ask for the cache line of array[index]."""

        def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
            pointer = element_pointer(context, builder, signature.args[0], args[0], args[1])
            byte, i32 = ir.IntType(8).as_pointer(), ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [byte, i32, i32, i32])
            function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
            builder.call(function, [builder.bitcast(pointer, byte), i32(write), i32(3), i32(1)])
            return context.get_dummy_value()

        return numba.types.void(array, index), generate

    return intrinsic(ask)


prefetch, prefetch_to_write = _asking(0), _asking(1)  # a line to write is taken from other cores that have read it


@inlined
def prefetch_row(values, lo, hi, step):  # type: ignore[no-untyped-def]
    """Ask for values[lo:hi], ``step`` elements a cache line."""
    k = lo
    while k < hi:
        prefetch(values, k)
        k += step


@inlined
def row_table(edges, group, block):  # type: ignore[no-untyped-def]
    """Where the rows of a group in a block begin."""
    return np.uint64(edges.at[group] + block * (edges.n_source[group] + 1))


@inlined
def row_cc(ring, base, targets, weight, lo, hi):  # type: ignore[no-untyped-def]
    """Add ``weight`` for each target; base already points to the slot."""
    for k in range(lo, hi):
        ring[base + np.uint64(targets[k])] += weight


@inlined
def row_vc(ring, base, targets, weights, lo, hi):  # type: ignore[no-untyped-def]
    """Add each synapse's weight; base already points to the slot."""
    for k in range(lo, hi):
        ring[base + np.uint64(targets[k])] += weights[k]


@inlined
def add_rows(ring, base, weights, a, b, c, d, n):  # type: ignore[no-untyped-def]
    """Add four rows of n weights from a, b, c, d on, in this order."""
    for k in range(n):
        ring[base + k] = ((ring[base + k] + weights[a + k]) + weights[b + k] + weights[c + k]) + weights[d + k]


@inlined
def add_row(ring, base, weights, a, n):  # type: ignore[no-untyped-def]
    """Add a row of n weights from a on."""
    for k in range(n):
        ring[base + k] += weights[a + k]


@intrinsic
def add_bits(typing, number, at, bits, word):  # type: ignore[no-untyped-def]
    """number[at + k] += bit k of bits[word], k = 0 .. 31, for uint16 and uint32: no loop compiles to masked vectors."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        flag, wide = (ir.VectorType(ir.IntType(width), 32) for width in (1, 16))
        place = element_pointer(context, builder, signature.args[0], args[0], args[1])
        place = builder.bitcast(place, wide.as_pointer())
        mask = builder.load(element_pointer(context, builder, signature.args[2], args[2], args[3]))
        one_or_none = builder.zext(builder.bitcast(mask, flag), wide)
        builder.store(builder.add(builder.load(place, align=2), one_or_none), place, align=2)
        return context.get_dummy_value()

    return numba.types.void(number, at, bits, word), generate


@inlined
def row_bc(number, bits, word, words):  # type: ignore[no-untyped-def]
    """Count a spike for each target of a row of bits."""
    for k in range(words):
        add_bits(number, k << np.uint64(5), bits, word + k)


@inlined
def add_numbers(ring, base, number, weight, n):  # type: ignore[no-untyped-def]
    """Add the numbers of spikes times ``weight`` to n accumulators from ``base`` on, and clear the numbers."""
    for k in range(n):
        ring[base + k] += weight * ring.dtype.type(number[k])
        number[k] = 0


LANES = np.uint64(16)


@intrinsic
def add_lanes(typing, sums, at, weights, first):  # type: ignore[no-untyped-def]
    """sums[at + k] += weights[first + k], k = 0 .. 15: the compiler would ask at each row whether arrays overlap."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        def vector(a):  # type: ignore[no-untyped-def]
            kind = ir.VectorType(context.get_value_type(signature.args[a].dtype), int(LANES))
            place = element_pointer(context, builder, signature.args[a], args[a], args[a + 1])
            return builder.bitcast(place, kind.as_pointer()), kind

        (to, kind), (source, narrow) = vector(0), vector(2)
        added = builder.load(source, align=narrow.element.get_abi_size(context.target_data))
        if kind != narrow:
            added = builder.fpext(added, kind) if str(narrow.element) == "float" else builder.fptrunc(added, kind)
        align = kind.element.get_abi_size(context.target_data)
        builder.store(builder.fadd(builder.load(to, align=align), added), to, align=align)
        return context.get_dummy_value()

    return numba.types.void(sums, at, weights, first), generate


@inlined
def add_pixel(sums, at, weights, first, n):  # type: ignore[no-untyped-def]
    """Add n weights from ``first`` on to the sums from ``at`` on."""
    k = np.uint64(0)
    while k + LANES <= n:
        add_lanes(sums, at + k, weights, first + k)
        k += LANES
    while k < n:
        sums[at + k] += weights[first + k]
        k += np.uint64(1)


@inlined
def add_sums(ring, base, sums, lo, n, pixels, width):  # type: ignore[no-untyped-def]
    """Add to the n accumulators from ``base`` on, of targets from ``lo`` on, their sums; clear those of ``width``
    channels, of which a block may hold a part."""
    first = lo // pixels * pixels  # of the channel
    for channel in range(width):
        for i in range(max(first, lo), min(first + pixels, lo + n)):
            ring[base + (i - lo)] += sums[(i - first) * width + channel]
        first += pixels
    for k in range(pixels * width):
        sums[k] = 0


@inner
def new_chunk(queue, block, slot, p):  # type: ignore[no-untyped-def]
    """Place for the next event of a slot whose last chunk is full, or that has none."""
    queue.n_free[0] -= 1
    chunk = queue.free[queue.n_free[0]]
    queue.following[chunk] = 0
    if p == np.uint64(0):
        queue.head[block, slot] = chunk
    else:
        queue.following[np.int64((p - np.uint64(1)) >> BITS)] = chunk
    return np.uint64(chunk) << BITS


@inlined
def row_cv(queue, block, targets, weight, delays, lo, hi, step, mask):  # type: ignore[no-untyped-def]
    """Queue ``weight`` for each target in the slot of its delay."""
    position, to, value = queue.position[block], queue.targets, queue.weights
    for k in range(lo, hi):
        slot = (step + np.uint64(delays[k])) & mask
        p = position[slot]
        if p & LAST == np.uint64(0):
            p = new_chunk(queue, block, slot, p)
        to[p] = targets[k]
        value[p] = weight
        position[slot] = p + np.uint64(1)


@inlined
def row_vv(queue, block, targets, weights, delays, lo, hi, step, mask):  # type: ignore[no-untyped-def]
    """Queue each synapse's weight in the slot of its delay."""
    position, to, value = queue.position[block], queue.targets, queue.weights
    for k in range(lo, hi):
        slot = (step + np.uint64(delays[k])) & mask
        p = position[slot]
        if p & LAST == np.uint64(0):
            p = new_chunk(queue, block, slot, p)
        to[p] = targets[k]
        value[p] = weights[k]
        position[slot] = p + np.uint64(1)


@inner
def drain(queue, ring, base, block, slot):  # type: ignore[no-untyped-def]
    """Add the events queued in a slot to the ring at ``base``, in the order of queueing; empty the slot."""
    to, value = queue.targets, queue.weights
    chunk = np.int64(queue.head[block, slot])
    origin = np.uint64(base)
    while chunk > 0:
        following = np.int64(queue.following[chunk])
        first = np.uint64(chunk) << BITS
        last = first + LAST + np.uint64(1) if following > 0 else queue.position[block, slot]
        for i in range(first, last):
            ring[origin + np.uint64(to[i])] += value[i]
        queue.free[queue.n_free[0]] = chunk
        queue.n_free[0] += 1
        chunk = following
    queue.head[block, slot] = 0
    queue.position[block, slot] = 0


@inner
def chunks_needed(places, edges, sync, half, block, steps):  # type: ignore[no-untyped-def]
    """Most chunks that delivering the window's spikes to ``block`` can take, but for one a slot.

    On the way it asks for all rows that will be delivered: where few neurons spike in a step, no other place knows them
    early enough.
    """
    events = 0
    for p in range(places.lo.shape[1]):
        for b in range(places.lo.shape[0]):
            where = places.spikes[b, p] + half * (sync.spikes.size // 2)
            for j in range(where, where + sync.counts[half, b, p, steps - 1]):
                for g in range(edges.by_source[p], edges.by_source[p + 1]):
                    r = row_table(edges, g, block) + np.uint64(sync.spikes[j])
                    lo, hi = np.uint64(edges.rows[r]), np.uint64(edges.rows[r + np.uint64(1)])
                    events += int(hi - lo)
                    prefetch_row(edges.targets, lo, hi, np.uint64(64 // edges.targets.itemsize))
                    if edges.weights.size > 0:
                        prefetch_row(edges.weights, lo, hi, np.uint64(64 // edges.weights.itemsize))
                    prefetch_row(edges.delays, lo, hi, np.uint64(64 // edges.delays.itemsize))
    return events >> np.int64(BITS)


_TEMPLATE = '''
@inner
def deliver(places, lists, k, {to}, spikes, counts, half, block, start, begin, end):
    """Deliver spikes of steps start + begin to start + end - 1 to ``block`` through edges of kind ``k``."""
    edges = edges_of(lists, k)
    mask, queue_mask = np.uint64(places.ring_mask), np.uint64(places.queue_mask)
    stride = np.uint64(places.stride[block])
    origin = np.uint64(places.ring[block])
    targets, rows = edges.targets, edges.rows
    weights, delays = edges.weights, edges.delays
    n_blocks, n_populations = places.lo.shape
    for offset in range(begin, end):
        step = np.uint64(start + offset)
        for p in range(n_populations):
            g0, g1 = edges.by_source[p], edges.by_source[p + 1]
            if g0 == g1:
                continue
            for b in range(n_blocks):
                first = counts[half, b, p, offset - 1] if offset > 0 else 0
                last = counts[half, b, p, offset]
                if first == last:
                    continue
                where = places.spikes[b, p] + half * (spikes.size // 2)
                for j in range(np.uint64(where + first), np.uint64(where + last)):
                    i = np.uint64(spikes[j])
                    for g in range(g0, g1):
                        r = row_table(edges, g, block) + i
                        lo, hi = np.uint64(rows[r]), np.uint64(rows[r + np.uint64(1)])
                        {ahead}
                        {call}
'''
_NEEDED = '''

@inner
def needed(places, lists, k, sync, half, block, steps):
    """Most chunks that delivering the window's spikes can take."""
    return chunks_needed(places, edges_of(lists, k), sync, half, block, steps)
'''
_AHEAD = """if j + np.uint64(2) < np.uint64(where + last):
                            prefetch(rows, r - i + np.uint64(spikes[j + np.uint64(2)]))
                        if j + np.uint64(1) < np.uint64(where + last):
                            r += np.uint64(spikes[j + np.uint64(1)]) - i
                            first_next, last_next = np.uint64(rows[r]), np.uint64(rows[r + np.uint64(1)])
                            {ahead}"""
_CONSTANT_DELAY = "base = origin + ((step + np.uint64(edges.delay[g])) & mask) * stride\n" + " " * 24
_CALLS = {
    "cc": _CONSTANT_DELAY + "row_cc(ring, base, targets, edges.weight[g], lo, hi)",
    "vc": _CONSTANT_DELAY + "row_vc(ring, base, targets, weights, lo, hi)",
    "cv": "row_cv(queue, block, targets, edges.weight[g], delays, lo, hi, step, queue_mask)",
    "vv": "row_vv(queue, block, targets, weights, delays, lo, hi, step, queue_mask)",
}


_DENSE = '''
@inner
def deliver(places, lists, k, ring, spikes, counts, half, block, start, begin, end):
    """Deliver spikes of steps start + begin to start + end - 1 to ``block`` through edges of kind ``k``."""
    edges = edges_of(lists, k)
    mask, stride, origin = np.uint64(places.ring_mask), np.uint64(places.stride[block]), np.uint64(places.ring[block])
    targets, rows, bits, number = edges.targets, edges.rows, edges.bits, edges.number[block]
    n_blocks, n_populations = places.lo.shape
    for offset in range(begin, end):
        for p in range(n_populations):
            for g in range(edges.by_source[p], edges.by_source[p + 1]):
                table, at, words = row_table(edges, g, block), np.uint64(edges.bits_at[g, block]), edges.words[g, block]
                base, words = np.uint64(edges.base[g, block]), np.uint64(words)
                some = False
                for b in range(n_blocks):
                    where = places.spikes[b, p] + half * (spikes.size // 2)
                    first = np.uint64(where + (counts[half, b, p, offset - 1] if offset > 0 else 0))
                    last = np.uint64(where + counts[half, b, p, offset])
                    some |= first < last
                    for j in range(first, last):
                        if j + np.uint64(2) < last:
                            i = np.uint64(spikes[j + np.uint64(2)])
                            prefetch(rows, table + i)
                            prefetch_row(bits, at + i * words, at + (i + np.uint64(1)) * words, np.uint64(16))
                        i = np.uint64(spikes[j])
                        row_bc(number, bits, at + i * words, words)
                        for k in range(np.uint64(rows[table + i]), np.uint64(rows[table + i + np.uint64(1)])):
                            number[np.uint64(targets[k]) - base] += np.uint16(1)
                if some:
                    slot = origin + ((np.uint64(start + offset) + np.uint64(edges.delay[g])) & mask) * stride
                    add_numbers(ring, slot + base, number, edges.weight[g], np.uint64(edges.span[g, block]))
'''

_MATRIX = '''
@inner
def deliver(places, lists, k, ring, spikes, counts, half, block, start, begin, end):
    """Deliver spikes of steps start + begin to start + end - 1 to ``block`` through edges of kind ``k``."""
    edges = edges_of(lists, k)
    mask, stride, origin = np.uint64(places.ring_mask), np.uint64(places.stride[block]), np.uint64(places.ring[block])
    weights, four = edges.weights, np.uint64(4)
    n_blocks, n_populations = places.lo.shape
    for offset in range(begin, end):
        for p in range(n_populations):
            for g in range(edges.by_source[p], edges.by_source[p + 1]):
                first_weight, n = np.uint64(edges.rows[row_table(edges, g, block)]), np.uint64(edges.span[g, block])
                slot = (np.uint64(start + offset) + np.uint64(edges.delay[g])) & mask
                to = origin + slot * stride + np.uint64(edges.base[g, block])
                for b in range(n_blocks):
                    where = places.spikes[b, p] + half * (spikes.size // 2)
                    j = np.uint64(where + (counts[half, b, p, offset - 1] if offset > 0 else 0))
                    last = np.uint64(where + counts[half, b, p, offset])
                    while j + four <= last:
                        rows = (
                            first_weight + np.uint64(spikes[j]) * n,
                            first_weight + np.uint64(spikes[j + np.uint64(1)]) * n,
                            first_weight + np.uint64(spikes[j + np.uint64(2)]) * n,
                            first_weight + np.uint64(spikes[j + np.uint64(3)]) * n,
                        )
                        add_rows(ring, to, weights, rows[0], rows[1], rows[2], rows[3], n)
                        j += four
                    while j < last:
                        add_row(ring, to, weights, first_weight + np.uint64(spikes[j]) * n, n)
                        j += np.uint64(1)
'''

_CONVOLUTION = '''
@inner
def deliver(places, lists, k, ring, spikes, counts, half, block, start, begin, end):
    """Deliver spikes of steps start + begin to start + end - 1 to ``block`` through edges of kind ``k``."""
    edges = edges_of(lists, k)
    mask, stride, origin = np.uint64(places.ring_mask), np.uint64(places.stride[block]), np.uint64(places.ring[block])
    rows, to, place, weights = edges.rows, edges.to, edges.place, edges.weights
    sums, one = edges.sums[block], np.uint64(1)
    n_blocks, n_populations = places.lo.shape
    for offset in range(begin, end):
        for p in range(n_populations):
            for g in range(edges.by_source[p], edges.by_source[p + 1]):
                pixels, pixels_to = np.uint64(edges.pixels[g, 0]), np.uint64(edges.pixels[g, 1])
                ours, theirs = np.uint64(edges.group[g, 0]), np.uint64(edges.group[g, 1])
                lo, span = np.uint64(edges.lo[g, block]), np.uint64(edges.span[g, block])
                if span == 0:
                    continue
                begun, ended = lo // pixels_to, (lo + span - one) // pixels_to + one  # channels of the block
                table, row, some = np.uint64(edges.at[g]), np.uint64(edges.places[g]) * theirs, False
                for b in range(n_blocks):
                    where = places.spikes[b, p] + half * (spikes.size // 2)
                    j = np.uint64(where + (counts[half, b, p, offset - 1] if offset > 0 else 0))
                    last = np.uint64(where + counts[half, b, p, offset])
                    some |= j < last
                    while j < last:
                        channel = np.uint64(spikes[j]) // pixels
                        first, beyond = channel * pixels, (channel + one) * pixels
                        group = channel // ours * theirs  # its first channel of the target
                        low, high = max(begun, group), min(ended, group + theirs)
                        at, n = low - begun, high - low if high > low else np.uint64(0)
                        w = np.uint64(edges.first[g]) + channel * row + (low - group)
                        while j < last and np.uint64(spikes[j]) < beyond and np.uint64(spikes[j]) >= first:
                            r = table + np.uint64(spikes[j]) - first
                            for k in range(np.uint64(rows[r]), np.uint64(rows[r + one])):
                                into = np.uint64(to[k]) * (ended - begun) + at
                                add_pixel(sums, into, weights, w + np.uint64(place[k]) * theirs, n)
                            j += one
                if some:
                    slot = origin + ((np.uint64(start + offset) + np.uint64(edges.delay[g])) & mask) * stride
                    add_sums(ring, slot + np.uint64(edges.base[g, block]), sums, lo, span, pixels_to, ended - begun)
'''


def names(kind: str) -> str:
    """Functions of this module that the source of a storage kind calls."""
    if kind == "mc":
        return "add_row, add_rows, row_table"
    if kind == "kc":
        return "add_pixel, add_sums"
    more = {"b": "add_numbers, "}.get(kind[0], "") + {"v": "chunks_needed, "}.get(kind[1], "")
    return f"{more}prefetch, prefetch_row, row_{kind}, row_table"


def source(kind: str) -> str:
    """Source text of ``deliver`` for a storage kind; of ``enqueue`` and ``needed`` where events are queued."""
    if kind == "bc":
        return _DENSE
    if kind == "mc":
        return _MATRIX
    if kind == "kc":
        return _CONVOLUTION
    arrays = ["targets"] + ["weights"] * (kind[0] == "v")
    lines = [f"prefetch_row({a}, first_next, last_next, np.uint64(64 // {a}.itemsize))" for a in arrays]
    ahead = _AHEAD.format(ahead=("\n" + " " * 28).join(lines))
    if kind[1] == "c":
        return _TEMPLATE.format(to="ring", call=_CALLS[kind], ahead=ahead)
    text = _TEMPLATE.format(to="queue", call=_CALLS[kind], ahead="# chunks_needed has asked for the row")
    return text.replace("def deliver(", "def enqueue(") + _NEEDED
