"""Inputs on the device (phase 1): the numbers of one neuron and step, the same as those of the other engines."""

import numpy as np

from kernels.cpu import inputs as cpu
from kernels.cpu.inputs import AC, EVENTS, JUNCTIONS, NOISE, OU, POISSON_EACH, POISSON_SHARED, STEP
from kernels.cuda.jit import device, inner
from kernels.draw import _tail, normal_quantile_scalar
from kernels.philox import philox_scalar, step_word_scalar, unit_scalar
from kernels.philox import uniforms as plain_uniforms
from kernels.scalar import _central, _far_tail, _near_tail

_LOW, _32, _ZERO = np.uint64(0xFFFFFFFF), np.uint64(32), np.uint64(0)
philox = device(philox_scalar)
step_word = device(step_word_scalar, philox_scalar=philox)
uniforms = device(plain_uniforms.py_func, philox=philox, unit=device(unit_scalar))
tail = device(_tail, _near_tail=device(_near_tail), _far_tail=device(_far_tail))
normal_quantile = device(normal_quantile_scalar, _central=device(_central), _tail=tail)
segment = device(cpu.segment.py_func)
poisson_count = device(cpu.poisson_count.py_func)
sine = device(cpu.sine.py_func)


@inner
def uniform(i, step, k0, k1):  # type: ignore[no-untyped-def]
    """Uniform number in (0, 1) of element ``i`` in ``step``."""
    return (np.float64(step_word(i, step, k0, k1)) + 0.5) * 2.3283064365386963e-10


@inner
def count(inputs, k, i, step):  # type: ignore[no-untyped-def]
    """Poisson count of element ``i`` of input ``k`` in ``step``."""
    row = segment(inputs, k, step)
    if row < 0 or inputs.size[row] == 0:
        return 0
    k0, k1 = inputs.key[k, 0], inputs.key[k, 1]
    if inputs.kind[k] == POISSON_SHARED:
        s = np.uint64(step)
        word = philox(_ZERO, s & _LOW, s >> _32, _ZERO, k0, k1)[0]
    else:
        word = step_word(i, step, k0, k1)
    if inputs.kind[k] == POISSON_EACH:
        return poisson_count(word, inputs.values[inputs.at[row] + i])
    c = inputs.low[row]
    for j in range(inputs.at[row], inputs.at[row] + inputs.size[row]):
        if word <= np.uint64(inputs.thresholds[j]):  # they ascend
            break
        c += 1
    return c


@inner
def injected(inputs, noise, k, i, step):  # type: ignore[no-untyped-def]
    """Current of input ``k`` in ``step`` for element ``i``; coloured noise moves on."""
    row, kind = segment(inputs, k, step), inputs.kind[k]
    acts = row >= 0 and inputs.size[row] > 0
    if kind == OU and not acts:
        row = inputs.segment[k]  # it moves on all the same
    elif not acts:
        return 0.0
    v = inputs.at[row]
    first = inputs.values[v]
    if kind == STEP:
        return first if inputs.size[row] == 1 else inputs.values[v + i]
    if kind == AC:
        return sine(inputs.values, v, inputs.size[row] // 4, i, step)
    k0, k1 = inputs.key[k, 0], inputs.key[k, 1]
    width = inputs.size[row] // 2
    at = v + 1 + (i if width > 1 else 0)
    mean, scale = inputs.values[at], inputs.values[at + width]
    if kind == NOISE:
        return mean + scale * normal_quantile(uniform(i, step // np.int64(first), k0, k1))
    y = noise[inputs.noise[k] + i]
    noise[inputs.noise[k] + i] = mean + (y - mean) * first + scale * normal_quantile(uniform(i, step, k0, k1))
    return y if acts else 0.0


@inner
def lower(steps, first, last, step):  # type: ignore[no-untyped-def]
    """The first place from ``first`` to ``last`` with steps[place] >= step; ``steps`` ascend there."""
    while first < last:
        middle = (first + last) // 2
        if steps[middle] < step:
            first = middle + 1
        else:
            last = middle
    return first


@inner
def through(inputs, v, k, i, at, half):  # type: ignore[no-untyped-def]
    """Current through the junctions of input ``k`` to neuron ``i``, whose potential is v[half, at]."""
    last, there, total = inputs.event_first[k + 1], inputs.noise[k], 0.0
    j = lower(inputs.event_step, inputs.event_first[k], last, i)
    while j < last and inputs.event_step[j] == i:
        total += inputs.event_weight[j] * (v[half, there + inputs.event_id[j]] - v[half, at])
        j += 1
    return total


@inner
def current(inputs, state, p, i, at, step):  # type: ignore[no-untyped-def]
    """Injected current of neuron ``i`` of population ``p`` in ``step``; ``at``: its place among all neurons."""
    total = 0.0
    for k in range(inputs.first[p], inputs.first[p + 1]):
        if inputs.kind[k] == JUNCTIONS:
            total += through(inputs, state.v, k, i, at, step & 1)
        elif inputs.receptor[k] < 0:
            total += injected(inputs, state.noise, k, i, step)
    return total


@inner
def arrives(inputs, k, i, step):  # type: ignore[no-untyped-def]
    """Weight that Poisson input ``k`` adds to neuron ``i`` in ``step``."""
    c = count(inputs, k, i, step)
    if c == 0:
        return 0.0
    each = inputs.weights[k]
    return c * (inputs.values[each + i] if each >= 0 else np.float64(inputs.weight[k]))


@inner
def is_poisson(inputs, k):  # type: ignore[no-untyped-def]
    """Whether input ``k`` is a Poisson input to a receptor."""
    return inputs.receptor[k] >= 0 and inputs.kind[k] != EVENTS
