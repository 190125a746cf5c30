"""Draw edges and lay them out: rules give, for every target, a list of sources; :func:`count_rows` and
:func:`fill_rows` turn lists into rows by source. Every draw is keyed by (stream, target or source), so the network is
the same for any number of threads and blocks."""

import math
from typing import NamedTuple

import numpy as np

from kernels.draw import fill_values
from kernels.jit import jit
from kernels.philox import fill_words, philox, unit

_LOW, _32 = np.uint64(0xFFFFFFFF), np.uint64(32)
_TWO, _THREE = np.uint64(2), np.uint64(3)
DRAWS = 1024
CHUNK_BITS = 7  # sources are laid out 128 at a time: their rows fit in the cache
INDEGREE, TOTAL, BERNOULLI, ONE_TO_ONE, ALL_TO_ALL = range(5)


class Recipe(NamedTuple):
    """How the edges of a projection are drawn, for an engine that draws them itself: with the functions below, or with
    others that draw the same numbers."""

    kind: int
    number: int = 0  # INDEGREE: sources of a target; TOTAL: edges
    p: float = 0.0  # BERNOULLI
    autapses: bool = True  # element e of the targets may have element e of the sources
    multapses: bool = True


@jit
def below(word, n):  # type: ignore[no-untyped-def]
    """Number in 0 .. n-1 from a 32-bit word (multiply and shift; relative bias below n / 2**32)."""
    return (word * np.uint64(n)) >> _32


@jit
def gather(values, at, end, n_other, buckets, spare):  # type: ignore[no-untyped-def]
    """Order values[at:end] by CHUNK, keeping the order inside one: later passes then stay in the cache."""
    m = end - at
    if m <= 32:
        for i in range(at + 1, end):
            v = values[i]
            j = i - 1
            while j >= at and values[j] > v:
                values[j + 1] = values[j]
                j -= 1
            values[j + 1] = v
        return
    buckets[:] = 0
    for i in range(at, end):
        buckets[(values[i] >> CHUNK_BITS) + 1] += 1
    for b in range(1, buckets.size):
        buckets[b] += buckets[b - 1]
    for i in range(at, end):
        b = values[i] >> CHUNK_BITS
        spare[buckets[b]] = values[i]
        buckets[b] += 1
    for i in range(m):
        values[at + i] = spare[i]


@jit
def pick(n, indptr, n_other, autapses, multapses, k0, k1, first, last, out):  # type: ignore[no-untyped-def]
    """For each element e of first..last-1 pick indptr[e+1] - indptr[e] of ``n_other`` into ``out``.

    Without ``autapses`` element e is never picked for e. Without ``multapses`` nothing is picked twice: by rejection,
    or, where more than half is picked, by leaving out the complement. What is picked is in the order of :func:`gather`.
    """
    seen = np.full(0 if multapses else n_other, -1, np.int64)
    buckets = np.zeros((n_other >> CHUNK_BITS) + 2, np.int64)
    longest = 0
    for e in range(first, last):
        longest = max(longest, indptr[e + 1] - indptr[e])
    spare = np.empty(longest, out.dtype)
    for e in range(first, last):
        at, end = int(indptr[e]), int(indptr[e + 1])
        need = end - at
        left = n_other if autapses else n_other - 1
        invert = (not multapses) and need > left // 2
        todo = left - need if invert else need
        draw = np.uint64(0)
        done = 0
        a = b = c = d = np.uint64(0)
        while done < todo:
            turn = draw & _THREE
            if turn == np.uint64(0):
                a, b, c, d = philox(np.uint64(e), draw >> _TWO, np.uint64(e) >> _32, np.uint64(0), k0, k1)
                word = a
            elif turn == np.uint64(1):
                word = b
            elif turn == np.uint64(2):
                word = c
            else:
                word = d
            draw += np.uint64(1)
            other = np.int64(below(word, n_other))
            if (not autapses) and other == e:
                continue
            if not multapses:
                if seen[other] == e:
                    continue
                seen[other] = e
            if not invert:
                out[at + done] = other
            done += 1
        if invert:
            for kept in range(n_other):
                if seen[kept] != e and (autapses or kept != e):
                    out[at] = kept
                    at += 1
        gather(out, int(indptr[e]), end, n_other, buckets, spare)


