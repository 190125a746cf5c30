"""The checks of verify.py on snn.torch: training on digits, and conversion, over ten seeds each."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from verify_common import Line, Options, axes, save

import snn

SEEDS = 10
DATA = "digits of scikit-learn"


def digits(seed: int, train: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pixels in [0, 1] and classes: ``train`` samples to train on, 549 to test on, by classes."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    xa, rest, ya, y_rest = train_test_split(x / 16.0, y, train_size=train, stratify=y, random_state=seed)
    if len(rest) > 549:
        _, rest, _, y_rest = train_test_split(rest, y_rest, test_size=549, stratify=y_rest, random_state=seed)
    return xa, ya, rest, y_rest


def mean_of(values: Any) -> str:
    """Mean and standard deviation in percent."""
    return f"{100 * np.mean(values):.2f} % (sd {100 * np.std(values, ddof=1):.2f})"


def torch_training(options: Options) -> list[Line]:
    """Digits learned with surrogate gradients: snnTorch's modules and ours, and both on the kernels."""
    import snntorch
    import torch
    from torch import nn

    from snn.torch import Neurons, Unrolled, from_snntorch, train

    torch.set_num_threads(1)
    seeds, lines = range(3 if options.quick else SEEDS), []
    kinds: dict[str, Callable[[], Any]] = {
        "snnTorch's Leaky": lambda: snntorch.Leaky(beta=0.9, init_hidden=True),
        "snn.torch.Neurons(snn.Leaky)": lambda: Neurons(snn.Leaky(beta=0.9)),
    }
    losses = []
    for name, neurons in kinds.items():
        right, on_kernels, seconds, same = [], [], [], []
        for seed in seeds:
            x, y, x_test, y_test = digits(seed, 1248)
            torch.manual_seed(seed)
            model = Unrolled(nn.Sequential(nn.Linear(64, 128), neurons(), nn.Linear(128, 10), neurons()), steps=8)
            begin = time.perf_counter()
            losses.append(train(model, x, y, epochs=60, lr=4e-3))
            seconds.append(time.perf_counter() - begin)
            with torch.no_grad():
                answer = model(torch.tensor(x_test, dtype=torch.float32)).argmax(1).numpy()
            found = from_snntorch(model.layers, 64).predict(x_test, 8)
            right.append(np.mean(answer == y_test))
            on_kernels.append(np.mean(found == y_test))
            same.append(np.mean(found == answer))
        lines += [
            Line(f"training, {name}", DATA, f"{mean_of(right)}, {len(seeds)} seeds", ">= 97 %",
                 bool(np.mean(right) >= 0.97)),
            Line(f"training, {name}: longest", "-", f"{max(seconds):.0f} s on one thread", "< 120 s",
                 max(seconds) < 120),
            Line(f"training, {name}: on the kernels in float64", "torch in float32",
                 f"{mean_of(on_kernels)}; {100 * np.mean(same):.2f} % of answers equal", ">= 99 % equal",
                 bool(np.mean(same) >= 0.99)),
        ]  # fmt: skip
    gap = np.max(np.abs(np.array(losses[: len(seeds)]) - losses[len(seeds) :]))
    text = f"differ by {gap:.1e} at most"
    lines.append(Line("training: losses of our modules", "snnTorch's", text, "< 1e-3", bool(gap < 1e-3)))
    return lines


def rate_network(activation: Callable[[], Any], sizes: tuple[int, ...]) -> Any:
    """Linear layers after He et al. (2015) with an activation between them."""
    from torch import nn

    layers: list[Any] = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), activation()]
        nn.init.kaiming_normal_(layers[-2].weight)
        nn.init.zeros_(layers[-2].bias)
    return nn.Sequential(*layers[:-1])


def torch_conversion(options: Options) -> list[Line]:
    """Digits: networks of QCFS, QFFS and ReLU, trained and converted, with direct and with random input."""
    import torch
    from torch import nn

    from snn.torch import QCFS, QFFS, from_torch, train

    torch.set_num_threads(1)
    seeds, lines = range(3 if options.quick else SEEDS), []
    deep, flat = (64, 128, 128, 128, 128, 10), (64, 128, 128, 10)
    cases: dict[str, tuple[Callable[[], Any], tuple[int, ...], snn.encode.Encoder | None, int]] = {
        "QCFS, direct": (lambda: QCFS(4, 2.0), deep, None, 32),
        "QCFS, random spikes": (lambda: QCFS(4, 2.0), flat, snn.encode.Rate("input"), 64),
        "QFFS, direct": (lambda: QFFS(2, 0.5), deep, None, 32),
        "ReLU, direct": (nn.ReLU, deep, None, 32),
    }
    figure, panels = axes(1, 1, 6.0, 4.5)
    plot = panels[0, 0]
    plot.set(xlabel="steps", ylabel="share of right answers", xscale="log")
    for name, (activation, sizes, encoder, steps) in cases.items():
        before, curves = [], []
        for seed in seeds:
            x, y, x_test, y_test = digits(seed, 700)
            torch.manual_seed(seed)
            ann = rate_network(activation, sizes)
            train(ann, x, y, epochs=80)
            with torch.no_grad():
                before.append(np.mean(ann(torch.tensor(x_test, dtype=torch.float32)).argmax(1).numpy() == y_test))
            outputs = from_torch(ann, 64, calibrate=x, encoder=encoder).record(x_test, steps).outputs
            curves.append((outputs.argmax(2) == y_test).mean(1))
        curve = np.array(curves)
        plot.plot(np.arange(1, steps + 1), curve.mean(0), label=name)
        quantised, full = np.mean(before), float(curve[:, -1].mean())
        if name.startswith("QFFS"):  # its neurons stop after 2^bits - 1 spikes, so the mean is right near that only
            early = float(curve[:, 3].mean())
            lines += [
                Line(f"conversion, {name}: after 4 steps", f"network: {mean_of(before)}", mean_of(curve[:, 3]),
                     "within 1 point", early >= quantised - 0.01),
                Line(f"conversion, {name}: after 32 steps", "after 4", mean_of(curve[:, -1]), "lower", full < early),
            ]  # fmt: skip
            continue
        lines += [
            Line(f"conversion, {name}: after {steps} steps", DATA, mean_of(curve[:, -1]), ">= 96.0 %",
                 full >= 0.96),
            Line(f"conversion, {name}: after {steps} steps", f"network: {mean_of(before)}",
                 f"{100 * (full - quantised):+.2f} points", ">= -1 point", full >= quantised - 0.01),
        ]  # fmt: skip
        if name == "QCFS, direct":
            first, fourth = float(curve[:, 0].mean()), float(curve[:, 3].mean())
            lines += [
                Line(f"conversion, {name}: after 1 step", DATA, mean_of(curve[:, 0]), "74 to 84 %",
                     0.74 <= first <= 0.84),
                Line(f"conversion, {name}: after 4 steps", DATA, mean_of(curve[:, 3]), ">= 95.5 %",
                     fourth >= 0.955),
            ]  # fmt: skip
    plot.legend()
    save(figure, options, "torch_conversion")
    return lines
