"""Inputs (phase 1): add what arrives from outside in this step to ring buffers and currents, or emit source spikes."""

import math

import numpy as np

from kernels.draw import fill_normals
from kernels.jit import inlined, inner, stay_apart
from kernels.philox import fill_words, philox

POISSON, POISSON_EACH, POISSON_SHARED, EVENTS, STEP, AC, NOISE, OU, JUNCTIONS = range(9)

_LOW, _32 = np.uint64(0xFFFFFFFF), np.uint64(32)


@inlined
def segment(inputs, k, step):  # type: ignore[no-untyped-def]
    """Row of the segment of input ``k`` that holds ``step``, or -1 before the first."""
    lo, hi = inputs.segment[k], inputs.segment[k + 1]
    row = -1
    while lo < hi and inputs.start[lo] <= step:
        row = lo
        lo += 1
    return row


@inner
def poisson_count(word, mean):  # type: ignore[no-untyped-def]
    """Poisson number with ``mean`` from a 32-bit word by inversion."""
    u = (np.float64(word) + 0.5) * 2.3283064365386963e-10
    k = 0
    p = math.exp(-mean)
    total = p
    while u > total and k < 1000:
        k += 1
        p *= mean / k
        total += p
    return k


@inlined
def words_of_step(state, at, draw, lo, hi, step, fresh, key):  # type: ignore[no-untyped-def]
    """Offset in state.words of this step's words of elements lo..hi-1 for number ``draw`` of an element; four steps are
    filled at a time, and when ``fresh`` says that they were not."""
    m = np.uint64(hi - lo)
    base = np.uint64(at + 4 * lo)
    if step % 4 == 0 or fresh:
        fill_words(draw << 32 | lo, hi - lo, step, key[0], key[1], state.words, base)
    return base + np.uint64(step % 4) * m


@inner
def count_thresholds(words, at, m, thresholds, first, count, low, out):  # type: ignore[no-untyped-def]
    """out[i] = low + number of thresholds below words[at + i], i < m; ``count`` is a multiple of four."""
    stay_apart()
    n = np.uint64(m)
    for j in range(first, first + count, 4):
        a, b, c, d = thresholds[j], thresholds[j + 1], thresholds[j + 2], thresholds[j + 3]
        if j == first:
            for i in range(n):
                w = words[at + i]
                out[i] = low + (w > a) + (w > b) + (w > c) + (w > d)
        else:
            for i in range(n):
                w = words[at + i]
                out[i] += (w > a) + (w > b) + (w > c) + (w > d)


@inlined
def poisson_counts(inputs, state, k, lo, hi, step, start, out):  # type: ignore[no-untyped-def]
    """out[i] = Poisson count of element lo + i of input ``k`` in this step; returns whether any may be non-zero."""
    row = segment(inputs, k, step)
    m = hi - lo
    if row < 0 or inputs.size[row] == 0:
        return False
    key = inputs.key[k]
    if inputs.kind[k] == POISSON_SHARED:
        s = np.uint64(step)
        a, _, _, _ = philox(np.uint64(0), s & _LOW, s >> _32, np.uint64(0), key[0], key[1])
        c = inputs.low[row]
        for j in range(inputs.at[row], inputs.at[row] + inputs.size[row]):
            c += a > inputs.thresholds[j]
        for i in range(m):
            out[i] = c
        return c > 0
    fresh = step == start or step == inputs.start[row]
    at = words_of_step(state, inputs.words[k], 0, lo, hi, step, fresh, key)
    if inputs.kind[k] == POISSON:
        first, size, low = inputs.at[row], inputs.size[row], inputs.low[row]
        count_thresholds(state.words, at, m, inputs.thresholds, first, size, low, out)
    else:
        for i in range(m):
            out[i] = poisson_count(state.words[at + np.uint64(i)], inputs.values[inputs.at[row] + lo + i])
    return True


@inner
def add_current(current, at, m, value):  # type: ignore[no-untyped-def]
    """current[at + i] += value, i < m."""
    for i in range(np.uint64(at), np.uint64(at + m)):
        current[i] += value


@inlined
def sine(values, v, width, i, step):  # type: ignore[no-untyped-def]
    """Current of element ``i``; ``width`` numbers each at ``v``: offset, amplitude, phase a step, phase."""
    at = v + (i if width > 1 else 0)
    return values[at] + values[at + width] * math.sin(values[at + 2 * width] * step + values[at + 3 * width])


@inner
def events_of_step(inputs, k, step):  # type: ignore[no-untyped-def]
    """First and last + 1 of the events of input ``k`` in ``step``."""
    first, last = inputs.event_first[k], inputs.event_first[k + 1]
    steps = inputs.event_step[first:last]
    return first + np.searchsorted(steps, step), first + np.searchsorted(steps, step + 1)


@inlined
def any_active(inputs, p, step):  # type: ignore[no-untyped-def]
    """Whether an input of population ``p`` may do something in ``step``: saves the call of ``apply``."""
    for k in range(inputs.first[p], inputs.first[p + 1]):
        if inputs.kind[k] > POISSON_SHARED:
            return True
        row = segment(inputs, k, step)
        if row >= 0 and inputs.size[row] > 0:
            return True
    return False


@inner
def couple(inputs, state, k, lo, hi, g, step):  # type: ignore[no-untyped-def]
    """Add the currents through the junctions of input ``k`` to neurons lo .. hi - 1."""
    first, last = inputs.event_first[k], inputs.event_first[k + 1]
    neurons = inputs.event_step[first:last]
    v = state.v[step & 1]
    there, here = np.uint64(inputs.noise[k]), np.uint64(g - lo)
    j, end = first + np.searchsorted(neurons, lo), first + np.searchsorted(neurons, hi)
    while j < end:
        i = inputs.event_step[j]
        at = here + np.uint64(i)
        total = 0.0
        while j < end and inputs.event_step[j] == i:
            total += inputs.event_weight[j] * (v[there + np.uint64(inputs.event_id[j])] - v[at])
            j += 1
        state.current[at] += total