@jit
def spread(total, n, k0, k1, first, last, counts):  # type: ignore[no-untyped-def]
    """counts[t] += number of draws first..last-1 (in fours) that fall on t: the multinomial of a fixed total."""
    for block in range(first // 4, (last + 3) // 4):
        w = np.uint64(block)
        a, b, c, d = philox(w & _LOW, w >> _32, np.uint64(1), np.uint64(0), k0, k1)
        base = 4 * block
        counts[below(a, n)] += 1
        if base + 1 < total:
            counts[below(b, n)] += 1
        if base + 2 < total:
            counts[below(c, n)] += 1
        if base + 3 < total:
            counts[below(d, n)] += 1


@jit
def bernoulli(p, n_source, autapses, k0, k1, first, last, counts, indptr, out):  # type: ignore[no-untyped-def]
    """Each source with probability p, by geometric jumps. Counts only where ``out`` is empty."""
    scale = 1.0 / math.log1p(-p) if p < 1.0 else 0.0
    for t in range(first, last):
        at = np.int64(0) if out.size == 0 else indptr[t]
        i = -1
        draw = np.uint64(0)
        number = 0
        a = b = c = d = np.uint64(0)
        while True:
            if draw & np.uint64(1) == np.uint64(0):
                a, b, c, d = philox(np.uint64(t), draw >> np.uint64(1), np.uint64(2), np.uint64(0), k0, k1)
                u = unit(a, b)
            else:
                u = unit(c, d)
            draw += np.uint64(1)
            jump = math.log(u) * scale
            if jump >= n_source:
                break
            i += 1 + int(jump)
            if i >= n_source:
                break
            if autapses or i != t:
                if out.size > 0:
                    out[at + number] = i
                number += 1
        if out.size == 0:
            counts[t] = number


@jit
def transpose(indptr, values, first, last, position, out):  # type: ignore[no-untyped-def]
    """Lists by source -> lists by target: appends source s at position[target] of ``out``."""
    for s in range(first, last):
        for k in range(indptr[s], indptr[s + 1]):
            t = values[k]
            out[position[t]] = s
            position[t] += 1


@jit
def count_rows(indptr, sources, lo, hi, rows, at):  # type: ignore[no-untyped-def]
    """rows[at + s + 1] += edges from s to the targets lo..hi-1."""
    base = np.uint64(at + 1)
    for k in range(indptr[lo], indptr[hi]):
        rows[base + np.uint64(sources[k])] += 1


@jit
def edge_values(first, last, row, which, k0, k1, out):  # type: ignore[no-untyped-def]
    """out[k - first] = weight (which = 0) or delay (1) drawn for edge k of a projection, first <= k < last.

    32 random bits a value: enough for weights in float32 and delays in steps.
    """
    words, values = np.empty(4 * DRAWS, np.uint32), np.empty(DRAWS)
    for k in range(first, last, DRAWS):
        m = min(DRAWS, last - k)
        fill_words(k, m, 0, k0, k1, words, 0)
        fill_values(row, words, which * m, m, values)
        for i in range(m):
            out[k - first + i] = values[i]


@jit
def fill_rows(  # type: ignore[no-untyped-def]
    indptr, sources, lo, hi, position, slot, other_slot, w, w_values, w_order, w_first, d_values, d_order, d_first, dt,
    targets, weights, delays,
):  # fmt: skip
    """Write the edges to targets lo..hi-1 to their rows; position[s] is the next free place of source s's row.

    ``slot`` is the accumulator of target lo for weights >= 0, ``other_slot`` for negative ones. Edge k has the weight
    w_values[k - w_first], or w_values[w_order[k]] where an order is given, or ``w`` where there are no values; delays
    likewise, where they are stored.

    Sources of a target ascend by chunks (:func:`gather`), so that all targets can be visited once for each few chunks,
    while the rows written to stay in the cache.
    """
    n_source = position.size
    mean = (indptr[hi] - indptr[lo]) / max(hi - lo, 1)
    passes = max(1, min((n_source >> CHUNK_BITS) + 1, np.int64(mean / 4)))
    step = ((n_source // passes >> CHUNK_BITS) + 1) << CHUNK_BITS
    cursor = indptr[lo:hi].copy()
    for until in range(step, n_source + step, step):
        stop = np.uint64(until)
        for t in range(lo, hi):
            k, end = np.uint64(cursor[t - lo]), np.uint64(indptr[t + 1])
            while k < end and np.uint64(sources[k]) < stop:
                s = np.uint64(sources[k])
                at = np.uint64(position[s])
                position[s] = np.int64(at) + 1
                here = slot
                if weights.size > 0:
                    value = w
                    if w_values.size > 0:
                        value = w_values[np.uint64(w_order[k]) if w_order.size > 0 else k - np.uint64(w_first)]
                    weights[at] = value
                    if value < 0.0:
                        here = other_slot
                targets[at] = here + t - lo
                if delays.size > 0:
                    x = d_values[np.uint64(d_order[k]) if d_order.size > 0 else k - np.uint64(d_first)]
                    delays[at] = max(1, np.int64(np.rint(x / dt)))
                k += np.uint64(1)
            cursor[t - lo] = np.int64(k)


@jit
def find_places(indptr, sources, lo, hi, position, places):  # type: ignore[no-untyped-def]
    """places[k] = where :func:`fill_rows` put edge k, for targets lo..hi-1."""
    for k in range(indptr[lo], indptr[hi]):
        places[k] = position[sources[k]]
        position[sources[k]] += 1


@jit
def number_synapses(indptr, sources, n_source, numbers):  # type: ignore[no-untyped-def]
    """numbers[k] = number of edge k, (m n_source + source) n_target + target: the m-th before it join the same pair."""
    before, n_target = np.zeros(n_source, np.int64), indptr.size - 1
    for t in range(n_target):
        for k in range(indptr[t], indptr[t + 1]):
            i = np.int64(sources[k])
            numbers[k] = np.float64((before[i] * n_source + i) * n_target + t)
            before[i] += 1
        for k in range(indptr[t], indptr[t + 1]):
            before[np.int64(sources[k])] = 0


@jit
def fill_bits(rows, at, n_source, targets, ends, base, bits, word, words):  # type: ignore[no-untyped-def]
    """Set the bit of each target of the rows at ``at``, row i ``words`` words long from word + i * words on.

    What repeats a bit is moved to the beginning of its row; ends[at + i] says how far that reaches.
    """
    for i in range(n_source):
        end = rows[at + i]
        for k in range(rows[at + i], rows[at + i + 1]):
            place = np.int64(targets[k]) - base
            w, bit = word + i * words + (place >> 5), np.uint32(1) << np.uint32(place & 31)
            if bits[w] & bit:
                targets[end] = targets[k]
                end += 1
            else:
                bits[w] |= bit
        ends[at + i] = end


@jit
def close_gaps(rows, ends, targets):  # type: ignore[no-untyped-def]
    """Keep of each row what lies before its end, one row after the other; returns the number of all."""
    kept = 0
    for r in range(rows.size):
        first = rows[r]
        rows[r] = kept
        for k in range(first, ends[r]):
            targets[kept] = targets[k]
            kept += 1
    return kept
