"""The integer network on a CUDA device: :func:`neuromorphic.fixed_point_step.advance` with the same neuron function.

Everything that threads add to is an integer, so their order changes no bit. One block of threads runs a chunk of steps
in one launch; its threads meet three times a step: after the neurons, after spikes were delivered, and after the sums
were shifted. So one multiprocessor works: this is to show that the integers are the same everywhere, not for speed.
"""

from typing import Any

import numpy as np
from numba import cuda

from kernels.cuda.jit import SIMULATED, device, fetch, inner, select, send
from kernels.onchip import Learners
from neuromorphic.fixed_point_step import Links, Neurons, lif, toward_zero

THREADS = 4 if SIMULATED else 512  # of the block
step_neuron = device(lif.py_func, toward_zero=inner(toward_zero.py_func))


@cuda.jit
def _steps(begin, neurons, links, buffer, scratch, event_at, event_id, event_value, active, value, count, fired, u, v):  # type: ignore[no-untyped-def]
    """Steps begin .. begin + len(fired) - 1. ``count`` holds the spikes of this step and of the next, in turn."""
    thread, threads = cuda.threadIdx.x, cuda.blockDim.x
    n = len(neurons.u)
    for s in range(len(fired)):
        t = begin + s
        for i in range(thread, n, threads):
            a = 0
            for k in range(len(links.slots)):
                j = i - links.first_target[k]
                if 0 <= j < links.n_target[k]:
                    place = links.buffer_at[k] + t % links.slots[k] * links.n_target[k] + j
                    a += buffer[place]
                    buffer[place] = 0
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
        cuda.syncthreads()


def advance(
    begin: int, count: int, at: int, neurons: Neurons, links: Links, learners: Learners, buffer: np.ndarray,
    scratch: np.ndarray, spiked: np.ndarray, event_step: np.ndarray, event_id: np.ndarray, event_value: np.ndarray,
    draws: np.ndarray, spikes: np.ndarray, u: np.ndarray, v: np.ndarray,
) -> tuple[int, int]:  # fmt: skip
    """As :func:`neuromorphic.fixed_point_step.advance`, on the first device; nothing learns."""
    select(0)
    n = len(neurons.u)
    event_at = np.searchsorted(event_step, np.arange(begin, begin + count + 1))
    kept = (np.zeros((count if len(u) else 1, n), x.dtype) for x in (u, v))
    state: Any = (neurons, links, buffer, np.zeros_like(buffer), event_at, event_id, event_value,
                  *np.zeros((2, n), np.int64), np.zeros(2, np.int64), np.zeros((count, n), np.int8), *kept)  # fmt: skip
    state = tuple(send(x) for x in state)
    _steps[1, THREADS](begin, *state)
    for name in ("u", "v", "wait", "wraps", "clips"):
        getattr(neurons, name)[:] = fetch(getattr(state[0], name))
    buffer[:] = fetch(state[2])
    fired = fetch(state[10])
    if len(u):
        u[:], v[:] = fetch(state[11]), fetch(state[12])
    when, which = np.nonzero(fired)
    spikes[:, : len(when)] = when + begin, which, fired[when, which]
    return len(when), int(event_at[-1])
