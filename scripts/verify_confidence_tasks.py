"""The check of verify.py on early termination of networks from torch, two tasks and two conversions, on the kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits
from verify_common import Line, Options, axes, save
from verify_confidence import saved

import snn
from reservoir import tasks
from snn.confidence import DynamicConfidence, EarlyExit, Report, compare

# Steps: of QFFS as many as there are levels, for its neurons send no more spikes and the accuracy falls beyond. So it
# is not for events that come over many steps. Of shapes so many that the accuracy no longer rises.
STEPS = {("digits", "QCFS"): 32, ("digits", "QFFS"): 8, ("shapes", "QCFS"): 128}


def trained(task: str, conversion: str, seed: int) -> tuple[snn.Classifier, Any, np.ndarray]:
    """A network trained in torch and converted, samples that it has not seen, and their classes."""
    import torch
    from torch import nn

    from snn.torch import QCFS, QFFS, from_torch, train

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    if task == "digits":
        from sklearn.datasets import load_digits

        data = load_digits()
        order = np.random.default_rng(seed).permutation(len(data.target))
        x, y = data.data[order] / 16.0, data.target[order]

        def unit() -> nn.Module:
            return QCFS(4, 2.0) if conversion == "QCFS" else QFFS(3, 0.3)

        ann = nn.Sequential(nn.Linear(64, 128), unit(), nn.Linear(128, 128), unit(), nn.Linear(128, 10))
        train(ann, x[:700], y[:700], epochs=80, seed=seed)
        return from_torch(ann, (64,)), x[700:], y[700:]
    steps, known = STEPS[task, conversion], 3000
    events, y = tasks.moving_shapes(known + 2500, steps=steps, seed=seed)
    frames = np.zeros((known, 512))
    for frame, (_, address) in zip(frames, events, strict=False):
        np.add.at(frame, address, 1.0 / steps)

    ann = nn.Sequential(
        nn.Conv2d(2, 8, 5, padding=2), QCFS(8, 1.0), nn.AvgPool2d(2), nn.Conv2d(8, 16, 3, padding=1), QCFS(8, 1.0),
        nn.AvgPool2d(2), nn.Flatten(), nn.Linear(256, 4),
    )  # fmt: skip
    train(ann, frames.reshape(-1, 2, 16, 16), y[:known], epochs=25, lr=5e-3, seed=seed)
    return from_torch(ann, (2, 16, 16), encoder=snn.encode.Events("input")), events[known:], y[known:]


def report_of(task: str, conversion: str, seed: int) -> Report:
    """Agents fitted on three tenths of the samples, compared on the others."""
    classifier, x, y = trained(task, conversion, seed)
    fit, test = classifier.record(x, STEPS[task, conversion], labels=y).split([0.3, 0.7], seed=seed)
    return compare(test, [DynamicConfidence().fit(fit), EarlyExit("margin", name="top-2 gap").fit(fit)])


def confidence_tasks(options: Options) -> list[Line]:
    """Early termination of networks from torch: digits (QCFS, QFFS), moving shapes; steps saved at equal accuracy."""
    seeds = 2 if options.quick else 5
    lines = []
    figure, panels = axes(1, len(STEPS), 3.0, 2.8)
    for (task, conversion), ax in zip(STEPS, panels[0], strict=True):
        with threadpool_limits(1):
            found = [report_of(task, conversion, seed) for seed in range(seeds)]
        t_max = STEPS[task, conversion]
        fixed = np.mean([r.fixed for r in found], axis=0)
        cut = {name: saved(found, name) for name in found[0].curves}
        ax.plot(np.arange(1, t_max + 1), 100 * fixed, color="black", label="fixed T")
        steps = np.arange(1.0, t_max, 0.1)
        for name in cut:
            ax.plot(steps, 100 * np.mean([[r.curves[name].at(m) for m in steps] for r in found], axis=0), label=name)
        ax.set(xlabel="mean steps", ylabel="accuracy (%)", title=f"{task}, {conversion}", xscale="log")
        enough = cut["top-2 gap"][1]
        lines.append(
            Line(
                f"{task}, {conversion}, {t_max} steps: steps saved at equal accuracy", f"T = {enough} for all",
                f"accuracy {100 * fixed[-1]:.2f} %, at T = {enough} {100 * fixed[enough - 1]:.2f} %; "
                + ", ".join(f"{name} {100 * v:.0f} %" for name, (v, _) in cut.items()),
                "Dynamic Confidence >= 40 %", cut["Dynamic Confidence"][0] >= 0.4,
            )
        )  # fmt: skip
    panels[0, 0].legend(fontsize=6)
    save(figure, options, "confidence_tasks")
    return lines