@inner
def apply(inputs, state, p, lo, hi, slot, g, has_current, step, start, counts, normals):  # type: ignore[no-untyped-def]
    """Phase 1 for neurons lo .. hi-1 of population ``p``; ``counts`` (int32) and ``normals`` are scratch.

    ``slot``: their first accumulator of this step; ``g``: place of their first value in arrays of one value a neuron.
    """
    m = hi - lo
    if has_current:
        for i in range(np.uint64(g), np.uint64(g + m)):
            state.current[i] = 0.0
    for k in range(inputs.first[p], inputs.first[p + 1]):
        kind = inputs.kind[k]
        at = np.uint64(slot + inputs.receptor[k] * m)
        w, each = inputs.weight[k], inputs.weights[k]
        if kind <= POISSON_SHARED:
            if poisson_counts(inputs, state, k, lo, hi, step, start, counts):
                if each >= 0:
                    for i in range(np.uint64(m)):
                        state.ring[at + i] += counts[i] * inputs.values[np.uint64(each + lo) + i]
                else:
                    for i in range(np.uint64(m)):
                        state.ring[at + i] += counts[i] * w
        elif kind == EVENTS:
            first, last = events_of_step(inputs, k, step)
            for j in range(first, last):
                e = inputs.event_id[j]
                if lo <= e < hi:
                    state.ring[at + np.uint64(e - lo)] += inputs.event_weight[j]
        elif kind == STEP:
            row = segment(inputs, k, step)
            if row >= 0:
                if inputs.size[row] == 1:
                    add_current(state.current, g, m, inputs.values[inputs.at[row]])
                else:
                    v = np.uint64(inputs.at[row] + lo)
                    for i in range(np.uint64(m)):
                        state.current[np.uint64(g) + i] += inputs.values[v + i]
        elif kind == AC:
            row = segment(inputs, k, step)
            if row >= 0 and inputs.size[row] > 0:
                v, width = inputs.at[row], inputs.size[row] // 4
                if width == 1:
                    add_current(state.current, g, m, sine(inputs.values, v, 1, 0, step))
                else:
                    for i in range(m):
                        state.current[np.uint64(g + i)] += sine(inputs.values, v, width, lo + i, step)
        elif kind == JUNCTIONS:
            couple(inputs, state, k, lo, hi, g, step)
        elif kind == NOISE:
            row = segment(inputs, k, step)
            if row >= 0 and inputs.size[row] > 0:
                v, width, every = inputs.at[row], inputs.size[row] // 2, np.int64(inputs.values[inputs.at[row]])
                x = np.uint64(inputs.noise[k] + lo)
                if step % every == 0 or step == start or step == inputs.start[row]:
                    fresh = step == start or step == inputs.start[row]
                    at = words_of_step(state, inputs.words[k], 0, lo, hi, step // every, fresh, inputs.key[k])
                    fill_normals(state.words, at, m, 0.0, 1.0, state.noise, x)
                    if width == 1:
                        mean, std = inputs.values[v + 1], inputs.values[v + 2]
                        for i in range(np.uint64(m)):
                            state.noise[x + i] = mean + std * state.noise[x + i]
                    else:
                        means, stds = np.uint64(v + 1 + lo), np.uint64(v + 1 + width + lo)
                        for i in range(np.uint64(m)):
                            state.noise[x + i] = inputs.values[means + i] + inputs.values[stds + i] * state.noise[x + i]
                for i in range(np.uint64(m)):
                    state.current[np.uint64(g) + i] += state.noise[x + i]
        else:
            first, row = inputs.segment[k], segment(inputs, k, step)
            v, width, acts = inputs.at[first], inputs.size[first] // 2, row >= 0 and inputs.size[row] > 0
            keep, x = inputs.values[v], np.uint64(inputs.noise[k] + lo)
            at = words_of_step(state, inputs.words[k], 0, lo, hi, step, step == start, inputs.key[k])
            fill_normals(state.words, at, m, 0.0, 1.0, normals, np.uint64(0))
            if acts:
                for i in range(np.uint64(m)):
                    state.current[np.uint64(g) + i] += state.noise[x + i]
            if width == 1:
                mean, kick = inputs.values[v + 1], inputs.values[v + 2]
                for i in range(np.uint64(m)):
                    state.noise[x + i] = mean + (state.noise[x + i] - mean) * keep + kick * normals[i]
            else:
                means, kicks = np.uint64(v + 1 + lo), np.uint64(v + 1 + width + lo)
                for i in range(np.uint64(m)):
                    mean = inputs.values[means + i]
                    kick = inputs.values[kicks + i]
                    state.noise[x + i] = mean + (state.noise[x + i] - mean) * keep + kick * normals[i]


@inner
def emit(inputs, state, p, lo, hi, step, start, counts, spikes, at):  # type: ignore[no-untyped-def]
    """Spikes of elements lo .. hi-1 of source population ``p`` in this step, ascending, to spikes[at:]; returns the new
    end."""
    k = inputs.source[p]
    if inputs.kind[k] == EVENTS:
        first, last = events_of_step(inputs, k, step)
        for j in range(first, last):
            e = inputs.event_id[j]
            if lo <= e < hi:
                spikes[at] = e
                at += np.uint64(1)
    elif poisson_counts(inputs, state, k, lo, hi, step, start, counts):
        for i in range(hi - lo):
            for _ in range(counts[i]):
                spikes[at] = lo + i
                at += np.uint64(1)
    return at
