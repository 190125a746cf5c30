"""Evidence from delayed events: gathered where it is asked for, scattered by each event, learned by softmax regression.

Events lie in bytes, one a pixel and step: bit 0 ON, bit 1 OFF. Weights of a tap (a delay and a place) are 2 C numbers:
of C classes for an event of the first polarity, then of the second.
"""

from typing import NamedTuple

import numpy as np

from kernels.cpu.sync import wait
from kernels.jit import inner, kernel
from kernels.layout import Array

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # of Adam


class Taps(NamedTuple):
    """Taps in rows along x; int64, one a row."""

    delay: Array
    dy: Array  # the event came from y - dy
    half: Array  # dx from -half to half
    first: Array  # (rows + 1,) tap of dx = -half


class Voxels(NamedTuple):
    """Where evidence is asked for; int64."""

    t: Array
    y: Array
    x: Array
    begin: Array  # step before which nothing is looked at: where the sample begins


class Net(NamedTuple):
    """What is learned, and Adam's moments; float64."""

    weights: Array  # (taps, 2 C)
    bias: Array  # (C,)
    mean: Array  # as weights
    square: Array
    bias_mean: Array  # as bias
    bias_square: Array


class Scratch(NamedTuple):
    """One row a voxel of a batch."""

    found: Array  # (batch, 2 taps) int32: active features, ascending; 2 tap + polarity
    number: Array  # (batch,) int64
    delta: Array  # (batch, 2 C) gradient by the sums of both branches


@inner
def gather(frames, t, y, x, begin, taps, found):  # type: ignore[no-untyped-def]
    """Number of the events in the past of a voxel; ``found`` lists them, 2 tap + polarity, by tap."""
    height, width = frames.shape[1], frames.shape[2]
    n = 0
    for row in range(len(taps.delay)):
        past = t - taps.delay[row]
        if past < begin:
            break
        source = y - taps.dy[row]
        if source < 0 or source >= height:
            continue
        half = taps.half[row]
        line = frames[np.uint64(past), np.uint64(source)]
        last = taps.first[row] + half + x  # tap of column 0; taps ascend with dx, columns descend
        for column in range(min(x + half, width - 1), max(x - half, 0) - 1, -1):
            bits = line[np.uint64(column)]
            if bits != 0:
                tap = 2 * (last - column)
                if bits & np.uint8(1):
                    found[np.uint64(n)] = tap
                    n += 1
                if bits & np.uint8(2):
                    found[np.uint64(n)] = tap + 1
                    n += 1
    return n


@inner
def add_up(found, n, weights, sums):  # type: ignore[no-untyped-def]
    """Sums of the weights of features: of C classes as they are, then of C with polarities swapped."""
    both = np.uint64(len(sums))
    c = both >> np.uint64(1)
    sums[:] = 0.0
    for k in range(np.uint64(n)):
        row = weights[np.uint64(found[k] >> 1)]
        if found[k] & 1:
            for j in range(c):
                sums[j] += row[c + j]
            for j in range(c):
                sums[c + j] += row[j]
        else:
            for j in range(both):
                sums[j] += row[j]


@kernel
def evidence_at(frames, voxels, taps, weights, bias, found, sums, out):  # type: ignore[no-untyped-def]
    """out[k, class] = evidence at voxel k: the larger of both branches, and the bias."""
    c = len(bias)
    for k in range(len(voxels.t)):
        n = gather(frames, voxels.t[k], voxels.y[k], voxels.x[k], voxels.begin[k], taps, found)
        add_up(found, n, weights, sums)
        for j in range(c):
            out[k, j] = max(sums[j], sums[c + j]) + bias[j]


@inner
def forward(frames, voxels, k, label, part, taps, net, found, delta):  # type: ignore[no-untyped-def]
    """(number of features, cross-entropy) of voxel k; ``delta``: ``part`` times the gradient by both branches' sums."""
    n = gather(frames, voxels.t[k], voxels.y[k], voxels.x[k], voxels.begin[k], taps, found)
    add_up(found, n, net.weights, delta)
    c = len(net.bias)
    top = -np.inf
    for j in range(c):
        top = max(top, max(delta[j], delta[c + j]) + net.bias[j])
    total, right = 0.0, 0.0
    for j in range(c):
        value = max(delta[j], delta[c + j]) + net.bias[j] - top
        if j == label:
            right = value
        total += np.exp(value)
    for j in range(c):
        swapped = delta[c + j] > delta[j]
        p = np.exp(max(delta[j], delta[c + j]) + net.bias[j] - top) / total
        p = part * (p - (1.0 if j == label else 0.0))
        delta[j] = 0.0 if swapped else p
        delta[c + j] = p if swapped else 0.0
    return n, np.log(total) - right


