"""The integer network on a CUDA device: :func:`neuromorphic.fixed_point_step.advance` with the same functions of
neurons and of learning.

Everything that threads add to is an integer, so their order changes no bit. One block of threads runs a chunk of steps
in one launch; its threads meet three times a step: after the neurons, after spikes were delivered, and after the sums
were shifted; where projections learn, a few times more. So one multiprocessor works: this is to show that the integers
are the same everywhere, not for speed.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from kernels import onchip
from kernels.cuda.jit import SIMULATED, device, fetch, inner, kernel, select, send
from neuromorphic.fixed_point_step import Links, Neurons, lif, toward_zero

THREADS = 4 if SIMULATED else 512  # of the block
CHANGING = "tx", "ty", "x", "y", "updates", "before", "fine", "t", "d"  # fields of Learners
step_neuron = device(lif.py_func, toward_zero=inner(toward_zero.py_func))
add_impulse = inner(onchip.add_impulse.py_func)
replay = device(onchip.replay.py_func, decayed=inner(onchip.decayed.py_func), add_impulse=add_impulse)
note_spikes = device(onchip.note_spikes.py_func, add_impulse=add_impulse)
post_traces = inner(onchip.post_traces.py_func)
move_traces = device(onchip.move_traces.py_func, replay=replay)
change_synapses = device(onchip.change_synapses.py_func, changed=inner(onchip.changed.py_func))
forget_spikes = inner(onchip.forget_spikes.py_func)


class Room(NamedTuple):
    """What a launch needs besides."""

    third: np.ndarray  # (neurons,) third factors that arrived
    given: np.ndarray  # (3, neurons) traces of three-factor rules
    hx: np.ndarray  # as of kernels.onchip.move_traces, for the largest projection and the longest epoch
    hy: np.ndarray
    active: np.ndarray  # (neurons,) those that spike in a step, in any order
    value: np.ndarray
    n_active: np.ndarray  # (2,) how many, of this step and of the next, in turn


@kernel
def steps(  # type: ignore[no-untyped-def]
    begin, neurons, links, learners, buffer, scratch, spiked, room, event_at, event_id, event_value, draws, fired, u, v
):  # fmt: skip
    """Steps begin .. begin + len(fired) - 1; ``spiked`` is all False before and after."""
    thread, threads = cuda.threadIdx.x, cuda.blockDim.x
    n, active, value, count = len(neurons.u), room.active, room.value, room.n_active
    seen = cuda.local.array((3, 11), np.int64)
    for s in range(len(fired)):
        t = begin + s
        for i in range(thread, n, threads):
            a, third = 0, 0
            for k in range(len(links.slots)):
                j = i - links.first_target[k]
                if 0 <= j < links.n_target[k]:
                    place = links.buffer_at[k] + t % links.slots[k] * links.n_target[k] + j
                    if links.third[k]:
                        third += buffer[place]
                    else:
                        a += buffer[place]
                    buffer[place] = 0
            room.third[i] = third
            old_u, old_v = neurons.u[i], neurons.v[i]
            if neurons.interval[i] > 0 and (t - neurons.offset[i]) % neurons.interval[i] == 0:
                old_u, old_v = 0, 0
            new_u, new_v, wait, spike, wrapped, clipped = step_neuron(
                old_u, old_v, neurons.wait[i], a, neurons.du[i], neurons.dv[i], neurons.bias[i], neurons.threshold[i],
                neurons.low[i], neurons.subtract[i], neurons.refractory[i],
            )  # fmt: skip
            neurons.u[i], neurons.v[i], neurons.wait[i] = new_u, new_v, wait
            neurons.wraps[i] += wrapped
            neurons.clips[i] += clipped
            fired[s, i] = spike
            if len(u) == len(fired):
                u[s, i], v[s, i] = new_u, new_v
            if spike != 0:
                at = cuda.atomic.add(count, s % 2, 1)
                active[at], value[at] = i, spike
        cuda.syncthreads()
        own = count[s % 2]
        for number in range(thread, own + event_at[s + 1] - event_at[s], threads):
            if number < own:
                source, times = active[number], value[number]
            else:
                source, times = event_id[event_at[s] + number - own], event_value[event_at[s] + number - own]
            spiked[source] = True
            for k in range(len(links.slots)):
                x = source - links.first_source[k]
                if 0 <= x < links.n_source[k]:
                    into = buffer if links.exponent[k] >= 0 else scratch
                    up = max(links.exponent[k], 0)
                    for e in range(links.rows[links.row_at[k] + x], links.rows[links.row_at[k] + x + 1]):
                        slot = (t + 1 + links.delays[e]) % links.slots[k]
                        place = links.buffer_at[k] + slot * links.n_target[k] + links.targets[e]
                        cuda.atomic.add(into, place, (links.weights[e] * times) << up)
        cuda.syncthreads()
        if thread == 0:
            count[s % 2] = 0
        for k in range(len(links.slots)):
            if links.exponent[k] < 0:
                first = links.buffer_at[k]
                for place in range(first + thread, first + links.slots[k] * links.n_target[k], threads):
                    buffer[place] += scratch[place] >> -links.exponent[k]
                    scratch[place] = 0
        for me in range(len(learners.link)):
            k, draw = learners.link[me], draws[me, s]
            n_pre, pre, n_post, post = (
                links.n_source[k],
                links.first_source[k],
                links.n_target[k],
                links.first_target[k],
            )
            if learners.third[me]:
                post_traces(me, learners, n_post, room.third, post, room.given, thread, threads)
            note_spikes(t, me, learners, n_pre, n_post, spiked, pre, post, room.given, draw, thread, threads)
            if t % learners.epoch[me] == 0:
                cuda.syncthreads()
                move_traces(me, learners, n_pre, n_post, room.hx, room.hy, draw, thread, threads)
                cuda.syncthreads()
                updates = change_synapses(
                    t, me, learners, n_pre, links.row_at[k], links.rows, links.targets, links.weights, room.hx, room.hy,
                    seen, draw, thread, threads,
                )  # fmt: skip
                cuda.atomic.add(learners.updates, me, updates)
                cuda.syncthreads()
                forget_spikes(me, learners, n_pre, n_post, thread, threads)
        cuda.syncthreads()
        for number in range(thread, own + event_at[s + 1] - event_at[s], threads):
            spiked[active[number] if number < own else event_id[event_at[s] + number - own]] = False
        cuda.syncthreads()


def advance(
    begin: int, count: int, at: int, neurons: Neurons, links: Links, learners: onchip.Learners, buffer: np.ndarray,
    scratch: np.ndarray, spiked: np.ndarray, event_step: np.ndarray, event_id: np.ndarray, event_value: np.ndarray,
    draws: np.ndarray, spikes: np.ndarray, u: np.ndarray, v: np.ndarray,
) -> tuple[int, int]:  # fmt: skip
    """As :func:`neuromorphic.fixed_point_step.advance`, on the first device."""
    select(0)
    event_at = np.searchsorted(event_step, np.arange(begin, begin + count + 1))
    given = arguments(count, neurons, links, learners, buffer, spiked, event_at, event_id, event_value, draws, u, v)
    state = tuple(send(x) for x in given)
    steps[1, THREADS](begin, *state)
    there: Any = state[2]
    for name in ("u", "v", "wait", "wraps", "clips"):
        getattr(neurons, name)[:] = fetch(getattr(state[0], name))
    links.weights[:] = fetch(state[1].weights)
    for name in CHANGING:
        getattr(learners, name)[...] = fetch(getattr(there, name))
    buffer[:] = fetch(state[3])
    fired = fetch(state[11])
    if len(u):
        u[:], v[:] = fetch(state[12]), fetch(state[13])
    when, which = np.nonzero(fired)
    spikes[:, : len(when)] = when + begin, which, fired[when, which]
    return len(when), int(event_at[-1])


def arguments(
    count: int, neurons: Neurons, links: Links, learners: onchip.Learners, buffer: np.ndarray, spiked: np.ndarray,
    event_at: np.ndarray, event_id: np.ndarray, event_value: np.ndarray, draws: np.ndarray, u: np.ndarray,
    v: np.ndarray,
) -> tuple[Any, ...]:  # fmt: skip
    """What the kernel takes beside the first step."""
    n, epoch = len(neurons.u), int(max(learners.epoch, default=0)) + 1
    pre, post = (int(max(x[learners.link], default=0)) for x in (links.n_source, links.n_target))
    shapes = n, (3, n), (2, pre, epoch), (3, post, epoch), n, n, 2
    room = Room(*(np.zeros(shape, np.int64) for shape in shapes))
    kept = (np.zeros((count if len(x) else 1, n), x.dtype) for x in (u, v))
    return (neurons, links, learners, buffer, np.zeros_like(buffer), spiked, room, event_at, event_id, event_value,
            draws, np.zeros((count, n), np.int8), *kept)  # fmt: skip
