"""Digits classified by networks of integrate-and-fire neurons that were converted from a quantised ANN, in plain NumPy.

A small task whose traces are real: a multilayer perceptron with QCFS activations (Bu et al. 2022, arXiv 2303.04347) is
trained on the digits of scikit-learn and simulated as a spiking network with soft reset. Two regimes: *direct*, where
the image is the same current in every step, and *Poisson*, where a pixel fires with probability pixel / 16 in each.
The simulation shares no code with the package's kernels: it is a peer of theirs, see `classifier`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

import snn
from snn.confidence import Trace, sample_ids

LEVELS = 4  # L of QCFS
DEEP, SHALLOW = (64, 128, 128, 128, 128, 10), (64, 128, 128, 10)  # of the direct and of the Poisson regime


@dataclass
class Net:
    """Weights (inputs, outputs) and biases of each layer, thresholds of the hidden ones."""

    weights: list[np.ndarray]
    biases: list[np.ndarray]
    thresholds: np.ndarray


def digits(seed: int) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Images (1797, 64) in [0, 1], classes, and indices: 700 to train, 548 to certify, 549 to test, stratified."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    data = load_digits()
    train, rest = train_test_split(np.arange(1797), train_size=700, stratify=data.target, random_state=seed)
    certify, test = train_test_split(rest, train_size=548, stratify=data.target[rest], random_state=seed)
    return data.data / 16.0, data.target, [train, certify, test]


def forward(net: Net, x: np.ndarray) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
    """Logits of the quantised ANN, the activations that enter each layer, and what enters each activation."""
    inputs, drives = [x], []
    for k, lam in enumerate(net.thresholds):
        z = inputs[-1] @ net.weights[k] + net.biases[k]
        drives.append(z)
        inputs.append(lam * np.clip(np.floor(z * LEVELS / lam + 0.5) / LEVELS, 0.0, 1.0))
    return inputs[-1] @ net.weights[-1] + net.biases[-1], inputs, drives


def train(x: np.ndarray, y: np.ndarray, sizes: tuple[int, ...], seed: int, epochs: int = 80) -> Net:
    """Adam, rate 2e-3 on a cosine, batches of 64, weight decay 1e-4, thresholds from 2, floor straight through."""
    rng = np.random.default_rng(seed)
    pairs = list(zip(sizes[:-1], sizes[1:], strict=True))
    net = Net(
        [rng.normal(0.0, np.sqrt(2.0 / a), (a, b)) for a, b in pairs],
        [np.zeros(b) for _, b in pairs],
        np.full(len(pairs) - 1, 2.0),
    )
    parameters = [*net.weights, *net.biases, net.thresholds]
    first, second = ([np.zeros_like(p) for p in parameters] for _ in range(2))
    n_batches = len(x) // 64
    step, steps = 0, epochs * n_batches
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for batch in np.array_split(order, n_batches):
            logits, inputs, drives = forward(net, x[batch])
            p = np.exp(logits - logits.max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
            p[np.arange(batch.size), y[batch]] -= 1.0
            error = p / batch.size
            slopes: list[Any] = [None] * len(parameters)
            d_lam = np.zeros_like(net.thresholds)
            for k in range(len(pairs) - 1, -1, -1):
                slopes[k], slopes[len(pairs) + k] = inputs[k].T @ error, error.sum(axis=0)
                if k:
                    lam, z, h = net.thresholds[k - 1], drives[k - 1], inputs[k]
                    back = error @ net.weights[k].T
                    inside = (z > -lam / (2 * LEVELS)) & (z < lam)
                    d_lam[k - 1] = np.sum(back * np.where(inside, (h - z) / lam, z >= lam))
                    error = back * inside
            slopes[-1] = d_lam
            step += 1
            rate = 2e-3 * 0.5 * (1.0 + np.cos(np.pi * step / steps))
            for k, (value, slope) in enumerate(zip(parameters, slopes, strict=True)):
                slope = slope + 1e-4 * value
                first[k] = 0.9 * first[k] + 0.1 * slope
                second[k] = 0.999 * second[k] + 0.001 * slope**2
                m, v = first[k] / (1.0 - 0.9**step), second[k] / (1.0 - 0.999**step)
                value -= rate * m / (np.sqrt(v) + 1e-8)
            np.maximum(net.thresholds, 0.05, out=net.thresholds)
    return net


def simulate(
    net: Net, x: np.ndarray, t_max: int, rng: np.random.Generator | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Accumulated outputs (T, N, C), cumulative spikes and synaptic operations (T, N); Bernoulli input with ``rng``.

    Integrate, fire at v >= threshold, subtract it, all layers within a step; v = threshold / 2 at first.
    """
    n, c = len(x), net.biases[-1].size
    out, spikes, synops = np.zeros((t_max, n, c)), np.zeros((t_max, n), np.int64), np.zeros((t_max, n), np.int64)
    v = [np.full((n, b.size), lam / 2) for b, lam in zip(net.biases, net.thresholds, strict=False)]
    for t in range(t_max):
        signal = x if rng is None else (rng.random(x.shape) < x).astype(np.float64)
        if rng is not None:  # pixels that fire are spikes of the input, and not counted as the network's
            synops[t] += (signal > 0).sum(axis=1) * net.biases[0].size
        for k, lam in enumerate(net.thresholds):
            v[k] += signal @ net.weights[k] + net.biases[k]
            fired = v[k] >= lam
            v[k] -= lam * fired
            signal = lam * fired
            count = fired.sum(axis=1)
            spikes[t] += count
            synops[t] += count * net.biases[k + 1].size
        out[t] = signal @ net.weights[-1] + net.biases[-1]
    return np.cumsum(out, axis=0), np.cumsum(spikes, axis=0), np.cumsum(synops, axis=0)