@inner
def gradient_of(found, n, delta, first, last, gradient):  # type: ignore[no-untyped-def]
    """Add what one voxel brings to the rows of the taps ``first`` to ``last`` of the gradient."""
    both = np.uint64(len(delta))
    c = both >> np.uint64(1)
    low, high = 0, n
    while low < high:
        middle = (low + high) // 2
        if found[middle] < 2 * first:
            low = middle + 1
        else:
            high = middle
    for k in range(np.uint64(low), np.uint64(n)):
        tap = found[k] >> 1
        if tap >= last:
            break
        row = gradient[np.uint64(tap)]
        if found[k] & 1:
            for j in range(c):
                row[c + j] += delta[j]
            for j in range(c):
                row[j] += delta[c + j]
        else:
            for j in range(both):
                row[j] += delta[j]


@inner
def adam(w, mean, square, gradient, rate, warm_1, warm_2):  # type: ignore[no-untyped-def]
    """One step; warm_1 = 1 - BETA_1^t and warm_2 = 1 - BETA_2^t."""
    for j in range(np.uint64(len(w))):
        mean[j] = BETA_1 * mean[j] + (1.0 - BETA_1) * gradient[j]
        square[j] = BETA_2 * square[j] + (1.0 - BETA_2) * gradient[j] * gradient[j]
        w[j] -= rate * (mean[j] / warm_1) / (np.sqrt(square[j] / warm_2) + EPSILON)


@kernel
def train(  # type: ignore[no-untyped-def]
    frames, voxels, labels, taps, net, gradient, bias_gradient, scratch, losses, rate, done, bounds, parts, arrived,
    part,
):  # fmt: skip
    """All batches of ``voxels``; losses[b, i] is the cross-entropy of one; ``done`` batches were trained before.

    Thread ``part`` of ``parts`` takes some voxels of a batch, then the taps bounds[part] to bounds[part + 1]: a sum's
    order depends on the voxels alone.
    """
    batch = len(scratch.number)
    first, last = bounds[part], bounds[part + 1]
    c = len(net.bias)
    for b in range(len(losses)):
        for i in range(batch * part // parts, batch * (part + 1) // parts):
            k = b * batch + i
            scratch.number[i], losses[b, i] = forward(
                frames, voxels, k, labels[k], 1.0 / batch, taps, net, scratch.found[i], scratch.delta[i]
            )
        if parts > 1:
            wait(arrived, (2 * b + 1) * parts)
        for tap in range(first, last):
            gradient[tap, :] = 0.0
        for i in range(batch):
            gradient_of(scratch.found[i], scratch.number[i], scratch.delta[i], first, last, gradient)
        warm_1, warm_2 = 1.0 - BETA_1 ** (done + b + 1), 1.0 - BETA_2 ** (done + b + 1)
        for tap in range(first, last):
            adam(net.weights[tap], net.mean[tap], net.square[tap], gradient[tap], rate, warm_1, warm_2)
        if part == 0:
            bias_gradient[:] = 0.0
            for i in range(batch):
                for j in range(c):
                    bias_gradient[j] += scratch.delta[i, j] + scratch.delta[i, c + j]
            adam(net.bias, net.bias_mean, net.bias_square, bias_gradient, rate, warm_1, warm_2)
        if parts > 1:
            wait(arrived, (2 * b + 2) * parts)


@kernel
def scatter(place, polarity, begin, offsets, weights, straight, swapped):  # type: ignore[no-untyped-def]
    """Each event adds the weights of its polarity's synapses to the flat array ``straight``, those of the other's to
    ``swapped``, at its place plus the synapse's offset; begin[p] to begin[p + 1] are those of polarity p."""
    for k in range(np.uint64(len(place))):
        at, p = place[k], polarity[k]
        for s in range(np.uint64(begin[p]), np.uint64(begin[p + 1])):
            straight[np.uint64(at + offsets[s])] += weights[s]
        p = 1 - p
        for s in range(np.uint64(begin[p]), np.uint64(begin[p + 1])):
            swapped[np.uint64(at + offsets[s])] += weights[s]
