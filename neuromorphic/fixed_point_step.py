"""One step of an integer network, compiled, over flat arrays; :mod:`neuromorphic.fixed_point` states the equations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kernels import onchip
from kernels.jit import jit
from neuromorphic.learning import pack_rules

if TYPE_CHECKING:
    from neuromorphic.fixed_point import IntegerNetwork

MIXED, EXCITATORY, INHIBITORY = 1, 2, 3  # sign modes, Lava's numbers


def effective_weights(weights: np.ndarray, bits: int, sign_mode: int) -> np.ndarray:
    """Weights as stored: clipped to the sign mode's range, lowest bits cleared (MIXED spends one bit on the sign).

    Parameters
    ----------
    weights : mantissas, int64
    bits : weight bits, 1..8
    sign_mode : MIXED (1), EXCITATORY (2) or INHIBITORY (3)
    """
    drop = 8 - bits + (sign_mode == MIXED)
    if sign_mode == INHIBITORY:
        return -((np.clip(-weights, 0, 255) >> drop) << drop)
    low = -256 if sign_mode == MIXED else 0
    return np.clip(weights, low, 255) >> drop << drop


class Neurons(NamedTuple):
    """All neurons, one population after the other; int64 arrays of shape (neurons,)."""

    du: np.ndarray
    dv: np.ndarray
    bias: np.ndarray
    threshold: np.ndarray
    low: np.ndarray
    subtract: np.ndarray
    refractory: np.ndarray
    interval: np.ndarray
    offset: np.ndarray
    u: np.ndarray
    v: np.ndarray
    wait: np.ndarray  # refractory steps to come
    wraps: np.ndarray
    clips: np.ndarray


class Links(NamedTuple):
    """Projections; arrays of shape (projections,) but for the rows: row s of projection k is at row_at[k] + s."""

    first_source: np.ndarray  # numbers of neurons; sources of spikes come after all neurons
    n_source: np.ndarray
    first_target: np.ndarray
    n_target: np.ndarray
    exponent: np.ndarray
    slots: np.ndarray  # largest delay + 1
    buffer_at: np.ndarray
    row_at: np.ndarray
    rows: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    delays: np.ndarray
    third: np.ndarray  # (projections,) whether what arrives is a third factor


class Program(NamedTuple):
    """An integer network as flat arrays: what :func:`advance` takes."""

    neurons: Neurons
    links: Links
    learners: onchip.Learners
    buffer: np.ndarray
    scratch: np.ndarray
    spiked: np.ndarray  # (neurons and sources,)
    event_step: np.ndarray
    event_id: np.ndarray
    event_value: np.ndarray


def pack(net: IntegerNetwork) -> Program:
    """Flat arrays of ``net`` in its initial state."""
    pops = list(net.populations.values())

    def joined(values: Any) -> np.ndarray:
        return np.concatenate([np.asarray(x, np.int64) for x in values] or [np.empty(0, np.int64)])

    width, first = net.sizes, net.first
    n = int(sum(p.n for p in pops))
    neurons = Neurons(
        joined(p.du for p in pops), joined(p.dv for p in pops), joined(p.bias_mant << p.bias_exp for p in pops),
        joined(p.vth << 6 for p in pops), joined(p.vth_lo << 6 for p in pops), joined(p.subtract for p in pops),
        joined(p.refractory for p in pops), joined(p.reset_interval for p in pops),
        joined(p.reset_offset for p in pops), joined(p.u for p in pops), joined(p.v for p in pops),
        *(np.zeros(n, np.int64) for _ in range(3)),
    )  # fmt: skip
    table: list[tuple[int, ...]] = []
    rows, targets, weights, delays = [], [], [], []
    edges = buffer = row = 0
    for p in net.projections.values():
        order = np.lexsort((p.targets, p.sources))
        n_source, n_target = sum(width[part] for part in p.parts), width[p.target]
        slots = int(max(p.delays, default=0)) + 1
        table.append((first[p.parts[0]], n_source, first[p.target], n_target, p.exponent, slots, buffer, row))
        rows.append(edges + np.searchsorted(p.sources[order], np.arange(n_source + 1)))
        targets.append(p.targets[order])
        weights.append(effective_weights(p.weights[order], p.bits, p.sign_mode))
        delays.append(p.delays[order])
        edges, buffer, row = edges + len(order), buffer + slots * n_target, row + n_source + 1
    columns = np.array(table, np.int64).reshape(len(table), 8).T.copy()
    event_step = joined(s.steps for s in net.sources.values())
    event_id = joined(s.ids + first[k] for k, s in net.sources.items())
    event_value = joined(s.values for s in net.sources.values())
    order = np.argsort(event_step, kind="stable")
    third = np.array([p.third for p in net.projections.values()], bool)
    links = Links(*(*columns, joined(rows), joined(targets), joined(weights), joined(delays), third))
    learning = [(k, p) for k, p in enumerate(net.projections.values()) if p.learning is not None]
    learners = pack_rules(
        [p.learning for _, p in learning if p.learning is not None],
        [k for k, _ in learning], [p.sign_mode for _, p in learning],
        [(table[k][1], table[k][3]) for k, _ in learning], *np.zeros((2, edges), np.int64),
    )  # fmt: skip
    largest = max([slots * n_target for *_, n_target, _, slots, _, _ in table], default=0)
    return Program(
        neurons, links, learners, np.zeros(buffer, np.int64), np.zeros(largest, np.int64),
        np.zeros(sum(width.values()), bool), event_step[order], event_id[order], event_value[order],
    )  # fmt: skip


@jit
def toward_zero(x, bits):  # type: ignore[no-untyped-def]
    """x / 2^bits, rounded towards zero."""
    return x >> bits if x >= 0 else -(-x >> bits)


@jit
def lif(u, v, wait, a, du, dv, bias, threshold, low, subtract, refractory):  # type: ignore[no-untyped-def]
    """One step of one neuron: (u, v, refractory steps to come, value of the spike or 0, u wrapped, v was clipped)."""
    u = toward_zero(u * (4095 - du), 12) + (a << 6)
    wrapped = u > 8388608 or u <= -8388608
    if u > 8388608:
        u -= 16777216
    elif u <= -8388608:
        u += 16777216
    clipped = False
    if wait > 0:
        wait -= 1
    else:
        v = toward_zero(v * (4096 - dv), 12) + u + bias
        clipped = v > 8388607 or v < -8388607
        v = min(max(v, -8388607), 8388607)
    fired = int(v > threshold) - int(v < low)
    if fired != 0:
        v = v - threshold if subtract else 0
        wait = refractory
    return u, v, wait, fired, wrapped, clipped


@jit
def advance(  # type: ignore[no-untyped-def]
    begin, count, at, neurons, links, learners, buffer, scratch, spiked, event_step, event_id, event_value, draws,
    spikes, u_out, v_out,
):  # fmt: skip
    """Steps begin .. begin + count - 1; returns (spikes written, next event)."""
    n = len(neurons.u)
    a, third = np.zeros(n, np.int64), np.zeros(n, np.int64)
    active, value = np.empty(n + len(event_id), np.int64), np.empty(n + len(event_id), np.int64)
    given = np.zeros((3, n), np.int64)
    found = 0
    for t in range(begin, begin + count):
        a[:] = 0
        third[:] = 0
        for k in range(len(links.slots)):
            width = links.n_target[k]
            slot = links.buffer_at[k] + t % links.slots[k] * width
            first = links.first_target[k]
            into = third if links.third[k] else a
            for j in range(width):
                into[first + j] += buffer[slot + j]
                buffer[slot + j] = 0
        m = 0
        for i in range(n):
            u, v = neurons.u[i], neurons.v[i]
            if neurons.interval[i] > 0 and (t - neurons.offset[i]) % neurons.interval[i] == 0:
                u, v = 0, 0
            u, v, wait, fired, wrapped, clipped = lif(
                u, v, neurons.wait[i], a[i], neurons.du[i], neurons.dv[i], neurons.bias[i], neurons.threshold[i],
                neurons.low[i], neurons.subtract[i], neurons.refractory[i],
            )  # fmt: skip
            neurons.u[i], neurons.v[i], neurons.wait[i] = u, v, wait
            neurons.wraps[i] += wrapped
            neurons.clips[i] += clipped
            if fired != 0:
                active[m], value[m] = i, fired
                spikes[0, found], spikes[1, found], spikes[2, found] = t, i, fired
                m += 1
                found += 1
        if len(u_out):
            u_out[t - begin] = neurons.u
            v_out[t - begin] = neurons.v
        while at < len(event_step) and event_step[at] <= t:
            active[m], value[m] = event_id[at], event_value[at]
            m += 1
            at += 1
        for k in range(len(links.slots)):
            _deliver(t, k, links, buffer, scratch, active[:m], value)
        if len(learners.link):
            _learn(t, links, learners, third, active[:m], spiked, given, draws[:, t - begin].copy())
    return found, at


@jit
def _learn(t, links, learners, third, active, spiked, given, draws):  # type: ignore[no-untyped-def]
    """Let projections learn from the spikes of step t; ``spiked`` is all False before and after."""
    for i in active:
        spiked[i] = True
    for me in range(len(learners.link)):
        k = learners.link[me]
        n_pre, pre, n_post, post = links.n_source[k], links.first_source[k], links.n_target[k], links.first_target[k]
        if learners.third[me]:
            onchip.post_traces(me, learners, n_post, third, post, given, 0, 1)
        onchip.note_spikes(t, me, learners, n_pre, n_post, spiked, pre, post, given, draws[me], 0, 1)
        if t % learners.epoch[me] == 0:
            onchip.learn(
                t, me, learners, n_pre, n_post, links.row_at[k], links.rows, links.targets, links.weights, draws[me]
            )
    for i in active:
        spiked[i] = False


@jit
def _deliver(t, k, links, buffer, scratch, active, value):  # type: ignore[no-untyped-def]
    """Add the active sources' rows of projection k to its buffer; the slot that step t + 1 reads holds delay 0."""
    slots, width, exponent, base = links.slots[k], links.n_target[k], links.exponent[k], links.buffer_at[k]
    now = (t + 1) % slots
    for number in range(len(active)):
        source = active[number] - links.first_source[k]
        if source < 0 or source >= links.n_source[k]:
            continue
        row = links.row_at[k] + source
        for e in range(links.rows[row], links.rows[row + 1]):
            slot = now + links.delays[e]  # < 2 slots
            place = (slot - slots if slot >= slots else slot) * width + links.targets[e]
            if exponent >= 0:
                buffer[base + place] += (links.weights[e] * value[number]) << exponent
            else:
                scratch[place] += links.weights[e] * value[number]
    if exponent < 0:  # the sum is shifted, not each weight: sums of one delay floor together
        for place in range(slots * width):
            buffer[base + place] += scratch[place] >> -exponent
            scratch[place] = 0