def record(
    net: Net, x: np.ndarray, y: np.ndarray, t_max: int, seed: int, noisy: bool, part: int = 0, repeats: int = 1
) -> Trace:
    """A trace of all samples; of Poisson input ``repeats`` runs each, whose ids then differ. Noise goes by part."""
    generators = [np.random.default_rng((seed, part, k)) if noisy else None for k in range(repeats)]
    parts = [simulate(net, x, t_max, generator) for generator in generators]
    outputs, spikes, synops = (np.concatenate(p, axis=1) for p in zip(*parts, strict=True))
    ids = np.concatenate([sample_ids(x) + k for k in range(repeats)])
    fingerprint = {
        "t_max": t_max, "encoder": "Bernoulli, p = pixel / 16" if noisy else "direct current",
        "seed": seed if noisy else None,
        "precision": "float64", "network": f"digits QCFS {seed}", "latency": "synchronous", "depth": len(net.weights),
    }  # fmt: skip
    return Trace(outputs, ids, fingerprint, np.tile(y, repeats), spikes, synops)


def traces(seed: int, noisy: bool, t_max: int | None = None) -> tuple[Net, list[Trace], float]:
    """A trained network, its traces of the three splits, and the accuracy of the quantised ANN on the test split."""
    x, y, splits = digits(seed)
    with threadpool_limits(1):  # two threads on matrices of this size take many times as long
        net = train(x[splits[0]], y[splits[0]], SHALLOW if noisy else DEEP, seed)
        t_max = t_max or (64 if noisy else 32)
        made = [record(net, x[s], y[s], t_max, seed, noisy, k) for k, s in enumerate(splits)]
        right = forward(net, x[splits[2]])[0].argmax(axis=1) == y[splits[2]]
    return net, made, float(right.mean())


def classifier(net: Net, threads: int | None = None) -> snn.Classifier:
    """The network of constant input on the package's kernels; counts its steps as `simulate` does.

    A projection takes a step, so that layer k, and its bias, begin k steps late; the classifier counts from the step in
    which the output first hears of the input.
    """
    model = snn.Network()
    hidden = [
        model.population(f"layer {k}", b.size, snn.SoftResetIF(v_th=float(lam)), init={"v": float(lam) / 2})
        for k, (b, lam) in enumerate(zip(net.biases, net.thresholds, strict=False))
    ]
    layers = [*hidden, model.population("out", net.biases[-1].size, snn.Accumulator())]
    model.input("image", layers[0], snn.StepCurrent(np.zeros((1, layers[0].n))))
    for k, lam in enumerate(net.thresholds, 1):
        model.connect(layers[k - 1], layers[k], snn.all_to_all(), weight=float(lam) * net.weights[k], delay=1.0)
        model.input(f"bias {k}", layers[k], snn.StepCurrent(net.biases[k][None], times=[float(k)]))
    encoder = snn.encode.Direct("image", net.weights[0].T, net.biases[0])
    return snn.Classifier(model, encoder, "out", dt=1.0, threads=threads)
